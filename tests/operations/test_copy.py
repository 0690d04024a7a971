"""Copying tokens from one database to another, and comparing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import JSON, Engine, Integer, String
from sqlalchemy.orm import Session, mapped_column

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import (
    RefreshFailure,
    TenantCipher,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.moving import MovingStore
from flask_dance_nosql.errors import BackendError, BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations.comparing import compare_tokens
from flask_dance_nosql.operations.copying import copy_tokens
from flask_dance_nosql.testing import make_document

from ..backend.written import Base
from .places import EVERY_KIND, key_of, store_of_kind

LONG_AGO = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
FAILURE = RefreshFailure(count=2, since=LONG_AGO, next_try=LONG_AGO, reason="refused")


@pytest.fixture(params=EVERY_KIND)
def target(request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """A store of each kind, empty."""
    with store_of_kind(request.param, request) as store:
        yield store


def filled(count: int = 12) -> MemoryStore:
    """Make a store with tokens that were written long ago."""
    store = MemoryStore()
    for number in range(count):
        store.save_as(written(key_of(number), number))
    return store


def written(key: TokenKey, number: int = 0, **fields: Any) -> TokenDocument:
    """Make a document that another store has had for long."""
    document = make_document(key, {"access_token": f"at-{number}", "refresh_token": "rt"})
    given = {"version": 1000 + number, "created_at": LONG_AGO, "updated_at": LONG_AGO, **fields}
    return replace(document, **given)


def test_all_is_kept(target: TokenStore) -> None:
    """Token, dates, version, account and failure are in the target as they are in the source."""
    source, end = MemoryStore(), clock.now() + timedelta(days=1)
    document = written(
        key_of(1),
        updated_at=LONG_AGO + timedelta(days=1),
        expires_at=end,
        provider_user_id="7",
        refresh_failure=FAILURE,
    )
    source.put(document)
    result = copy_tokens(source, target)
    assert (result.records, result.copied, result.left) == (1, 1, [])
    assert target.load(key_of(1)) == source.load(key_of(1)) == document
    assert target.linked(document.provider, "7") == key_of(1)
    assert compare_tokens(source, target).is_complete


def test_a_second_run_copies_nothing(target: TokenStore) -> None:
    """What is there is passed over, and its version stays."""
    source = filled()
    assert copy_tokens(source, target).copied == 12
    before = {each.key: each.version for each in target.scan()}
    result = copy_tokens(source, target)
    assert (result.copied, result.same) == (0, 12)
    assert {each.key: each.version for each in target.scan()} == before


def test_newer_writes_win(target: TokenStore) -> None:
    """Of two records of one key the newer one is in the target at the end, whichever had it."""
    source = filled(2)
    copy_tokens(source, target)
    source.save(make_document(key_of(0), {"access_token": "newer here"}))
    target.save(make_document(key_of(1), {"access_token": "newer there"}))
    result = copy_tokens(source, target)
    assert (result.copied, result.newer) == (1, 1)
    found = {each.key: each.token["access_token"] for each in target.scan()}
    assert found == {key_of(0): "newer here", key_of(1): "newer there"}


def test_versions_never_go_backwards(target: TokenStore) -> None:
    """Who has read the target's record before it was replaced can't write with that version."""
    key = key_of(1)
    old = target.save(replace(written(key), updated_at=LONG_AGO - timedelta(days=1)))
    source = MemoryStore()
    source.save_as(written(key, version=3))
    copy_tokens(source, target)
    found = target.load(key)
    assert found is not None
    assert found.token == written(key).token
    assert found.version > old.version


def test_a_dry_run_writes_nothing(target: TokenStore) -> None:
    """It tells what would be copied."""
    result = copy_tokens(filled(), target, dry_run=True)
    assert (result.records, result.copied) == (12, 12)
    assert list(target.records()) == []


def test_only_a_provider(target: TokenStore) -> None:
    """With a provider, others are left out."""
    copy_tokens(filled(), target, provider="github")
    assert {each.provider for each in target.scan()} == {"github"}


def test_a_record_that_ended_is_left_out(target: TokenStore) -> None:
    """What the database would drop is not brought over."""
    source = MemoryStore()
    source.save_as(written(key_of(1), expires_at=LONG_AGO))
    assert copy_tokens(source, target).ended == 1
    assert list(target.records()) == []


def test_it_opens_with_one_cipher_and_seals_with_the_other(target: TokenStore) -> None:
    """Backends of different keys are copied, and who has the other key reads nothing."""
    ciphers = [TokenCipher(TokenCipher.generate_key()) for _ in range(2)]
    source = UserScopedBackend(MemoryStore(), cipher=ciphers[0], user_id=1)
    source.store.save(written(key_of(1)))
    there = UserScopedBackend(target, cipher=ciphers[1], user_id=1)
    assert copy_tokens(source, there).copied == 1
    found = there.store.load(key_of(1))
    assert found is not None
    assert found.token == written(key_of(1)).token
    sealed = target.load(key_of(1))
    assert sealed is not None
    assert list(sealed.token) == ["sealed"]


def test_what_can_not_be_read_is_listed() -> None:
    """It is counted, its key is told, the rest is copied, and nothing secret is in the reason."""
    inner = MemoryStore()
    source = UserScopedBackend(inner, cipher=TokenCipher(TokenCipher.generate_key()), user_id=1)
    source.store.save(written(key_of(1)))
    inner.save(make_document(key_of(2), {"access_token": "very secret"}))
    result = copy_tokens(source, target := MemoryStore())
    assert (result.records, result.copied) == (2, 1)
    [left] = result.left
    assert left.key == key_of(2)
    assert "very secret" not in repr(result)
    compared = compare_tokens(source, target)
    assert not compared.is_complete
    assert (compared.extra, [each.key for each in compared.left]) == (0, [key_of(2)])


def test_an_account_that_has_changed_hands(target: TokenStore) -> None:
    """An account whose owner changed after the first pass is the new owner's after the next."""
    source, one, other = MemoryStore(), TokenKey("github", "1"), TokenKey("github", "2")
    source.link(replace(make_document(one), provider_user_id="7"))
    copy_tokens(source, target)
    source.delete(one)
    source.unlink(one, "7")
    source.link(replace(make_document(other), provider_user_id="7"))
    assert copy_tokens(source, target).left == []
    assert target.linked("github", "7") == other
    assert target.load(one) is None


