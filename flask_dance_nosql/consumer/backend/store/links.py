"""Which of a store's keys an account at a provider is linked to, so that it is one at most."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ....errors import (
    AccountAlreadyLinked,
    BackendError,
    BackendUnavailable,
    CorruptToken,
    VersionConflict,
)
from .document import TokenDocument, TokenKey
from .entries import entry_of, linked_key, owner_of

log = logging.getLogger(__name__)

# A process that dies while it links holds others up for so long.
LEASE_SECONDS, _WAIT_SECONDS = 10.0, 20.0
_ROUNDS = 10


class Links:
    """Entries that name the owners of accounts, each a document of its own beside the tokens.

    An account is linked to the owner that its entry names if the owner's document has its
    ``provider_user_id``; if not, it is free, whatever the entry says. The entry is written first.
    So a process that dies in between leaves an entry that the next one replaces, and a token that
    is removed in whatever way frees its account.

    Who writes takes the entry's lock, and compares versions should the lock be lost.

    Args:
        store: The store itself, without a cipher and a cache around it.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def owner(self, provider: str, account: str) -> TokenKey | None:
        """Return who the entry of an account names, or ``None`` if there is none."""
        with suppress(CorruptToken):
            entry = self._store.load_fresh(linked_key(provider, account))
            return None if entry is None else owner_of(entry)
        return None

    def link(
        self,
        document: TokenDocument,
        if_version: int | None,
        save: Callable[..., TokenDocument] | None = None,
    ) -> TokenDocument:
        """Save a document and let the entry of its account name it, or raise.

        ``save`` is the operation that saves; ``None``, the default, is the store's ``save``.
        """
        key, account = document.key, str(document.provider_user_id)
        with self._lock(key.provider, account):
            self._claim(key, account)
            before = None
            with suppress(CorruptToken):
                before = self._account_of(key)
            saved: TokenDocument = (save or self._store.save)(document, if_version)
            if self.owner(key.provider, account) != key:
                # The lock has ended before this was done, and somebody else has it now.
                with suppress(VersionConflict):
                    self._store.delete(key, if_version=saved.version)
                raise AccountAlreadyLinked(key.provider, account)
        if before not in (None, account):
            self.unlink(key, str(before))
        return saved

    def unlink(self, key: TokenKey, account: str) -> None:
        """Remove the entry of an account that a key has no longer."""
        with self._lock(key.provider, account):
            if self.owner(key.provider, account) == key and not self._may_have(key, account):
                self._store.delete(linked_key(key.provider, account))

    def _claim(self, key: TokenKey, account: str) -> None:
        entry_key = linked_key(key.provider, account)
        for _ in range(_ROUNDS):
            version: int | None = 0
            try:
                entry = self._store.load_fresh(entry_key)
            except CorruptToken:
                entry = version = None
            if entry is not None:
                owner, version = owner_of(entry), entry.version
                if owner == key:
                    return
                if owner is not None and self._may_have(owner, account):
                    raise AccountAlreadyLinked(key.provider, account)
            try:
                self._store.save(entry_of(entry_key, key), if_version=version)
            except VersionConflict:
                continue
            return
        raise self._busy()

    def _account_of(self, key: TokenKey) -> str | None:
        """Return the account of a key's document, if it has one."""
        document: TokenDocument | None = self._store.load_fresh(key)
        return None if document is None else document.provider_user_id

    def _may_have(self, key: TokenKey, account: str) -> bool:
        """Whether a key's document has an account; one that can't be read keeps what it had."""
        try:
            return self._account_of(key) == account
        except CorruptToken:
            return True

    @contextmanager
    def _lock(self, provider: str, account: str) -> Iterator[None]:
        key, lock = linked_key(provider, account), None
        try:
            lock = self._store.lock(key, lease=LEASE_SECONDS, wait=_WAIT_SECONDS)
            if lock is None:
                raise self._busy()
        except BackendUnavailable:
            raise
        except BackendError as error:
            log.warning("An account is linked without a lock. %s", error)
        try:
            yield
        finally:
            if lock is not None:
                try:
                    lock.release()
                except BackendError as error:
                    # What was done under it is done; it ends by itself.
                    log.warning("A lock could not be released. %s", error)

    def _busy(self) -> BackendUnavailable:
        reason = "others are linking this account, and take too long. Try again."
        return BackendUnavailable("link", type(self._store).__name__, reason)
