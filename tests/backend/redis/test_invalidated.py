"""Local caches of several processes: what one writes, the others forget."""

from __future__ import annotations

import gc
import logging
import random
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio
from hypothesis import given
from redis.backoff import NoBackoff
from redis.retry import Retry

from examples.demo.embedded import RedisServer, free_port
from flask_dance_nosql.consumer.backend import InvalidatedCache, LocalCache, TokenKey
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.redis.channel import (
    THREAD,
    TRUST_SECONDS,
    Subscription,
)
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.testing import keys, make_document

from ...servers import RedisCommands
from ...topologies import RedisClusterServers, RedisSentinelServers, Topology, wait_until
from ..cache.test_caches import NEW, OLD, SlowStore, save, token_of
from ..places import scoped
from .hearing import KEY, await_live, keeps

CHANNEL = "flask_dance:forget"
MARKER = TokenKey("marker")

Make = Callable[..., CachedStore]


def cache_of(store: CachedStore) -> InvalidatedCache:
    """Return the cache of a store."""
    assert isinstance(store.cache, InvalidatedCache)
    return store.cache


def has_new(store: CachedStore) -> bool:
    """Whether the new token is read."""
    return token_of(store) == NEW


def is_trusted(store: CachedStore, until: float) -> bool:
    """Whether the cache may be served until a moment, as it is now."""
    return (cache_of(store)._subscription.get().trusted_until or 0) > until


def listeners() -> list[threading.Thread]:
    """Return the threads that listen."""
    return [each for each in threading.enumerate() if each.name == THREAD]


def is_kept(store: CachedStore, key: TokenKey = KEY) -> bool:
    """Whether the cache has something under a key."""
    return store.cache.look((store.inner.place, key))[0]


def await_messages(sender: CachedStore, receiver: CachedStore) -> None:
    """Wait until all that a store has said until now was heard."""
    receiver.load(MARKER)
    assert is_kept(receiver, MARKER)
    sender.delete(MARKER)
    wait_until(lambda: not is_kept(receiver, MARKER), "the messages are there", 10)


@pytest.fixture
def inner() -> SlowStore:
    """The store that all processes share."""
    return SlowStore()


@pytest.fixture
def make(inner: SlowStore, redis_client: redis.Redis) -> Iterator[Make]:
    """Makes what a process has: a cached store, whose cache is closed in the end."""
    with ExitStack() as stack:

        def made(client: Any = redis_client, **options: Any) -> CachedStore:
            cache = stack.enter_context(closing(InvalidatedCache(client, **options)))
            return CachedStore(inner, cache, 300, 30)

        yield made


@pytest.fixture
def here(make: Make) -> CachedStore:
    """The store as one process sees it."""
    store = make()
    await_live(cache_of(store))
    return store


@pytest.fixture
def there(make: Make) -> CachedStore:
    """The store as another process sees it."""
    store = make()
    await_live(cache_of(store))
    return store


# What one writes, the others forget.


@pytest.mark.parametrize("before", [OLD, None])
@pytest.mark.parametrize("after", [NEW, None])
def test_a_write_is_soon_seen_elsewhere(
    here: CachedStore, there: CachedStore, inner: SlowStore, before: Any, after: Any
) -> None:
    """What one process writes, the other reads long before its entry ends."""
    if before is not None:
        save(inner, before)
    assert [token_of(there) for _ in range(3)] == [before] * 3
    assert [call for call in inner.calls if call[0] == "load"] == [("load", KEY)]
    save(here, after) if after is not None else here.delete(KEY)
    # What is cached as missing would be asked for anew after 30 seconds anyway.
    wait_until(lambda: token_of(there) == after, "the write is seen", 20)


