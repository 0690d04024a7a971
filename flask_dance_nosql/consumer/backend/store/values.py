"""Values that a store takes: ids of users, and tokens made of what JSON has."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from itertools import repeat
from typing import Any
from uuid import UUID

Token = dict[str, Any]

MAX_DEPTH = 100
MAX_ACCOUNT = 255
_EXACT = (bool, int, type(None))


def id_text(value: object, what: str = "user_id") -> str:
    """Return the canonical text of an id, or raise what :class:`TokenKey` does."""
    if isinstance(value, str):
        require_text(value, what)
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    bson = sys.modules.get("bson")
    if isinstance(value, UUID) or (bson and isinstance(value, bson.ObjectId)):
        return str(value)
    raise TypeError(f"A {what} is a str, int, UUID or ObjectId, not {type(value).__name__}")


def account_text(value: object) -> str:
    """Return the id that a provider gives an account as text, or raise what :class:`TokenKey` does.

    It has to be printable, since people see it and send it in forms, and no longer than the columns
    of a model and than that of OpenID Connect (Core 1.0 section 2).
    """
    account = id_text(value, "account")
    if len(account) > MAX_ACCOUNT or not account.isprintable():
        raise ValueError("An account's id must be printable, and not too long")
    return account


def require_text(text: str, what: str) -> None:
    """Raise ``ValueError`` for a part of a key that is not text that every database can keep."""
    if not text:
        raise ValueError(f"A {what} must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"A {what} must be valid Unicode text") from None
    if "\0" in text:
        raise ValueError(f"A {what} must not contain NUL characters")


def json_token(token: object) -> Token:
    """Return a deep copy of a token, made of nothing but what JSON has (:rfc:`8259`).

    Subclasses of ``dict`` and the like become the plain type, and tuples lists. What JSON has no
    type for raises ``TypeError``; what it can't express or is nested too deep, ``ValueError``.
    """
    if not isinstance(token, dict):
        raise TypeError(f"An OAuth token is a dict, not {type(token).__name__}")
    copied: Token = _json_value(token, MAX_DEPTH)
    return copied


def _json_value(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list | tuple):
        return _json_scalar(value)
    if depth == 0:
        raise ValueError(f"A token can't be nested deeper than {MAX_DEPTH} levels")
    # Most of what a token holds is copied as it is, without a call.
    if isinstance(value, dict):
        copied: Token = {}
        for name, item in value.items():
            kind = type(item)
            if kind is str:
                as_is = item.isascii()
            else:
                as_is = kind in _EXACT or (kind is float and math.isfinite(item))
            own_name = name if type(name) is str and name.isascii() else _json_name(name)
            copied[own_name] = item if as_is else _json_value(item, depth - 1)
        return copied
    items = []
    for item in value:
        kind = type(item)
        as_is = item.isascii() if kind is str else kind in _EXACT
        items.append(item if as_is else _json_value(item, depth - 1))
    return items


def _json_scalar(value: Any) -> Any:
    if isinstance(value, str):
        return _json_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, float):
        kind = type(value).__name__
        raise TypeError(f"A token can't hold a {kind}, since JSON has no such type")
    if not math.isfinite(value):
        raise ValueError("A token can't hold a number that is infinite or not a number")
    return float(value)


def is_plain(
    value: object,
    depth: int,
    may_be_name: Callable[[str], bool],
    may_be_value: Callable[[object], bool],
) -> bool:
    """Whether a JSON value is one that a database's own format can hold exactly.

    ``depth`` is how many levels it may have. The functions tell which names of fields the format
    can hold, and which texts, numbers, booleans and ``None``.
    """
    if not isinstance(value, dict | list):
        return may_be_value(value)
    if depth == 0:
        return False
    items = value.items() if isinstance(value, dict) else zip(repeat(None), value, strict=False)
    for name, item in items:
        # An identifier is a legal name, and printable text a legal value, in every format.
        if name is not None and not name.isidentifier() and not may_be_name(name):
            return False
        if isinstance(item, str) and item.isprintable():
            continue
        if not is_plain(item, depth - 1, may_be_name, may_be_value):
            return False
    return True


def decode_token(token: object) -> Token:
    """Return the token of a record that has it as an object, or as the JSON text of one."""
    return json_token(json.loads(token) if isinstance(token, str) else token)


def _json_name(key: object) -> str:
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
