"""Many threads on one key: one record, nothing lost, nothing mixed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