def test_names_are_made_anew() -> None:
    """What a blueprint finds by the id of a session is found in the target, too."""
    source, target = (UserScopedBackend(MemoryStore(), user_id=1) for _ in range(2))
    source.marks["github"] = lambda token: {token["sid"]}
    source.store.save(make_document(key_of(2), {"access_token": "at", "sid": "s1"}))
    copy_tokens(source, target)
    assert [each.key for each in target.store.marked("github", "s1")] == [key_of(2)]


def test_what_the_source_has_no_more_is_told(target: TokenStore) -> None:
    """It is told, and removed only on demand."""
    source = filled(3)
    copy_tokens(source, target)
    source.delete(key_of(0))
    compared = compare_tokens(source, target)
    assert (compared.same, compared.extra, compared.removed) == (2, 1, 0)
    assert [each.key for each in compared.differences] == [key_of(0)]
    assert not compared.is_complete
    assert compare_tokens(source, target, delete_extra=True).is_complete
    assert {each.key for each in target.scan()} == {key_of(1), key_of(2)}


class Interrupted(MemoryStore):
    """A source to which something happens when a record of it has just been copied."""

    happens: Callable[[], object] | None = None

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().load_fresh(key)


def test_what_is_removed_meanwhile_does_not_come_back(target: TokenStore) -> None:
    """A token that is removed from both while it is copied is in neither."""
    source = Interrupted()
    source.save(make_document(key_of(1)))
    source.happens = lambda: source.delete(key_of(1))
    assert copy_tokens(source, target).ended == 1
    assert target.load(key_of(1)) is None


