"""One owner's token in a store: what is read, written, linked and locked for a user or browser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ... import clock
from ...errors import BackendError, ConfigurationError, CorruptToken, UserRequired
from .base import NOTHING, BaseBackend, BlueprintLike, StoredToken, TokenSlot
from .options import Ttl
from .owner import (
    CURRENT,
    NOT_GIVEN,
    OwnerResolver,
    Scope,
    Who,
    browser_key,
    keep_browser_id,
    new_browser_key,
)
from .store.base import TokenStore
from .store.document import RefreshFailure, TokenDocument, TokenKey
from .store.values import Token, json_token

log = logging.getLogger(__name__)

_OF_USERS = "Accounts belong to users: give the backend user= or user_id=."


NamesOf = Callable[[Token], set[str]]
"""Returns the names by which a token is to be found besides its key."""


def _stored(document: TokenDocument | None) -> StoredToken:
    if document is None:
        return NOTHING
    return StoredToken(None if document.grant_ended else document.token, document)


class StoreSlot(TokenSlot):
    """A token in a store, which locks, and compares versions.

    Args:
        backend: The backend, with the store.
        key: Whose token, or ``None`` for nobody, who has none.
        is_person: Whether the key is of a person.

    Attributes:
        provider_user_id: The account that a write links, or ``None``.
    """

    is_shared = True
    provider_user_id: str | None = None
    _first: StoredToken | None = None

    def __init__(
        self, backend: StoreBackend, key: TokenKey | None, *, is_person: bool = False
    ) -> None:
        self._backend = backend
        self._store = backend.store
        self.is_person = is_person
        self.key = self.owner = key
        self.user_id = None if key is None or not is_person else key.user_id
        self._name: tuple[str, TokenKey] | None = None

    @property
    def name(self) -> tuple[str, TokenKey] | None:
        """The place of the store, which may be another one for each tenant, and the key."""
        if self.key is not None and self._name is None:
            self._name = (self._store.place, self.key)
        return self._name

    def read(self, fresh: bool = False) -> StoredToken:
        """Load the document."""
        if self.key is None:
            if self._backend.user_required:
                raise UserRequired("get")
            return NOTHING
        if self._first is not None and not fresh:
            first, self._first = self._first, None
            return first
        load = self._store.load_fresh if fresh else self._store.load
        return _stored(load(self.key))

    def begin_with(self, document: TokenDocument | None) -> None:
        """Let the first reading give a document that was read already, if there is one."""
        self._first = None if document is None else _stored(document)

    def require_user(self) -> None:
        """Raise a ``ConfigurationError`` if the token is no user's; nobody may become one."""
        if self.key is not None and not self.is_person:
            raise ConfigurationError(_OF_USERS)

    def require_accounts(self) -> None:
        """Raise a ``ConfigurationError`` if the store does not keep accounts apart."""
        self._store.require_accounts()

    def of_account(self, account: object) -> StoreSlot:
        """Return the slot of one account of the same user, or with ``None`` of the token without.

        Raises:
            ConfigurationError: If the store keeps no accounts, or the token is a browser's.
        """
        if self.key is None or account == self.key.account:
            return self
        if account is not None:
            self._store.require_accounts()
        key = TokenKey(self.key.provider, self.key.user_id, account)  # type: ignore[arg-type] # as text
        return StoreSlot(self._backend, key, is_person=self.is_person)

    def accounts(self) -> list[TokenDocument]:
        """Return the documents of the user's accounts, the one that was connected last first.

        Raises:
            ConfigurationError: If it is no user's.
            BackendUnavailable: If the store did not answer.
        """
        if self.key is None:
            return []
        self.require_user()
        records = self._store.scan(self.key.provider, self.key.user_id)
        found = [each for each in records if not each.grant_ended]
        return sorted(found, key=lambda each: (each.created_at, each.account or ""), reverse=True)

    def account_ids(self) -> list[str | None]:
        """Return the ids of the user's accounts, those included whose records can't be read.

        It raises what :meth:`accounts` does.
        """
        if self.key is None or self.user_id is None:
            self.require_user()
            return []
        found = self._store.keys(self.key.provider, self.user_id)
        return sorted((key.account for key in found), key=lambda account: account or "")

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Save a document."""
        self._first = None
        plain, now = json_token(token), clock.now()
        if self.key is None:
            raise UserRequired("set")
        old = None if seen is None else seen.document
        has_names = self.key.provider in self._backend.marks
        if seen is None and (has_names or (self._backend.links and not self.provider_user_id)):
            # If it is no login, the account stays linked.
            with suppress(CorruptToken):
                old = self._store.load_fresh(self.key)
        known = None if old is None else old.provider_user_id
        is_login = seen is None and self.provider_user_id is not None
        links = is_login or self.provider_user_id not in (None, known)
        document = TokenDocument(
            provider=self.key.provider,
            user_id=self.key.user_id,
            account=self.key.account,
            provider_user_id=self.provider_user_id if links else known,
            token=plain,
            created_at=now,
            updated_at=now,
            expires_at=self._backend.end_of_record(plain, now),
        )
        if_version = None if seen is None else 0 if old is None else old.version
        before, names = self._names(None if old is None else old.token), self._names(plain)
        is_marked = names and (seen is None or names != before)
        if is_marked:
            self._store.mark(self.key, names)
        if links:
            saved = self._store.link(document, if_version)
        elif seen is None:
            saved = self._store.save(document)
        else:
            saved = self._store.save_apart(document, if_version)
        with suppress(BackendError):
            if is_marked:
                self._store.mark(self.key, names)
        if before - names:
            self._store.unmark(self.key, before - names, is_replaced=True)
        return StoredToken(plain, saved)

    def keep_failure(
        self, seen: StoredToken, failure: RefreshFailure, *, is_over: bool = False
    ) -> None:
        """Save the failure with the document; in place of the token if the grant is over.

        The account stays linked to its owner, who is expected back. A browser's record goes: who
        logs in there gets another one.
        """
        document = seen.document
        is_browsers = is_over and self._backend.scope == "browser"
        if document is None or is_browsers or not self._store.keeps_failures:
            super().keep_failure(seen, failure, is_over=is_over)
            return
        token = {} if is_over else document.token
        kept = replace(document, token=token, refresh_failure=failure)
        self._store.save_apart(kept, if_version=document.version)
        if is_over and (names := self._names(document.token)):
            with suppress(BackendError):
                self._store.unmark(document.key, names, is_replaced=True)

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document."""
        if self.key is None:
            if self._backend.user_required:
                raise UserRequired("delete")
            return
        document, account = self._seen(seen)
        if seen is None:
            self._store.delete(self.key)
        elif document is not None:
            self._store.delete(self.key, if_version=document.version)
        names = self._names(None if document is None else document.token)
        try:
            if account is not None:
                self._store.unlink(self.key, account)
            if names:
                self._store.unmark(self.key, names)
        except BackendError as error:
            # The account is free, and the token is found by nothing, without that.
            log.warning("An entry of a token that is removed stays stored. %s", error)

    def _names(self, token: Token | None) -> set[str]:
        names_of = None if self.key is None else self._backend.marks.get(self.key.provider)
        return set() if names_of is None or token is None else names_of(token)

    def _seen(self, seen: StoredToken | None) -> tuple[TokenDocument | None, str | None]:
        """Return a document that is to be removed, and its account, as far as that is of use."""
        document = None if seen is None else seen.document
        if seen is None and self.key is not None:
            if not self._backend.links and self.key.provider not in self._backend.marks:
                return None, None
            try:
                document = self._store.load_fresh(self.key)
            except CorruptToken as error:
                return None, error.provider_user_id or self.key.account
        return document, None if document is None else document.provider_user_id

    @contextmanager
    def lease(self, seconds: float = 30.0, wait: float = 0.0) -> Iterator[bool]:
        """Take the store's lock, and renew it while the block runs."""
        if self.key is None:
            yield True
            return
        lock = self._store.lock(self.key, lease=seconds, wait=wait)
        if lock is None:
            yield False
            return
        try:
            with lock.kept():
                yield True
        finally:
            try:
                lock.release()
            except BackendError as error:
                # What was done under the lock is done; the lock ends by itself.
                log.warning("A lock could not be released. %s", error)


