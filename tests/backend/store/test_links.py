"""An account at a provider is linked to one user, whatever goes wrong meanwhile."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec.structs import replace

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.store import links
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    AccountAlreadyLinked,
    BackendError,
    BackendUnavailable,
    CorruptToken,
    VersionConflict,
)
from flask_dance_nosql.testing import make_document

ONE, TWO = TokenKey("acme", "1"), TokenKey("acme", "2")
ENTRY = TokenKey(".linked.acme", ".linked.A")


def linked(key: TokenKey, account: str = "A") -> TokenDocument:
    """Make a document with an account."""
    return replace(make_document(key), provider_user_id=account)


class Troubled(MemoryStore):
    """A store in which something can be made to go wrong.

    Attributes:
        corrupt: Keys whose documents can't be read.
        refuses: Operations that fail, each with its error.
        before_save: What happens before a document of a user is saved, once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.corrupt_keys: set[TokenKey] = set()
        self.refuses: dict[str, BackendError] = {}
        self.before_save: Any = None
        self.is_locking = True

    def _try(self, operation: str) -> None:
        if operation in self.refuses:
            raise self.refuses[operation]

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        if key in self.corrupt_keys:
            raise CorruptToken("load_fresh", "Troubled", key.provider, key.user_id, "it is odd")
        return super().load_fresh(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        happens = self.before_save
        if happens is not None and document.key == ONE:
            self.before_save = None
            happens()
        self._try("save" if document.key in (ONE, TWO) else "save entry")
        if if_version is None:
            self.corrupt_keys.discard(document.key)
        elif document.key in self.corrupt_keys:
            raise self.conflict("save", document.key)
        return super().save(document, if_version)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        self._try("acquire")
        return super().acquire(key, holder, seconds) if self.is_locking else True

    def release(self, key: TokenKey, holder: str) -> None:
        self._try("release")
        super().release(key, holder)


@pytest.fixture
def store() -> Troubled:
    """An empty store."""
    return Troubled()


def test_a_lock_that_was_lost(store: Troubled) -> None:
    """Who is overtaken before the token is stored stores nothing, and the other has the account."""
    store.is_locking = False
    store.before_save = lambda: store.link(linked(TWO))
    with pytest.raises(AccountAlreadyLinked):
        store.link(linked(ONE))
    assert store.linked("acme", "A") == TWO
    assert [document.key for document in store.scan()] == [TWO]


def test_an_entry_that_can_not_be_read(store: Troubled) -> None:
    """It names nobody, and the next link replaces it."""
    store.link(linked(ONE))
    store.delete(ONE)
    store.corrupt_keys = {ENTRY}
    assert store.linked("acme", "A") is None
    store.link(linked(TWO))
    assert store.linked("acme", "A") == TWO


@pytest.mark.parametrize("token", [{}, {"user_id": {}, "account": None}, {"user_id": 5}])
def test_an_entry_that_names_nobody(store: Troubled, token: dict[str, Any]) -> None:
    """So does one with something else in it."""
    store.save(make_document(ENTRY, token))
    assert store.linked("acme", "A") is None
    store.link(linked(ONE))
    assert store.linked("acme", "A") == ONE


def test_a_token_that_can_not_be_read_keeps_its_account(store: Troubled) -> None:
    """Nobody takes the account of a user whose record is broken; they get well themselves."""
    store.link(linked(ONE))
    store.corrupt_keys = {ONE}
    with pytest.raises(AccountAlreadyLinked):
        store.link(linked(TWO))
    store.unlink(ONE, "A")
    assert store.linked("acme", "A") == ONE
    store.link(linked(ONE))
    assert store.load(ONE) is not None


@pytest.mark.parametrize("operation", ["acquire", "save entry", "save"])
def test_a_store_that_does_not_answer(store: Troubled, operation: str) -> None:
    """The error is told, and whoever comes next has the account."""
    store.refuses = {operation: BackendUnavailable("acquire", "Troubled")}
    with pytest.raises(BackendUnavailable):
        store.link(linked(ONE))
    assert list(store.scan()) == []
    store.refuses = {}
    store.link(linked(TWO))
    assert store.linked("acme", "A") == TWO


def test_a_lock_that_is_not_released(store: Troubled, caplog: pytest.LogCaptureFixture) -> None:
    """What was done under it is done."""
    store.refuses = {"release": BackendUnavailable("release", "Troubled")}
    store.link(linked(ONE))
    assert store.linked("acme", "A") == ONE
    assert "could not be released" in caplog.text


def test_a_store_without_locks(store: Troubled, caplog: pytest.LogCaptureFixture) -> None:
    """Versions are compared all the same."""
    store.refuses = {"acquire": BackendError("acquire", "Troubled", "it has none")}
    with caplog.at_level(logging.WARNING):
        store.link(linked(ONE))
        with pytest.raises(AccountAlreadyLinked):
            store.link(linked(TWO))
    assert "without a lock" in caplog.text


def test_others_take_too_long(store: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is not free in time is an outage, and no answer to whose account it is."""
    monkeypatch.setattr(links, "_WAIT_SECONDS", 0.0)
    assert store.lock(ENTRY) is not None
    with pytest.raises(BackendUnavailable, match="too long"):
        store.link(linked(ONE))
    assert list(store.scan()) == []


def test_entries_that_change_all_the_time(store: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never gets at an entry gives up."""
    save = store.save

    def refuse(document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        if document.key == ENTRY:
            raise VersionConflict("save", "Troubled", "acme", None)
        return save(document, if_version)

    monkeypatch.setattr(store, "save", refuse)
    with pytest.raises(BackendUnavailable):
        store.link(linked(ONE))


def test_two_documents_of_one_user(store: Troubled) -> None:
    """Two accounts of a user here can't be one account there, either."""
    store.link(linked(TokenKey("acme", "1", "x")))
    with pytest.raises(AccountAlreadyLinked):
        store.link(linked(TokenKey("acme", "1", "y")))


def test_an_error_shows_no_id(store: Troubled) -> None:
    """The message tells neither whose account it is nor which."""
    store.link(linked(ONE, "account-4711"))
    with pytest.raises(AccountAlreadyLinked) as caught:
        store.link(linked(TWO, "account-4711"))
    assert "4711" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
