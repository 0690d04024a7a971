"""What an envelope tells without being opened. Needs no package for encryption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeGuard

import msgspec

from ..store.values import Token

KeyUse = Literal["current", "fallback", "missing"]
"""What a key is to a token that it has sealed."""

FIELD = "sealed"
FORMAT = b"\x01"
HEADER_SIZE = 9


def is_sealed(token: object) -> TypeGuard[Token]:
    """Whether a stored token has the form of a sealed one."""
    return isinstance(token, dict) and len(token) == 1 and FIELD in token


def envelope_in(token: Token) -> bytes:
    """Return the envelope of a sealed token, or raise ``ValueError`` or msgspec's error."""
    text = token[FIELD]
    if not isinstance(text, str) or "+" in text or "/" in text:
        raise ValueError("not URL-safe base64")
    return msgspec.convert(text.replace("-", "+").replace("_", "/"), bytes)


def key_id_of(token: object) -> str | None:
    """Return what :meth:`TokenCipher.key_id_of` does."""
    if not is_sealed(token):
        return None
    try:
        header = envelope_in(token)[:HEADER_SIZE]
    except (msgspec.MsgspecError, ValueError):
        return ""
    is_known = len(header) == HEADER_SIZE and header.startswith(FORMAT)
    return header[len(FORMAT) :].hex() if is_known else ""


def use_of(key_id: str | None, ids: Sequence[str]) -> KeyUse:
    """Return what the key with an id is, among those that :meth:`TokenCipher.key_ids` returns."""
    if key_id not in ids:
        return "missing"
    return "fallback" if ids.index(key_id) else "current"
