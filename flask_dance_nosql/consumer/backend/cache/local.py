"""A cache in this process's memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ....errors import ConfigurationError
from ....process import renew_in_child
from ..store.document import TokenDocument
from ..store.driver import require
from .base import Name, Ticket, TokenCache

if TYPE_CHECKING:
    import cachetools
else:
    cachetools = require("cachetools", feature="LocalCache", package="cachetools", extra="caching")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode

Entry = tuple[bytes, float]
"""A document as JSON, so that each reader gets one of their own, and when it ends."""


class LocalCache(TokenCache):
    """Keeps documents in this process's memory, the least recently used leaving first.

    Safe under threads. Other processes have caches of their own: what they write is seen here when
    an entry's time is up, unless an :class:`InvalidatedCache` is used. See :doc:`caching`.

    Args:
        maxsize: How many documents it keeps at most. For users without a token, which a visitor can
            ask for in any number, there is as much room apart.
        timer: Returns the time in seconds; for tests.

    Raises:
        ConfigurationError: If ``maxsize`` is not a positive integer.
    """

    def __init__(
        self, maxsize: int = 10_000, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        if type(maxsize) is not int or maxsize < 1:
            raise ConfigurationError("maxsize is how many documents are kept, at least 1.")
        self.maxsize = maxsize
        self._timer = timer
        self._begin_anew()
        renew_in_child(self, LocalCache._begin_anew)

    def _begin_anew(self) -> None:
        self._mutex = threading.Lock()
        # The caches of cachetools with a time of their own take much longer for each look.
        self._found: Any = cachetools.LRUCache(self.maxsize)
        self._missing: Any = cachetools.LRUCache(self.maxsize)
        self._tickets: Any = cachetools.LRUCache(self.maxsize)

    def look(self, name: Name) -> tuple[bool, TokenDocument | None, Ticket]:
        """Return whether it is known what is there, and that, or else a ticket to the store."""
        with self._mutex:
            text = self._text(self._found, name)
            if text is None:
                if self._text(self._missing, name) is not None:
                    return True, None, None
                ticket = self._tickets[name] = object()
                return False, None, ticket
        return True, _decode(text), None

    def _text(self, part: Any, name: Name) -> bytes | None:
        try:
            entry: Entry = part[name]
        except KeyError:
            return None
        return entry[0] if self._timer() < entry[1] else None

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
            kept[name] = (text, self._timer() + seconds)

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
            now = self._timer()
            return sum(now < end for _, end in self._found.values())
