"""Many threads on one key: one record, nothing lost, nothing mixed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenKey

from .places import Place, document, scoped

pytestmark = pytest.mark.usefixtures("versions_from_one")

THREADS = 16
SAVES = 50
TURNS = 20
KEY = TokenKey("demo", "42")


def together(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Run work in threads that all begin at the same moment, and return its results in order."""
    barrier = threading.Barrier(threads)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def version(place: Place, key: TokenKey = KEY) -> int:
    """Return the version of the record under a key."""
    found = place.store.load(key)
    assert found is not None
    return found.version


def test_no_write_is_lost(real_place: Place) -> None:
    """16 threads x 50 saves to a fresh key: one record, at version 800."""

    def save(number: int) -> None:
        for _ in range(SAVES):
            real_place.store.save(document(KEY, {"access_token": f"of {number}"}))

    together(save)
    assert real_place.count() == 1
    assert version(real_place) == THREADS * SAVES


def test_each_write_has_a_version_of_its_own(real_place: Place) -> None:
    """No two writes are told the same version: it is the server that counts."""
    real_place.store.save(document(KEY))

    def save(_: int) -> list[int]:
        return [real_place.store.save(document(KEY)).version for _ in range(SAVES)]

    versions = [one for own in together(save) for one in own]
    assert sorted(versions) == list(range(2, THREADS * SAVES + 2))


def save_under(place: Place, key: TokenKey, _: int) -> None:
    """Save a document under a key."""
    place.store.save(document(key))


def test_first_writes_at_once_make_one_record(real_place: Place) -> None:
    """When 16 threads store the first token of a key, one inserts and all others replace."""
    for number in range(10):
        key = TokenKey("demo", str(number))
        together(partial(save_under, real_place, key))
        assert real_place.count() == number + 1
        assert version(real_place, key) == THREADS


def test_writes_and_deletes_do_not_disturb_each_other(real_place: Place) -> None:
    """Saving while others delete is no error: each operation is done before or after another."""

    def work(number: int) -> None:
        for _ in range(SAVES):
            if number % 2:
                real_place.store.delete(KEY)
            else:
                real_place.store.save(document(KEY))

    together(work)
    assert real_place.count() <= 1
    real_place.store.delete(KEY)
    assert real_place.store.load(KEY) is None


def test_readers_see_whole_tokens(real_place: Place) -> None:
    """Whoever reads while others write gets one of the tokens written, never parts of two."""
    real_place.store.save(document(KEY, {"access_token": "0", "refresh_token": "0"}))

    def work(number: int) -> list[dict[str, Any]]:
        seen = []
        for turn in range(SAVES):
            if number % 2:
                text = f"{number}.{turn}" * 50
                real_place.store.save(document(KEY, {"access_token": text, "refresh_token": text}))
            else:
                found = real_place.store.load(KEY)
                assert found is not None
                seen.append(found.token)
        return seen

    seen = [token for tokens in together(work) for token in tokens]
    assert len(seen) == THREADS // 2 * SAVES
    assert all(token["access_token"] == token["refresh_token"] for token in seen)


def test_users_at_once_keep_their_own(real_place: Place, blueprint: Any) -> None:
    """One backend, 16 users in as many threads: each reads back what they stored, every time."""
    backend = scoped(real_place.store)

    def work(number: int) -> list[bool]:
        right = []
        for turn in range(TURNS):
            token = {"access_token": f"{number}.{turn}"}
            backend.set(blueprint, token, user_id=number)
            right.append(backend.get(blueprint, user_id=number) == token)
        return right

    assert together(work) == [[True] * TURNS] * THREADS
    assert real_place.count() == THREADS
