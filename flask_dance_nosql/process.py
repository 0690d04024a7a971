"""Things that a forked child must not have in common with its parent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A thing that each process makes for itself when it first needs it. Safe under threads.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[int, T] | None = None

    def get(self) -> T:
        """Return this process's own."""
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[1]
        with _making:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._make())
            return self._made[1]

    def pop(self) -> T | None:
        """Return this process's own, if it has made one, and forget it."""
        with _making:
            made, self._made = self._made, None
        return made[1] if made is not None and made[0] == os.getpid() else None


def renew_in_child(thing: T, renew: Callable[[T], object]) -> None:
    """Have a thing renewed in each forked child, where a lock may be held by a thread left behind.

    Args:
        thing: The thing, of which nothing is kept but a weak reference.
        renew: Is called with it; must not hold it.
    """
    _renewals[thing] = renew


_renewals: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()
_making = threading.RLock()


def _begin_anew() -> None:
    global _making  # noqa: PLW0603 - there is one for the process
    _making = threading.RLock()
    for thing, renew in list(_renewals.items()):
        renew(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
