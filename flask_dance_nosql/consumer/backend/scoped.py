"""The one place where a token's owner and a store come together."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from ... import clock
from ...errors import BackendError, ConfigurationError, CorruptToken, UserRequired
from .base import NOTHING, BaseBackend, BlueprintLike, StoredToken, TokenSlot
from .cache.base import CachedStore
from .cipher.sealed import SealedStore
from .options import People, Ttl, checked_cipher, checked_seconds, checked_ttl, token_cache
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
from .store.document import TokenDocument, TokenKey
from .store.values import Token, id_text, json_token

if TYPE_CHECKING:
    from .cipher.envelope import TokenCipher

log = logging.getLogger(__name__)

_OF_USERS = "Accounts belong to users: give the backend user= or user_id=."


class StoreSlot(TokenSlot):
    """A token in a store, which locks, and compares versions.

    Args:
        backend: The backend, with the store.
        key: Whose token, or ``None`` for nobody, who has none.
        is_person: Whether the key is of a person.

    Attributes:
        links: Whether accounts at the provider are nobody else's, so that a removal frees one.
        provider_user_id: The account that a write links, or ``None``.
    """

    is_shared = True
    links = False
    provider_user_id: str | None = None
    _first: StoredToken | None = None

    def __init__(
        self, backend: UserScopedBackend, key: TokenKey | None, *, is_person: bool = False
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
        document = load(self.key)
        return NOTHING if document is None else StoredToken(document.token, document)

    def begin_with(self, document: TokenDocument | None) -> None:
        """Let the first reading give a document that was read already, if there is one."""
        self._first = None if document is None else StoredToken(document.token, document)

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
        slot = StoreSlot(self._backend, key, is_person=self.is_person)
        slot.links = self.links
        return slot

    def accounts(self) -> list[TokenDocument]:
        """Return the documents of the user's accounts, the one that was connected last first.

        Raises:
            ConfigurationError: If it is no user's.
            BackendUnavailable: If the store did not answer.
        """
        if self.key is None:
            return []
        self.require_user()
        found = self._store.scan(self.key.provider, self.key.user_id)
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
        if self.links and seen is None and self.provider_user_id is None:
            # It is no login, and the account stays linked.
            with suppress(CorruptToken):
                old = self._store.load_fresh(self.key)
        known = None if old is None else old.provider_user_id
        links = self.provider_user_id not in (None, known)
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
        if links:
            saved = self._store.link(document, if_version)
        elif seen is None:
            saved = self._store.save(document)
        else:
            saved = self._store.save_apart(document, if_version)
        return StoredToken(plain, saved)

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document."""
        if self.key is None:
            if self._backend.user_required:
                raise UserRequired("delete")
            return
        document = None if seen is None else seen.document
        if seen is None:
            if self.links:
                with suppress(CorruptToken):
                    document = self._store.load_fresh(self.key)
            self._store.delete(self.key)
        elif document is not None:
            self._store.delete(self.key, if_version=document.version)
        if document is not None and document.provider_user_id is not None:
            try:
                self._store.unlink(self.key, document.provider_user_id)
            except BackendError as error:
                # The account is free without that.
                log.warning("The entry of an account stays stored. %s", error)

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

    def __init__(self, backend: UserScopedBackend, provider: str) -> None:
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
                self._store.delete(left)
            except BackendError as error:
                log.warning("The token of the browser's last login stays stored. %s", error)
        return written

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document, and forget the id."""
        super().erase(seen)
        if self.key is not None and browser_key(self._provider) == self.key:
            keep_browser_id(self._provider, None)


class UserScopedBackend(BaseBackend):
    """Keeps a token for each provider and user, and account, in any :class:`TokenStore`.

    Args:
        store: Where the documents are kept.
        user: The user whose token is meant: a user object with an ``id`` (or Flask-Login's
            ``get_id``), a function that returns one, or a proxy such as ``current_user``.
        user_id: The user's id, or a function or proxy for it; it wins over ``user``.
        user_required: Whether an operation without a user is an error; default: whether the scope
            is ``"user"``.
        anon_user: The class of your anonymous users, who count as no user. Flask-Login's is known.
        scope: Who shares a token: ``"user"`` (default when ``user`` or ``user_id`` is given),
            ``"app"`` (default otherwise: one for the whole application) or ``"browser"`` (each
            visitor has their own, found by a random id in the Flask session).
        ttl: How long a record is kept: ``None``, the default, for ever; a number, for so many
            seconds since it was last written; ``"token"``, until the access token ends, if there is
            no refresh token to get another with.
        cipher: Seals tokens before they leave for the store and the cache; ``None``, the default,
            for none. See :doc:`/encryption`.
        cache: Keeps documents at hand: a :class:`LocalCache`, an :class:`InvalidatedCache`, a
            ``Cache`` of Flask-Caching or any cache of cachelib; ``None``, the default, for none.
            See :doc:`/caching`.
        cache_timeout: How many seconds the cache keeps a token at most. With 0 it is not read, and
            is told of writes for the sake of other backends.
        cache_miss_timeout: How many seconds it keeps that there is none; 0 for not at all.

    Raises:
        ConfigurationError: If ``scope``, ``ttl`` or a timeout is none of these, ``scope``
            contradicts ``user`` or ``user_id``, or the store can't keep a record's end.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        scope: Scope | None = None,
        ttl: Ttl = None,
        cipher: TokenCipher | None = None,
        cache: Any = None,
        cache_timeout: float = 300.0,
        cache_miss_timeout: float = 30.0,
        **people: Unpack[People],
    ) -> None:
        cache_timeout = checked_seconds("cache_timeout", cache_timeout)
        cache_miss_timeout = checked_seconds("cache_miss_timeout", cache_miss_timeout)
        if cache is not None:
            store = CachedStore(store, token_cache(cache), cache_timeout, cache_miss_timeout)
        # What is cached is sealed.
        cipher = checked_cipher(cipher)
        self.store = store if cipher is None else SealedStore(store, cipher)
        self._ttl = checked_ttl(ttl)
        if ttl is not None:
            store.require_expiry()
        self._owners = OwnerResolver(scope=scope, **people)

    def get(
        self,
        blueprint: BlueprintLike,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
    ) -> Token | None:
        """Return the owner's token, or ``None`` if there is none.

        Args:
            blueprint: The blueprint; its name is the provider.
            user: Whose token, in place of the user that the backend was given. Somebody who turns
                out to be nobody, as ``None`` and an anonymous user do, has none.
            user_id: The same by id; it wins over ``user``.
            account: The id of one of the user's accounts; ``None``, the default, is the token that
                is kept without one.

        Raises:
            UserRequired: If there is no user and one is required.
            ConfigurationError: If an account is named and the store keeps none.
            BackendUnavailable: If the store did not answer.
            TokenDecryptError: If the cipher can't open it.
            CorruptToken: If what is stored is not a token document.
        """
        is_current = user is user_id is NOT_GIVEN and account is None
        who = CURRENT if is_current else Who(user, user_id, account)
        return self.slot(blueprint, who).read().token

    def set(
        self,
        blueprint: BlueprintLike,
        token: Token,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
        provider_user_id: str | None = None,
    ) -> None:
        """Store the owner's token in place of any other, or raise.

        The arguments are those of :meth:`get`, the token, which is a dict that JSON can hold, and
        the account at the provider that it links to the user: nobody else can have it then, and
        :meth:`find_account` finds it. ``None``, the default, links none.

        Raises:
            AccountAlreadyLinked: If somebody else has the account.
            TypeError, ValueError: If JSON can't hold the token.
            UserRequired: If there is no user and one is required, or nobody is named.
            BackendUnavailable: If the store did not answer.
        """
        slot = self.slot(blueprint, Who(user, user_id, account))
        if provider_user_id is not None:
            slot.provider_user_id = id_text(provider_user_id, "provider_user_id")
        slot.write(token)

    def delete(
        self,
        blueprint: BlueprintLike,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
    ) -> None:
        """Remove the owner's token; it is no error if there is none.

        It takes and raises what :meth:`get` does, but for what is stored.
        """
        self.slot(blueprint, Who(user, user_id, account)).erase()

    def owner(self, blueprint: BlueprintLike) -> object:
        """Return whose token ``get`` would now give, as a key, or ``None`` for nobody.

        It raises what :meth:`get` does, but for what is stored.
        """
        key = self.slot(blueprint).key
        if key is None and self.user_required:
            raise UserRequired("get")
        return key

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

    def tokens_of(self, user_id: Any) -> list[TokenDocument]:
        """Return the documents of a user, one for each provider, and for each account there.

        Args:
            user_id: The user's id: a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``.

        Raises:
            TypeError: If it is anything else.
            BackendUnavailable: If the store did not answer.
        """
        return list(self.store.scan(user_id=id_text(user_id)))

    def find_account(
        self, blueprint: BlueprintLike, provider_user_id: object
    ) -> TokenDocument | None:
        """Return the document that an account at the provider is linked to, or ``None``.

        Args:
            blueprint: The blueprint; its name is the provider.
            provider_user_id: The account's id at the provider.

        Raises:
            BackendUnavailable: If the store did not answer.
            TypeError, ValueError: If the id can't be one.
        """
        account = id_text(provider_user_id, "provider_user_id")
        key = self.store.linked(blueprint.name, account)
        document = None if key is None else self.store.load_fresh(key)
        is_linked = document is not None and document.provider_user_id == account
        return document if is_linked else None

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
