"""A token in a file: whole, private, and there after a crash."""

from __future__ import annotations

import errno
import json
import os
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import FileBackend
from flask_dance_nosql.errors import BackendUnavailable, CorruptToken

from ..strategies import exact, nested, tokens

TOKEN = {"access_token": "at-secret"}
Blueprint = OAuth2ConsumerBlueprint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file that is not there yet, in a folder with nothing else in it."""
    return tmp_path / "token.json"


@pytest.fixture
def backend(path: Path) -> FileBackend:
    """A backend of that file."""
    return FileBackend(path)


def test_there_is_nothing_at_first(backend: FileBackend, path: Path, blueprint: Blueprint) -> None:
    """Without a file there is no token; reading and deleting make none and are no error."""
    assert backend.get(blueprint) is None
    backend.delete(blueprint)
    assert os.listdir(path.parent) == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(token=tokens)
def test_any_token_comes_back_exactly(
    backend: FileBackend, blueprint: Blueprint, token: dict[str, Any]
) -> None:
    """Whatever JSON object a token is, it comes back the same."""
    backend.set(blueprint, token)
    assert exact(backend.get(blueprint)) == exact(token)


def test_a_token_is_replaced_and_deleted(
    backend: FileBackend, path: Path, blueprint: Blueprint
) -> None:
    """A second token replaces the first, a delete removes the file, a second delete is no error."""
    backend.set(blueprint, {"access_token": "long" * 1000})
    backend.set(blueprint, TOKEN)
    assert json.loads(path.read_text()) == TOKEN
    assert os.listdir(path.parent) == [path.name]
    backend.delete(blueprint)
    backend.delete(blueprint)
    assert os.listdir(path.parent) == []


def test_everybody_has_the_same_token(
    path: Path, blueprint: Blueprint, other_blueprint: Blueprint
) -> None:
    """Two backends of one file, and every blueprint, have one token: that is what it is for."""
    FileBackend(str(path)).set(blueprint, TOKEN)
    assert FileBackend(path).get(other_blueprint) == TOKEN


def test_the_path_is_known(path: Path) -> None:
    """``filepath`` is the path that was given, as text."""
    assert FileBackend(path).filepath == str(path)


def test_a_bare_name_is_a_file_of_the_current_folder(
    tmp_path: Path, blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path without a folder works, as it does in the documented example."""
    monkeypatch.chdir(tmp_path)
    FileBackend("token.json").set(blueprint, TOKEN)
    assert os.listdir(tmp_path) == ["token.json"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_it(
    backend: FileBackend, path: Path, blueprint: Blueprint, umask: int
) -> None:
    """The mode is 0600 under any umask, also where an older file was open to all."""
    path.write_text("{}")
    path.chmod(0o666)
    before = os.umask(umask)
    try:
        backend.set(blueprint, TOKEN)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_token(
    backend: FileBackend,
    path: Path,
    blueprint: Blueprint,
    function: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If writing or replacing fails, the old file is whole, and no temporary file is left."""
    backend.set(blueprint, TOKEN)
    new = {"access_token": "new-secret"}

    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        with pytest.raises(BackendUnavailable, match="No space left") as caught:
            backend.set(blueprint, new)
    assert (caught.value.operation, caught.value.backend) == ("set", "FileBackend")
    assert "new-secret" not in "".join(traceback.format_exception(caught.value))
    assert backend.get(blueprint) == TOKEN
    assert os.listdir(path.parent) == [path.name]


def test_an_interrupted_write_leaves_the_old_token(
    backend: FileBackend, path: Path, blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while writing goes through, and leaves the old file and nothing else."""
    backend.set(blueprint, TOKEN)

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            backend.set(blueprint, {"access_token": "new"})
    assert backend.get(blueprint) == TOKEN
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "bad",
    [None, [], {"a": {1}}, {"a": b""}, {"a": float("nan")}, {1: 2}, nested(101), {"n": 10**5000}],
    ids=["None", "list", "set", "bytes", "NaN", "key", "deep", "digits"],
)
def test_a_rejected_token_changes_nothing(
    backend: FileBackend, path: Path, blueprint: Blueprint, bad: Any
) -> None:
    """A token that JSON can't hold is refused, and the file is untouched."""
    backend.set(blueprint, TOKEN)
    before = path.stat()
    with pytest.raises((TypeError, ValueError)):
        backend.set(blueprint, bad)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(path.parent) == [path.name]


CORRUPT: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"access_token": "at-secret',
    "no JSON": b"at-secret",
    "a list": b'["at-secret"]',
    "text": b'"at-secret"',
    "null": b"null",
    "no UTF-8": b'{"access_token": "at-secret\xff"}',
    "two objects": b'{"access_token": "at-secret"}{}',
    "NaN": b'{"access_token": "at-secret", "expires_at": NaN}',
    "nesting without end": b'{"at-secret":' * 100_000,
}


