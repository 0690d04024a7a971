"""The document model: whose token it is, and what is stored for it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec

from ... import clock

Token = dict[str, Any]

MAX_DEPTH = 100


class TokenKey(msgspec.Struct, frozen=True):
    """Whose token: a provider, and a user or nobody.

    Args:
        provider: The blueprint's name.
        user_id: ``None``, or a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``, which becomes
            its text: the user ``42`` of a model and the ``"42"`` of a session are the same.

    Raises:
        TypeError: If ``user_id`` is anything else; a dict, above all, could be a query.
        ValueError: If a part is empty or is not valid Unicode.
    """

    provider: str
    user_id: str | None = None

    def __post_init__(self) -> None:
        provider, user_id = self.provider, self.user_id
        if user_id is not None and not (type(user_id) is str and user_id and user_id.isascii()):
            msgspec.structs.force_setattr(self, "user_id", user_id_text(user_id))
        if not isinstance(provider, str):
            raise TypeError(f"A provider is a str, not {type(provider).__name__}")
        if not provider or not provider.isascii():
            _require_text(provider, "provider")

    @property
    def provider_text(self) -> str:
        """The provider, percent-encoded, which is safe in any key and never ambiguous."""
        return _quoted(self.provider)

    @property
    def owner_text(self) -> str:
        """The user, percent-encoded behind ``u:``, or ``app`` if there is none."""
        return "app" if self.user_id is None else f"u:{_quoted(self.user_id)}"

    @property
    def text(self) -> str:
        """Both, as ``provider:u:user`` or ``provider:app``: no other key has the same text."""
        return f"{_quoted(self.provider)}:{self.owner_text}"

    @property
    def digest(self) -> str:
        """The SHA-256 of :attr:`text`: 64 small letters and digits, a legal name anywhere."""
        return sha256(self.text.encode()).hexdigest()


class TokenDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A token and what is known of it: the counterpart of SQLAlchemy's ``OAuthConsumerMixin``.

    Args:
        version: Changes with each write, by one where the store counts; 0 before the first. It does
            not begin at one, so that a document written anew after a deletion has another.
        created_at: When it was first stored, as aware UTC time.
        updated_at: When it was last written, as aware UTC time.
        expires_at: When the record may be dropped, as aware UTC time, or ``None``. The end of the
            access token is another matter.
        provider: The blueprint's name.
        user_id: The user's id as text, or ``None``.
        provider_user_id: The account at the provider, or ``None`` if it is not known.
        token: The token.
        format: The version of this layout.
    """

    version: int = 0
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    provider: str
    user_id: str | None
    provider_user_id: str | None = None
    token: Token
    format: Literal[1] = 1

    @property
    def key(self) -> TokenKey:
        """Whose token it is."""
        return TokenKey(self.provider, self.user_id)

    def is_of(self, key: TokenKey) -> bool:
        """Whether it is the token of a key."""
        return self.provider == key.provider and self.user_id == key.user_id

    @property
    def expired(self) -> bool:
        """Whether the record's time is up. An expired record counts as none."""
        return self.expires_at is not None and self.expires_at <= clock.now()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ("provider", "user_id", "version", "updated_at")
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} provider={self.provider!r} user_id={self.user_id!r} "
            f"version={self.version} updated_at={self.updated_at.isoformat()}>"
        )

    __str__ = __repr__


def _quoted(text: str) -> str:
    # Most texts stay as they are, and quote() takes long to say so.
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


def user_id_text(user_id: object) -> str:
    """Return the canonical text of a user id.

    Raises:
        TypeError: If it is not a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``.
        ValueError: If it is empty or not valid Unicode.
    """
    if isinstance(user_id, str):
        _require_text(user_id, "user_id")
        return str.__str__(user_id)
    if isinstance(user_id, int) and not isinstance(user_id, bool):
        return str(int(user_id))
    bson = sys.modules.get("bson")
    if isinstance(user_id, UUID) or (bson and isinstance(user_id, bson.ObjectId)):
        return str(user_id)
    raise TypeError(f"A user_id is a str, int, UUID or ObjectId, not {type(user_id).__name__}")


def _require_text(text: str, what: str) -> None:
    if not text:
        raise ValueError(f"A {what} must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"A {what} must be valid Unicode text") from None


def json_token(token: object) -> Token:
    """Return a deep copy of a token, made of nothing but what JSON has.

    Subclasses of ``dict`` and the like become the plain type, and tuples lists.

    Source: RFC 8259.

    Raises:
        TypeError: If it is not a dict, or holds something that JSON has no type for.
        ValueError: If it holds a number or text that JSON can't express, or is nested deeper than
            100 levels.
    """
    if not isinstance(token, dict):
        raise TypeError(f"An OAuth token is a dict, not {type(token).__name__}")
    copied: Token = _json_value(token, MAX_DEPTH)
    return copied


def _json_value(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _json_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise ValueError("A token can't hold a number that is infinite or not a number")
    if depth == 0:
        raise ValueError(f"A token can't be nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {_json_key(key): _json_value(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item, depth - 1) for item in value]
    raise TypeError(f"A token can't hold a {type(value).__name__}, since JSON has no such type")


def is_plain(
    value: object,
    depth: int,
    may_be_name: Callable[[str], bool],
    may_be_value: Callable[[object], bool],
) -> bool:
    """Whether a JSON value is one that a database's own format can hold exactly.

    Args:
        value: The value.
        depth: How many levels of nesting it may have.
        may_be_name: Tells whether the format can hold this name of a field.
        may_be_value: Tells whether it can hold this text, number, boolean or ``None``.
    """
    if isinstance(value, dict):
        return depth > 0 and all(
            may_be_name(name) and is_plain(item, depth - 1, may_be_name, may_be_value)
            for name, item in value.items()
        )
    if isinstance(value, list):
        return depth > 0 and all(
            is_plain(item, depth - 1, may_be_name, may_be_value) for item in value
        )
    return may_be_value(value)


def decode_token(token: object) -> Token:
    """Return the token of a record that has it as an object, or as the JSON text of one.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is text that is not JSON.
    """
    return json_token(json.loads(token) if isinstance(token, str) else token)


def _json_key(key: object) -> str:
    if isinstance(key, str):
        return _json_text(key)
    raise TypeError(f"The keys of a token are str, not {type(key).__name__}")


def _json_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A token can't hold text that is not valid Unicode") from None
    # Not str(): a member of a text enumeration would become its name.
    return str.__str__(text)
