"""The cache: what it saves, and that it is never wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from datetime import timedelta
from itertools import product
from typing import Any

import cachelib
import fakeredis
import mongomock
import msgspec
import pytest
import redis
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from examples.demo.embedded import RedisServer
from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import (
    InvalidatedCache,
    LocalCache,
    RedisBackend,
    TokenDocument,
    TokenKey,
)
from flask_dance_nosql.consumer.backend.cache import shared as shared_cache
from flask_dance_nosql.consumer.backend.cache.base import CachedStore, TokenCache
from flask_dance_nosql.consumer.backend.cache.shared import SharedCache
from flask_dance_nosql.consumer.backend.mongo import MongoStore
from flask_dance_nosql.consumer.backend.redis import RedisStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError, VersionConflict
from flask_dance_nosql.testing import make_document

from ..places import DictStore, scoped
from ..redis.hearing import await_live

KEY, OTHER = TokenKey("demo", "42"), TokenKey("demo", "43")
OLD, NEW = {"access_token": "at-old"}, {"access_token": "at-new"}

MakeCache = Callable[[], Any]


class SlowStore(DictStore):
    """A store in memory in which something can happen while a call is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.after: dict[str, Callable[[], None]] = {}
        self.fails_after: set[str] = set()

    def _pause(self, operation: str) -> None:
        self.after.pop(operation, lambda: None)()
        if operation in self.fails_after:
            self.fails_after.remove(operation)
            raise BackendUnavailable(operation, "SlowStore", "no answer")

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Load, and then do what was asked for."""
        found = super().load(key)
        self._pause("load")
        return found

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save, and then do what was asked for."""
        saved = super().save(document, if_version)
        self._pause("save")
        return saved

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete, and then do what was asked for."""
        super().delete(key, if_version)
        self._pause("delete")

    @property
    def loads(self) -> int:
        """How often the store was asked for a document."""
        return sum(1 for operation, _ in self.calls if operation == "load")


KINDS = ["local", "invalidated", "simple", "file", "redis", "flask"]


@pytest.fixture(scope="module")
def invalidated_cache(redis_server: RedisServer) -> Iterator[InvalidatedCache]:
    """A cache in memory that listens."""
    with closing(InvalidatedCache(redis_server.url)) as cache:
        await_live(cache)
        yield cache


@pytest.fixture(params=KINDS)
def cache(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """Each kind of cache, as an application gives it."""
    if request.param == "local":
        return LocalCache()
    if request.param == "simple":
        return cachelib.SimpleCache()
    if request.param == "file":
        return cachelib.FileSystemCache(str(tmp_path / "cache"))
    if request.param == "invalidated":
        request.getfixturevalue("invalidated_cache").clear()
    return request.getfixturevalue(f"{request.param}_cache")


def token_cache(cache: Any) -> TokenCache:
    """Return a cache as one of tokens."""
    return cache if isinstance(cache, TokenCache) else SharedCache(cache)


@pytest.fixture
def inner() -> SlowStore:
    """The store that is cached."""
    return SlowStore()


@pytest.fixture
def store(inner: SlowStore, cache: Any) -> CachedStore:
    """A cached store, on each kind of cache."""
    return CachedStore(inner, token_cache(cache), 300, 30)


def save(store: Any, token: dict[str, Any], key: TokenKey = KEY) -> TokenDocument:
    """Save a token."""
    saved: TokenDocument = store.save(make_document(key, token))
    return saved


def token_of(store: Any, key: TokenKey = KEY) -> dict[str, Any] | None:
    """Return what the store says that the token is."""
    found = store.load(key)
    return None if found is None else found.token


# What it saves.


def test_second_load_asks_nobody(store: CachedStore, inner: SlowStore) -> None:
    """What was loaded once is not asked for again, and is the same document."""
    saved = save(inner, OLD)
    assert [store.load(KEY) for _ in range(5)] == [saved] * 5
    assert inner.loads == 1


def test_a_user_without_a_token_costs_one_load(store: CachedStore, inner: SlowStore) -> None:
    """That there is no token is kept, too: 100 requests, one load."""
    assert [store.load(KEY) for _ in range(100)] == [None] * 100
    assert inner.loads == 1


def test_what_was_written_is_read_soon_from_the_cache(store: CachedStore, inner: SlowStore) -> None:
    """After a write, at most one load goes to the store."""
    save(store, NEW)
    assert [token_of(store) for _ in range(5)] == [NEW] * 5
    assert inner.loads <= 1
    store.delete(KEY)
    assert [token_of(store) for _ in range(5)] == [None] * 5
    assert inner.loads <= 2


def test_what_is_loaded_is_the_callers_own(store: CachedStore) -> None:
    """Changing a loaded token changes nothing in the cache."""
    save(store, {"a": [1]})
    for _ in range(3):
        loaded = token_of(store)
        assert loaded == {"a": [1]}
        loaded["a"].append(2)


def test_users_and_providers_are_kept_apart(store: CachedStore) -> None:
    """Each key has an entry of its own, whatever characters it has."""
    hostile = ["a", "A", "a:b", "a|b", "{a}", "a b", "a\\nb", "%61", "\\0", "é", "x" * 300]
    keys = [TokenKey(p, u) for p in ("demo", "de:mo") for u in (*hostile, None)]
    for number, key in enumerate(keys):
        save(store, {"n": number}, key)
    for _ in range(2):
        assert [token_of(store, key) for key in keys] == [{"n": n} for n in range(len(keys))]


def test_stores_do_not_share_entries(cache: Any) -> None:
    """Two stores on one cache have entries of their own."""
    stores = [CachedStore(SlowStore(), token_cache(cache), 300, 30) for _ in range(2)]
    save(stores[0], OLD)
    save(stores[1], NEW)
    assert [token_of(each) for _ in range(2) for each in stores] == [OLD, NEW, OLD, NEW]


# When it ends.


def test_local_entries_end() -> None:
    """An entry is asked for anew after its time: a document's is longer than that of none."""
    now = [0.0]
    inner = SlowStore()
    store = CachedStore(inner, LocalCache(timer=lambda: now[0]), 300, 30)
    assert token_of(store) is None
    save(inner, OLD)
    now[0] = 29.9
    assert token_of(store) is None
    now[0] = 30.1
    assert token_of(store) == OLD
    save(inner, NEW)
    now[0] += 299.8
    assert token_of(store) == OLD
    now[0] += 0.3
    assert token_of(store) == NEW


