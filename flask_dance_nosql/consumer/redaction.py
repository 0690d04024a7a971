"""Text that comes from outside, made fit to be shown: short, on one line, and without secrets."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

MAX_TEXT = 300
"""How many characters are shown of a foreign text."""

# Less than this is in any text by chance, and nobody's secret.
_SHORTEST = 4
# Of a long secret that is escaped, the beginning is looked for; with it goes what follows at once.
_LONGEST = 128
_BEGINNING = 48
_MARKS = "%\\&+"
_LONGEST_LOOKED_AT = 5_000
_DEPTH = 4
_ITEMS = 10
_MESSAGES = ("message", "error_description", "description", "detail", "details", "error", "code")


class Redactor:
    """Makes foreign values into text that may be logged, signalled and raised.

    The text has at most 300 characters, all of them printable, and ``***`` in place of each secret:
    as it is, escaped for JSON, Python, HTML or a URL, or within base64, as in an Authorization
    header.

    Args:
        *secrets: What must not be shown. ``None`` and what is shorter than four characters is
            passed over.
    """

    def __init__(self, *secrets: object) -> None:
        known = {text for each in secrets for text in _texts_of(each)}
        # The longest first: one secret may be the beginning of another.
        self._known = sorted(known, key=len, reverse=True)
        # They are made when they are needed: the second is needed seldom, and takes milliseconds.
        self._plain: re.Pattern[str] | None = None
        self._escaped: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._known)} secrets>"

    def knowing(self, *secrets: object) -> Redactor:
        """Return one that also knows these secrets."""
        return Redactor(*self._known, *secrets)

    def text(self, value: object) -> str | None:
        """Return a foreign value as text, or ``None`` if it says nothing.

        Of a list its items are told, and of a dict its message if it has one.
        """
        whole = self._hide(_told(value, _DEPTH))[:_LONGEST_LOOKED_AT]
        if not (whole.isascii() and whole.isprintable()):
            parts = (c if c.isprintable() else " " if _is_gap(c) else "" for c in whole)
            # What stood in the midst of a secret is gone now.
            whole = self._hide("".join(parts))
        whole = " ".join(whole.split())
        if len(whole) > MAX_TEXT:
            whole = whole[: MAX_TEXT - 3] + "..."
        return whole or None

    def finds(self, text: str) -> bool:
        """Whether a text has one of the secrets in it, in whatever form."""
        return self._hide(text) != text

    def url(self, value: object) -> str | None:
        """Return the address of a web page, or ``None`` if a value is none that may be shown.

        Source: RFC 6749 appendix A.9 for its characters.
        """
        if not isinstance(value, str) or self.text(value) != value or not value.isascii():
            return None
        try:
            parts = urlsplit(value)
        except ValueError:
            return None
        is_page = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        return value if is_page and not re.search(r'[\s"\\<>]', value) else None

    def _hide(self, text: str) -> str:
        if not self._known:
            return text
        if self._plain is None:
            forms = [re.escape(secret) for secret in self._known]
            forms += [form for secret in self._known for form in _forms_in_base64(secret)]
            self._plain = re.compile("|".join(forms), re.IGNORECASE)
        text = self._plain.sub("***", text)
        if not any(mark in text for mark in _MARKS):
            return text
        if self._escaped is None:
            forms = [_escaped(secret) for secret in self._known]
            self._escaped = re.compile("|".join(forms), re.IGNORECASE)
        return self._escaped.sub("***", text)


def _texts_of(secret: object) -> list[str]:
    if isinstance(secret, bytes):
        secret = secret.decode("latin-1")
    return [secret] if isinstance(secret, str) and len(secret) >= _SHORTEST else []


def _escaped(secret: str) -> str:
    """Return a pattern of a secret of which some characters or all are escaped."""
    if len(secret) > _LONGEST:
        return _escaped(secret[:_BEGINNING]) + r"[^\s\"'<>]*"
    return "".join(map(_escaped_part, re.findall(r"\\+|[^\\]", secret)))


def _escaped_part(part: str) -> str:
    """Return a pattern of a character as it is, and escaped for a URL, JSON, Python or HTML.

    Backslashes come as one part, and are never tried in another number: a text full of them would
    take for ever.
    """
    if part[0] == "\\":
        codes = r"%(?:25)?5c|&\#0*92;?|&\#x0*5c;?|\\{1,4}+(?:u005c|x5c)"
        return rf"(?:\\{{{len(part)},{4 * len(part)}}}+|(?:{codes}){{{len(part)}}})"
    code = ord(part)
    forms = [
        re.escape(part) if part.isalnum() else rf"\\{{0,4}}+{re.escape(part)}",
        "".join(rf"%(?:25)?{byte:02x}" for byte in part.encode("utf-8", "surrogatepass")),
        rf"\\{{1,4}}+(?:u{code:04x}|U{code:08x}{f'|x{code:02x}' if code <= 0xFF else ''})",
        rf"&\#0*{code};?",
        rf"&\#x0*{code:x};?",
    ]
    if code > 0xFFFF:
        pair = part.encode("utf-16-be").hex()
        forms.append(rf"\\{{1,4}}+u{pair[:4]}\\{{1,4}}+u{pair[4:]}")
    named = html.escape(part)
    more = {" ": ["+"], "'": ["&apos;", named]}.get(part, [] if named == part else [named])
    return f"(?:{'|'.join(forms + [re.escape(each) for each in more])})"


def _forms_in_base64(secret: str) -> list[str]:
    """Return patterns of what base64 of any text has in it, if the text has a secret in it."""
    encoded = secret.encode("utf-8", "surrogatepass")
    found = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + encoded).decode().rstrip("=")
        # The characters at both ends depend on what stands there, too.
        first = math.ceil(before * 8 / 6)
        last = (before + len(encoded)) * 8 // 6
        if last - first >= 5:
            both = re.escape(text[first:last]).replace(r"\+", "[+-]").replace("/", "[/_]")
            found.append(both + "[a-z0-9+/_-]?=*")
    return found


def _is_gap(character: str) -> bool:
    return character.isspace() or character < " " or "\x7f" <= character <= "\x9f"


def _told(value: object, depth: int) -> str:
    """Return what a value tells."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _told_of_many(value, depth - 1) if depth else ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return "" if value is None else str(value)
    except ValueError:
        return f"a very long {type(value).__name__}"


def _told_of_many(value: Any, depth: int) -> str:
    if not isinstance(value, Mapping):
        return ", ".join(_told(item, depth) for item in list(value)[:_ITEMS])
    message = next((value[name] for name in _MESSAGES if value.get(name)), None)
    if message is not None:
        return _told(message, depth)
    items = list(value.items())[:_ITEMS]
    return ", ".join(f"{_told(name, 0)}: {_told(item, depth)}" for name, item in items)


def issued_in(fields: Mapping[str, Any]) -> list[Any]:
    """Return the secrets that an answer issues."""
    return [fields.get(name) for name in _ISSUED]


_ISSUED = (
    *("access_token", "refresh_token", "id_token", "mac_key"),
    *("oauth_token", "oauth_token_secret"),
)


def secrets_of(values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[str]:
    """Return those values that are secrets by their names, as parameters of OAuth are named."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return [value for name, value in pairs if _is_secret(name) and isinstance(value, str)]


def _is_secret(name: object) -> bool:
    text = str(name).lower()
    if text in ("token_type", "token_type_hint", "issued_token_type", "expires_in"):
        return False
    return text in ("code", "assertion", "state") or any(
        part in text for part in ("token", "secret", "password", "verifier", "assertion", "key")
    )
