"""Several processes on one store: nothing is lost, and what dies holds nothing up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from flask_dance_nosql.consumer.backend import TokenStore
from flask_dance_nosql.errors import AccountAlreadyLinked
from flask_dance_nosql.testing import make_document

from ..processes import Forked
from .places import store_at
from .writer import ACCOUNT, KEY, LEASE, LINKS, SAVES

PROCESSES = 4
Place = tuple[str, str]


REDIS = {
    "redis6": ("redis_server", "redis_client"),
    "redis8": ("redis8_server", "redis8_client"),
    "cluster": ("redis_cluster", "redis_cluster_client"),
    "sentinel": ("redis_sentinel", "sentinel_client"),
}
"""The server of each kind, and the fixture that empties it of what other tests have left."""


@pytest.fixture(params=["mongo", *REDIS, "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The kind of a store, and where it is: a server, or a folder."""
    return place_of(request, tmp_path)


def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return the kind of a store, and where it is, for the parameter of a fixture."""
    if request.param == "sqlite":
        return "sql", f"sqlite:///{tmp_path}/tokens.db?timeout=60"
    if request.param == "postgresql":
        return "sql", request.getfixturevalue("postgresql_url")
    if request.param == "mongo":
        return "mongo", f"{request.getfixturevalue('mongo_server').url}/t{uuid.uuid4().hex}"
    server, emptied = REDIS[request.param]
    request.getfixturevalue(emptied)
    return "redis", request.getfixturevalue(server).url


@pytest.fixture
def store(place: Place) -> Iterator[TokenStore]:
    """The same store in this process, empty."""
    with store_at(*place) as opened:
        opened.delete(KEY)
        yield opened


def begin(task: str, place: Place) -> Forked:
    """Begin a task in a process of its own."""
    return Forked("tests.backend.writer", task, *place)


def test_no_write_of_any_process_is_lost(place: Place, store: TokenStore) -> None:
    """4 processes x 50 writes to one key: one document, its version exactly 200 higher."""
    start = store.save(make_document()).version
    writers = [begin("save", place) for _ in range(PROCESSES)]
    outputs = [writer.communicate() for writer in writers]
    versions = [int(version) for output in outputs for version in output.split()]
    assert sorted(versions) == list(range(start + 1, start + 1 + PROCESSES * SAVES))
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.version == start + PROCESSES * SAVES
    assert len(list(store.scan())) == 1


def test_lock_of_a_killed_process_is_free_after_its_lease(place: Place, store: TokenStore) -> None:
    """A holder that is killed keeps the lock until its lease ends, and no longer."""
    with begin("lock", place) as holder:
        answer, asked_at = holder.stdout.readline().split()
        assert answer == "taken"
        holder.kill()
    taken = store.lock(KEY, wait=60)
    # Some servers count in whole milliseconds.
    assert time.time() - float(asked_at) > LEASE - 0.01
    assert taken is not None
    taken.release()


def test_one_of_twenty_has_the_account(place: Place, store: TokenStore) -> None:
    """2 processes x 10 users link one account at once: one has it, and the others nothing."""
    linkers = [begin("link", place) for _ in range(2)]
    for linker in linkers:
        assert linker.stdout.readline() == "ready\n"
    for linker in linkers:
        linker.go()
    found = [word for each in linkers for word in each.communicate().split()]
    assert sorted(found) == sorted([*["AccountAlreadyLinked"] * (2 * LINKS - 1), "linked"])
    [document] = store.scan()
    assert document.provider_user_id == ACCOUNT
    assert store.linked(KEY.provider, ACCOUNT) == document.key
    store.delete(document.key)
    store.unlink(document.key, ACCOUNT)


def test_who_dies_while_linking_leaves_the_account_free(place: Place, store: TokenStore) -> None:
    """The next user can link an account whose entry was written and whose token was not."""
    with begin("die", place) as dying:
        assert dying.wait() == 9
    assert store.load(KEY) is None
    other = replace(make_document(), user_id="43", provider_user_id=ACCOUNT)
    store.link(other)
    assert store.linked(KEY.provider, ACCOUNT) == other.key
    with pytest.raises(AccountAlreadyLinked):
        store.link(replace(make_document(), provider_user_id=ACCOUNT))
    assert list(store.scan()) == [store.load(other.key)]
    store.delete(other.key)
    store.unlink(other.key, ACCOUNT)