class BrowserSlot(StoreSlot):
    """A browser's token for one provider, found by a random id in the Flask session.

    Whoever logs in, or out, gets another id, and the record of the old one is removed: an old copy
    of the cookie leads to nobody's token.

    Args:
        backend: The backend, with the store.
        provider: The provider.
    """

    def __init__(self, backend: StoreBackend, provider: str) -> None:
        super().__init__(backend, browser_key(provider))
        self._provider = provider

    def require_user(self) -> None:
        """Raise a ``ConfigurationError``: each login in a browser takes the place of the last."""
        raise ConfigurationError(_OF_USERS)

    def of_account(self, account: object) -> StoreSlot:
        """Return the slot itself, which has no accounts."""
        if account is not None:
            self.require_user()
        return self

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Save a document: under a new id, unless it takes the place of another token."""
        if seen is not None:
            return super().write(token, seen)
        left = self.key
        self.key, browser_id = new_browser_key(self._provider)
        try:
            written = super().write(token)
        except BaseException:
            self.key = left
            raise
        self.owner = self.key
        self._name = None
        keep_browser_id(self._provider, browser_id)
        if left is not None:
            try:
                StoreSlot(self._backend, left).erase()
            except BackendError as error:
                log.warning("The token of the browser's last login stays stored. %s", error)
        return written

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document, and forget the id."""
        super().erase(seen)
        if self.key is not None and browser_key(self._provider) == self.key:
            keep_browser_id(self._provider, None)


