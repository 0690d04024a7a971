"""Two stores that are kept alike while tokens move from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import (
    RefreshFailure,
    TokenDocument,
    TokenKey,
    TokenStore,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.moving import MovingStore
from flask_dance_nosql.errors import (
    AccountAlreadyLinked,
    BackendUnavailable,
    ConfigurationError,
    VersionConflict,
)
from flask_dance_nosql.testing import AccountConformance, StoreConformance, make_document


class MovingConformance(StoreConformance):
    """The suite over two stores, of which either leads."""

    @pytest.fixture(params=["old leads", "new leads", "new leads, and old ones are moved"])
    def store(self, request: pytest.FixtureRequest) -> TokenStore:
        """Return both stores as one."""
        return MovingStore(
            MemoryStore(),
            MemoryStore(),
            leads_new="new leads" in request.param,
            falls="moved" in request.param,
        )


class TestMovingStore(MovingConformance):
    """For keys without an account."""


class TestMovingStoreWithAccounts(AccountConformance, MovingConformance):
    """For keys with one."""


KEY = TokenKey("github", "1")
ANOTHER = TokenKey("github", "2")


class Hooked(MemoryStore):
    """A store in memory in which something happens before the call of an operation, once."""

    def __init__(self) -> None:
        super().__init__()
        # Before which call of the operation, and what.
        self.before: dict[str, tuple[int, Callable[[], object]]] = {}
        self.is_down = False

    def _at(self, operation: str) -> None:
        if self.is_down:
            raise BackendUnavailable(operation, "Hooked")
        left = self.before.get(operation)
        if left is not None:
            number, happens = left
            self.before[operation] = (number - 1, happens)
            if number == 1:
                happens()

    def load(self, key: TokenKey) -> TokenDocument | None:
        self._at("load")
        return super().load(key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        self._at("load_fresh")
        return super().load(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self._at("save")
        return super().save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self._at("put")
        return super().save_as(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self._at("delete")
        super().delete(key, if_version)

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        self._at("keys")
        return super().keys(provider, user_id)

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        self._at("forget")
        super().forget(user_id, keys)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        self._at("acquire")
        return super().acquire(key, holder, seconds)


class Pair:
    """An old and a new store, and processes of each step of a move."""

    def __init__(self) -> None:
        self.old, self.new = Hooked(), Hooked()
        self.first = MovingStore(self.new, self.old, leads_new=False)
        self.second = MovingStore(self.new, self.old, leads_new=True)
        self.falling = MovingStore(self.new, self.old, leads_new=True, falls=True)

    def tokens(self, key: TokenKey = KEY) -> tuple[Any, Any]:
        """Return what the old and the new store have under a key."""
        found = (MemoryStore.load(store, key) for store in (self.old, self.new))
        old, new = (None if each is None else each.token["access_token"] for each in found)
        return old, new


@pytest.fixture
def pair() -> Pair:
    """Two stores, empty."""
    return Pair()


def at_any_call(*operations: str) -> pytest.MarkDecorator:
    """Run a test for each of the first calls of these operations."""
    calls = [(name, number) for name in operations for number in (1, 2, 3, 4)]
    return pytest.mark.parametrize(("at", "call"), calls)


def token(name: str, key: TokenKey = KEY, **fields: Any) -> TokenDocument:
    """Make a document to save."""
    return replace(make_document(key, {"access_token": name}), **fields)


@pytest.mark.parametrize("step", ["first", "second", "falling"])
def test_both_have_what_is_written_and_removed(pair: Pair, step: str) -> None:
    """Whichever leads, the other one has the same document, down to its version."""
    store: MovingStore = getattr(pair, step)
    for name in ("a", "b"):
        saved = store.save(token(name))
        assert pair.tokens() == (name, name)
        assert pair.old.load(KEY) == pair.new.load(KEY) == saved
    store.delete(KEY)
    assert pair.tokens() == (None, None)


@pytest.mark.parametrize("step", ["first", "second", "falling"])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "save", "put")
def test_a_removal_during_a_write(pair: Pair, step: str, store: str, at: str, call: int) -> None:
    """Of a write and a removal by another process, wherever they meet, both stores tell the same.

    It may be either's end. What is gone from the store that leads does not come back from the
    other.
    """
    moving: MovingStore = getattr(pair, step)
    moving.save(token("before"))
    getattr(pair, store).before[at] = call, lambda: moving.delete(KEY)
    moving.save(token("after"))
    pair.old.before.clear()
    pair.new.before.clear()
    assert pair.tokens() in ((None, None), ("after", "after"))


@pytest.mark.parametrize("step", ["first", "second", "falling"])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "delete")
def test_a_write_during_a_removal(pair: Pair, step: str, store: str, at: str, call: int) -> None:
    """The same, where the write comes in the middle of the removal."""
    moving: MovingStore = getattr(pair, step)
    moving.save(token("before"))
    getattr(pair, store).before[at] = call, lambda: moving.save(token("after"))
    moving.delete(KEY)
    assert pair.tokens() in ((None, None), ("after", "after"))


@pytest.mark.parametrize("steps", [("first", "first"), ("first", "second"), ("second", "second")])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "save", "put")
def test_a_write_during_a_write(
    pair: Pair, steps: tuple[str, str], store: str, at: str, call: int
) -> None:
    """Of two writes at the same time, by processes of either step, both stores have the same."""
    one, other = (getattr(pair, step) for step in steps)
    one.save(token("before"))
    getattr(pair, store).before[at] = call, lambda: other.save(token("meanwhile"))
    one.save(token("after"))
    pair.old.before.clear()
    pair.new.before.clear()
    assert pair.tokens() in (("meanwhile", "meanwhile"), ("after", "after"))


@at_any_call("load_fresh", "put")
@pytest.mark.parametrize("store", ["old", "new"])
def test_a_removal_while_a_token_moves(pair: Pair, store: str, at: str, call: int) -> None:
    """A token that is removed while a reader moves it over stays removed."""
    pair.old.save(token("a"))
    getattr(pair, store).before[at] = call, lambda: pair.falling.delete(KEY)
    pair.falling.load(KEY)
    expected = {("a", "a"), (None, None)}
    if any(number < 1 for each in (pair.old, pair.new) for number, _ in each.before.values()):
        expected = {(None, None)}
    assert pair.tokens() in expected


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("at", ["load_fresh", "delete"])
def test_a_copy_during_a_removal_brings_nothing_back(pair: Pair, at: str, call: int) -> None:
    """What was read in the old store before a removal, and copied after it, is in neither."""
    seen = pair.second.save(token("a"))
    again = lambda: MemoryStore.save_as(pair.new, seen)  # noqa: E731 - it is one
    pair.new.before[at] = call, again
    pair.second.delete(KEY)
    assert pair.tokens() == (None, None)
    # Another login is none of that.
    pair.new.before["load_fresh"] = 2, lambda: pair.first.save(token("login"))
    pair.second.delete(KEY)
    pair.new.before.clear()
    assert pair.tokens() in ((None, None), ("login", "login"))


@at_any_call("load_fresh", "put")
def test_a_write_while_a_token_moves(pair: Pair, at: str, call: int) -> None:
    """What is written while a reader moves the old token over is what stays."""
    pair.old.save(token("a"))
    pair.new.before[at] = call, lambda: pair.falling.save(token("newer"))
    pair.falling.load(KEY)
    has_happened = pair.new.before[at][0] < 1
    assert pair.tokens() == (("newer", "newer") if has_happened else ("a", "a"))


def test_reading_moves_over(pair: Pair) -> None:
    """With ``fall_through``, what the new store lacks is read from the old one, and moved."""
    before = pair.old.save(token("a"))
    assert pair.second.load(KEY) is None
    assert pair.falling.load(KEY) == before
    assert pair.new.load(KEY) == before
    pair.old.save(token("b", ANOTHER))
    assert {each.key for each in pair.falling.scan()} == {KEY, ANOTHER}
    assert len(list(pair.falling.records())) == 2


def test_a_process_with_the_old_store_alone(pair: Pair) -> None:
    """What it writes and removes counts at once where the old store leads."""
    pair.first.save(token("a"))
    pair.old.save(token("b"))
    found = pair.first.load(KEY)
    assert found is not None
    assert found.token == {"access_token": "b"}
    pair.old.delete(KEY)
    assert pair.first.load(KEY) is pair.first.load_fresh(KEY) is None


def test_a_process_with_the_new_store_alone(pair: Pair) -> None:
    """What it writes and removes counts at once where the new store leads, and stays removed."""
    pair.second.save(token("a"))
    pair.new.save(token("b"))
    found = pair.second.load(KEY)
    assert found is not None
    assert found.token == {"access_token": "b"}
    pair.new.delete(KEY)
    assert pair.second.load(KEY) is pair.second.load_fresh(KEY) is None
    pair.second.save(token("other", ANOTHER))
    assert pair.second.load_fresh(KEY) is None


@pytest.mark.parametrize(
    "processes", [("old", "first"), ("first", "second"), ("second", "new"), ("old", "second")]
)
def test_nobody_else_has_the_lock(pair: Pair, processes: tuple[str, str]) -> None:
    """Processes of neighbouring steps never both have the lock of a key, in either order."""
    one, other = (getattr(pair, name) for name in processes)
    for holder, waiter in ((one, other), (other, one)):
        lock = holder.lock(KEY)
        assert lock is not None
        assert waiter.lock(KEY) is None
        assert lock.renew()
        lock.release()
        with waiter.lock(KEY):
            assert holder.lock(KEY) is None


def test_a_lock_that_is_not_free_in_both_is_left_in_both(pair: Pair) -> None:
    """Whoever gets one of two locks only gives it back."""
    with pair.new.lock(KEY):  # type: ignore[union-attr] # it is free
        assert pair.second.lock(KEY) is None
    assert pair.old.lock(KEY) is not None


@pytest.mark.parametrize("step", ["first", "second"])
def test_a_process_that_ends_between_two_writes(pair: Pair, step: str) -> None:
    """What is in one store only, since its writer has died, is what a refresh begins with."""
    pair.first.save(token("a"))
    behind = pair.new if step == "first" else pair.old
    other = pair.second if step == "first" else pair.first
    (pair.old if step == "first" else pair.new).save(token("b"))
    assert MemoryStore.load(behind, KEY) != token("b")
    found = other.load_fresh(KEY)
    assert found is not None
    assert found.token == {"access_token": "b"}
    assert pair.tokens() == ("b", "b")


@pytest.mark.parametrize("seconds", [20, 45, 86400])
@pytest.mark.parametrize("steps", [("first", "first"), ("first", "second"), ("second", "first")])
def test_clocks_that_differ(pair: Pair, steps: tuple[str, str], seconds: int) -> None:
    """A write of a server whose clock is behind is not undone by what was written before."""
    one, other = (getattr(pair, step) for step in steps)
    one.save(token("a"))
    late = clock.now() - timedelta(seconds=seconds)
    other.save(token("b", updated_at=late))
    for each in (one, other):
        assert each.load(KEY).token == each.load_fresh(KEY).token == {"access_token": "b"}
    assert pair.tokens() == ("b", "b")
    # Where the process has died that has written to the store that leads alone.
    other.inner.save(token("c", updated_at=late))
    assert one.load_fresh(KEY).token == {"access_token": "c"}


def test_a_first_login_at_a_server_whose_clock_is_behind(pair: Pair) -> None:
    """What is left over in the store that follows does not take the place of what is saved."""
    pair.new.save_as(token("left over", version=clock.first_version() + 10**9))
    saved = pair.first.save(token("a"))
    assert pair.tokens() == ("a", "a")
    for store in (pair.old, pair.new, pair.first):
        found = store.load_fresh(KEY)
        assert found is not None
        assert found.version == saved.version


@pytest.mark.parametrize("step", ["first", "second"])
@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_a_version_that_has_grown_in_one_store_alone(pair: Pair, step: str, ahead: int) -> None:
    """What is saved outranks what was there, and whoever has read before it is saved may save."""
    store: MovingStore = getattr(pair, step)
    seen = store.save(token("a"))
    follower: Any = store.follower
    follower.save_as(replace(seen, version=seen.version + ahead))
    saved = store.save_apart(token("b"), if_version=seen.version)
    assert pair.tokens() == ("b", "b")
    assert store.load_fresh(KEY) == pair.old.load(KEY) == pair.new.load(KEY) == saved
    with pytest.raises(VersionConflict):
        store.save_apart(token("c"), if_version=seen.version)


@pytest.mark.parametrize(("deleter", "writer"), [("second", "first"), ("first", "second")])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "save", "put")
def test_a_removal_of_what_was_seen_is_none_of_a_later_login(
    pair: Pair, deleter: str, writer: str, store: str, at: str, call: int
) -> None:
    """A token that is removed as it was read: what was written since, in either step, stays."""
    removing, writing = getattr(pair, deleter), getattr(pair, writer)
    writing.save(token("before"))
    seen = removing.load_fresh(KEY)

    def remove() -> None:
        with suppress(VersionConflict):
            removing.delete(KEY, if_version=seen.version)

    getattr(pair, store).before[at] = call, remove
    writing.save(token("login"))
    assert pair.tokens() == ("login", "login")


@pytest.mark.parametrize(("deleter", "writer"), [("second", "first"), ("first", "second")])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "delete")
def test_a_login_during_a_removal_of_what_was_seen(
    pair: Pair, deleter: str, writer: str, store: str, at: str, call: int
) -> None:
    """The same, where the login comes in the middle of the removal."""
    removing, writing = getattr(pair, deleter), getattr(pair, writer)
    writing.save(token("before"))
    seen = removing.load_fresh(KEY)
    getattr(pair, store).before[at] = call, lambda: writing.save(token("login"))
    with suppress(VersionConflict):
        removing.delete(KEY, if_version=seen.version)
    has_happened = getattr(pair, store).before[at][0] < 1
    assert pair.tokens() == (("login", "login") if has_happened else (None, None))


@pytest.mark.parametrize(("one", "other"), [("second", "first"), ("first", "second")])
@pytest.mark.parametrize("store", ["old", "new"])
@at_any_call("load_fresh", "save", "put")
def test_a_refresh_of_an_old_token_never_replaces_a_login_that_is_over(
    pair: Pair, one: str, other: str, store: str, at: str, call: int
) -> None:
    """Nor one that has been written to the new store when the refresh comes to save."""
    logging_in, refreshing = getattr(pair, one), getattr(pair, other)
    logging_in.save(token("before"))
    seen = refreshing.load_fresh(KEY)

    def refresh() -> None:
        with suppress(VersionConflict):
            refreshing.save_apart(token("refreshed"), if_version=seen.version)

    getattr(pair, store).before[at] = call, refresh
    logging_in.save(token("login"))
    assert pair.tokens() == ("login", "login")
    with pytest.raises(VersionConflict):
        refreshing.save_apart(token("refreshed"), if_version=seen.version)


class Refusing(MemoryStore):
    """A store that can't have a key, or fails in a way that no store should."""

    error: Exception | None = None

    def load(self, key: TokenKey) -> TokenDocument | None:
        if self.error is not None:
            raise self.error
        return super().load(key)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        if self.error is not None:
            raise self.error
        super().delete(key, if_version)


