"""A cache in this process's memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from .cache import Name, Ticket, TokenCache
from .document import TokenDocument
from .driver import require

if TYPE_CHECKING:
    import cachetools
else:
    cachetools = require("cachetools", feature="LocalCache", package="cachetools", extra="caching")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode

Entry = tuple[bytes, float]
"""A document as JSON, so that each reader gets one of their own, and the seconds it is kept."""


class LocalCache(TokenCache):
    """Keeps documents in this process's memory, the least recently used leaving first.

    Safe under threads. Other processes have caches of their own: what they write is seen here when
    an entry's time is up. See :doc:`caching`.

    Args:
        maxsize: How many documents it keeps at most. For users without a token, which a visitor can
            ask for in any number, there is as much room apart.
        timer: Returns the time in seconds; for tests.
    """

    def __init__(
        self, maxsize: int = 10_000, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.maxsize = maxsize
        self._mutex = threading.Lock()
        self._found: Any = cachetools.TLRUCache(maxsize, _end, timer=timer)
        self._missing: Any = cachetools.TLRUCache(maxsize, _end, timer=timer)
        self._tickets: Any = cachetools.LRUCache(maxsize)

    def look(self, name: Name) -> tuple[bool, TokenDocument | None, Ticket]:
        """Return whether it is known what is there, and that, or else a ticket to the store."""
        with self._mutex:
            entry: Entry | None = self._found.get(name)
            if entry is None:
                if name in self._missing:
                    return True, None, None
                ticket = self._tickets[name] = object()
                return False, None, ticket
        return True, _decode(entry[0]), None

    def fill(
        self, name: Name, ticket: Ticket, document: TokenDocument | None, seconds: float
    ) -> None:
        """Keep what a reader has found, if nobody has taken a ticket or come back since."""
        text = b"" if document is None else _encode(document)
        with self._mutex:
            if self._tickets.get(name) is ticket:
                del self._tickets[name]
                self._keep(name, document, text, seconds)

    def begin(self, name: Name) -> Ticket:
        """Return the ticket of a writer."""
        ticket = object()
        with self._mutex:
            self._tickets[name] = ticket
        return ticket

    def end(
        self, name: Name, ticket: Ticket, document: TokenDocument | None, seconds: float
    ) -> None:
        """Keep what was written, or nothing if somebody else took a ticket meanwhile."""
        text = b"" if document is None else _encode(document)
        with self._mutex:
            is_last = self._tickets.pop(name, None) is ticket
            self._found.pop(name, None)
            self._missing.pop(name, None)
            if is_last:
                self._keep(name, document, text, seconds)

    def _keep(
        self, name: Name, document: TokenDocument | None, text: bytes, seconds: float
    ) -> None:
        if seconds > 0:
            kept = self._missing if document is None else self._found
            kept[name] = (text, seconds)

    def clear(self) -> None:
        """Forget everything, and every ticket."""
        with self._mutex:
            for part in (self._found, self._missing, self._tickets):
                part.clear()

    def forget(self, name: Name) -> None:
        """Forget what is kept under a name, and every ticket for it."""
        with self._mutex:
            for part in (self._found, self._missing, self._tickets):
                part.pop(name, None)

    def __len__(self) -> int:
        """How many documents are kept."""
        with self._mutex:
            self._found.expire()
            return len(self._found)


def _end(_: Name, entry: Entry, now: float) -> float:
    return now + entry[1]
