"""Two stores that are kept alike while tokens move from one to the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace as with_fields

from msgspec.structs import replace

from ....errors import (
    AccountAlreadyLinked,
    BackendError,
    BackendUnavailable,
    CorruptToken,
    VersionConflict,
)
from .alignment import Alignment, Followed
from .base import Record, TokenStore
from .document import TokenDocument, TokenKey
from .findings import Finding
from .shard import Shard
from .wrapper import StoreWrapper

log = logging.getLogger(__name__)

_Kinds = tuple[type[Exception], ...]
# What a store raises that can't have a key, such as a column of numbers for a user's name.
_NO_KEY: _Kinds = (TypeError, ValueError)


class MovingStore(StoreWrapper):
    """Two stores, one of which leads: it is read, and the other one follows what is written.

    Whoever has written to the leader makes the follower like it, and looks at the leader again when
    that is done: of all who write at the same time, the last one to look leaves both alike.

    Processes with the old store alone run beside those in which the old one leads, and these beside
    those in which the new one does. All of these take the lock of a key in the old store. Where the
    new one leads, they take it in both, the old one first, since processes with the new store alone
    know no other.

    Args:
        new: The store that tokens move to, with its cipher and cache.
        old: The one that they move from, likewise.
        leads_new: Whether the new one leads.
        falls: Whether what a new one that leads lacks is moved over from the old one when it is
            read.
    """

    def __init__(
        self, new: TokenStore, old: TokenStore, *, leads_new: bool, falls: bool = False
    ) -> None:
        super().__init__(new if leads_new else old)
        self.new = new
        self.old = old
        self.follower = old if leads_new else new
        self._leads_new = leads_new
        self._falls = falls
        self._alignment = Alignment(self.inner, self.follower, leads_new=leads_new)

    def made_of(self, change: Callable[[TokenStore], TokenStore]) -> MovingStore:
        """Return one like this of what a function makes of the two stores."""
        new, old = change(self.new), change(self.old)
        return MovingStore(new, old, leads_new=self._leads_new, falls=self._falls)

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Load from the leader."""
        document = self.inner.load(key)
        return self._moved(key) if document is None and self._falls else document

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load from the leader, unless the follower has a newer document, which both get then.

        A process in which the other one leads may have ended before both were alike.
        """
        document = self.inner.load_fresh(key)
        if document is None:
            return self._moved(key) if self._falls else None
        with self._left_aside():
            other, _ = self._alignment.followed(key)
            if other is not None and self._alignment.outranks(other, document):
                self._alignment.settle(key)
                return self.inner.load_fresh(key)
        return document

    @contextmanager
    def _left_aside(self, *, only: _Kinds = (Exception,)) -> Iterator[None]:
        """Go on without the follower if it fails, by default in whatever way."""
        try:
            yield
        except only as error:
            log.warning(
                "One of two stores that tokens move between is left aside. Run `flask tokens copy` "
                "before it is read. %s",
                # Of others, the text may hold anything.
                error if isinstance(error, BackendError) else type(error).__name__,
            )

    def _moved(self, key: TokenKey) -> TokenDocument | None:
        """Move what the new store lacks from the old one, and return it."""
        document = self.old.load_fresh(key)
        if document is None:
            return None
        try:
            moved = self.new.put(document, if_version=0)
        except (VersionConflict, AccountAlreadyLinked):
            # Somebody else has moved it, or has written another one.
            return self.new.load_fresh(key)
        if self.old.load_fresh(key) is None:
            # It was removed meanwhile, from the old store first.
            with suppress(VersionConflict):
                self.new.delete(key, if_version=moved.version)
                return None
        return self.new.load_fresh(key)

    def saved_by(
        self, save: Callable[..., TokenDocument], document: TokenDocument, if_version: int | None
    ) -> TokenDocument:
        """Save to the leader, and have the other one follow."""
        if if_version is not None and self._falls:
            # What was read from the old store may not have been moved, if the new one was down.
            self._moved_if_missing(document.key)
        followed: Followed | None = None
        with self._left_aside():
            followed, if_version = self._alignment.level(document.key, if_version)
        saved = save(document, if_version)
        if followed is not None:
            with self._left_aside():
                settled = self._alignment.settle(document.key, (saved, followed))
                if settled is not None and settled.token == saved.token:
                    return replace(saved, version=settled.version)
        return saved

    def _moved_if_missing(self, key: TokenKey) -> None:
        with suppress(CorruptToken):
            if self.new.load_fresh(key) is None:
                self._moved(key)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete from both: first where it is not read, so that what fails changes nothing."""
        seen: TokenDocument | None = None
        with self._left_aside(only=_NO_KEY):
            if if_version is None:
                seen = self._alignment.leading(key)
                self.follower.delete(key)
            else:
                seen = self._alignment.remove_seen(key, if_version)
        try:
            self.inner.delete(key, if_version)
        except VersionConflict:
            self._alignment.settle(key)
            raise
        with self._left_aside(only=_NO_KEY):
            self._alignment.clear(key, seen, keeps_later=if_version is not None)

    def write_anew(self, key: TokenKey) -> bool:
        """Write what both have once more, as it is, with one version above theirs.

        Resealing is done by it: a version of one store alone must not grow above the other's.

        Returns:
            Whether the store that leads has something under the key.

        Raises:
            VersionConflict: If somebody else writes it meanwhile.
        """
        return self._alignment.write_anew(key)

    def unlink(self, key: TokenKey, provider_user_id: str) -> None:
        """Forget an account in both."""
        self.inner.unlink(key, provider_user_id)
        with self._left_aside():
            self.follower.unlink(key, provider_user_id)

    def mark(self, key: TokenKey, names: Iterable[str]) -> None:
        """Have a document found by names in both."""
        names = list(names)
        self.inner.mark(key, names)
        with self._left_aside():
            self.follower.mark(key, names)

    def unmark(self, key: TokenKey, names: Iterable[str], *, is_replaced: bool = False) -> None:
        """Forget names in both."""
        names = list(names)
        self.inner.unmark(key, names, is_replaced=is_replaced)
        with self._left_aside():
            self.follower.unmark(key, names, is_replaced=is_replaced)

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Return the documents that may have a name, from the leader, and from what it may lack."""
        found = self.inner.marked(provider, name)
        if self._falls:
            known = {document.key for document in found}
            found += [each for each in self.old.marked(provider, name) if each.key not in known]
        return found

    def linked(self, provider: str, provider_user_id: str) -> TokenKey | None:
        """Ask the leader who has an account, and about what it may lack the old store."""
        owner = self.inner.linked(provider, provider_user_id)
        return self.old.linked(provider, provider_user_id) if self._falls and not owner else owner

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's records in either."""
        found = self.inner.keys(provider, user_id)
        with self._left_aside():
            found = [*found, *self.follower.keys(provider, user_id)]
        return list(dict.fromkeys(found))

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        """Remove all that names a user from both, last where it is read."""
        known = {*keys, *self.keys(None, user_id)}
        self.follower.forget(user_id, known)
        self.inner.forget(user_id, known)
        for key in known:
            self._alignment.settle(key)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Scan the leader, and then for what it may lack the old store."""
        found = self._with_others(
            self.inner.scan(provider, user_id), self.old.scan(provider, user_id)
        )
        return (each for each in found if isinstance(each, TokenDocument))

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Ask the leader for its records, and then for what it may lack the old store."""
        return self._with_others(
            self.inner.records(provider, user_id, shard), self.old.records(provider, user_id, shard)
        )

    def _with_others(self, own: Iterator[Record], others: Iterator[Record]) -> Iterator[Record]:
        yield from own
        for each in others if self._falls else ():
            key = each.key
            with suppress(CorruptToken):
                # A record without a key can't be looked up in the other store.
                if key is None or self.new.load(key) is None:
                    yield each

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key: in the old store and, if the new one leads, there as well."""
        if not self._leads_new:
            return self.old.acquire(key, holder, seconds)
        try:
            if not self.old.acquire(key, holder, seconds):
                return False
        except BackendUnavailable as error:
            # Nor can anybody else take it there.
            log.warning("A lock is taken in one of two stores only. %s", error)
        is_ours = False
        try:
            is_ours = self.new.acquire(key, holder, seconds)
        finally:
            if not is_ours:
                with suppress(BackendError):
                    self.old.release(key, holder)
        return is_ours

    def release(self, key: TokenKey, holder: str) -> None:
        """Release the lock of a key where it was taken."""
        if self._leads_new:
            self.new.release(key, holder)
        self.old.release(key, holder)

    def prepare(self) -> None:
        """Prepare both."""
        self.new.prepare()
        self.old.prepare()

    def ping(self) -> None:
        """Check that the server of the leader answers; without the other one, the app goes on."""
        self.inner.ping()
        with self._left_aside():
            self.follower.ping()

    def checks(self) -> Iterator[Finding]:
        """Yield how both are."""
        yield from self.each_named(lambda store: store.checks())

    def each_named(self, check: Callable[[TokenStore], Iterable[Finding]]) -> Iterator[Finding]:
        """Yield what a check finds of each of the two, and name which one it is of."""
        for which, store in (("new", self.new), ("old", self.old)):
            for finding in check(store):
                yield with_fields(finding, name=f"{finding.name} ({which})")

    def require_expiry(self) -> None:
        """Make sure that both keep when a record ends."""
        self.new.require_expiry()
        self.old.require_expiry()

    def require_links(self) -> None:
        """Make sure that both can keep an account to one user."""
        self.new.require_links()
        self.old.require_links()

    def require_accounts(self) -> None:
        """Make sure that both tell accounts apart."""
        self.new.require_accounts()
        self.old.require_accounts()
