"""The contract of a cache, and the store that uses one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from .... import clock
from ..store.base import TokenStore
from ..store.document import TokenDocument, TokenKey
from ..store.findings import Finding, guarded, ok, probe_document, warning
from ..store.wrapper import StoreWrapper

Ticket = object
"""What a reader or writer takes before it asks the store."""

Name = tuple[str, TokenKey]
"""The place of a store, and a key in it."""

# How long a check waits for a cache that is not ready yet.
_READY_SECONDS = 2.0

Found = TokenDocument | None
"""The document that a store has under a key, or that it has none."""


class TokenCache(ABC):
    """Keeps the document that a store has under a key, or that it has none.

    Whoever asks the store takes a ticket first. When a write ends, all tickets for its key become
    invalid, and what was read or written under an invalid ticket is not kept. So neither a slow
    reader nor the slower of two writers puts an old document in place of a newer one.
    """

    @abstractmethod
    def look(self, name: Name) -> tuple[bool, Found, Ticket]:
        """Return whether there is an entry, its document, and a ticket for a reader if not."""

    @abstractmethod
    def fill(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what a reader has found, unless its ticket has become invalid."""

    @abstractmethod
    def begin(self, name: Name) -> Ticket:
        """Return the ticket of a writer."""

    @abstractmethod
    def end(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Drop the entry of a name, and make every ticket for it invalid.

        What the store has now may be kept, unless the writer's ticket was invalid already. With 0
        seconds it is not known what that is.
        """

    def gone(self, name: Name, ticket: Ticket, seconds: float) -> None:
        """Do as :meth:`end` does, after the document was removed: keep nothing that it was in."""
        self.end(name, ticket, None, seconds)

    def learn(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Do as :meth:`end` does, after a read past the cache, which changed nothing."""
        self.end(name, ticket, document, seconds)

    def wait(self, seconds: float) -> None:  # noqa: B027 - most caches are ready
        """Wait so many seconds at most until the cache can keep something."""


class CachedStore(StoreWrapper):
    """Reads another store through a cache, and tells the cache of writes.

    ``miss_timeout`` is for the absence of documents. With a ``timeout`` of 0 seconds the cache is
    not read, and is told of writes for the sake of others.
    """

    def __init__(
        self, inner: TokenStore, cache: TokenCache, timeout: float, miss_timeout: float
    ) -> None:
        super().__init__(inner)
        self.cache = cache
        self._timeout = timeout
        self._miss_timeout = miss_timeout if timeout else 0.0

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return what the cache has, or else load it from the other store."""
        if not self._timeout:
            return self.inner.load(key)
        name = (self.inner.place, key)
        found, document, ticket = self.cache.look(name)
        if not found:
            document = self.inner.load(key)
            self.cache.fill(name, ticket, document, self._seconds(document))
        return None if document is None or document.expired else document

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load from the other store, whatever the cache has, and tell the cache."""
        if not self._timeout:
            return self.inner.load_fresh(key)
        name = (self.inner.place, key)
        ticket = self.cache.begin(name)
        document = self.inner.load_fresh(key)
        self.cache.learn(name, ticket, document, self._seconds(document))
        return document

    def saved_by(
        self, save: Callable[..., TokenDocument], document: TokenDocument, if_version: int | None
    ) -> TokenDocument:
        """Save to the other store, and tell the cache."""
        name = (self.inner.place, document.key)
        ticket = self.cache.begin(name)
        saved, seconds = None, 0.0
        try:
            saved = save(document, if_version)
            seconds = self._seconds(saved)
        finally:
            # A save that raised an error may have reached the server all the same.
            self.cache.end(name, ticket, saved, seconds)
        return saved

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete from the other store, and tell the cache."""
        name = (self.inner.place, key)
        ticket = self.cache.begin(name)
        seconds = 0.0
        try:
            self.inner.delete(key, if_version)
            seconds = self._miss_timeout
        finally:
            self.cache.gone(name, ticket, seconds)

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        """Remove all that names a user from the other store, and from the cache."""
        known = {*keys, *self.inner.keys(None, user_id)}
        tickets = {name: self.cache.begin(name) for name in ((self.inner.place, k) for k in known)}
        try:
            self.inner.forget(user_id, known)
        finally:
            for name, ticket in tickets.items():
                self.cache.gone(name, ticket, 0.0)

    def checks(self) -> Iterator[Finding]:
        """Yield how the other store is, and whether the cache keeps what it is given."""
        yield from self.inner.checks()
        if self._timeout:
            yield from guarded("cache", self._check_cache)

    def _check_cache(self) -> Iterator[Finding]:
        document = probe_document()
        name = (self.inner.place, document.key)
        self.cache.wait(_READY_SECONDS)
        _, _, ticket = self.cache.look(name)
        self.cache.fill(name, ticket, document, 10.0)
        try:
            is_kept, _, _ = self.cache.look(name)
        finally:
            self.cache.gone(name, self.cache.begin(name), 0.0)
        if is_kept:
            yield ok("cache", "The cache keeps what it is given.")
        else:
            advice = "Is its server up? Is it a NullCache? Each read asks the store meanwhile."
            yield warning("cache", "The cache does not keep what it is given.", advice)

    def _seconds(self, document: TokenDocument | None) -> float:
        if document is None:
            return self._miss_timeout
        if document.expires_at is None:
            return self._timeout
        left = (document.expires_at - clock.now()).total_seconds()
        return max(0.0, min(self._timeout, left))