def test_others_entries_stay(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """A write costs the other process the entry of its own key, and no more."""
    for user in ("1", "2", "3"):
        save(inner, OLD, TokenKey("demo", user))
        there.load(TokenKey("demo", user))
    save(here, NEW, TokenKey("demo", "2"))
    await_messages(here, there)
    assert [is_kept(there, TokenKey("demo", user)) for user in "123"] == [True, False, True]


def test_accounts_are_told_apart(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """A write of one account costs the other process the entry of that account alone."""
    accounts = [TokenKey("demo", "1", each) for each in (None, "1", "2")]
    for key in accounts:
        save(inner, OLD, key)
        there.load(key)
    save(here, NEW, accounts[1])
    await_messages(here, there)
    assert [is_kept(there, key) for key in accounts] == [True, False, True]
    assert token_of(there, accounts[1]) == NEW


def test_own_writes_stay(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """A process that hears of its own write still has it at hand."""
    save(here, NEW)
    # A message of the other process comes behind the own one.
    await_messages(there, here)
    inner.calls.clear()
    assert token_of(here) == NEW
    assert inner.calls == []


def test_reader_that_is_overtaken_keeps_nothing(
    here: CachedStore, there: CachedStore, inner: SlowStore
) -> None:
    """A reader loads, another process writes, and the reader comes back: nothing is kept."""
    old = save(inner, OLD)
    name = (inner.place, KEY)
    found, _, ticket = there.cache.look(name)
    assert not found
    save(here, NEW)
    await_messages(here, there)
    there.cache.fill(name, ticket, old, 300)
    assert token_of(there) == NEW


def test_writer_that_is_overtaken_keeps_nothing(
    here: CachedStore, there: CachedStore, inner: SlowStore
) -> None:
    """A writer whose answer is late does not keep what another process has replaced since."""
    name = (inner.place, KEY)
    ticket = there.cache.begin(name)
    old = save(inner, OLD)
    save(here, NEW)
    await_messages(here, there)
    there.cache.end(name, ticket, old, 300)
    assert token_of(there) == NEW


def test_reading_fresh_tells_nobody(
    here: CachedStore, there: CachedStore, inner: SlowStore
) -> None:
    """A read past the cache costs the other process nothing."""
    save(inner, OLD)
    there.load(KEY)
    assert here.load_fresh(KEY) is not None
    await_messages(here, there)
    assert is_kept(there)
    assert is_kept(here)


def test_a_failed_write_is_told(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """A write that may have been done all the same is told."""
    save(inner, OLD)
    there.load(KEY)
    inner.fails_after.add("save")
    with pytest.raises(BackendUnavailable):
        save(here, NEW)
    await_messages(here, there)
    assert not is_kept(there)


def test_a_write_costs_one_message(make: Make, redis_commands: RedisCommands) -> None:
    """Each write is one more round trip to Redis; a read is none."""
    store = make()
    redis_commands.clear()
    for _ in range(10):
        save(store, NEW)
    assert redis_commands.total == 10


def test_all_agree_in_the_end(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """Readers and writers of two processes at once: when it is quiet, each reads what is there."""
    everybody = [TokenKey("demo", str(number)) for number in range(3)]

    def work(seed: int) -> None:
        chance, store = random.Random(seed), (here, there)[seed % 2]
        for number in range(300):
            key = chance.choice(everybody)
            if chance.random() < 0.3:
                save(store, {"n": number, "by": seed}, key)
            else:
                store.load(key)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    await_messages(here, there)
    await_messages(there, here)
    for key in everybody:
        assert token_of(here, key) == token_of(there, key) == token_of(inner, key)


HOSTILE = ["a", "a:b", "{a}", "a b", "a\n", "%61", "é", "\U0001d4b3", '"', "x" * 300, "a\x7f"]


def test_hostile_keys(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """Whatever characters a key has, its entry is forgotten, and no other."""
    everybody = [TokenKey(p, u) for p in HOSTILE[:4] for u in (*HOSTILE, None)]
    for key in everybody:
        there.load(key)
    for key in everybody[::2]:
        save(here, NEW, key)
    await_messages(here, there)
    assert [is_kept(there, key) for key in everybody] == [
        number % 2 == 1 for number in range(len(everybody))
    ]


class Recorder:
    """Stands for a client and its source, and remembers what is published."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def get(self) -> Recorder:
        """Return the client."""
        return self

    def publish(self, _: str, message: bytes) -> None:
        """Remember a message."""
        self.said.append(message)


@given(key=keys(), other=keys())
def test_messages_name_any_key(key: TokenKey, other: TokenKey) -> None:
    """What is heard is what was said, for any key."""
    client: Any = Recorder()
    kept = LocalCache()
    name, other_name = ("a place: é", key), ("another", other)
    for each in (name, other_name):
        kept.fill(each, kept.look(each)[2], None, 300)
    Subscription(weakref.ref(kept), CHANNEL, time.monotonic).tell(client, name)
    [message] = client.said
    Subscription(weakref.ref(kept), CHANNEL, time.monotonic)._take(message)
    assert not kept.look(name)[0]
    assert kept.look(other_name)[0]


GARBAGE: list[Any] = [
    b"",
    b"\xff\xfe",
    "text",
    "null",
    "{}",
    "[" * 100_000,
    '{"type": "Written"}',
    '{"type": "Beat", "sender": "x", "number": "at-secret"}',
    '{"type": "Written", "sender": "x", "place": "p", "provider": "", "user_id": "1"}',
    '{"type": "Written", "sender": "x", "place": "p", "provider": "p", "user_id": {"$ne": null}}',
    '{"type": "Beat", "sender": "x", "number": 1}',
]


@pytest.mark.parametrize("decode", [False, True])
def test_garbage_is_ignored(
    make: Make, redis_server: RedisServer, decode: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else is said on the channel is one warning, and nothing is forgotten by it."""
    with redis.Redis.from_url(redis_server.url, decode_responses=decode) as client:
        here, there = make(client), make(client)
        await_live(cache_of(here), cache_of(there))
        there.load(KEY)
        for garbage in GARBAGE:
            client.publish(CHANNEL, garbage)
        await_messages(here, there)
    assert is_kept(there)
    heard = [each for each in caplog.records if each.name.endswith("channel")]
    # One of each of the two.
    assert len(heard) == 2
    assert all("could not read a message" in each.getMessage() for each in heard)
    assert "at-secret" not in caplog.text


# When the connection is lost.


def test_lost_connection_forgets_everything(
    there: CachedStore, inner: SlowStore, redis_client: redis.Redis
) -> None:
    """When the server cuts the connection, entries are gone; then there are new ones."""
    save(inner, OLD)
    there.load(KEY)
    redis_client.client_kill_filter(_type="pubsub")
    # Said to nobody.
    save(inner, NEW)
    wait_until(lambda: not is_kept(there), "the entry is gone", 10)
    assert token_of(there) == NEW
    await_live(cache_of(there))
    assert [token_of(there) for _ in range(3)] == [NEW] * 3
    assert is_kept(there)


def test_reader_during_a_loss_keeps_nothing(
    there: CachedStore, inner: SlowStore, redis_client: redis.Redis
) -> None:
    """A reader that began before the connection was lost keeps nothing after it is back."""
    name = (inner.place, KEY)
    ticket = there.cache.look(name)[2]
    writer = there.cache.begin((inner.place, MARKER))
    redis_client.client_kill_filter(_type="pubsub")
    wait_until(lambda: not keeps(cache_of(there)), "the connection is lost", 10)
    meanwhile = there.cache.look(name)[2]
    await_live(cache_of(there))
    for each in (ticket, meanwhile):
        there.cache.fill(name, each, make_document(KEY, OLD), 300)
    there.cache.end((inner.place, MARKER), writer, make_document(MARKER, OLD), 300)
    assert not is_kept(there)
    assert not is_kept(there, MARKER)


def test_without_the_server_nothing_is_kept(
    inner: SlowStore, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server is away, each read goes to the store; when it is back, all is as before."""
    port = free_port()
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
        here, there = make(client), make(client)
        for _ in range(2):
            save(here, OLD)
            with RedisServer(tmp_path, port):
                await_live(cache_of(here), cache_of(there))
                save(here, NEW)
                assert token_of(there) == NEW
                assert is_kept(there)
            for each in (here, there):
                live = cache_of(each)._subscription.get().is_live
                wait_until(lambda live=live: not live(), "the server is missed", 10)
            save(here, OLD)
            inner.calls.clear()
            assert [token_of(each) for each in (here, there) for _ in range(3)] == [OLD] * 6
            assert inner.calls == [("load", KEY)] * 6
            assert not keeps(cache_of(there))
            assert not cache_of(here)._memory.get().found
            assert not cache_of(there)._memory.get().found
    told = {each.getMessage() for each in caplog.records}
    assert told == {
        "The invalidation of tokens could not listen, so nothing is kept (ConnectionError).",
        "The invalidation of tokens could not tell other processes of a write (ConnectionError).",
    }


def test_silence_ends_the_trust(make: Make, inner: SlowStore) -> None:
    """When it is not known that messages arrive, nothing is served, until it is known again."""
    now = [0.0]
    store = make(timer=lambda: now[0])
    await_live(cache_of(store))
    save(inner, OLD)
    store.load(KEY)
    assert is_kept(store)
    now[0] += TRUST_SECONDS
    assert not is_kept(store)
    save(inner, NEW)
    await_live(cache_of(store))
    assert token_of(store) == NEW


def test_trust_is_renewed(make: Make, inner: SlowStore) -> None:
    """As long as messages arrive, entries stay."""
    now = [0.0]
    store = make(timer=lambda: now[0])
    await_live(cache_of(store))
    store.load(KEY)
    for _ in range(6):
        now[0] += 3.5
        wait_until(partial(is_trusted, store, now[0] + 6), "the beat is back", 10)
        assert is_kept(store)
    assert now[0] > TRUST_SECONDS


def test_entries_end(make: Make, inner: SlowStore) -> None:
    """An entry ends with its time, as in any cache."""
    now = [0.0]
    store = make(timer=lambda: now[0])
    await_live(cache_of(store))
    save(inner, OLD)
    store.cache.fill((inner.place, KEY), store.cache.look((inner.place, KEY))[2], None, 5)
    assert token_of(store) is None
    now[0] += 5.1
    assert token_of(store) == OLD


def test_failures_are_logged_once_a_minute(
    make: Make, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred writes that nobody hears of are done, and one warning."""
    with redis.Redis(port=closed_port, retry=Retry(NoBackoff(), 0)) as client:
        store = make(client)
        for number in range(100):
            save(store, {"n": number})
    assert token_of(store) == {"n": 99}
    [record] = [each for each in caplog.records if "tell" in each.getMessage()]
    assert record.levelno == logging.WARNING


# Clients.

CLIENTS: dict[str, str] = {
    "url": "redis_server",
    "redis8": "redis8_server",
    "cluster": "redis_cluster",
    "sentinel": "redis_sentinel",
}


@pytest.mark.parametrize("server", CLIENTS.values(), ids=CLIENTS)
def test_servers(make: Make, server: str, request: pytest.FixtureRequest) -> None:
    """Single servers, clusters and masters behind Sentinels carry the messages."""
    with open_url(request.getfixturevalue(server).url) as client:
        here, there = make(client), make(lambda: client)
        await_live(cache_of(here), cache_of(there))
        there.load(KEY)
        save(here, NEW)
        wait_until(partial(has_new, there), "the write is seen", 10)
        for store in (here, there):
            cache_of(store).close()
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("kind", [RedisSentinelServers, RedisClusterServers], ids=["s", "c"])
def test_the_death_of_a_master(make: Make, kind: type[Topology], tmp_path: Path) -> None:
    """When another master has taken over, messages go by it, and entries are kept again."""
    with kind(tmp_path) as servers, open_url(servers.url) as client:
        here, there = make(client), make(client)
        await_live(cache_of(here), cache_of(there))
        there.load(KEY)
        servers.owner(CHANNEL).kill()
        wait_until(lambda: not is_kept(there), "the connection is lost", 10)
        save(here, OLD)
        assert token_of(there) == OLD
        await_live(cache_of(here), cache_of(there))
        assert token_of(there) == OLD
        save(here, NEW)
        wait_until(partial(has_new, there), "the write is seen", 10)
        for store in (here, there):
            cache_of(store).close()
    gc.collect()


OPTIONS: dict[str, dict[str, Any]] = {
    "text": {"decode_responses": True},
    "another encoding": {"decode_responses": True, "encoding": "latin-1"},
    "RESP3": {"protocol": 3},
    "health checks": {"health_check_interval": 1},
    "hasty": {"socket_timeout": 0.1},
    "patient": {"socket_timeout": None, "retry": Retry(NoBackoff(), 3)},
    "one connection": {"single_connection_client": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_clients(make: Make, redis_server: RedisServer, options: dict[str, Any]) -> None:
    """Whatever the settings of the client, the messages are understood."""
    with redis.Redis(port=redis_server.port, **options) as client:
        here, there = make(client), make(redis_server.url)
        await_live(cache_of(here), cache_of(there))
        for sender, receiver in ((here, there), (there, here)):
            receiver.load(KEY)
            save(sender, NEW)
            wait_until(partial(has_new, receiver), "the write is seen", 10)
            await_messages(sender, receiver)
        cache_of(here).close()


def test_unix_socket(make: Make, tmp_path: Path) -> None:
    """A server on a socket of the file system will do."""

    class OnSocket(RedisServer):
        def command(self) -> list[str]:
            return [*super().command(), "--unixsocket", str(tmp_path / "s")]

    with OnSocket(tmp_path), redis.Redis(unix_socket_path=str(tmp_path / "s")) as client:
        here, there = make(client), make(client)
        await_live(cache_of(here), cache_of(there))
        await_messages(here, there)
        for store in (here, there):
            cache_of(store).close()


def test_fakeredis(make: Make) -> None:
    """FakeRedis will do, for tests of applications."""
    with fakeredis.FakeRedis() as client:
        here, there = make(client), make(client)
        await_live(cache_of(here), cache_of(there))
        await_messages(here, there)
        for store in (here, there):
            cache_of(store).close()


@pytest.mark.parametrize("wrong", [5, "localhost", redis.asyncio.Redis(), LocalCache()])
def test_what_is_no_client_is_refused(wrong: Any) -> None:
    """Something that is no client is a clear error at once."""
    with pytest.raises(ConfigurationError, match="InvalidatedCache takes a synchronous redis-py"):
        InvalidatedCache(wrong)


def test_a_function_that_returns_no_client(make: Make) -> None:
    """Something that a function returns and is no client is a clear error when it is first read."""
    with pytest.raises(ConfigurationError, match="InvalidatedCache takes"):
        make(lambda: 5).load(KEY)


def test_what_can_not_be_opened_is_no_error(
    make: Make, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster that is down when its URL is opened is a warning; the store has what is there."""
    store = make(f"redis+cluster://127.0.0.1:{closed_port}", timer=lambda: 0.0)
    save(store, OLD)
    assert [token_of(store) for _ in range(5)] == [OLD] * 5
    assert len(caplog.records) == 2
    assert listeners() == []


# Threads and processes.


def test_no_thread_without_use(make: Make, inner: SlowStore) -> None:
    """Making a cache, writing and closing start no thread."""
    store = make()
    save(store, NEW)
    cache_of(store).close()
    assert token_of(store) == NEW
    assert listeners() == []


def test_no_thread_after_the_end(make: Make, inner: SlowStore) -> None:
    """There is one thread, and none when the cache is closed; again is no error."""
    store = make()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.load, [KEY] * 100))
    assert len(listeners()) == 1
    await_live(cache_of(store))
    store.load(KEY)
    cache_of(store).close()
    cache_of(store).close()
    assert listeners() == []
    assert not is_kept(store)
    assert not cache_of(store)._memory.get().found
    save(store, NEW)
    assert token_of(store) == NEW
    assert listeners() == []


def test_closed_cache_still_tells(here: CachedStore, there: CachedStore, inner: SlowStore) -> None:
    """What a process writes after it has closed its cache is told to the others."""
    there.load(KEY)
    cache_of(here).close()
    save(here, NEW)
    wait_until(partial(has_new, there), "the write is seen", 10)


def test_no_thread_for_a_cache_that_is_gone(redis_client: redis.Redis) -> None:
    """The thread ends when nobody has the cache any more."""
    cache = InvalidatedCache(redis_client)
    await_live(cache)
    assert len(listeners()) == 1
    del cache
    gc.collect()
    wait_until(lambda: not listeners(), "the thread has ended", 10)


def test_the_connection_is_closed(make: Make, redis_client: redis.Redis) -> None:
    """No connection is left behind by a cache that is closed."""
    store = make()
    await_live(cache_of(store))
    assert redis_client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), 1)]
    cache_of(store).close()
    wait_until(lambda: redis_client.pubsub_numsub(CHANNEL)[0][1] == 0, "nobody listens", 10)


@pytest.mark.parametrize("task", [[], ["fork"]], ids=["process", "fork"])
def test_another_process(redis_client: redis.Redis, redis_server: RedisServer, task: Any) -> None:
    """What this process writes, another one reads soon, and so does one that was forked."""
    with closing(InvalidatedCache(redis_client)) as cache:
        store = CachedStore(RedisStore(redis_client), cache, 300, 30)
        save(store, OLD)
        command = [sys.executable, "-W", "ignore::DeprecationWarning"]
        command += ["-m", "tests.backend.redis.hearing", redis_server.url, *task]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            save(store, NEW)
            rest, errors = process.communicate(timeout=60)
    assert (first, rest, errors) == ("at-old\n", "at-new\n", "")
    assert process.returncode == 0


# In a backend.


def test_backends_in_step(make: Make, inner: SlowStore, blueprint: Any) -> None:
    """Two backends with a cache each, on any store, see each other's writes."""
    caches = [cache_of(make()) for _ in range(2)]
    await_live(*caches)
    here, there = (scoped(inner, user_id=1, cache=cache) for cache in caches)
    here.set(blueprint, OLD)
    assert there.get(blueprint) == OLD
    here.set(blueprint, NEW)
    wait_until(lambda: there.get(blueprint) == NEW, "the write is seen", 10)
    here.delete(blueprint)
    wait_until(lambda: there.get(blueprint) is None, "the deletion is seen", 10)
