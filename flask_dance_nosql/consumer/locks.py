"""Locks between the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class KeyedLocks:
    """A lock for each key, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def held(self, key: Hashable, seconds: float) -> Iterator[bool]:
        """Hold a key's lock, waiting for it at most this long. Gives whether it is ours."""
        with self._mutex:
            lock = self._locks.get(key)
            if lock is None:
                lock = self._locks[key] = threading.Lock()
        is_ours = lock.acquire(timeout=seconds)
        try:
            yield is_ours
        finally:
            if is_ours:
                lock.release()