class StoreBackend(BaseBackend):
    """A backend on a store, as its slots need it: :class:`UserScopedBackend`, but for what it says.

    Attributes:
        store: The store, within its cipher and its cache.
        links: Whether accounts at a provider may be one owner's alone: whether a blueprint has
            ``exclusive_accounts``, or a token was set with its ``provider_user_id``.
        marks: For each provider, what gives the names by which a token is to be found, if any.
    """

    def __init__(self, store: TokenStore, owners: OwnerResolver, ttl: Ttl) -> None:
        self.store = store
        self.links = False
        self.marks: dict[str, NamesOf] = {}
        self._owners = owners
        self._ttl = ttl

    def slot(self, blueprint: BlueprintLike, who: Who = CURRENT) -> StoreSlot:
        """Return one owner's token in the store; the owner is asked for here and never again.

        Args:
            blueprint: The blueprint; its name is the provider.
            who: Whose token, and of which account; by default the current user's without one.

        Raises:
            ConfigurationError: If an account is named, and the store or the scope keeps none.
            TypeError: If the user's or the account's id is of a type that can't be one.
            ValueError: If it is empty, or the user has none yet.
        """
        if who.account is not None and who.account is not NOT_GIVEN:
            return self.slot(blueprint, who._replace(account=None)).of_account(who.account)
        owners, provider = self._owners, blueprint.name
        user_id = owners.user_of(who, blueprint)
        if user_id is not None:
            return StoreSlot(self, TokenKey(provider, user_id), is_person=True)
        if owners.user_required or who.is_named:
            return StoreSlot(self, None)
        if owners.scope == "browser":
            return BrowserSlot(self, provider)
        return StoreSlot(self, TokenKey(provider))

    @property
    def scope(self) -> Scope:
        """Who shares a token: ``"user"``, ``"app"`` or ``"browser"``."""
        return self._owners.scope

    @property
    def user_required(self) -> bool:
        """Whether an operation without a user is an error."""
        return self._owners.user_required

    def end_of_record(self, token: Token, now: datetime) -> datetime | None:
        """Return when a record that is written now may be dropped, or ``None``."""
        if self._ttl is None:
            return None
        if self._ttl != "token":
            return now + timedelta(seconds=self._ttl)
        end = clock.moment_of(token.get("expires_at"))
        if token.get("refresh_token") or end is None:
            return None
        try:
            return datetime.fromtimestamp(end, UTC)
        except (OverflowError, ValueError, OSError):
            return None
