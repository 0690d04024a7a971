"""The token itself: when it ends, what merges with what, whose account it names."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

from .. import clock

Token = dict[str, Any]

TokenStatus = Literal["active", "expiring", "expired", "none"]
"""What a token is good for: ``expiring`` means that it still works, and that its end is near."""


def token_status(token: Token | None, leeway: float, lifetime: object = None) -> TokenStatus:
    """Return what a token is good for now. One that does not say when it ends is active.

    It is expiring within ``leeway`` seconds of its end, or within the second half of its life if
    the ``lifetime`` that the provider gave it is known and shorter.
    """
    if not token or not token.get("access_token"):
        return "none"
    expires_at = token.get("expires_at")
    if not isinstance(expires_at, int | float):
        return "active"
    left = expires_at - clock.timestamp()
    if left <= 0:
        return "expired"
    if isinstance(lifetime, int | float) and lifetime > 0:
        leeway = min(leeway, lifetime / 2)
    return "expiring" if left <= leeway else "active"


def with_expires_in(token: Token) -> Token:
    """Return a copy whose ``expires_in`` is the seconds left now, where it had that field."""
    expires_at = token.get("expires_at")
    if token.get("expires_in") is None or not isinstance(expires_at, int | float):
        return dict(token)
    return {**token, "expires_in": expires_at - clock.timestamp()}


def with_expires_at(token: Token) -> Token:
    """Return a copy with ``expires_at``, in seconds since the epoch, from ``expires_in``."""
    if not isinstance(token, dict):
        raise TypeError(f"An OAuth token is a dict, not {type(token).__name__}")
    try:
        lifetime = int(token["expires_in"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return dict(token)
    return {**token, "expires_at": clock.timestamp() + lifetime}


def renewed(old: Token, new: Token) -> Token:
    """Return a refreshed token, with all but its end taken from the old one if it is not in it.

    Source: RFC 6749 section 6: the refresh token, if no new one is issued, and the scope.
    """
    kept = {name: value for name, value in old.items() if name not in ("expires_in", "expires_at")}
    return with_granted(old, {**kept, **new})


def scopes_of(value: object) -> list[str]:
    """Return the scopes in a token's field, which is a list, or text with spaces or commas."""
    parts = value if isinstance(value, list | tuple) else [value]
    texts = (part for part in parts if isinstance(part, str))
    return [scope for text in texts for scope in text.replace(",", " ").split()]


def granted_scope(token: Token) -> list[str]:
    """Return the scopes that the account has granted so far; the token may have fewer."""
    return scopes_of(token.get("granted_scope") or token.get("scope"))


def with_granted(old: Token, new: Token) -> Token:
    """Return a new token that remembers what was granted before, if it has a narrower scope."""
    before, now = granted_scope(old), granted_scope(new)
    if not before or not now or set(before) <= set(now):
        return new
    return {**new, "granted_scope": [*before, *(each for each in now if each not in before)]}


_ACCOUNT_FIELDS = ("sub", "user_id", "account_id", "open_id")


def same_account(old: dict[str, Any], new: dict[str, Any], *, default: bool) -> bool:
    """Whether two tokens name the same account at the provider.

    Compared are the ``sub`` of an ID token (OpenID Connect Core 1.0 section 2) and the fields by
    which some providers name the account in the token response. The ID token is only compared, and
    comes from the token endpoint itself, so its signature is not checked here (section 3.1.3.7).
    ``default`` is the answer when they do not both name an account in the same way.
    """
    before, after = _names(old), _names(new)
    shared = before.keys() & after.keys()
    if not shared:
        return default
    return all(before[field] == after[field] for field in shared)


def _names(token: dict[str, Any]) -> dict[str, Any]:
    names = {field: token[field] for field in _ACCOUNT_FIELDS if token.get(field) is not None}
    id_token: Any = token.get("id_token")
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject = claims["sub"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return names
    return names if subject is None else {**names, "id_token": subject}