def test_entries_in_redis_end(inner: SlowStore, redis_cache: Any, redis_server: Any) -> None:
    """What lies in a shared cache ends with its time, or before it with the record."""
    store = CachedStore(inner, SharedCache(redis_cache), 300, 30)
    token_of(store)
    save(inner, OLD, OTHER)
    token_of(store, OTHER)
    brief = TokenKey("demo", "brief")
    inner.save(make_document(brief, OLD, seconds=100))
    token_of(store, brief)
    with redis.Redis.from_url(redis_server.url) as client:
        names = sorted(client.scan_iter("*:token"))
        ends = {name.decode().rpartition(":u:")[2][:2]: client.ttl(name) for name in names}
    assert 25 < ends["42"] <= 30
    assert 295 < ends["43"] <= 300
    assert 95 < ends["br"] <= 100


def test_an_ended_record_is_not_read_from_the_cache(store: CachedStore, inner: SlowStore) -> None:
    """A record whose time is up is none, though its entry is still there."""
    inner.save(make_document(KEY, OLD, seconds=100))
    assert token_of(store) == OLD
    with time_machine.travel(clock.now() + timedelta(seconds=101), tick=False):
        assert token_of(store) is None


def test_nothing_is_kept_for_no_time(inner: SlowStore, cache: Any) -> None:
    """With a time of 0 for misses, none is kept."""
    store = CachedStore(inner, token_cache(cache), 300, 0)
    assert [store.load(KEY), store.load(KEY)] == [None, None]
    assert inner.loads == 2


# That it is never wrong.


