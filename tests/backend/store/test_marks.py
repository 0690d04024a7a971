"""Names by which tokens are found, whatever goes wrong meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.backend.store.entries import marked_key, owner_of
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.testing import make_document

ONE, TWO = TokenKey("acme", "1"), TokenKey("acme", "2", "A")
ENTRY = marked_key("acme", "sid x", ONE)


@pytest.fixture
def store() -> MemoryStore:
    """A store with a token that has a name."""
    store = MemoryStore()
    store.mark(ONE, ["sid x"])
    store.save(make_document(ONE))
    return store


def test_what_is_gone_is_dropped_by_who_looks(store: MemoryStore) -> None:
    """A process that dies before it has forgotten a name leaves nothing for good."""
    store.delete(ONE)
    assert store.marked("acme", "sid x") == []
    assert store._documents == {}


def test_a_name_of_a_token_that_is_there_again_stays(store: MemoryStore) -> None:
    """A login that has come since has written its entry before its document."""
    store.delete(ONE)
    store.mark(ONE, ["sid x"])
    store.save(make_document(ONE))
    store.unmark(ONE, ["sid x", "sid y"])
    assert [each.key for each in store.marked("acme", "sid x")] == [ONE]


def test_a_login_between_two_steps_keeps_its_name(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has written is newer than what was to be removed."""
    store.delete(ONE)
    load = store.load_fresh

    def load_fresh(key: TokenKey) -> Any:
        found = load(key)
        if key == ONE:
            monkeypatch.undo()
            store.mark(ONE, ["sid x"])
            store.save(make_document(ONE))
        return found

    monkeypatch.setattr(store, "load_fresh", load_fresh)
    store.unmark(ONE, ["sid x"])
    assert [each.key for each in store.marked("acme", "sid x")] == [ONE]


def test_the_default_forgets_entries(store: MemoryStore) -> None:
    """A store that overrides nothing forgets those of the providers that are named."""

    class Plain(MemoryStore):
        unavailable_errors = (OSError,)
        keys = MemoryStore.__base__.keys  # type: ignore[union-attr] # the default
        forget = MemoryStore.__base__.forget  # type: ignore[union-attr] # the default

    plain = Plain()
    for key in (ONE, TWO):
        plain.mark(key, ["sid x"])
        plain.link(replace(make_document(key), provider_user_id=f"of {key.user_id}"))
    assert len(plain._documents) == 6
    plain.forget("1", [ONE])
    assert len(plain._documents) == 3
    assert [each.key for each in plain.marked("acme", "sid x")] == [TWO]


def test_an_odd_entry_names_nobody(store: MemoryStore) -> None:
    """It is dropped by who looks for its name."""
    entry = store._documents[ENTRY]
    for token in ({}, {"user_id": {"$ne": 1}, "account": None}, {"user_id": "", "account": 5.5}):
        odd = replace(entry, token=token)
        assert owner_of(odd) is None
        store._documents[ENTRY] = odd
        assert store.marked("acme", "sid x") == []
        assert ENTRY not in store._documents
    assert owner_of(make_document(ONE)) is None


def test_a_store_without_accounts_can_not_do_it() -> None:
    """The error says what to look at."""

    class Without(MemoryStore):
        require_accounts = MemoryStore.__base__.require_accounts  # type: ignore[union-attr] # the default

    with pytest.raises(ConfigurationError, match="several accounts"):
        Without().mark(ONE, ["sid x"])
