"""A cache in this process's memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ....errors import ConfigurationError
from ....process import PerProcess
from ..store.document import TokenDocument
from ..store.driver import require
from .base import Found, Name, Ticket, TokenCache

if TYPE_CHECKING:
    import cachetools
else:
    cachetools = require("cachetools", feature="LocalCache", package="cachetools", extra="caching")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode

# A document as JSON, so that each reader gets one of their own, and when it ends.
Entry = tuple[bytes, float]


class LocalCache(TokenCache):
    """Keeps documents in this process's memory; the least recently used are dropped first.

    Safe under threads. A forked child begins with an empty cache. Other processes have caches of
    their own: what they write is seen here when an entry's time is up, unless an
    :class:`InvalidatedCache` is used. See :doc:`/caching`.

    Args:
        maxsize: How many documents it keeps at most. As many more entries are kept for users
            without a token, so that visitors can't push out the documents of others.
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
        self._memory = PerProcess(partial(_Memory, maxsize))

    def look(self, name: Name) -> tuple[bool, Found, Ticket]:
        """Return whether there is an entry, its document, and a ticket for a reader if not."""
        memory = self._memory.get()
        with memory.mutex:
            try:
                entry: Entry | None = memory.found[name]
            except KeyError:
                entry = None
            if entry is None or self._timer() >= entry[1]:
                missing: Entry | None = memory.missing.get(name)
                if missing is not None and self._timer() < missing[1]:
                    return True, None, None
                ticket = memory.tickets[name] = object()
                return False, None, ticket
        return True, _decode(entry[0]), None

    def fill(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what a reader has found, if no other ticket was taken since its own."""
        text = b"" if document is None else _encode(document)
        memory = self._memory.get()
        with memory.mutex:
            if memory.tickets.get(name) is ticket:
                del memory.tickets[name]
                if seconds > 0:
                    kept = memory.missing if document is None else memory.found
                    kept[name] = (text, self._timer() + seconds)

    def begin(self, name: Name) -> Ticket:
        """Return the ticket of a writer."""
        ticket = object()
        memory = self._memory.get()
        with memory.mutex:
            memory.tickets[name] = ticket
        return ticket

    def end(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what was written, if no other ticket was taken since the writer's own."""
        text = b"" if document is None else _encode(document)
        memory = self._memory.get()
        with memory.mutex:
            is_last = memory.tickets.pop(name, None) is ticket
            memory.found.pop(name, None)
            memory.missing.pop(name, None)
            if is_last and seconds > 0:
                kept = memory.missing if document is None else memory.found
                kept[name] = (text, self._timer() + seconds)

    def clear(self) -> None:
        """Forget everything, and every ticket."""
        memory = self._memory.get()
        with memory.mutex:
            for part in (memory.found, memory.missing, memory.tickets):
                part.clear()

    def forget(self, name: Name) -> None:
        """Forget what is kept under a name, and every ticket for it."""
        memory = self._memory.get()
        with memory.mutex:
            for part in (memory.found, memory.missing, memory.tickets):
                part.pop(name, None)


class _Memory:
    """What a process keeps: documents, names without a document, and tickets; with their lock."""

    def __init__(self, maxsize: int) -> None:
        self.mutex = threading.Lock()
        # The caches of cachetools with a time of their own take much longer for each look.
        self.found: Any = cachetools.LRUCache(maxsize)
        self.missing: Any = cachetools.LRUCache(maxsize)
        self.tickets: Any = cachetools.LRUCache(maxsize)