def test_what_is_written_meanwhile_is_copied(target: TokenStore) -> None:
    """A token that is written in the source while it is copied is in the target as it is then."""
    source = Interrupted()
    source.save(make_document(key_of(1)))
    newer = make_document(key_of(1), {"access_token": "newer"})
    source.happens = lambda: source.save(newer)
    assert copy_tokens(source, target).copied == 1
    found = target.load(key_of(1))
    assert found is not None
    assert found.token == newer.token


class WrittenMeanwhile(MemoryStore):
    """A target that gets a newer token just before one is copied to it."""

    newer: TokenDocument | None = None

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        if self.newer is not None:
            newer, self.newer = self.newer, None
            super().save(newer)
        return super().save_as(document, if_version)


@pytest.mark.parametrize("has_old_one", [True, False])
def test_a_newer_write_to_the_target_meanwhile_stays(has_old_one: bool) -> None:
    """A login in the new application, between the look at the target and the write, is not lost."""
    source, target = filled(1), WrittenMeanwhile()
    if has_old_one:
        target.save(replace(written(key_of(0)), updated_at=LONG_AGO - timedelta(days=1)))
    target.newer = make_document(key_of(0), {"access_token": "newer"})
    assert copy_tokens(source, target).newer == 1
    found = target.load(key_of(0))
    assert found is not None
    assert found.token == {"access_token": "newer"}


class Following(MemoryStore):
    """A target, in the middle of whose write something happens in the source."""

    happens: Callable[[], object] | None = None

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().save_as(document, if_version)


def test_what_is_removed_during_the_write_does_not_come_back() -> None:
    """A token that is removed from the source while the target is written is in neither."""
    source, target = filled(1), Following()
    target.happens = lambda: source.delete(key_of(0))
    assert copy_tokens(source, target).ended == 1
    assert target.load(key_of(0)) is None


def test_what_is_written_during_the_write_is_copied() -> None:
    """A token that is written to the source while the target is written is copied as it is then."""
    source, target = filled(1), Following()
    newer = make_document(key_of(0), {"access_token": "newer"})
    target.happens = lambda: source.save(newer)
    assert copy_tokens(source, target).copied == 1
    found = target.load(key_of(0))
    assert found is not None
    assert found.token == newer.token


