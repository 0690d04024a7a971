"""When a token ends: ``expires_at`` and ``expires_in``."""

from __future__ import annotations

from typing import Any

from .. import clock

Token = dict[str, Any]


def expired(token: Token) -> bool:
    """Whether a token says that its access token has ended. One that does not say has not."""
    expires_at = token.get("expires_at")
    return isinstance(expires_at, int | float) and expires_at <= clock.timestamp()


def with_expires_in(token: Token) -> Token:
    """Return a copy whose ``expires_in`` is the seconds left now, where it had that field."""
    expires_at = token.get("expires_at")
    if token.get("expires_in") is None or not isinstance(expires_at, int | float):
        return dict(token)
    return {**token, "expires_in": expires_at - clock.timestamp()}


def with_expires_at(token: Token) -> Token:
    """Return a copy with ``expires_at``, in seconds since the epoch, counted from ``expires_in``.

    Raises:
        TypeError: If the token is not a dict.
    """
    if not isinstance(token, dict):
        raise TypeError(f"An OAuth token is a dict, not {type(token).__name__}")
    try:
        lifetime = int(token["expires_in"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return dict(token)
    return {**token, "expires_at": clock.timestamp() + lifetime}
