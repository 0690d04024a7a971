"""What the threads of one process know of each other's refreshes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any, Generic, TypeVar

from .locks import KeyedLocks
from .rescue import Rescue

Token = dict[str, Any]
V = TypeVar("V")

MAX_RECENT = 1_000
"""How many tokens, and how many failures, are remembered at most."""

SUCCESSOR_SECONDS = 60.0
"""How long requests that began with the old token are given the new one."""

RETRY_SECONDS = 10.0
"""How long nobody tries again to refresh a token that still works, after it has failed."""


class Recent(Generic[V]):
    """The newest entries of a mapping, for a while. Safe under threads.

    Args:
        seconds: How long an entry counts.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._mutex = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def get(self, key: str) -> tuple[float, V] | None:
        """Return when an entry was made, by the monotonic clock, and what it is."""
        entry = self._entries.get(key)
        if entry is None or time.monotonic() - entry[0] > self._seconds:
            return None
        return entry

    def put(self, key: str, value: V) -> None:
        """Make an entry; the oldest leaves if there are too many, or if its time is up."""
        now = time.monotonic()
        with self._mutex:
            self._entries.pop(key, None)
            self._entries[key] = (now, value)
            while len(self._entries) > MAX_RECENT or self._oldest() < now - self._seconds:
                self._entries.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._entries.values()))[0]


class Flights:
    """The refreshes of one blueprint in one process.

    Attributes:
        locks: One for each token that is being refreshed.
        successors: What tokens were refreshed to, where the backend may not tell other requests.
        failures: Why tokens could not be refreshed.
        rescue: New tokens that the backend has refused.
    """

    def __init__(self) -> None:
        self.locks = KeyedLocks()
        self.successors: Recent[Token] = Recent(SUCCESSOR_SECONDS)
        self.failures: Recent[str] = Recent(RETRY_SECONDS)
        self.rescue = Rescue()
