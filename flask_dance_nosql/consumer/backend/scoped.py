"""The one place where a token's owner and a store come together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

from ... import clock
from ...errors import ConfigurationError
from .base import BaseBackend, BlueprintLike, Token
from .cache.base import CachedStore, TokenCache
from .cache.shared import SharedCache
from .cipher.sealed import SealedStore
from .owner import OwnerResolver, Scope
from .slot import StoreSlot
from .store.base import TokenStore
from .store.document import TokenDocument, TokenKey
from .store.values import json_token, user_id_text

if TYPE_CHECKING:
    from .cipher.envelope import TokenCipher

_LONGEST_TTL = 100 * 366 * 24 * 3600

Ttl = float | Literal["token"] | None
"""How long a record is kept: seconds since its last write, ``"token"``, or ``None`` for ever."""


class People(TypedDict, total=False):
    """The keyword arguments that say whose tokens are meant; see :class:`UserScopedBackend`."""

    user: Any
    user_id: Any
    user_required: bool | None
    anon_user: type | tuple[type, ...] | None


class MoreOptions(TypedDict, total=False):
    """The other keyword arguments that every user-scoped backend takes."""

    scope: Scope | None
    ttl: Ttl
    cipher: TokenCipher | None
    cache_timeout: float
    cache_miss_timeout: float


class Caching(TypedDict, total=False):
    """Where documents are kept at hand."""

    cache: Any


class BackendOptions(People, MoreOptions, Caching, total=False):
    """All keyword arguments that a user-scoped backend takes, whatever its store."""


class UserScopedBackend(BaseBackend):
    """Keeps one token for each provider and user, in any :class:`TokenStore`.

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
            for none. See :doc:`encryption`.
        cache: Keeps documents at hand: a :class:`LocalCache`, an :class:`InvalidatedCache`, a
            ``Cache`` of Flask-Caching or any cache of cachelib; ``None``, the default, for none.
            See :doc:`caching`.
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
        cache_timeout = _checked_seconds("cache_timeout", cache_timeout)
        cache_miss_timeout = _checked_seconds("cache_miss_timeout", cache_miss_timeout)
        if cache is not None:
            store = CachedStore(store, token_cache(cache), cache_timeout, cache_miss_timeout)
        # What is cached is sealed.
        self.store = store if cipher is None else SealedStore(store, cipher)
        self._ttl = _checked_ttl(ttl)
        if ttl is not None:
            store.require_expiry()
        self._owners = OwnerResolver(scope=scope, **people)

    def get(
        self,
        blueprint: BlueprintLike,
        user: Any = None,
        user_id: Any = None,
        *,
        fresh: bool = False,
    ) -> Token | None:
        """Return the owner's token, or ``None`` if there is none.

        Args:
            blueprint: The blueprint; its name is the provider.
            user: Whose token, in place of the user that the backend was given.
            user_id: The same by id; it wins over ``user``.
            fresh: Whether to read past the cache.

        Raises:
            UserRequired: If there is no user and one is required.
            BackendUnavailable: If the store did not answer.
            TokenDecryptError: If the cipher can't open it.
            CorruptToken: If what is stored is not a token document.
        """
        key = self._owners.resolve("get", blueprint, user, user_id)
        if key is None:
            return None
        document = self.store.load_fresh(key) if fresh else self.store.load(key)
        return None if document is None else document.token

    def set(
        self, blueprint: BlueprintLike, token: Token, user: Any = None, user_id: Any = None
    ) -> None:
        """Store the owner's token in place of any other.

        Args:
            blueprint: The blueprint; its name is the provider.
            token: A dict that JSON can hold.
            user: Whose token, in place of the user that the backend was given.
            user_id: The same by id; it wins over ``user``.

        Raises:
            TypeError: If the token is not a dict, or JSON has no type for something in it.
            ValueError: If JSON can't express it.
            UserRequired: If there is no user and one is required.
            BackendUnavailable: If the store did not answer.
        """
        plain = json_token(token)
        # Resolving for "set" makes an owner where there is none.
        key = cast(TokenKey, self._owners.resolve("set", blueprint, user, user_id))
        now = clock.now()
        self.store.save(
            TokenDocument(
                provider=key.provider,
                user_id=key.user_id,
                token=plain,
                created_at=now,
                updated_at=now,
                expires_at=self.end_of_record(plain, now),
            )
        )

    def delete(self, blueprint: BlueprintLike, user: Any = None, user_id: Any = None) -> None:
        """Remove the owner's token; it is no error if there is none.

        Args:
            blueprint: The blueprint; its name is the provider.
            user: Whose token, in place of the user that the backend was given.
            user_id: The same by id; it wins over ``user``.

        Raises:
            UserRequired: If there is no user and one is required.
            BackendUnavailable: If the store did not answer.
        """
        key = self._owners.resolve("delete", blueprint, user, user_id)
        if key is not None:
            self.store.delete(key)

    def owner(
        self, blueprint: BlueprintLike, user: Any = None, user_id: Any = None
    ) -> TokenKey | None:
        """Return whose token ``get`` would now give, or ``None`` for a visitor without one.

        Args:
            blueprint: The blueprint; its name is the provider.
            user: Whose token, in place of the user that the backend was given.
            user_id: The same by id; it wins over ``user``.

        Raises:
            UserRequired: If there is no user and one is required.
        """
        return self._owners.resolve("get", blueprint, user, user_id)

    def slot(self, blueprint: BlueprintLike, user: Any = None, user_id: Any = None) -> StoreSlot:
        """Return an owner's token as a refresh needs it; with the arguments of :meth:`owner`."""
        return StoreSlot(self, blueprint, user, user_id)

    def tokens_of(self, user_id: Any) -> list[TokenDocument]:
        """Return the documents of a user, one for each provider.

        Args:
            user_id: The user's id: a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``.

        Raises:
            TypeError: If it is anything else.
            BackendUnavailable: If the store did not answer.
        """
        return list(self.store.scan(user_id=user_id_text(user_id)))

    def shown_user_id(self, key: TokenKey) -> str | None:
        """Return the user id of a key as it may be shown: a browser's random id is no user's."""
        return None if self._owners.scope == "browser" else key.user_id

    def end_of_record(self, token: Token, now: datetime) -> datetime | None:
        """Return when a record that is written now may be dropped, or ``None``.

        Args:
            token: The token in it.
            now: The current time, as aware UTC time.
        """
        if self._ttl is None:
            return None
        if self._ttl != "token":
            return now + timedelta(seconds=self._ttl)
        end = token.get("expires_at")
        if token.get("refresh_token") or not isinstance(end, int | float):
            return None
        try:
            return datetime.fromtimestamp(end, UTC)
        except (OverflowError, ValueError, OSError):
            return None


def _checked_ttl(ttl: Any) -> Ttl:
    if ttl is None or ttl == "token":
        return cast(Ttl, ttl)
    if not _is_number(ttl) or not 0 < ttl < _LONGEST_TTL:
        raise ConfigurationError(
            "ttl is None, 'token' or a positive number of seconds, at most 100 years."
        )
    return float(ttl)


def _checked_seconds(name: str, seconds: Any) -> float:
    if not _is_number(seconds) or not 0 <= seconds < _LONGEST_TTL:
        raise ConfigurationError(f"{name} is a number of seconds, 100 years at most; 0 for none.")
    return float(seconds)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def token_cache(cache: Any) -> TokenCache:
    """Return a cache as one of tokens.

    Raises:
        ConfigurationError: If it can't be one.
    """
    return cache if isinstance(cache, TokenCache) else SharedCache(cache)
