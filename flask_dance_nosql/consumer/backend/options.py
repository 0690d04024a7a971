"""The keyword arguments of every user-scoped backend, whatever its store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from ...errors import ConfigurationError
from .cache.base import TokenCache
from .cache.shared import SharedCache
from .owner import Scope

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


class BackendOptions(People, MoreOptions, total=False):
    """All keyword arguments that a user-scoped backend takes, whatever its store."""

    cache: Any


def checked_ttl(ttl: Any) -> Ttl:
    """Return how long records are kept, or raise :class:`ConfigurationError`."""
    if ttl is None or ttl == "token":
        return cast(Ttl, ttl)
    if not _is_number(ttl) or not 0 < ttl < _LONGEST_TTL:
        raise ConfigurationError(
            "ttl is None, 'token' or a positive number of seconds, at most 100 years."
        )
    return float(ttl)


def checked_seconds(name: str, seconds: Any) -> float:
    """Return the seconds given as the argument of this name, or raise ConfigurationError."""
    if not _is_number(seconds) or not 0 <= seconds < _LONGEST_TTL:
        raise ConfigurationError(f"{name} is a number of seconds, 100 years at most; 0 for none.")
    return float(seconds)


def checked_cipher(cipher: TokenCipher | None) -> TokenCipher | None:
    """Return the cipher, or raise :class:`ConfigurationError` if it is none."""
    if cipher is None or callable(getattr(cipher, "seal", None)):
        return cipher
    raise ConfigurationError(f"cipher takes a TokenCipher. This is a {type(cipher).__name__}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def token_cache(cache: Any) -> TokenCache:
    """Return a cache as one of tokens."""
    return cache if isinstance(cache, TokenCache) else SharedCache(cache)
