"""Keys, tokens and documents to test stores with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .. import clock
from ..consumer.backend.store.document import TokenDocument, TokenKey

R = TypeVar("R")

KEY = TokenKey("provider", "42")
TOKEN = {"access_token": "at", "refresh_token": "rt", "expires_at": 1_700_000_000.5}
HOSTILE = "AaBb09:|{}%/\\ \n.$*?[]\u00e9\u6f22\U0001f511"


def make_document(
    key: TokenKey = KEY, token: dict[str, Any] | None = None, seconds: float | None = None
) -> TokenDocument:
    """Make a document to save.

    Args:
        key: Whose token.
        token: The token; default: one with all the usual fields.
        seconds: After how many seconds from now the record ends; ``None`` for never.
    """
    now = clock.now()
    return TokenDocument(
        provider=key.provider,
        user_id=key.user_id,
        account=key.account,
        token=dict(TOKEN) if token is None else token,
        created_at=now,
        updated_at=now,
        expires_at=None if seconds is None else now + timedelta(seconds=seconds),
    )


def at_once(count: int, work: Callable[[int], R]) -> list[R]:
    """Run ``work(0)`` to ``work(count - 1)`` in as many threads, begun together.

    Returns:
        What they returned, in order.
    """
    barrier = threading.Barrier(count)

    def begin(number: int) -> R:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def json_values() -> SearchStrategy[Any]:
    """Return a Hypothesis strategy of values that JSON can hold, among them awkward ones."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    names = text | st.sampled_from(["", ".", "$", "a.b", "$set", "\0", "_id", "__proto__"])
    numbers = st.integers() | st.integers(min_value=2**62) | st.integers(max_value=-(2**63) - 1)
    leaves: SearchStrategy[Any] = st.none() | st.booleans() | numbers | text
    leaves |= st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def tokens() -> SearchStrategy[dict[str, Any]]:
    """Return a Hypothesis strategy of tokens."""
    names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    return st.dictionaries(names, json_values(), max_size=3)


def keys() -> SearchStrategy[TokenKey]:
    """Return a Hypothesis strategy of keys, with characters that need care somewhere."""
    text = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=6)
    return st.builds(TokenKey, text, st.none() | text)


def pairs_of_accounts() -> SearchStrategy[tuple[TokenKey, TokenKey]]:
    """Return a Hypothesis strategy of pairs of different keys, of which some have an account."""
    text = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=6)
    pairs: SearchStrategy[tuple[TokenKey, TokenKey]] = st.tuples(
        *[st.builds(TokenKey, text, st.none() | text, st.none() | text)] * 2
    )
    alike: list[Callable[[str, str, str], tuple[TokenKey, TokenKey]]] = [
        lambda a, b, c: (TokenKey(a, b), TokenKey(a, b, c)),
        lambda a, b, c: (TokenKey(a, None, c), TokenKey(a, b, c)),
        lambda a, b, c: (TokenKey(a, b, c), TokenKey(a, b, b + c)),
        lambda a, b, c: (TokenKey(a, b, c), TokenKey(a, f"{b}:a:{c}")),
        lambda a, b, c: (TokenKey(a, b, c), TokenKey(f"{a}:{c}", b)),
        lambda a, b, c: (TokenKey(a, b, c), TokenKey(a, c, b)),
        lambda a, b, c: (TokenKey(a, "app", c), TokenKey(f"{a}:{b}", None, c)),
    ]
    for make in alike:
        pairs |= st.builds(make, text, text, text)
    return pairs.filter(lambda pair: pair[0] != pair[1])


@cache
def hundred_account_pairs() -> list[tuple[TokenKey, TokenKey]]:
    """Return a hundred pairs of different keys, of which some have an account."""
    return _made(pairs_of_accounts(), 100)


@cache
def thousand_tokens() -> list[dict[str, Any]]:
    """Return a thousand tokens that Hypothesis has made: other ones in each process."""
    return _made(tokens(), 1000)


@cache
def hundred_pairs() -> list[tuple[TokenKey, TokenKey]]:
    """Return a hundred pairs of different keys, as :func:`thousand_tokens` does."""
    return _made(pairs_of_keys(), 100)


def pairs_of_keys() -> SearchStrategy[tuple[TokenKey, TokenKey]]:
    """Return a Hypothesis strategy of pairs of different keys, many of which are much alike."""
    text = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=6)
    pairs: SearchStrategy[tuple[TokenKey, TokenKey]] = st.tuples(keys(), keys())
    alike: list[Callable[[str, str, str], tuple[TokenKey, TokenKey]]] = [
        lambda a, b, c: (TokenKey(a, b), TokenKey(a, b + c)),
        lambda a, b, c: (TokenKey(a, c), TokenKey(a + b, c)),
        lambda a, b, c: (TokenKey(a, b + c), TokenKey(a + b, c)),
    ]
    for make in alike:
        pairs |= st.builds(make, text, text, text)
    return pairs.filter(lambda pair: pair[0] != pair[1])


def _made(strategy: SearchStrategy[R], count: int) -> list[R]:
    made: list[R] = []

    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(value: R) -> None:
        made.append(value)

    collect()
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal and of the same types."""
    # 1, 1.0 and True are equal and are not the same.
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
