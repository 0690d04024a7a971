"""A lock is given back whatever happens, and nobody waits without end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.backend.store import lease
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable

from ..places import Place, scoped

KEY = TokenKey("demo", "42")


class Stuck(MemoryStore):
    """A store that answers no renewal of a lock before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.holders: set[str] = set()

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock, or wait to be told to."""
        if holder in self.holders:
            self.asked.set()
            self.go_on.wait(60)
        self.holders.add(holder)
        return super().acquire(key, holder, seconds)


@pytest.mark.parametrize("error", [ValueError, BackendUnavailable("load", "X"), KeyboardInterrupt])
def test_block_that_raises(real_place: Place, blueprint: Any, error: Any) -> None:
    """After a block that has raised an error the next one gets the lock at once."""
    slot = scoped(real_place.store, user_id=42).slot(blueprint)

    def work() -> None:
        with slot.lease() as is_ours:
            assert is_ours
            raise error

    for _ in range(2):
        with pytest.raises(type(error) if isinstance(error, Exception) else error):
            work()
    with slot.lease() as is_ours:
        assert is_ours


def test_store_that_answers_no_more(monkeypatch: pytest.MonkeyPatch, blueprint: Any) -> None:
    """A renewal that the store does not answer keeps the end of the block waiting for seconds."""
    monkeypatch.setattr(lease, "_JOIN_SECONDS", 0.1)
    store = Stuck()
    began = time.monotonic()
    with scoped(store, user_id=42).slot(blueprint).lease(seconds=0.03) as is_ours:
        assert is_ours
        assert store.asked.wait(30)
    assert time.monotonic() - began < 30
    store.go_on.set()


def test_waiting_has_an_end(real_place: Place) -> None:
    """Who waits for a lock that is not given back is told so in time."""
    store = real_place.store
    held = store.lock(KEY, lease=60) or pytest.fail("the lock is taken")
    began = time.monotonic()
    assert store.lock(KEY, wait=0.3) is None
    assert 0.3 <= time.monotonic() - began < 30
    held.release()
