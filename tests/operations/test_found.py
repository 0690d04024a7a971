"""What results tell of the records that an operation has left takes bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenCipher, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.operations import compare_tokens, copy_tokens, reseal
from flask_dance_nosql.operations.found import LISTED, LeftRecords
from flask_dance_nosql.testing import make_document

from .places import key_of

COUNT = LISTED + 5


def plain() -> MemoryStore:
    """Make a store with records."""
    store = MemoryStore()
    for number in range(COUNT):
        store.save(make_document(key_of(number)))
    return store


def unreadable() -> UserScopedBackend:
    """Make a backend whose cipher opens none of its records."""
    return UserScopedBackend(plain(), cipher=TokenCipher(TokenCipher.generate_key()), user_id=1)


LEAVES: dict[str, Callable[[], LeftRecords]] = {
    "reseal": lambda: reseal(unreadable()).left,
    "copy": lambda: copy_tokens(unreadable(), MemoryStore()).left,
    "compare": lambda: compare_tokens(unreadable(), MemoryStore()).left,
    "differences": lambda: compare_tokens(plain(), MemoryStore()).differences,
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_thousand_are_listed_and_all_are_counted(name: str) -> None:
    """A database without its key has as many of them as records."""
    left: Any = LEAVES[name]()
    assert (len(left), left.total) == (LISTED, COUNT)
    assert [each.key for each in left[:2]] == [key_of(0), key_of(1)]
