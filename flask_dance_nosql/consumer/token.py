"""The token itself: when it ends, what merges with what, whose account it names."""

from __future__ import annotations

import base64
import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from oauthlib.oauth2 import Client

from .. import clock

Token = dict[str, Any]

TokenStatus = Literal["active", "expiring", "expired", "none"]
"""What a token is good for: ``expiring`` means that it still works, and that its end is near."""


def is_vschar(value: object) -> bool:
    """Whether a value is text that can be a token. Source: RFC 6749 appendix A.12 and A.17."""
    if not isinstance(value, str) or not value or value.isspace():
        return False
    return value.isascii() and value.isprintable()


def usable_refresh_token(value: object) -> str | None:
    """Return what an answer has as refresh token as text, or ``None`` if it can't be one.

    Some providers number them, and a template of an answer may end with a line break.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = value.strip("\0\t\r\n") if isinstance(value, str) else None
    return text if is_vschar(text) else None


def is_printable(value: object) -> bool:
    """Whether a value is text that can be a credential of OAuth 1, which has no other bounds."""
    return isinstance(value, str) and value.isprintable()


def end_of(token: Token) -> float | None:
    """Return when a token ends, in seconds since the epoch, or ``None`` if it does not say so.

    A stored token may hold anything there; see :func:`flask_dance_nosql.clock.moment_of`. One that
    was issued with no time to live, and does not say when, has ended.
    """
    end = token.get("expires_at")
    if end is not None and (type(end) is not float or end > clock.LATEST):
        end = clock.moment_of(end)
    if end is None and "expires_in" in token:
        lifetime = clock.seconds_of(token["expires_in"])
        return 0.0 if lifetime is not None and lifetime <= 0 else None
    return end if end != math.inf else None


def end_date(token: Token) -> datetime | None:
    """Return when a token ends, as aware UTC time; ``None`` if it does not say so, or no date."""
    end = end_of(token)
    with suppress(OverflowError, ValueError, OSError):
        return None if end is None else datetime.fromtimestamp(end, UTC)
    return None


def ends_later(token: Token, other: Token, by: float = 0.0) -> bool:
    """Whether a token ends later than another one by so many seconds, or does not say when."""
    end, earlier = end_of(token), end_of(other)
    return earlier is not None and (end is None or end > earlier + by)


def can_be_refreshed(token: Token) -> bool:
    """Whether a token has a refresh token that could be one."""
    return is_vschar(token.get("refresh_token"))


def token_status(token: Token | None, leeway: float, lifetime: object = None) -> TokenStatus:
    """Return what a token is good for now. One that does not say when it ends is active.

    Without an access token that can be sent it is as good as ended, or none if it can't be
    refreshed.

    It is expiring within ``leeway`` seconds of its end, or within the second half of its life if
    the ``lifetime`` that the provider gave it is known and shorter.
    """
    if not token:
        return "none"
    if not is_vschar(token.get("access_token")):
        return "expired" if can_be_refreshed(token) else "none"
    end = end_of(token)
    if end is None:
        return "active"
    left = end - clock.timestamp()
    if left <= 0:
        return "expired"
    if left > leeway:
        return "active"
    whole = clock.seconds_of(lifetime)
    return "expiring" if whole is None or whole <= 0 or left <= whole / 2 else "active"


def usable_type(client: Client, token: Token) -> str:
    """Return the type by which an oauthlib client can sign with a token.

    That is the token's, if the client knows it, else the client's own, and else Bearer
    (:rfc:`6750`). MAC counts if the client has a way of its own, since oauthlib's can't sign.
    """
    known = {name.lower() for name in client.token_types}
    if type(client)._add_mac_token is Client._add_mac_token:  # type: ignore[attr-defined] # likewise
        known.discard("mac")
    for kind in (token.get("token_type"), client.token_type):
        if isinstance(kind, str) and kind.lower() in known:
            return kind
    return "Bearer"


def with_expires_in(token: Token) -> Token:
    """Return a copy whose ``expires_in`` is the seconds left now, where it had that field."""
    end = end_of(token)
    if token.get("expires_in") is None or end is None:
        return dict(token)
    return {**token, "expires_in": end - clock.timestamp()}


def with_expires_at(token: Token) -> Token:
    """Return a copy with ``expires_at``, in seconds since the epoch, from ``expires_in``."""
    if not isinstance(token, dict):
        raise TypeError(f"An OAuth token is a dict, not {type(token).__name__}")
    lifetime = clock.seconds_of(token.get("expires_in"))
    if lifetime is None or abs(lifetime) > clock.LATEST:
        return dict(token)
    return {**token, "expires_at": clock.timestamp() + int(lifetime)}


def renewed(old: Token, new: Token) -> Token:
    """Return a refreshed token, with all but its end taken from the old one if it is not in it.

    Source: RFC 6749 section 6: the refresh token, if no new one is issued, and the scope.
    """
    kept = {name: value for name, value in old.items() if name not in ("expires_in", "expires_at")}
    return with_granted(old, {**kept, **new})


def scopes_of(value: object) -> list[str]:
    """Return the scopes in a collection of texts, or in a text with spaces or commas."""
    parts = value if isinstance(value, list | tuple | set | frozenset) else [value]
    texts = (part for part in parts if isinstance(part, str))
    return [scope for text in texts for scope in text.replace(",", " ").split()]


def granted_scope(token: Token) -> list[str]:
    """Return the scopes that the account has granted so far; the token may have fewer.

    What is no text that could be sent to ask for it again is left out.
    """
    scopes = scopes_of(token.get("granted_scope") or token.get("scope"))
    return [scope for scope in scopes if scope.isprintable()]


def with_granted(old: Token, new: Token) -> Token:
    """Return a new token that remembers what was granted before, if it has a narrower scope."""
    before, now = granted_scope(old), granted_scope(new)
    if not before or not now or set(before) <= set(now):
        return new
    return {**new, "granted_scope": [*before, *(each for each in now if each not in before)]}


PROFILE = "account_profile"
"""Where a token has the profile of its account: beside what the provider has given, and sealed."""

_ACCOUNT_FIELDS = ("sub", "user_id", "account_id", "open_id")


def account_id_of(token: Token) -> str | int | None:
    """Return the account at the provider that a token names, or ``None`` if it names none.

    The ``sub`` of an ID token comes first.
    """
    names = _names(token)
    found: str | int | None = next(
        (names[name] for name in ("id_token", *_ACCOUNT_FIELDS) if name in names), None
    )
    return found


def same_account(old: dict[str, Any], new: dict[str, Any], *, default: bool) -> bool:
    """Whether two tokens name the same account at the provider.

    Compared are the ``sub`` of an ID token (OpenID Connect Core 1.0 section 2), the fields by which
    some providers name the account in the token response, and the profile that may be kept with a
    token. The ID token is only compared, and comes from the token endpoint itself, so its signature
    is not checked here (section 3.1.3.7).
    ``default`` is the answer when they do not both name an account in the same way.
    """
    before, after = _names(old), _names(new)
    shared = before.keys() & after.keys()
    if not shared:
        return default
    return all(before[field] == after[field] for field in shared)


def _names(token: dict[str, Any]) -> dict[str, Any]:
    names = {name: token[name] for name in _ACCOUNT_FIELDS if _is_name(token.get(name))}
    profile: Any = token.get(PROFILE)
    if isinstance(profile, dict) and _is_name(profile.get("id")):
        names[PROFILE] = profile["id"]
    id_token: Any = token.get("id_token")
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject = claims["sub"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError):
        return names
    return {**names, "id_token": subject} if _is_name(subject) else names


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def missing_scopes(asked: object, token: Token) -> set[str]:
    """Return the scopes that were asked for and not granted, whatever they are called.

    Google, for one, answers ``email`` by ``https://www.googleapis.com/auth/userinfo.email``. Some
    separate scopes by commas, and some don't list those that something else in the answer shows to
    be granted. Source: RFC 6749 section 3.3.
    """
    granted = {each.lower() for each in scopes_of(token.get("scope"))}
    granted |= {name for name, field in _SHOWN_BY.items() if token.get(field)}
    short = {_short_scope(each) for each in granted}
    return {
        each
        for each in scopes_of(asked)
        if each.lower() not in granted
        and (_short_scope(each) not in granted if "/" in each else each.lower() not in short)
    }


_SHOWN_BY = {"openid": "id_token", "offline_access": "refresh_token"}


def _short_scope(scope: str) -> str:
    return scope.lower().rstrip("/").rpartition("/")[2].removeprefix("userinfo.")
