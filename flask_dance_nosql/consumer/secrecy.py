"""Which texts of a token, an answer, a request or a setting are secret."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests import PreparedRequest

_LONGEST_READ = 100_000
_DEEPEST = 20


def decoded(octets: bytes) -> str:
    """Return bytes as text, whatever encoding they are in."""
    try:
        return octets.decode()
    except ValueError:
        return octets.decode("latin-1")


def secret_texts(secret: object) -> Iterable[str]:
    """Return the secrets that are in a value."""
    if isinstance(secret, str):
        return [secret]
    if isinstance(secret, bytes):
        return [decoded(secret)]
    if isinstance(secret, Mapping | list):
        return _in_fields([("", secret)], _is_secret)
    if isinstance(secret, PreparedRequest):
        return _in_request(secret)
    # What authenticates a request may be any function or object.
    return texts_in(getattr(secret, "__dict__", {})) if callable(secret) else []


def texts_in(settings: Mapping[str, Any]) -> list[str]:
    """Return all the texts of settings that may be secret, by whatever name."""
    return list(_in_fields(settings.items(), lambda name: str(name).lower() not in _PUBLIC))


def _in_fields(
    fields: Iterable[tuple[object, Any]], is_secret: Callable[[object], bool], depth: int = _DEEPEST
) -> Iterator[str]:
    for name, value in fields:
        if isinstance(value, str | bytes):
            yield from secret_texts(value) if is_secret(name) else ()
        elif isinstance(value, Mapping | list | tuple) and depth:
            # The items of a list are what the list is.
            items = value.items() if isinstance(value, Mapping) else ((name, v) for v in value)
            yield from _in_fields(items, is_secret, depth - 1)


def _is_secret(name: object) -> bool:
    """Whether what has this name in a token, an answer or a setting is a secret."""
    text = str(name).lower()
    if "error" in text or text.endswith(("_type", "_type_hint", "_method")):
        return False
    return any(part in text for part in _SECRET_NAMES)


_SECRET_NAMES = (
    *("token", "secret", "password", "key", "verifier", "assertion", "signature", "authorization"),
)


def _is_secret_parameter(name: object) -> bool:
    """Whether it is one in a request, where a code is no error code."""
    return name in ("code", "state") or _is_secret(name)


def _in_request(request: PreparedRequest) -> Iterator[str]:
    """Yield the secrets that a request was sent with, whoever has put them there."""
    sent = request.body[:_LONGEST_READ] if isinstance(request.body, str | bytes) else ""
    body = sent if isinstance(sent, str) else decoded(sent)
    pairs = parse_qsl(body) + parse_qsl(urlsplit(request.url or "").query)
    yield from _in_fields(pairs, _is_secret_parameter)
    with suppress(ValueError, RecursionError):
        yield from secret_texts(json.loads(body) if body.startswith("{") else None)
    for name, value in (request.headers or {}).items():
        text = decoded(value) if isinstance(value, bytes) else str(value)
        if name.lower() not in _COMMON_HEADERS:
            yield from (text, *text.split()[1:])
            yield from _in_fields(re.findall(r'([\w-]+)="([^"]*)"', text), _is_secret_parameter)
            if text.lower().startswith("basic "):
                yield _password_in(text[6:])


def _password_in(credentials: str) -> str:
    """Return the password of HTTP Basic. Source: RFC 7617."""
    try:
        return decoded(base64.b64decode(credentials)).partition(":")[2]
    except (ValueError, binascii.Error):
        return ""


_COMMON_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "connection", "content-length"),
        *("content-type", "host", "user-agent"),
    }
)
_PUBLIC = _COMMON_HEADERS | {
    *("client_id", "username", "scope", "audience", "resource", "grant_type", "redirect_uri"),
    *("client_assertion_type", "verify", "cert", "token_endpoint_auth_method"),
}
