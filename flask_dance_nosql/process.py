"""Things that a forked child must not have in common with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A thing that each process makes for itself when it first needs it. Safe under threads.

    The process id is compared at each use, since uWSGI forks without Python's hooks. Nothing is
    locked: a lock that a thread of the parent held at the fork would stay locked in the child. So
    several threads may make a thing at the same time, and the first one is kept for all; the others
    go to ``discard``. What ``make`` returns is not ``None``.
    """

    def __init__(self, make: Callable[[], T], discard: Callable[[T], object] | None = None) -> None:
        self._make = make
        self._discard = discard
        # What the parent made stays here in a child: closing it could close the parent's sockets.
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's own."""
        pid = os.getpid()
        own = self._made.get(pid)
        if own is None:
            made = self._make()
            own = self._made.setdefault(pid, made)
            if own is not made and self._discard is not None:
                self._discard(made)
        return own

    def pop(self) -> T | None:
        """Return this process's own, if it has made one, and forget it."""
        return self._made.pop(os.getpid(), None)
