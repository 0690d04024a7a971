"""What inputs are made of: texts with a liking for trouble, and values of JSON at odd places."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .site import CLIENT_SECRET, CODE, Body

_SECRETS = [CODE, CLIENT_SECRET]
PIECES = [
    *_SECRETS,
    *map(quote_plus, _SECRETS),
    *(quote(each, safe="") for each in _SECRETS),
    "\n",
    "\r\nERROR flask_dance_nosql: ",
    "\0",
    "\x1b[31m",
    "\u2028",
    "\ud800",
    "é😀",
    "//evil.example/",
    "\\\\evil.example",
    "https://evil.example/",
    "javascript:alert(1)",
    "%s %d %(x)s {0}",
    "<b>",
    "$ne",
    "'\"\\",
    " ",
]
_LONG = {"x": 400, "y": 50_000}

# By their letters, so that Hypothesis does not handle them while it makes up others.
_pieces = st.sampled_from([*PIECES * 2, *_LONG]).map(lambda piece: piece * _LONG.get(piece, 1))

texts: SearchStrategy[str] = (
    _pieces | st.text(max_size=5) | st.lists(_pieces, min_size=2, max_size=3).map("".join)
)
"""Texts, many of which have a secret, a line break or an address in them."""

_NUMBERS = [0, 1, -1, 3600, 2**31, 2**63, 10**400, 0.5, 1e308, math.nan, math.inf, -math.inf]
_VALUES = [
    *(None, True, False, "", "0", "3600", "3600.0", "1e9", "never", [], {}, [[]], [None], [5]),
    *_NUMBERS,
    *_NUMBERS,
]

odd: SearchStrategy[Any] = (
    st.sampled_from(_VALUES)
    | texts
    | texts.map(lambda text: [text])
    | st.builds(lambda name, text: {name: text, "code": 100}, texts | st.just("message"), texts)
)
"""Any value of JSON, and numbers that JSON does not have."""


def changes(*names: str, most: int = 3) -> SearchStrategy[dict[str, Any]]:
    """Return changes of some fields of a record; ``...`` means that a field is taken away."""
    field = st.sampled_from([*names * 4, ""]).flatmap(lambda name: st.just(name) if name else texts)
    return st.dictionaries(field, odd | odd | st.just(...), max_size=most)


def with_changes(record: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a record with changes."""
    return {name: value for name, value in {**record, **changed}.items() if value is not ...}


def as_json(value: Any) -> bytes:
    """Return a value as JSON text, in which lone surrogates are escaped."""
    return json.dumps(value).encode()


_RAW = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"text"',
    "cut": b'{"access_token": "at',
    "no text": b"\xff\xfe",
    "marked": b"\xef\xbb\xbf{}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "long number": b'{"access_token": "a", "expires_in": ' + b"9" * 5000 + b"}",
    "page": b"<html>" + CODE.encode() + b"</html>",
}
raw_bytes = st.binary(max_size=20) | st.sampled_from(list(_RAW)).map(lambda name: Body(_RAW[name]))
"""Bytes that are seldom what is expected."""
