"""What Hypothesis makes up: tokens, texts that are hard to encode, and keys."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from flask_dance_nosql.consumer.backend import TokenKey

HARD = [
    "$ne",
    "a.b",
    "$",
    ".",
    "",
    "\0",
    "__proto__",
    "_id",
    "é",
    "😀",
    "\u2028",
    "%3A",
    '"\\',
    "{}",
    ":",
]
EDGES = [2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**40]

any_text = st.text(max_size=20) | st.sampled_from(HARD)
"""Valid Unicode, with a liking for what a database could take for syntax."""

numbers = st.integers() | st.sampled_from(EDGES) | st.floats(allow_nan=False, allow_infinity=False)

json_values = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)

tokens = st.dictionaries(any_text, json_values, max_size=6)
"""Any JSON object."""

collision_prone = st.text(alphabet=":{}%u/ap.3A ~-_é😀\\\"'*", min_size=1, max_size=6)
"""Texts of few characters, which separators and escapes are made of."""

parts = (
    collision_prone
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    | st.sampled_from(["app", "u:1", "u", "1"])
)

keys = st.builds(TokenKey, parts, st.none() | parts, st.none() | parts)
"""Keys, many of which nearly collide, with and without an account."""


def exact(value: Any) -> str:
    """Return a text that is equal for two JSON values only if types, order and digits are, too."""
    return json.dumps(value)


def nested(levels: int) -> dict[str, Any]:
    """Return a token of this many levels of objects."""
    token: dict[str, Any] = {}
    for _ in range(levels - 1):
        token = {"in": token}
    return token