@pytest.mark.parametrize("case", CORRUPT)
def test_a_corrupt_file_is_told_and_left(
    backend: FileBackend, path: Path, blueprint: Blueprint, case: str
) -> None:
    """What is no JSON object is a ``CorruptToken`` that names the file and shows nothing of it."""
    path.write_bytes(CORRUPT[case])
    with pytest.raises(CorruptToken) as caught:
        backend.get(blueprint)
    error = caught.value
    assert (error.operation, error.backend) == ("get", "FileBackend")
    assert (error.provider, error.user_id) == ("demo", None)
    assert str(path) in str(error)
    assert "at-secret" not in "".join(traceback.format_exception(error))
    assert path.read_bytes() == CORRUPT[case]


@pytest.mark.parametrize("case", CORRUPT)
def test_a_corrupt_file_is_replaced(
    backend: FileBackend, path: Path, blueprint: Blueprint, case: str
) -> None:
    """A new token takes the place of whatever was in the file."""
    path.write_bytes(CORRUPT[case])
    backend.set(blueprint, TOKEN)
    assert backend.get(blueprint) == TOKEN


@pytest.mark.parametrize("operation", ["get", "set", "delete"])
def test_a_folder_in_its_place_is_unavailable(
    backend: FileBackend, path: Path, blueprint: Blueprint, operation: str
) -> None:
    """What can't be read, written or removed is ``BackendUnavailable`` with the path and reason."""
    path.mkdir()
    arguments = (blueprint, TOKEN) if operation == "set" else (blueprint,)
    with pytest.raises(BackendUnavailable) as caught:
        getattr(backend, operation)(*arguments)
    assert (caught.value.operation, caught.value.backend) == (operation, "FileBackend")
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert "at-secret" not in str(caught.value)
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_folder_is_told_when_writing(tmp_path: Path, blueprint: Blueprint) -> None:
    """A folder that does not exist has no token, and takes none: it is not made in silence."""
    backend = FileBackend(tmp_path / "none" / "token.json")
    assert backend.get(blueprint) is None
    with pytest.raises(BackendUnavailable, match="No such file"):
        backend.set(blueprint, TOKEN)
    assert os.listdir(tmp_path) == []


def test_readers_never_see_half_a_file(
    backend: FileBackend, path: Path, blueprint: Blueprint
) -> None:
    """While two threads write big tokens, four that read get whole ones, every time."""
    sizes = (10, 300_000)
    written = [
        {"access_token": letter * size, "size": size}
        for letter, size in zip("ab", sizes, strict=True)
    ]
    backend.set(blueprint, written[0])
    barrier = threading.Barrier(6)

    def work(number: int) -> list[Any]:
        barrier.wait()
        if number < 2:
            for turn in range(40):
                backend.set(blueprint, written[(turn + number) % 2])
            return []
        return [backend.get(blueprint) for _ in range(60)]

    with ThreadPoolExecutor(6) as pool:
        seen = [token for tokens in pool.map(work, range(6)) for token in tokens]
    assert len(seen) == 4 * 60
    assert all(token in written for token in seen)
    assert os.listdir(path.parent) == [path.name]
