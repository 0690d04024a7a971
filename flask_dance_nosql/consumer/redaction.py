"""Text that comes from outside, made fit to be shown: short, on one line, and without secrets."""

from __future__ import annotations

import base64
import html
import json
import math
import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from os.path import commonprefix  # of any texts, in spite of its place
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes, urlsplit

from .secrecy import decoded, secret_texts

MAX_TEXT = 300
"""How many characters are shown of a foreign text."""

# Less than this is in any text by chance, and nobody's secret.
_SHORTEST = 4
# From this length on a secret is found also where white space was put into it.
_LONG = 8
# Of a longer secret the beginning is looked for; with it goes what follows of the secret.
_BEGINNING = 48
_MOST_SECRETS = 500
# How many characters of all secrets together are searched for.
_MOST_SEARCHED_FOR = 50_000
# How much of a text is put on one line, and how much of that is searched.
_LONGEST_READ = 100_000
_LONGEST_SEARCHED = 4_000
# What is cut off at the end of what is searched could be a part of a secret.
_UNCERTAIN = 1_000
_DEPTH = 4
_ITEMS = 10

MESSAGES = (
    *("error_description", "error_message", "errorMessage", "message", "errmsg"),
    *("detail", "details", "description"),
)
"""The names of fields in which providers say for people what is wrong, the first of them first."""


class Redactor:
    """Makes foreign values into text that may be logged, signalled and raised.

    The text has at most 300 characters, all of them printable, and ``***`` in place of each secret:
    as it is, escaped for JSON, Python, HTML or a URL, broken over lines, or within base64, as in an
    Authorization header. What was encoded in another way is not found, such as hexadecimal digits,
    octal escapes, base64 within base64, escapes of one kind within another, or the secret
    backwards.

    Args:
        *secrets: What must not be shown: texts and bytes; of a mapping, such as a token, and of a
            list of them, the values that are secrets by their names, however deep; of a request all
            that could be one; of an authentication of requests its attributes. What is shorter than
            four characters, and anything else, is passed over.
    """

    def __init__(self, *secrets: object) -> None:
        found = (text for each in secrets for text in secret_texts(each) if len(text) >= _SHORTEST)
        self._known: set[str] = set()
        room = _MOST_SEARCHED_FOR
        for text in islice(found, _MOST_SECRETS):
            # Those that are known from before come first.
            room -= 0 if text in self._known else len(text[:_LONGEST_SEARCHED])
            if room >= 0:
                self._known.add(text)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._known)} secrets>"

    def knowing(self, *secrets: object) -> Redactor:
        """Return one that also knows these secrets."""
        return Redactor(*self._known, *secrets)

    def text(self, value: object) -> str | None:
        """Return a foreign value as text, or ``None`` if it says nothing.

        Of a list its items are told, and of a dict its message if it has one.
        """
        line = _told(value, _DEPTH)[:_LONGEST_READ]
        if not (line.isascii() and line.isprintable()):
            line = "".join(c if c.isprintable() else " " if _is_gap(c) else "" for c in line)
        line = " ".join(line.split())
        end = len(line) if len(line) <= _LONGEST_SEARCHED else _LONGEST_SEARCHED - _UNCERTAIN
        parts, shown_to = [], 0
        for start, stop in self._spans(line[:_LONGEST_SEARCHED]):
            parts += [line[shown_to : min(start, end)], "***"] if start < end else []
            shown_to = stop
        whole = "".join([*parts, line[shown_to:end]])
        if len(whole) > MAX_TEXT or end < len(line):
            whole = whole[: MAX_TEXT - 3] + "..."
        return whole or None

    def finds(self, text: str) -> bool:
        """Whether a text has one of the secrets in it, in whatever form."""
        return bool(self._known) and bool(self._spans(text))

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

    @cached_property
    def _forms(self) -> tuple[_Forms, _Forms, _Forms]:
        """The secrets as they are, their letters and digits, and those of them in base64."""
        secrets = [secret[:_LONGEST_SEARCHED] for secret in self._known]
        plain = {form for secret in secrets for form in _plain_forms(secret)}
        bare = {form for secret in secrets for form in _bare_forms(secret)}
        encoded = {form for secret in secrets for form in _forms_in_base64(secret)}
        return _by_beginning(plain), _by_beginning(bare), _by_beginning(encoded)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets are in a text, in order; none overlaps another."""
        if not self._known:
            return []
        plain, bare, encoded = self._forms
        read = _Bare(text)
        found = list(_places(_lower(text), plain))
        for forms in (bare, encoded):
            for first, last in _places(read.text, forms):
                start, stop = read.span(first, last)
                if forms is encoded:
                    stop = _BASE64.match(text, stop).end()  # type: ignore[union-attr] # any will do
                if last - first >= _LONG or not any(map(str.isspace, text[start:stop])):
                    found.append((start, stop))
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged


# The beginnings of secrets, each with what comes after it in the secrets that begin so, sorted.
_Forms = dict[str, list[str]]


def _by_beginning(forms: Iterable[str]) -> _Forms:
    found: _Forms = {}
    for form in sorted(forms):
        if len(form) >= _SHORTEST:
            found.setdefault(form[:_BEGINNING], []).append(form[_BEGINNING:])
    return found


def _places(text: str, forms: _Forms) -> Iterator[tuple[int, int]]:
    """Yield where a form of a secret begins and ends in a text, or the beginning of a long one."""
    for beginning, rests in forms.items():
        at = 0
        while (at := text.find(beginning, at)) >= 0:
            stop = at + len(beginning)
            follows = text[stop : stop + _LONGEST_SEARCHED] if rests[-1] else ""
            # What has most in common with it is next to it in order.
            near = bisect(rests, follows)
            nearest = rests[max(near - 1, 0) : near + 1]
            common = max(len(commonprefix((follows, rest))) for rest in nearest)  # noqa: RUF071 - no paths
            yield at, stop + common
            # What is in common by chance may be the beginning of the next secret.
            at = stop


def _lower(text: str) -> str:
    """Return a text in lower case, of the same length."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower()[:1] for c in text)


