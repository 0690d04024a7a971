"""Caches in the memory of several processes, which tell each other of writes through Redis."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from functools import partial

from ....process import PerProcess
from ..cache.base import Found, Name, Ticket
from ..cache.local import LocalCache
from .channel import Subscription
from .client import ClientSource, client_source


class InvalidatedCache(LocalCache):
    """Keeps documents in this process's memory, and forgets those that other processes write.

    Each write is published on a channel of Redis, whatever the store is. A thread, which is started
    when the cache is first read, listens to what others publish. Nothing is served unless it is
    known that messages arrive. Safe under threads, and in forked processes. See :doc:`/caching`.

    Args:
        client: A client of redis-py (``Redis``, ``RedisCluster``, or what a Sentinel's
            ``master_for`` gives), a URL, or a function or proxy that returns a client.
        maxsize: As of :class:`LocalCache`.
        channel: The name of the channel. All processes that share a store need the same.
        timer: Returns the time in seconds; for tests.

    Raises:
        ConfigurationError: If ``client`` is something else, or ``maxsize`` no positive integer.
    """

    def __init__(
        self,
        client: ClientSource,
        maxsize: int = 10_000,
        *,
        channel: str = "flask_dance:forget",
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(maxsize, timer=timer)
        self._source = client_source(client, "InvalidatedCache")
        # One for each process: threads do not get into a forked child.
        self._subscription = PerProcess(partial(Subscription, weakref.ref(self), channel, timer))
        self._is_closed = False

    def look(self, name: Name) -> tuple[bool, Found, Ticket]:
        """Return whether there is an entry, its document, and a ticket for a reader if not."""
        subscription = self._subscription.get()
        if subscription.is_live():
            return super().look(name)
        if not self._is_closed:
            subscription.begin(self._source)
        return False, None, object()

    def end(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what was written, as :class:`LocalCache` does, and tell other processes."""
        self.learn(name, ticket, document, seconds)
        self._subscription.get().tell(self._source, name)

    def learn(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what was read, and tell nobody, since nothing has changed."""
        is_live = self._subscription.get().is_live()
        super().end(name, ticket, document, seconds if is_live else 0)

    def wait(self, seconds: float) -> None:
        """Start to listen, and wait so many seconds at most until messages arrive."""
        subscription = self._subscription.get()
        if not self._is_closed and not subscription.is_live():
            subscription.begin(self._source)
            subscription.heard.wait(seconds)

    def close(self) -> None:
        """End the thread. From then on nothing is kept, and writes are still published."""
        self._is_closed = True
        self._subscription.get().end()