ERRORS = [ValueError("very secret"), ConfigurationError("very secret"), KeyError("very secret")]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("leads_new", [False, True])
def test_what_follows_may_raise_anything(
    leads_new: bool, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """What is saved is saved; the log has the kind of the error, and no foreign text."""
    leader, follower = MemoryStore(), Refusing()
    new, old = (leader, follower) if leads_new else (follower, leader)
    store = MovingStore(new, old, leads_new=leads_new)
    follower.error = error
    saved = store.save(token("a"))
    assert store.load(KEY) == store.load_fresh(KEY) == saved
    assert type(error).__name__ in caplog.text
    assert "very secret" not in caplog.text
    if isinstance(error, ValueError):
        # It can't have such a key at all.
        store.delete(KEY)
        assert leader.load(KEY) is None
    else:
        with pytest.raises(type(error)):
            store.delete(KEY)
        assert store.load(KEY) == saved


class WithoutFailures(MemoryStore):
    """A store that keeps no failures of refreshes, such as a table of Flask-Dance."""

    keeps_failures = False
    kept_fields = frozenset({"created_at"})


def test_a_grant_that_has_ended_is_no_token_where_that_is_not_told() -> None:
    """A store without a place for it has no record then, not one without a token."""
    old, new = WithoutFailures(), MemoryStore()
    store = MovingStore(new, old, leads_new=True)
    seen = store.save(token("a"))
    now = clock.now()
    failure = RefreshFailure(count=1, since=now, next_try=now, reason="refused", needs_login=True)
    ended = store.save_apart(replace(seen, token={}, refresh_failure=failure), seen.version)
    assert (new.load(KEY), old.load(KEY)) == (ended, None)
    assert MovingStore(new, old, leads_new=False).load(KEY) is None
    login = store.save(token("login"))
    assert (new.load(KEY), old.load(KEY)) == (login, login)


@pytest.mark.parametrize("step", ["first", "second"])
def test_one_that_does_not_answer(pair: Pair, step: str) -> None:
    """If the store that follows is away, reads and writes work, and a removal is refused."""
    store: MovingStore = getattr(pair, step)
    store.save(token("a"))
    store.follower.is_down = True  # type: ignore[attr-defined] # it is hooked
    store.save(token("b"))
    store.mark(KEY, ["s1"])
    store.unmark(KEY, ["s1"], is_replaced=True)
    store.unlink(KEY, "7")
    assert store.keys(None, "1") == [KEY]
    found = store.load_fresh(KEY)
    assert found is not None
    assert found.token == {"access_token": "b"}
    removals: list[Callable[[], None]] = [
        lambda: store.delete(KEY),
        lambda: store.forget("1", [KEY]),
    ]
    for remove in removals:
        with pytest.raises(BackendUnavailable):
            remove()
    assert store.load(KEY) is not None
    assert store.lock(KEY) is not None
    store.follower.is_down = False  # type: ignore[attr-defined] # likewise
    store.delete(KEY)
    assert pair.tokens() == (None, None)


@pytest.mark.parametrize("step", ["first", "second", "falling"])
def test_accounts_and_names_are_in_both(pair: Pair, step: str) -> None:
    """Who has an account, and what is found by a name, is the same in both; a user is forgotten."""
    store: MovingStore = getattr(pair, step)
    store.mark(KEY, ["s1"])
    store.link(token("a", provider_user_id="7"))
    for each in (pair.old, pair.new, store):
        assert each.linked("github", "7") == KEY
        assert [found.key for found in each.marked("github", "s1")] == [KEY]
    with pytest.raises(AccountAlreadyLinked):
        store.link(token("b", ANOTHER, provider_user_id="7"))
    assert store.keys(None, "1") == [KEY]
    store.forget("1", [KEY])
    for each in (pair.old, pair.new):
        assert list(each.records()) == []
        assert each.linked("github", "7") is None


def test_an_account_that_has_changed_hands_in_the_old_store(pair: Pair) -> None:
    """A process with the old store alone gives an account to another user; the new one follows."""
    pair.first.link(token("a", provider_user_id="7"))
    pair.old.delete(KEY)
    pair.old.unlink(KEY, "7")
    pair.first.link(token("b", ANOTHER, provider_user_id="7"))
    assert pair.tokens() == (None, None)
    assert pair.tokens(ANOTHER) == ("b", "b")
    assert pair.new.linked("github", "7") == ANOTHER