_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*=*")

# What is escaped, and what is not and counts. No part can be tried at a place in many ways.
_PART = re.compile(
    r"""
    (?P<quoted>(?:%(?:25)*[0-9A-Fa-f]{2})+)
    | \\++(?:(?P<code>u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2})|[nrtbfv0])?
    | &(?:amp;)*+(?P<entity>
        \#0*+[0-9]{1,7};? | \#[xX]0*+[0-9A-Fa-f]{1,6};? | [A-Za-z][A-Za-z0-9]{1,30};
      )?
    | (?P<bare>[^\W_]+)
    """,
    re.VERBOSE,
)


class _Bare:
    """The letters and digits of a text in lower case, with escapes undone, and where they are.

    In this form a secret is the same however it was escaped, quoted or broken over lines.
    """

    def __init__(self, text: str) -> None:
        parts: list[str] = []
        self._starts: list[int] = []
        self._stops: list[int] = []
        for part in _PART.finditer(text):
            start, stop = part.span()
            if part["bare"] is not None and part["bare"].isascii():
                parts.append(part["bare"].lower())
                self._starts += range(start, stop)
                self._stops += range(start + 1, stop + 1)
                continue
            is_bare = part["bare"] is not None
            for index, character in enumerate(_unescaped(part)):
                # What is beyond is written as two characters by some, which are no letters.
                kept = "" if character > "\uffff" else character.casefold()
                for each in filter(str.isalnum, kept):
                    parts.append(each)
                    self._starts.append(start + index if is_bare else start)
                    self._stops.append(start + index + 1 if is_bare else stop)
        self.text = "".join(parts)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return where in the text a part of this form begins and ends."""
        return self._starts[first], self._stops[last - 1]


def _unescaped(part: re.Match[str]) -> str:
    if part["bare"] is not None:
        return part["bare"]
    if part["quoted"] is not None:
        octets = unquote_to_bytes(re.sub("%(?:25)+(?=[0-9A-Fa-f]{2})", "%", part["quoted"]))
        return decoded(octets)
    if part["code"] is not None:
        code = int(part["code"][1:], 16)
        return chr(code) if code <= 0xFFFF else ""
    return html.unescape(f"&{part['entity']}") if part["entity"] else ""


def _plain_forms(secret: str) -> set[str]:
    """Return a secret as it may be written as a whole."""
    forms = {secret}
    if sum(map(str.isalnum, secret)) < _LONG:
        # Its letters and digits alone are too few to be found by.
        forms |= {code(secret, safe="", errors="replace") for code in (quote, quote_plus)}
        forms |= {html.escape(secret), html.escape(secret, quote=False)}
        forms |= {json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        forms |= {"".join(c if c.isalnum() else f"&#{ord(c)};" for c in secret)}
    return set(map(_lower, forms))


def _bare_forms(secret: str) -> set[str]:
    """Return the letters and digits that a text may have in it, if it has a secret in it."""
    # A secret may have in it what looks like an escape, which some escape again.
    letters = "".join(filter(str.isalnum, secret.casefold()))
    if secret.isascii():
        return {letters, _Bare(secret).text}
    octets = secret.encode(errors="replace")
    # Its bytes may be shown one by one, or read as another encoding, and its accents apart.
    spelled = {octets.decode(code, "replace") for code in ("latin-1", "cp1252")}
    spelled |= {unicodedata.normalize(form, secret) for form in ("NFC", "NFD")}
    return {letters, *(_Bare(each).text for each in {secret, *spelled})}


def _forms_in_base64(secret: str) -> Iterator[str]:
    """Yield what base64 of any text has in it, if the text has a secret in it."""
    octets = {secret.encode(errors="surrogatepass"), secret.encode("latin-1", "replace")}
    # Source: RFC 6749 section 2.3.1, of credentials for HTTP Basic.
    octets |= {code(secret, safe="", errors="replace").encode() for code in (quote, quote_plus)}
    for encoded in octets:
        for before in range(3):
            text = base64.b64encode(bytes(before) + encoded).decode().rstrip("=")
            # The characters at both ends depend on what stands there, too.
            first = math.ceil(before * 8 / 6)
            last = (before + len(encoded)) * 8 // 6
            form = re.sub("[^a-z0-9]", "", text[first:last].lower())
            if len(form) > _SHORTEST:
                yield form


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
    message = next((value[name] for name in (*MESSAGES, "error", "code") if value.get(name)), None)
    if message is not None:
        return _told(message, depth)
    items = list(value.items())[:_ITEMS]
    return ", ".join(f"{_told(name, 0)}: {_told(item, depth)}" for name, item in items)