class Picky(MemoryStore):
    """A target that can't have some keys, as a column of numbers or of few letters can't."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        self._look_at(key)
        return super().load_fresh(key)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self._look_at(document.key)
        return super().save_as(document, if_version)

    def _look_at(self, key: TokenKey) -> None:
        if key == key_of(1):
            raise self._error


@pytest.mark.parametrize(
    "error",
    [ValueError("very secret"), TypeError("very secret"), BackendError("save_as", "Picky", "no")],
)
def test_a_record_that_the_target_can_not_have_is_left(error: Exception) -> None:
    """It is listed with what may be shown of the reason, and the rest is copied and compared."""
    source, target = filled(3), Picky(error)
    result = copy_tokens(source, target)
    assert (result.records, result.copied) == (3, 2)
    [left] = result.left
    assert left.key == key_of(1)
    assert "very secret" not in left.reason
    compared = compare_tokens(source, target)
    assert (compared.same, [each.key for each in compared.left]) == (2, [key_of(1)])
    assert not compared.is_complete


def test_a_store_that_does_not_answer_ends_it() -> None:
    """What is left is what one record is the reason for, and not the server."""
    source, target = filled(3), Picky(BackendUnavailable("load_fresh", "Picky"))
    with pytest.raises(BackendUnavailable):
        copy_tokens(source, target)
    with pytest.raises(BackendUnavailable):
        compare_tokens(source, target)


class Narrow(Base):
    """A table whose users have short names."""

    __tablename__ = "narrow"
    id = mapped_column(Integer, primary_key=True)
    provider = mapped_column(String(50), nullable=False)
    user_id = mapped_column(String(5))
    token = mapped_column(JSON, nullable=False)


class Numbered(Base):
    """A table whose users have numbers."""

    __tablename__ = "numbered"
    id = mapped_column(Integer, primary_key=True)
    provider = mapped_column(String(50), nullable=False)
    user_id = mapped_column(Integer)
    token = mapped_column(JSON, nullable=False)


@pytest.mark.parametrize("model", [Narrow, Numbered])
def test_users_that_a_table_can_not_have(model: type[Any], postgresql_engine: Engine) -> None:
    """A column of a database refuses in its own way, and the others are copied all the same."""
    Base.metadata.create_all(postgresql_engine)
    source = filled(2)
    source.save_as(written(TokenKey("github", "alice@example.org")))
    source.save_as(written(TokenKey("github", "77")))
    with Session(postgresql_engine) as session:
        target = SQLAlchemyStore(model, session)
        result = copy_tokens(source, target)
        assert (result.records, result.copied) == (4, 3)
        assert [each.key for each in result.left] == [TokenKey("github", "alice@example.org")]
        assert len(list(target.scan())) == 3
        assert compare_tokens(source, target).same == 3
    Base.metadata.drop_all(postgresql_engine)


@pytest.mark.parametrize("sealed", ["source", "target"])
@pytest.mark.parametrize("error", [KeyError("very secret"), ConfigurationError("no key")])
def test_a_tenant_without_a_key(sealed: str, error: Exception) -> None:
    """Whatever the function for keys raises, the tokens of other tenants are copied."""
    keys = {each.key.user_id: TokenCipher.generate_key() for each in filled(3).scan()}

    def keys_for(key: TokenKey) -> str:
        if key.user_id not in keys:
            raise error
        return keys[key.user_id]

    def place(store: TokenStore, is_sealed: bool) -> UserScopedBackend:
        cipher = TenantCipher(keys_for, seconds=0) if is_sealed else None
        return UserScopedBackend(store, user_id=1, cipher=cipher)

    source = place(MemoryStore(), sealed == "source")
    for each in filled(3).scan():
        source.store.save_as(each)
    del keys["1"]
    target = place(MemoryStore(), sealed == "target")
    result = copy_tokens(source, target)
    assert (result.records, result.copied) == (3, 2)
    assert [each.key for each in result.left] == [key_of(1)]
    assert "very secret" not in repr(result)
    compared = compare_tokens(source, target)
    assert (compared.same, compared.is_complete) == (2, False)
    told = compared.left if sealed == "source" else compared.differences
    assert {each.key for each in told} == {key_of(1)}


def test_a_cipher_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error at once, and not the reason why each record is left."""
    monkeypatch.delenv("FLASK_DANCE_TOKEN_KEY", raising=False)
    target = UserScopedBackend(MemoryStore(), user_id=1, cipher=TokenCipher())
    for operation in (copy_tokens, compare_tokens):
        with pytest.raises(ConfigurationError):
            operation(filled(1), target)


def test_what_was_found_is_not_put_over_what_both_have_by_now() -> None:
    """A record that changes in both, after it was found, keeps its version in the target.

    That is so if the server that writes it has a clock that is behind, too.
    """
    source, target = filled(1), MemoryStore()
    copy_tokens(source, target)
    [found] = list(source.scan())
    moving = MovingStore(target, source, leads_new=False)

    class Walked(MemoryStore):
        def records(self, *_: Any) -> Iterator[TokenDocument]:
            late = LONG_AGO - timedelta(days=1)
            moving.save(replace(found, token={"access_token": "newer"}, updated_at=late))
            yield found

        def load_fresh(self, key: TokenKey) -> TokenDocument | None:
            return source.load_fresh(key)

    result = copy_tokens(Walked(), target)
    assert (result.same, result.copied) == (1, 0)
    assert target.load(key_of(0)) == source.load(key_of(0))


def test_what_was_removed_from_both_after_it_was_found_is_not_written_at_all() -> None:
    """It does not come back for a moment, where the target is read by now."""
    source, written_to = filled(3), []

    class Read(MemoryStore):
        def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
            written_to.append(document.key)
            return super().save_as(document, if_version)

    class Walked(MemoryStore):
        def records(self, *_: Any) -> Iterator[TokenDocument]:
            found = list(source.scan())
            source.delete(key_of(1))
            yield from found

        def load_fresh(self, key: TokenKey) -> TokenDocument | None:
            return source.load_fresh(key)

    assert copy_tokens(Walked(), Read()).ended == 1
    assert written_to == [key_of(0), key_of(2)]