@pytest.mark.parametrize("begins_with", [OLD, None])
@pytest.mark.parametrize("writes", ["save", "delete", "save twice", "delete and save"])
def test_slow_reader_keeps_nothing_old(
    store: CachedStore, inner: SlowStore, begins_with: Any, writes: str
) -> None:
    """A reader loads, a writer writes, the reader comes back: then the new state is read."""
    if begins_with is not None:
        save(inner, begins_with)

    def meanwhile() -> None:
        if "delete" in writes:
            store.delete(KEY)
        if "save" in writes:
            save(store, NEW)
        if "twice" in writes:
            save(store, {**NEW, "n": 2})

    inner.after["load"] = meanwhile
    assert token_of(store) == begins_with
    expected = {"delete": None, "save twice": {**NEW, "n": 2}}.get(writes, NEW)
    assert [token_of(store) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("writes", ["save", "delete"])
def test_slow_reader_after_an_eviction(
    store: CachedStore, inner: SlowStore, cache: Any, writes: str
) -> None:
    """The same when the cache has lost everything before the reader comes back."""
    save(inner, OLD)

    def meanwhile() -> None:
        save(store, NEW) if writes == "save" else store.delete(KEY)
        cache.clear()

    inner.after["load"] = meanwhile
    assert token_of(store) == OLD
    assert token_of(store) == (NEW if writes == "save" else None)


@pytest.mark.parametrize("outer", ["save", "delete"])
@pytest.mark.parametrize("within", ["save", "delete"])
def test_slow_writer_keeps_nothing_old(
    store: CachedStore, inner: SlowStore, outer: str, within: str
) -> None:
    """A writer is overtaken after its own write: then the state of the other one is read."""

    def meanwhile() -> None:
        save(store, NEW) if within == "save" else store.delete(KEY)

    save(store, {"access_token": "first"})
    inner.after[outer] = meanwhile
    save(store, OLD) if outer == "save" else store.delete(KEY)
    assert [token_of(store) for _ in range(3)] == [NEW if within == "save" else None] * 3


def test_writer_overtaken_before_its_own_write(store: CachedStore, inner: SlowStore) -> None:
    """Two writers whose writes land in the one order and come back in the other."""
    landed, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        landed.set()
        go_on.wait(60)

    inner.after["save"] = stay
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(save, store, OLD)
        assert landed.wait(60)
        save(store, NEW)
        go_on.set()
        slow.result()
    assert [token_of(store) for _ in range(3)] == [NEW] * 3


@pytest.mark.parametrize("operation", ["save", "delete"])
def test_write_that_may_have_been_done(
    store: CachedStore, inner: SlowStore, operation: str
) -> None:
    """A write whose answer was lost may have been done: the store is asked anew."""
    save(store, OLD)
    token_of(store)
    inner.fails_after.add(operation)
    with pytest.raises(BackendUnavailable):
        save(store, NEW) if operation == "save" else store.delete(KEY)
    assert token_of(store) == (NEW if operation == "save" else None)


def test_conflict_tells_that_the_entry_is_old(store: CachedStore, inner: SlowStore) -> None:
    """A refused write says that somebody else has written: the store is asked anew."""
    first = save(store, OLD)
    token_of(store)
    save(inner, NEW)
    with pytest.raises(VersionConflict):
        store.save(make_document(KEY, OLD), if_version=first.version)
    assert token_of(store) == NEW


def test_fresh_reads_past_the_cache(store: CachedStore, inner: SlowStore) -> None:
    """A fresh load has what another process wrote, and from then on so has the cache."""
    save(store, OLD)
    token_of(store)
    save(inner, NEW)
    found = store.load_fresh(KEY)
    assert found is not None
    assert found.token == NEW
    assert token_of(store) == NEW


def test_no_read_after_a_write_sees_an_older_token(store: CachedStore) -> None:
    """8 readers and 2 writers at once: no read that began after a write returned is older."""
    rounds = 500
    finished = [0, 0]
    turn = threading.Lock()

    def write(writer: int) -> None:
        for number in range(1, rounds + 1):
            with turn:
                save(store, {"n": [number if w == writer else finished[w] for w in (0, 1)]})
                finished[writer] = number

    def read() -> list[Any]:
        wrong = []
        for _ in range(rounds):
            before = list(finished)
            seen = token_of(store) or {"n": [0, 0]}
            if any(was > now for was, now in zip(before, seen["n"], strict=True)):
                wrong.append((before, seen))
        return wrong

    save(store, {"n": [0, 0]})
    with ThreadPoolExecutor(10) as pool:
        # Flask-Caching finds its cache by the context's app.
        readers = [pool.submit(copy_context().run, read) for _ in range(8)]
        writers = [pool.submit(copy_context().run, write, number) for number in (0, 1)]
        assert [reader.result() for reader in readers] == [[]] * 8
        for writer in writers:
            writer.result()


def test_no_process_reads_an_older_token(redis_server: RedisServer) -> None:
    """The same from four processes that share a cache on Redis, over one store."""
    url = redis_server.url
    with redis.Redis.from_url(url) as client:
        client.flushall()
        command = [sys.executable, "-m", "tests.backend.reader", url]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        outputs = [worker.communicate(timeout=100)[0].split() for worker in workers]
    assert [wrong for wrong, _ in outputs] == ["0"] * 4
    # They did use the cache.
    assert all(int(hits) > 0 for _, hits in outputs)


# When the cache fails.


class Unreliable(cachelib.SimpleCache):
    """A cache that fails on demand: by raising, by refusing, or by telling nonsense."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Any = None

    def _fail(self) -> bool:
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure == "refuses"

    def get(self, key: str) -> Any:
        """Get, or fail."""
        return self._nonsense() if not self._fail() and self._lies() else super().get(key)

    def _lies(self) -> bool:
        return self.failure not in (None, "refuses")

    def _nonsense(self) -> Any:
        return self.failure[0]

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Set, or fail."""
        return not self._fail() and bool(super().set(key, value, timeout))

    def add(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Add, or fail."""
        return not self._fail() and super().add(key, value, timeout)


FAILURES: dict[str, Any] = {
    "down": OSError("at-secret: no route"),
    "any error": ZeroDivisionError(),
    "full": "refuses",
    "bytes": [b"\x80\x04"],
    "number": [5],
    "text": ["at-secret"],
    "json": ['{"turn": "at-secret"}'],
    "another type": ['{"turn": 1, "of": "here:demo:u:42", "document": null}'],
    "another's entry": ['{"turn": "t", "of": "here:demo:u:43", "document": null}'],
    "list": [["at-secret"]],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failing_cache_is_never_wrong(
    inner: SlowStore, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While it fails, before and after, what the store has is read, and no error gets through."""
    cache = Unreliable()
    store = CachedStore(inner, SharedCache(cache), 300, 30)
    save(store, OLD)
    assert token_of(store) == OLD
    cache.failure = FAILURES[failure]
    assert token_of(store) == OLD
    save(store, NEW)
    assert [token_of(store), token_of(store)] == [NEW, NEW]
    store.delete(OTHER)
    cache.failure = None
    assert token_of(store) == NEW
    cache.failure = FAILURES[failure]
    store.delete(KEY)
    cache.failure = None
    assert [token_of(store), token_of(store)] == [None, None]
    assert "at-secret" not in caplog.text
    assert len(caplog.records) <= 1


def test_failing_cache_is_logged_once_a_minute(
    inner: SlowStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred failures are one warning; a minute later there is another."""
    now = [1000.0]
    monkeypatch.setattr(shared_cache.time, "monotonic", lambda: now[0])
    cache = Unreliable()
    cache.failure = OSError("down")
    store, other = (CachedStore(inner, SharedCache(cache), 300, 30) for _ in range(2))
    for _ in range(100):
        store.load(KEY)
        other.load(KEY)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "The token cache could not read (OSError). The store is asked instead."
    )
    now[0] += 61
    store.load(KEY)
    assert len(caplog.records) == 2


def test_works_again_when_the_cache_does(inner: SlowStore) -> None:
    """A cache that is back is used again."""
    cache = Unreliable()
    store = CachedStore(inner, SharedCache(cache), 300, 30)
    cache.failure = OSError("down")
    save(store, OLD)
    cache.failure = None
    before = inner.loads
    assert [token_of(store) for _ in range(5)] == [OLD] * 5
    assert inner.loads == before + 1


def test_write_that_the_cache_did_not_hear_of_is_read(inner: SlowStore) -> None:
    """When the cache is back, what was written while it was away is read."""
    cache = Unreliable()
    shared = SharedCache(cache)
    store = CachedStore(inner, shared, 300, 30)
    save(store, OLD)
    token_of(store)
    save(inner, NEW)
    cache.failure = OSError("down")
    name = (inner.place, KEY)
    shared.end(name, shared.begin(name), None, 0)
    cache.failure = None
    assert token_of(store) == NEW


def test_backends_with_one_cache_know_what_it_did_not_hear_of(inner: SlowStore) -> None:
    """What one backend could not tell the cache is not trusted by another one with that cache."""
    cache = Unreliable()
    one, two = (CachedStore(inner, SharedCache(cache), 300, 30) for _ in range(2))
    save(one, OLD)
    assert [token_of(one), token_of(two)] == [OLD, OLD]
    cache.failure = OSError("down")
    save(one, NEW)
    cache.failure = None
    assert [token_of(two), token_of(one)] == [NEW, NEW]


def test_luckier_writer_does_not_hide_a_failure(inner: SlowStore) -> None:
    """A writer reaches the cache and another one, at the same time, does not: that one counts."""

    class Overtaken(cachelib.SimpleCache):
        def set(self, *args: Any, **kwargs: Any) -> Any:
            if not meanwhile:
                return super().set(*args, **kwargs)
            meanwhile.pop()()
            raise OSError("down")

    meanwhile: list[Callable[[], Any]] = []
    shared, name = SharedCache(Overtaken()), (inner.place, KEY)
    store = CachedStore(inner, shared, 300, 30)

    def luckier() -> None:
        shared.end(name, None, None, 0)
        assert token_of(store) == OLD

    save(inner, OLD)
    meanwhile.append(luckier)
    shared.end(name, None, None, 0)
    # What the unlucky one wrote is not told from what the luckier one read.
    save(inner, NEW)
    assert token_of(store) == NEW


def test_entry_of_another_is_not_read(inner: SlowStore) -> None:
    """Who can write to the cache can't hand one user's entry to another."""
    cache = cachelib.SimpleCache()
    store = CachedStore(inner, SharedCache(cache), 300, 30)
    save(inner, OLD)
    token_of(store), token_of(store, OTHER)
    before = dict(cache._cache)
    for one, other in (("u:42", "u:43"), ("u:43", "u:42")):
        cache._cache.update(before)
        for name, entry in before.items():
            if one in name:
                cache._cache[name.replace(one, other)] = entry
        assert [token_of(store), token_of(store, OTHER)] == [OLD, None]


@pytest.mark.parametrize("wrong", [object(), "redis://", 5, {}, dict])
def test_what_is_no_cache_is_refused(wrong: Any) -> None:
    """Something that is no cache is a clear error at once."""
    with pytest.raises(ConfigurationError, match="cache takes a LocalCache"):
        scoped(SlowStore(), user_id=1, cache=wrong)


# The cache in memory.


def test_local_cache_is_bounded() -> None:
    """It keeps so many documents and no more; the least recently used leave first."""
    inner, cache = SlowStore(), LocalCache(maxsize=10)
    store = CachedStore(inner, cache, 300, 30)
    for number in range(1000):
        save(store, {"n": number}, TokenKey("demo", str(number)))
        store.load(TokenKey("demo", "0"))
        store.load(TokenKey("demo", f"nobody {number}"))
    assert len(cache._memory.get().found) == 10
    before = inner.loads
    store.load(TokenKey("demo", "0"))
    assert inner.loads == before
    memory = cache._memory.get()
    assert max(len(part) for part in (memory.found, memory.missing, memory.tickets)) == 10


def test_flood_of_strangers_evicts_no_token() -> None:
    """However many users without a token are asked for, those with one stay."""
    inner, cache = SlowStore(), LocalCache(maxsize=10)
    store = CachedStore(inner, cache, 300, 30)
    for number in range(10):
        save(store, OLD, TokenKey("demo", str(number)))
    for number in range(10_000):
        assert store.load(TokenKey("demo", f"nobody {number}")) is None
    before = inner.loads
    assert all(store.load(TokenKey("demo", str(number))) for number in range(10))
    assert inner.loads == before


def test_local_cache_can_be_cleared() -> None:
    """After clearing, and after forgetting one name, the store is asked."""
    inner, cache = SlowStore(), LocalCache()
    store = CachedStore(inner, cache, 300, 30)
    save(store, OLD)
    save(inner, NEW)
    assert token_of(store) == OLD
    cache.forget((inner.place, KEY))
    assert token_of(store) == NEW
    save(inner, OLD)
    cache.clear()
    assert token_of(store) == OLD


# Against a plain dict.


class AgainstADict(RuleBasedStateMachine):
    """Whatever is done in whatever order: a cached store answers as a dict would."""

    make: Callable[[], tuple[TokenCache, Any]]

    @initialize()
    def begin(self) -> None:
        """Begin with nothing."""
        self.inner = SlowStore()
        self.now = [0.0]
        self.cache, self.raw = type(self).make(self.now)
        # Of two backends on the same store and cache.
        caches = [self.cache, self.cache if self.raw is self.cache else SharedCache(self.raw)]
        self.stores = [CachedStore(self.inner, cache, 300, 30) for cache in caches]
        self.model: dict[TokenKey, Any] = {}
        self.readers: list[Any] = []
        self.travel = time_machine.travel("2030-01-01T00:00Z", tick=False)
        self.traveller = self.travel.start()

    def teardown(self) -> None:
        """Go back to the present."""
        self.travel.stop()

    @rule(
        key=st.sampled_from([KEY, OTHER]), number=st.integers(0, 3), which=st.sampled_from([0, 1])
    )
    def set(self, key: TokenKey, number: int, which: int) -> None:
        """Write a token."""
        save(self.stores[which], {"n": number}, key)
        self.model[key] = {"n": number}

    @rule(key=st.sampled_from([KEY, OTHER]), which=st.sampled_from([0, 1]))
    def delete(self, key: TokenKey, which: int) -> None:
        """Delete a token."""
        self.stores[which].delete(key)
        self.model.pop(key, None)

    @rule(key=st.sampled_from([KEY, OTHER]), which=st.sampled_from([0, 1]))
    def get(self, key: TokenKey, which: int) -> None:
        """Read a token."""
        assert token_of(self.stores[which], key) == self.model.get(key)

    @rule(key=st.sampled_from([KEY, OTHER]))
    def reader_begins(self, key: TokenKey) -> None:
        """A slow reader misses the cache and asks the store."""
        name = (self.inner.place, key)
        found, _, ticket = self.cache.look(name)
        if not found:
            self.readers.append((name, ticket, self.inner.load(key)))

    @rule(last=st.booleans())
    def reader_ends(self, last: bool) -> None:
        """A slow reader comes back with what it found."""
        if self.readers:
            name, ticket, document = self.readers.pop(-1 if last else 0)
            self.cache.fill(name, ticket, document, 300)

    @rule(seconds=st.sampled_from([10, 31, 301, shared_cache.TURN_SECONDS + 1]))
    def expire(self, seconds: int) -> None:
        """Time goes by."""
        self.now[0] += seconds
        self.traveller.shift(seconds)

    @rule(which=st.integers(0, 9))
    def evict(self, which: int) -> None:
        """The cache loses an entry, or all of them."""
        entries = self.raw._cache if isinstance(self.raw, Unreliable) else None
        if entries is None or not which:
            self.raw.clear()
        elif entries:
            entries.pop(sorted(entries)[which % len(entries)])

    @rule(failure=st.none() | st.sampled_from(list(FAILURES.values())))
    def fail(self, failure: Any) -> None:
        """The cache begins or ceases to fail."""
        if isinstance(self.raw, Unreliable):
            self.raw.failure = failure

    @invariant()
    def answers_as_a_dict(self) -> None:
        """Nothing old is in the cache, whoever looks."""
        for store, key in product(reversed(self.stores), (KEY, OTHER)):
            found, document, _ = store.cache.look((self.inner.place, key))
            if found:
                assert (None if document is None else document.token) == self.model.get(key)


class LocalAgainstADict(AgainstADict):
    """With the cache in memory."""

    @staticmethod
    def make(now: list[float]) -> tuple[TokenCache, Any]:
        """Make the cache, by a clock of the test's."""
        cache = LocalCache(timer=lambda: now[0])
        return cache, cache


class SharedAgainstADict(AgainstADict):
    """With a cache of cachelib."""

    @staticmethod
    def make(_: list[float]) -> tuple[TokenCache, Any]:
        """Make the cache."""
        raw = Unreliable()
        return SharedCache(raw), raw


thorough = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LocalAgainstADict.TestCase.settings = thorough
SharedAgainstADict.TestCase.settings = thorough
TestLocalAgainstADict = LocalAgainstADict.TestCase
TestSharedAgainstADict = SharedAgainstADict.TestCase


# In a backend.


def test_backend_with_a_cache(inner: SlowStore, cache: Any, blueprint: Any) -> None:
    """A backend with a cache asks its store once, and anew when it is told to."""
    backend = scoped(inner, user_id=1, cache=cache)
    backend.set(blueprint, OLD)
    assert [backend.get(blueprint) for _ in range(5)] == [OLD] * 5
    assert inner.loads <= 1
    before = inner.loads
    assert backend.slot(blueprint).read(fresh=True).token == OLD
    assert inner.loads == before + 1
    backend.delete(blueprint)
    assert backend.get(blueprint) is None


def test_cache_can_be_off(inner: SlowStore, cache: Any, blueprint: Any) -> None:
    """With a time of 0 it is not read; it hears of writes, since others may read it."""
    backend = scoped(inner, user_id=1, cache=cache, cache_timeout=0)
    other = scoped(inner, user_id=1, cache=cache)
    for token in (OLD, NEW, None):
        if token is None:
            backend.delete(blueprint)
        else:
            backend.set(blueprint, token)
        assert [other.get(blueprint) for _ in range(3)] == [token] * 3
        before = inner.loads
        assert [backend.get(blueprint) for _ in range(3)] == [token] * 3
        assert backend.slot(blueprint).read(fresh=True).token == token
        assert inner.loads == before + 4


def test_tenants_share_a_cache(
    cache: Any, blueprint: Any, redis_client: redis.Redis, redis_server: RedisServer
) -> None:
    """A function that chooses among databases chooses among their entries."""
    clients = {"a": redis_client, "b": redis.Redis.from_url(redis_server.url, db=1)}
    clients["b"].flushdb()
    tenant = "a"
    backend = RedisBackend(lambda: clients[tenant], user_id=1, cache=cache)
    backend.set(blueprint, OLD)
    assert backend.get(blueprint) == OLD
    tenant = "b"
    assert backend.get(blueprint) is None
    backend.set(blueprint, NEW)
    assert backend.get(blueprint) == NEW
    tenant = "a"
    assert backend.get(blueprint) == OLD
    clients["b"].close()


def test_fake_servers_share_a_cache(cache: Any, blueprint: Any) -> None:
    """Imitations of servers have no address, and are told apart all the same."""
    stores = [RedisStore(fakeredis.FakeRedis()) for _ in range(2)]
    stores += [MongoStore(mongomock.MongoClient()["t"]["t"]) for _ in range(2)]
    backends = [scoped(store, user_id=1, cache=cache) for store in stores]
    for number, backend in enumerate(backends):
        assert backend.get(blueprint) is None
        backend.set(blueprint, {"n": number})
    for _ in range(2):
        assert [backend.get(blueprint) for backend in backends] == [{"n": n} for n in range(4)]


@pytest.mark.parametrize("kind", ["simple", "file"])
def test_key_that_was_long_at_rest_is_cached_again(
    inner: SlowStore, kind: str, tmp_path: Any
) -> None:
    """When a turn has been forgotten, the first reader begins another."""
    raw = (
        cachelib.SimpleCache()
        if kind == "simple"
        else cachelib.FileSystemCache(str(tmp_path / "cache"))
    )
    store = CachedStore(inner, SharedCache(raw), 300, 30)
    save(inner, OLD)
    with time_machine.travel(clock.now(), tick=False) as traveller:
        token_of(store)
        traveller.shift(shared_cache.TURN_SECONDS + 1)
        before = inner.loads
        assert [token_of(store) for _ in range(100)] == [OLD] * 100
        assert inner.loads == before + 1


@pytest.mark.parametrize("part", ["token", "turn"])
@pytest.mark.parametrize(
    "garbage",
    [5, b"\x80", "text", '{"turn": "t", "document": null}', [1], "\ud800", "[" * 100_000],
    ids=["number", "bytes", "text", "no entry", "list", "no Unicode", "deep"],
)
def test_garbage_is_replaced(inner: SlowStore, part: str, garbage: Any) -> None:
    """What can't be an entry, or a turn, makes way for what is one."""
    raw = cachelib.SimpleCache()
    store = CachedStore(inner, SharedCache(raw), 300, 30)
    save(inner, OLD)
    token_of(store)
    [name] = [name for name in raw._cache if name.endswith(part)]
    raw.set(name, garbage, timeout=0)
    before = inner.loads
    assert [token_of(store) for _ in range(100)] == [OLD] * 100
    assert inner.loads == before + 1


def test_document_that_can_not_be_kept_is_no_error(inner: SlowStore) -> None:
    """What the store has is given, though the cache can't take it."""
    odd = make_document(KEY, {"access_token": object()})
    store = CachedStore(inner, SharedCache(cachelib.SimpleCache()), 300, 30)
    inner.load = lambda key: odd  # type: ignore[method-assign] # a store of somebody else's
    assert [store.load(KEY), store.load(KEY)] == [odd, odd]


@pytest.mark.parametrize("maxsize", [0, -1, None, "10", 1.5, True])
@pytest.mark.parametrize("make", [LocalCache, lambda n: InvalidatedCache("redis://x", n)])
def test_size_that_is_none(make: Any, maxsize: Any) -> None:
    """A size that is no positive integer is told when the cache is made."""
    with pytest.raises(ConfigurationError, match="maxsize"):
        make(maxsize)


def test_names_hold_no_secret(inner: SlowStore) -> None:
    """The names in the cache are those that the documentation shows."""
    raw = cachelib.SimpleCache()
    store = CachedStore(inner, SharedCache(raw), 300, 30)
    save(inner, OLD)
    token_of(store)
    place = inner.place.replace(":", "%3A")
    stem = f"flask_dance:{{{place}:demo:u:42}}"
    assert sorted(raw._cache) == [f"{stem}:token", f"{stem}:turn"]
    assert msgspec.json.decode(raw.get(f"{stem}:token"))["document"]["token"] == OLD


@pytest.mark.parametrize("name", ["cache_timeout", "cache_miss_timeout"])
@pytest.mark.parametrize("seconds", [-1, -0.5, "5", None, True, float("nan"), float("inf"), []])
@pytest.mark.parametrize("cached", [True, False])
def test_time_that_is_none(name: str, seconds: Any, cached: bool) -> None:
    """A timeout that is no number of seconds, or negative, is told when the backend is made."""
    cache = LocalCache() if cached else None
    with pytest.raises(ConfigurationError, match=name):
        scoped(MemoryStore(), cache=cache, **{name: seconds})


def test_what_is_deleted_leaves_nothing(inner: SlowStore) -> None:
    """Neither the document nor a name stays, also after the next reader past the cache."""
    cache = cachelib.SimpleCache()
    store = CachedStore(inner, SharedCache(cache), 300, 30)
    save(store, OLD)
    assert token_of(store) == OLD
    assert len(cache._cache) == 2
    store.delete(KEY)
    assert store.load_fresh(KEY) is None
    assert cache._cache == {}


def test_a_cache_that_does_not_delete(inner: SlowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has still got is not used."""
    cache = cachelib.SimpleCache()
    store = CachedStore(inner, SharedCache(cache), 300, 30)
    save(store, OLD)
    assert token_of(store) == OLD

    def fail(*names: str) -> None:
        raise OSError

    monkeypatch.setattr(cache, "delete_many", fail)
    store.delete(KEY)
    assert store.load(KEY) is None
