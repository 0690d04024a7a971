"""Shows JSON and ID tokens to people: secrets masked, colours by kind."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

SECRETS = {"access_token", "refresh_token", "id_token", "id_token_seal"}

_PIECE = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*"(?=:))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)'
)
_LIST_OF_SCALARS = re.compile(r"\[\n([^][{}]*)\n *\]")


def signing_key(id_token: str) -> str:
    """Return which key has signed an ID token that is known to be valid."""
    header = id_token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(f"{header}=="))["kid"])


def masked(value: Any) -> Any:
    """Return a copy of JSON-like data in which no token can be read."""
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _mask(item) if name in SECRETS else masked(item) for name, item in value.items()
        }
    return value


def _mask(secret: Any) -> Any:
    return f"{secret[:4]}…" if isinstance(secret, str) else masked(secret)


def json_markup(value: Any) -> Markup:
    """Return indented JSON as HTML, each piece in a ``<span>`` of its kind."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    text = _LIST_OF_SCALARS.sub(lambda found: f"[{_on_one_line(found[1])}]", text)
    parts: list[str | Markup] = []
    end = 0
    for piece in _PIECE.finditer(text):
        parts += [text[end : piece.start()], _span(piece.lastgroup, piece.group())]
        end = piece.end()
    return Markup("").join([escape(part) for part in [*parts, text[end:]]])


def _on_one_line(lines: str) -> str:
    return " ".join(line.lstrip() for line in lines.split("\n"))


def _span(kind: str | None, text: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(kind, text)


def _plain(value: Any) -> str:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)
