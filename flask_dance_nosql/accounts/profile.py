"""Who an account at a provider is, as far as the provider tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException

from ..consumer.backend.store.values import Token, account_text
from ..consumer.token import PROFILE, account_id_of
from ..errors import AccountUnknown

_MAX_TEXT, _MAX_URL = 300, 2000
_OPTIONAL = ("name", "email", "email_verified", "picture")


@dataclass(frozen=True)
class AccountProfile:
    """An account at a provider.

    What is given is made sane: an id that is a number becomes its text, an address without ``@`` or
    a picture without https becomes ``None``, and an address is verified if that is true, ``"true"``
    or a date, and no other text.

    Raises:
        TypeError, ValueError: If the id can't be one.

    Attributes:
        provider: The blueprint's name.
        id: The account's lasting id there.
        name: What the account's owner is called, or ``None``.
        email: An e-mail address, or ``None``.
        email_verified: Whether the provider says that the address is the owner's.
        picture: The URL of a picture, with https, or ``None``.
    """

    provider: str
    id: str
    name: str | None = None
    email: str | None = None
    email_verified: bool = False
    picture: str | None = None

    def __post_init__(self) -> None:
        account, email = account_text(self.id), _text(self.email)
        if email is not None and ("@" not in email or " " in email):
            email = None
        # It is frozen.
        vars(self).update(
            id=account,
            name=_text(self.name),
            email=email,
            email_verified=email is not None and _is_yes(self.email_verified),
            picture=_url(self.picture),
        )

    @property
    def key(self) -> str:
        """Provider and id in one text, as ``github:583231``, which no other account has."""
        return f"{self.provider}:{self.id}"


ProfileReader = Callable[[Any], Any]
"""A function of a session with a new token that returns the account's profile.

That is an :class:`AccountProfile`, or a dict with ``id`` and any of its other attributes.
"""


def read_profile(
    blueprint: Any, token: Token, reader: ProfileReader | None = None
) -> AccountProfile:
    """Return the profile of the account that a new token is of.

    It is what ``reader`` returns, else the claims of a validated ID token (and the userinfo, if
    those have neither name nor address), else what the preset says how to ask for, else the account
    that the answer of the token endpoint names.

    Args:
        blueprint: The blueprint.
        token: The token; it need not be stored.
        reader: A function of your own.

    Raises:
        AccountUnknown: If the provider did not tell which account it is.
    """
    session = blueprint._session_with(token)
    try:
        fields = _fields(blueprint, session, token, reader)
        if isinstance(fields, AccountProfile):
            return replace(fields, provider=blueprint.name)
        return _profile(blueprint.name, fields)
    except HTTPException:
        # A reader that calls abort() has an answer of its own.
        raise
    except Exception as error:  # noqa: BLE001 - a function, an answer or a call may do anything
        # Its text may show the token.
        raise AccountUnknown(blueprint.name, type(error).__name__) from None


def with_profile(token: Token, profile: AccountProfile) -> Token:
    """Return a token that has the profile of its account with it, beside what it had."""
    kept = {name: value for name, value in asdict(profile).items() if value and name != "provider"}
    return {**token, PROFILE: kept}


def profile_in(provider: str, token: Token) -> AccountProfile | None:
    """Return the profile that a stored token has with it, or ``None``."""
    try:
        return _profile(provider, token[PROFILE])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def known_profile(blueprint: Any, token: Token) -> AccountProfile | None:
    """Return what is known of a stored token's account without a call, or ``None``.

    That is the profile which the token has with it, else the claims of a validated ID token.
    """
    kept = profile_in(blueprint.name, token)
    if kept is not None:
        return kept
    claims = getattr(blueprint._session_with(token), "id_claims", None)
    return None if claims is None else _profile(blueprint.name, {**claims, "id": claims["sub"]})


def _fields(blueprint: Any, session: Any, token: Token, reader: ProfileReader | None) -> Any:
    if reader is not None:
        return reader(session)
    claims = getattr(session, "id_claims", None)
    if claims is not None:
        if not claims.get("name") and not claims.get("email") and blueprint.userinfo_url:
            claims = {**session.userinfo(), **claims}
        return {**claims, "id": claims["sub"]}
    fields = {} if blueprint.preset is None else blueprint.preset.profile_of(session)
    if fields.get("id") is None:
        fields = {**fields, "id": account_id_of(token)}
    return fields


def _profile(provider: str, fields: Mapping[str, Any]) -> AccountProfile:
    return AccountProfile(provider, fields["id"], *(fields.get(name) for name in _OPTIONAL))  # type: ignore[arg-type] # it is made sane


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = "".join(each if each.isprintable() else " " for each in value).strip()
    return text[:_MAX_TEXT] or None


def _url(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > _MAX_URL or not value.isprintable():
        return None
    try:
        parts = urlsplit(value)
        is_usable = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        return None
    return value if is_usable and " " not in value else None


def _is_yes(value: object) -> bool:
    """Whether a provider says yes: by true, as a text in some answers, or by when it was so."""
    if not isinstance(value, str):
        return value is True
    if value.lower() == "true":
        return True
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return not value.isdecimal()
