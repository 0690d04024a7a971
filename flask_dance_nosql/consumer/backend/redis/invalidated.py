"""Caches in the memory of several processes, which tell each other of writes through Redis."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

from ....errors import ConfigurationError
from ....process import renew_in_child
from ..cache.base import Name, Ticket, TokenCache
from ..cache.local import LocalCache
from ..store.document import TokenDocument
from .channel import RETRY_SECONDS, Subscription
from .client import ClientSource, client_source


class InvalidatedCache(TokenCache):
    """Keeps documents in this process's memory, and forgets those that other processes write.

    Each write is published on a channel of Redis, whatever the store is. A thread, which is started
    when the cache is first read, listens to what others publish. Nothing is served unless it is
    known that messages arrive. Safe under threads, and in forked processes. See :doc:`caching`.

    Args:
        client: A client of redis-py (``Redis``, ``RedisCluster``, or what a Sentinel's
            ``master_for`` gives), a URL, or a function or proxy that returns a client.
        maxsize: How many documents it keeps at most. For users without a token, which a visitor can
            ask for in any number, there is as much room apart.
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
        self.maxsize = maxsize
        self._client = client
        self._channel = channel
        self._timer = timer
        self._is_closed = False
        self._begin_anew()
        renew_in_child(self, InvalidatedCache._begin_anew)

    def _begin_anew(self) -> None:
        # In a forked child, too: threads do not get there, but locks do, held as they are.
        self._source = client_source(self._client, "InvalidatedCache")
        self._kept = LocalCache(self.maxsize, timer=self._timer)
        self._subscription = Subscription(self._kept, self._channel, self._timer)
        self._starting = threading.Lock()
        self._start_at = float("inf" if self._is_closed else "-inf")
        weakref.finalize(self, self._subscription.end)

    def look(self, name: Name) -> tuple[bool, TokenDocument | None, Ticket]:
        """Return whether it is known what is there, and that, or else a ticket to the store."""
        if self._subscription.is_live():
            return self._kept.look(name)
        self._start()
        return False, None, object()

    def fill(
        self, name: Name, ticket: Ticket, document: TokenDocument | None, seconds: float
    ) -> None:
        """Keep what a reader has found, if nobody has written since, here or elsewhere."""
        self._kept.fill(name, ticket, document, seconds)

    def begin(self, name: Name) -> Ticket:
        """Return the ticket of a writer."""
        return self._kept.begin(name)

    def end(
        self, name: Name, ticket: Ticket, document: TokenDocument | None, seconds: float
    ) -> None:
        """Keep what was written, unless somebody else was there meanwhile, and tell the others."""
        self.learn(name, ticket, document, seconds)
        try:
            self._subscription.tell(self._source.get(), name)
        except Exception as error:  # noqa: BLE001 - the write itself is done
            self._subscription.warn("tell other processes of a write", error)

    def learn(
        self, name: Name, ticket: Ticket, document: TokenDocument | None, seconds: float
    ) -> None:
        """Keep what is there now, unless somebody else was there meanwhile, and tell nobody."""
        is_live = self._subscription.is_live()
        self._kept.end(name, ticket, document, seconds if is_live else 0)

    def _start(self) -> None:
        if not self._subscription.can_begin() or not self._starting.acquire(blocking=False):
            return
        try:
            if self._subscription.can_begin() and self._timer() >= self._start_at:
                self._start_at = self._timer() + RETRY_SECONDS
                # Here and not in the thread, which is outside of any app's context.
                self._subscription.begin(self._source.get())
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a cluster's URL is opened by connecting
            self._subscription.warn("begin, so nothing is kept", error)
        finally:
            self._starting.release()

    def clear(self) -> None:
        """Forget everything in this process, and every ticket."""
        self._kept.clear()

    def forget(self, name: Name) -> None:
        """Forget what is kept under a name in this process, and every ticket for it."""
        self._kept.forget(name)

    def close(self) -> None:
        """End the thread. From then on nothing is kept, and writes are still published."""
        self._is_closed = True
        self._subscription.end()
        self._subscription.join()

    def __len__(self) -> int:
        """How many documents are kept."""
        return len(self._kept)
