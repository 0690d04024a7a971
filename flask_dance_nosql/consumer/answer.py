"""What token endpoints answer: bytes in, a sane token or a refusal out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from requests import Response

from ..clock import moment_of, seconds_of
from .backend.store.values import Token, json_token
from .ended import EndedErrors
from .redaction import Redactor
from .refusal import MISSING, Refusal, Refused, is_absent, nothing_in, refusal_in
from .token import is_printable, is_vschar, usable_refresh_token

_LONGEST_LIFE = 10**10
_DEEPEST = 50
_MOST_FIELDS = 1_000
_MOST_DIGITS = 4_000
_OF_FORMS = frozenset(
    (
        *("access_token", "refresh_token", "error", "error_description"),
        *("oauth_token", "oauth_token_secret", "oauth_problem", "oauth_error"),
    )
)


def fields_of(response: Response) -> Any:
    """Return what an answer holds: a JSON value, the fields of a form, or ``None`` if neither.

    Numbers and nesting that nobody can use become NaN.

    Source: RFC 6749 section 5.1, RFC 5849 section 2.1. Some providers of OAuth 2 answer by forms.
    """
    body = response.content or b""
    try:
        text = body.decode(json.detect_encoding(body))
    except ValueError:
        text = body.decode("latin-1")
    text = text.strip("\0 \t\r\n").removeprefix("\ufeff").strip("\0 \t\r\n")
    try:
        return json.loads(text, parse_int=_integer, strict=False)
    except RecursionError:
        is_deep = True
    except ValueError:
        is_deep = False
    try:
        if is_deep:
            return json.loads(_flattened(text), parse_int=_integer, strict=False)
        if "=" in text and text[0] not in "<{[":
            first = "&".join(text.split("&", _MOST_FIELDS)[:_MOST_FIELDS])
            fields = dict(parse_qsl(first, keep_blank_values=True))
            return fields if _is_form(fields, response.headers.get("Content-Type", "")) else None
    except ValueError:
        pass
    return None


def _is_form(fields: Iterable[str], content_type: str) -> bool:
    """Whether what could be read as a form is one, and no page of text with a ``=`` in it."""
    if content_type.lower().startswith("application/x-www-form-urlencoded"):
        return True
    # Some providers send a form as HTML or as plain text.
    return not _OF_FORMS.isdisjoint(fields) and all(re.fullmatch(r"[^\s:/?<]+", n) for n in fields)


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _flattened(text: str) -> str:
    """Return JSON text with ``NaN`` in place of what is nested too deep."""
    kept, depth, start = [], 0, 0
    for part in re.finditer(r'"(?:[^"\\]|\\.?)*+"?|[\[\]{}]', text, re.DOTALL):
        if part[0] in "[{":
            if depth == _DEEPEST:
                kept.append(text[start : part.start()])
            depth += 1
        elif part[0] in "]}":
            depth -= 1
            if depth == _DEEPEST:
                kept.append("NaN")
                start = part.end()
    if depth <= _DEEPEST:
        kept.append(text[start:])
    return "".join(kept)


def read_token(
    response: Response, fields: Any, redactor: Redactor, ended: EndedErrors = None
) -> tuple[Token, list[str]]:
    """Return the token of an answer, and the names of odd fields that were dropped from it.

    ``fields`` are what could be read of it.

    Raises:
        Refused: If it gives no token that can be used.
    """
    if not isinstance(fields, dict):
        raise Refused(refusal_in(None, response, redactor, ended))
    if not is_absent(fields.get("error")) or not is_vschar(fields.get("access_token")):
        raise Refused(refusal_in(fields, response, redactor, ended))
    token, dropped = sane_token(fields)
    redactor = redactor.knowing(token)
    return token, [redactor.text(name) or "?" for name in dropped[:10]]


def read_credentials(response: Response, redactor: Redactor) -> Token:
    """Return the temporary or token credentials of an answer of OAuth 1. The secret may be empty.

    Source: RFC 5849 sections 2.1 and 2.3.

    Raises:
        Refused: If there are none.
    """
    fields = fields_of(response)
    if not isinstance(fields, dict):
        raise Refused(Refusal(MISSING, nothing_in(response)))
    key, secret = fields.get("oauth_token"), fields.get("oauth_token_secret")
    if response.status_code < 300 and key and is_printable(key) and is_printable(secret):
        return sane_token(fields)[0]
    refusal = refusal_in(fields, response, redactor)
    told = redactor.knowing(fields).text(fields.get("oauth_problem")) or refusal.reason
    raise Refused(Refusal(MISSING, told))


def sane_token(fields: dict[str, Any]) -> tuple[Token, list[str]]:
    """Return the fields of a token as they can be used and stored, and the names of the others.

    Source: RFC 6749 section 5.1 and appendix A.
    """
    token: Token = {}
    dropped = []
    for name, value in fields.items():
        if value is None or name == "error" or (name in _SANE and value in ("", [])):
            continue
        sane = _SANE.get(name, _as_it_is)(value)
        try:
            kept = {} if sane is None else json_token({name: sane})
        except (ValueError, TypeError, RecursionError):
            kept = {}
        token |= kept
        if not kept:
            dropped.append(name)
    return token, dropped


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    return value if isinstance(value, str) and value.strip() else None


def _vschar(value: Any) -> Any:
    return value if is_vschar(value) else None


def _scope(value: Any) -> Any:
    is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value if is_list else _text(value)


def _lifetime(value: Any) -> Any:
    seconds = seconds_of(value)
    # Of a token that nobody could use, the end is left open: some mean that it never ends.
    return int(seconds) if seconds is not None and 1 <= seconds <= _LONGEST_LIFE else None


def _end(value: Any) -> Any:
    moment = moment_of(value)
    return moment if moment is not None and 0 < moment < math.inf else None


_SANE: dict[str, Callable[[Any], Any]] = {
    "access_token": _vschar,
    "refresh_token": usable_refresh_token,
    "token_type": _text,
    "expires_in": _lifetime,
    "expires_at": _end,
    "scope": _scope,
    "id_token": _text,
}
