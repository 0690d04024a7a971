"""Locks between the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class _Owned:
    """A lock that knows which thread holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None


class KeyedLocks:
    """A lock for each key, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: WeakValueDictionary[Hashable, _Owned] = WeakValueDictionary()

    @contextmanager
    def held(self, key: Hashable, seconds: float) -> Iterator[bool]:
        """Hold a key's lock, waiting for it at most this long. Gives whether it is ours.

        A thread that holds it already does not get it again, and does not wait for itself.
        """
        with self._mutex:
            owned = self._locks.get(key)
            if owned is None:
                owned = self._locks[key] = _Owned()
        me = threading.get_ident()
        is_ours = owned.owner != me and owned.lock.acquire(timeout=seconds)
        if not is_ours:
            yield False
            return
        owned.owner = me
        try:
            yield True
        finally:
            owned.owner = None
            owned.lock.release()
