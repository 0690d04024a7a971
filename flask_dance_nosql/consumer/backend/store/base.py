"""The contract of an adapter for a database, and the translation of drivers' errors."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from ....errors import (
    CorruptToken,
)
from .abilities import Abilities
from .document import TokenDocument, TokenKey
from .entries import KINDS, owner_of
from .errors import DriverErrors
from .findings import Finding, is_answered, lock_probed, pinged, probed
from .lease import Lease
from .links import Links
from .marks import Marks
from .shard import Shard
from .translation import translated, translations

log = logging.getLogger(__name__)

SCAN_BATCH = 500
_OF_DOCUMENTS = (
    *("load", "load_fresh", "save", "save_apart", "save_as", "put", "delete", "scan", "records"),
)
_OF_ENTRIES = ("link", "linked", "unlink", "mark", "marked", "unmark", "keys", "forget")
_OPERATIONS = (*_OF_DOCUMENTS, *_OF_ENTRIES, "prepare", "ping", "acquire", "release")
# Those that are given a user's id in something else than a key.
_WITH_IDS = ("save", "save_apart", "save_as", "put", "scan", "records")

Record = TokenDocument | CorruptToken
"""A document, or in place of one that can't be read the error that reading it raises."""


class TokenStore(Abilities, DriverErrors, ABC):
    """Moves token documents to and from a database, by key.

    A store knows no Flask, no user and no blueprint. To use one, give it to
    :class:`~flask_dance_nosql.consumer.backend.UserScopedBackend`; to test one, subclass
    :class:`~flask_dance_nosql.testing.StoreConformance`. Each operation is atomic and, unless it
    says otherwise, one round trip. List the driver's errors in the two class attributes: each
    operation of the subclass then raises this package's errors instead, with the driver's as the
    cause. Any operation raises :exc:`~flask_dance_nosql.errors.BackendUnavailable` if the server
    did not answer.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        has_errors = bool(cls.unavailable_errors or cls.driver_errors)
        for name in _OPERATIONS if has_errors else _WITH_IDS:
            operation = getattr(cls, name)
            if operation not in translations and operation is not getattr(TokenStore, name):
                setattr(cls, name, translated(operation, name))

    @abstractmethod
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, or ``None`` if there is none or it has expired.

        Raises:
            CorruptToken: If what is stored under the key is not its document.
        """

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load as :meth:`load` does, past any cache, and from the server that takes the writes.

        A refresh reads so, since a replica that lags behind may still have the old token. The
        default is :meth:`load`.
        """
        return self.load(key)

    @abstractmethod
    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Insert a document, or replace the one with its key, and return it as stored.

        A replacement keeps the ``created_at`` of the first write. The store sets the version.

        Args:
            document: What to store; its version is ignored.
            if_version: Store it only if the current document has this version; 0 means that there
                must be none. ``None``, the default, stores it in any case.

        Raises:
            VersionConflict: If the current document has another version.
        """

    def save_apart(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save as :meth:`save` does, outside of any transaction of the application.

        A refresh saves so: the new token must not be lost when a view fails and rolls back. The
        default is :meth:`save`, which is right for stores that take no part in transactions.
        Arguments and errors are those of :meth:`save`.
        """
        return self.save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save as :meth:`save_apart` does, with the version of the document if that is possible.

        The version becomes the document's, or one more than the current one if that is higher. The
        default is :meth:`save_apart`, for stores whose versions can't be chosen. Arguments and
        errors are those of :meth:`save`, but for the version of the document, which counts.

        .. versionadded:: 1.0
        """
        return self.save_apart(document, if_version)

    def put(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Store what another store has: by :meth:`save_as`, and linked if it has an account.

        Moving from one store to another is built on it. Arguments are those of :meth:`save_as`.

        Raises:
            AccountAlreadyLinked: If the document of another key has the account here.
            VersionConflict: As :meth:`save` does.

        .. versionadded:: 1.0
        """
        if document.provider_user_id is None:
            return self.save_as(document, if_version)
        return Links(self).link(document, if_version, self.save_as)

    @abstractmethod
    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove the document under a key; it is no error if there is none.

        Args:
            key: Whose token.
            if_version: Remove it only if it has this version. ``None``, the default, removes it in
                any case.

        Raises:
            VersionConflict: If the current document has another version.
        """

    @abstractmethod
    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield documents in batches, in no particular order, as the server gives them.

        A record that is not a document is logged and left out. Documents written while the scan
        runs may or may not be among them. A subclass gets the arguments as a :class:`TokenKey` has
        them: its rules hold before the first document is asked for.

        Args:
            provider: Only this provider's; ``None`` for all.
            user_id: Only this user's, as :class:`TokenKey` takes it; ``None`` for all.

        Raises:
            TypeError, ValueError: If one is no part of a key.
        """

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield all that is stored, as :meth:`scan` does, and nothing left out.

        Documents that have ended are among it, and for each record that can't be read the error
        that says why. The default yields what :meth:`scan` does. A store that can read a part
        without the rest overrides it.

        Args:
            provider: As of :meth:`scan`.
            user_id: Likewise.
            shard: Only this part of it; ``None`` for all.

        .. versionadded:: 1.0
        """
        for document in self.scan(provider, user_id):
            if shard is None or shard.has(document.key.text):
                yield document

    @abstractmethod
    def prepare(self) -> None:
        """Create what the store needs in its database: indexes, tables, folders.

        May be called again, and may take several round trips.
        """

    @abstractmethod
    def ping(self) -> None:
        """Check that the server answers."""

    def checks(self) -> Iterator[Finding]:
        """Yield how the server and what the store needs in it are: ok, or what to do.

        Nothing is raised, and nothing stays in the database. The default asks whether the server
        answers, and then writes, reads and deletes a record, and takes a lock, that is nobody's. A
        store that can tell more of its database overrides it. If the first finding, which is named
        ``"ping"``, is a problem, it ends there.

        .. versionadded:: 1.0
        """
        found = pinged(self.ping)
        yield found
        if is_answered([found]):
            yield probed(self.save, self.load_fresh, self.delete)
            yield lock_probed(self.acquire, self.release)

    @abstractmethod
    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, or extend it for its holder, without waiting.

        Args:
            key: The key to lock. It need not have a document.
            holder: A text that nobody else uses.
            seconds: How long from now the lock lasts, unless it is released.

        Returns:
            Whether the holder has the lock now.
        """

    @abstractmethod
    def release(self, key: TokenKey, holder: str) -> None:
        """Release the lock of a key, if this holder, as of :meth:`acquire`, has it."""

    def lock(self, key: TokenKey, *, lease: float = 60.0, wait: float = 0.0) -> Lease | None:
        """Take the lock of a key and return it, or ``None`` if somebody else has it.

        Args:
            key: The key to lock. It need not have a document.
            lease: How many seconds the lock lasts, unless it is released.
            wait: How many seconds to wait for it at most; 0, the default, asks once.
        """
        lock = Lease(self, key, lease)
        return lock if lock.wait(wait) else None

    def link(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save a document whose account at the provider may be nobody else's.

        The default keeps an entry beside it that names its owner, which takes some more round
        trips. It is found by :meth:`linked`, and no scan gives it. A store whose database can keep
        the account unique by itself overrides the three operations.

        Args:
            document: What to store, with a ``provider_user_id``.
            if_version: As of :meth:`save`.

        Raises:
            AccountAlreadyLinked: If the document of another key has it.
            VersionConflict: As :meth:`save` does.

        .. versionadded:: 1.0
        """
        return Links(self).link(document, if_version)

    def linked(self, provider: str, provider_user_id: str) -> TokenKey | None:
        """Return the key under which an account was linked last, or ``None``.

        If the document there has another ``provider_user_id``, or is gone, the account is free.

        .. versionadded:: 1.0
        """
        return Links(self).owner(provider, provider_user_id)

    def unlink(self, key: TokenKey, provider_user_id: str) -> None:
        """Forget an account whose document is deleted. It is free without that, too.

        .. versionadded:: 1.0
        """
        Links(self).unlink(key, provider_user_id)

    def mark(self, key: TokenKey, names: Iterable[str]) -> None:
        """Have the document of a key found by names as well; called before and after it is saved.

        The default keeps an entry for each beside it, which takes a round trip each, and which no
        scan gives. A store in which that can't be overrides the three operations.

        Args:
            key: The key.
            names: Any texts; others may have the same.

        .. versionadded:: 1.0
        """
        Marks(self).mark(key, names)

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Return the documents of a provider that may have a name; whoever asks compares it.

        .. versionadded:: 1.0
        """
        return Marks(self).marked(provider, name)

    def unmark(self, key: TokenKey, names: Iterable[str], *, is_replaced: bool = False) -> None:
        """Forget names of a key whose document is deleted, or replaced by one without them.

        .. versionadded:: 1.0
        """
        Marks(self).unmark(key, names, is_replaced=is_replaced)

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's records, in no particular order.

        Those that are no documents are among them, if the store overrides this. The default finds
        the keys of documents alone, by :meth:`scan`.

        Args:
            provider: Only this provider's; ``None`` for all.
            user_id: The user, as text.

        .. versionadded:: 1.0
        """
        return [document.key for document in self.scan(provider, user_id)]

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        """Remove all that names a user: records of any kind, locks, and entries of accounts.

        It may read the whole store. The default finds what :meth:`keys` finds, and the entries of
        the providers that are named.

        Args:
            user_id: The user, as text.
            keys: Keys that the user may have had, one for each provider at least.

        .. versionadded:: 1.0
        """
        for key in self.keys(None, user_id):
            self.delete(key)
        for kind in KINDS:
            for provider in {key.provider for key in keys}:
                for entry in list(self.scan(kind + provider)):
                    owner = owner_of(entry)
                    if owner is not None and owner.user_id == user_id:
                        self.delete(entry.key)

    def readable(self, records: Iterable[Record]) -> Iterator[TokenDocument]:
        """Yield the documents among records that have not ended, and log how many can't be read."""
        left_out = 0
        for each in records:
            if isinstance(each, CorruptToken):
                left_out += 1
            elif not each.expired:
                yield each
        self.tell_left_out(left_out)

    def tell_left_out(self, count: int) -> None:
        """Log how many records a scan has left out, if there were any."""
        if count:
            name = type(self).__name__
            log.warning("A scan of %s left %d records out: they are no documents.", name, count)
