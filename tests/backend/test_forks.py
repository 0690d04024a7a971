"""A forked child waits for no thread that it has left behind in its parent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest

from examples.demo.embedded import RedisServer
from flask_dance_nosql.consumer.backend import InvalidatedCache, LocalCache, TokenCipher, TokenKey
from flask_dance_nosql.consumer.backend.redis import client
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.process import PerProcess
from flask_dance_nosql.testing import at_once, make_document

from ..forking import fork_without_hooks, in_child, needs_fork
from ..topologies import wait_until
from .redis.hearing import await_live

pytestmark = [
    needs_fork,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

KEY = TokenKey("demo", "42")
NAME = ("here", KEY)


@pytest.fixture(autouse=True, params=[None, "A"], ids=["no account", "account"])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all tests run with a key without an account, and with one."""
    key = TokenKey(KEY.provider, KEY.user_id, request.param)
    monkeypatch.setitem(globals(), "KEY", key)
    monkeypatch.setitem(globals(), "NAME", ("here", key))


Child = Callable[[Callable[[], bool]], bool]


@contextmanager
def in_a_thread(
    task: Callable[[threading.Event], object], begun: threading.Event
) -> Iterator[None]:
    """Have a thread in the midst of something, until it is told to go on."""
    go_on = threading.Event()
    thread = threading.Thread(target=task, args=(go_on,))
    thread.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


@pytest.fixture(params=[os.fork, fork_without_hooks])
def child(request: pytest.FixtureRequest) -> Callable[[Callable[[], bool]], bool]:
    """Tells what a function returns in a child that was forked by Python, or as by uWSGI."""
    return partial(in_child, fork=request.param)


def test_local_cache(child: Child) -> None:
    """A cache that a thread was about to change can be used, and is empty."""
    cache, begun = LocalCache(), threading.Event()
    cache.fill(NAME, cache.look(NAME)[2], make_document(KEY, {"access_token": "at"}), 300)

    def hold(go_on: threading.Event) -> None:
        with cache._memory.get().mutex:
            begun.set()
            go_on.wait(60)

    with in_a_thread(hold, begun):
        assert child(lambda: not cache.look(NAME)[0])
    assert cache.look(NAME)[0]


def test_keys_from_a_function(child: Child) -> None:
    """While a thread asks for a key, which may take long, a child asks for itself."""
    begun, key = threading.Event(), TokenCipher.generate_key()
    parents, wait = threading.get_ident(), [threading.Event()]

    def ask() -> str:
        if threading.get_ident() != parents:
            begun.set()
            wait[0].wait(60)
        return key

    cipher = TokenCipher(ask)

    def seal(go_on: threading.Event) -> None:
        wait[0] = go_on
        cipher.seal(KEY, {"access_token": "at"})

    with in_a_thread(seal, begun):
        assert child(lambda: bool(cipher.seal(KEY, {"access_token": "at"})))


def test_client_from_a_url(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, child: Child
) -> None:
    """While a thread opens a URL, a child opens its own."""
    begun, wait, parents = threading.Event(), [threading.Event()], threading.get_ident()

    def open_slowly(url: str) -> Any:
        if threading.get_ident() != parents:
            begun.set()
            wait[0].wait(60)
        return open_url(url)

    monkeypatch.setattr(client, "open_url", open_slowly)
    source = client.client_source(redis_server.url, "RedisStore")

    def hold(go_on: threading.Event) -> None:
        wait[0] = go_on
        source.get()

    with in_a_thread(hold, begun):
        assert child(lambda: bool(source.get().ping()))


def test_a_child_opens_a_url_again(redis_server: RedisServer, child: Child) -> None:
    """A child shares no socket with its parent, and a thread of either shares the process's."""
    source = client.client_source(redis_server.url)
    opened = source.get()
    assert source.get() is opened
    assert child(lambda: source.get() is not opened and source.get() is source.get())


def test_invalidated_cache(redis_server: RedisServer, child: Child) -> None:
    """A child serves nothing of its parent's, listens itself, and hears what others write."""
    with closing(InvalidatedCache(redis_server.url)) as cache:
        await_live(cache)
        cache.fill(NAME, cache.look(NAME)[2], make_document(KEY, {"access_token": "at"}), 300)
        assert cache.look(NAME)[0]

        def hears() -> bool:
            was_kept = cache.look(NAME)[0]
            await_live(cache)
            cache.fill(NAME, cache.look(NAME)[2], make_document(KEY, {"access_token": "at"}), 300)
            is_kept = cache.look(NAME)[0]
            other = InvalidatedCache(redis_server.url)
            other.end(NAME, other.begin(NAME), None, 0)
            wait_until(lambda: not cache.look(NAME)[0], "the write was heard", 5)
            return is_kept and not was_kept

        assert child(hears)


def test_threads_of_a_child_agree(child: Child) -> None:
    """What a process makes for itself is one thing for all its threads."""
    made: PerProcess[object] = PerProcess(object)
    parents = made.get()

    def agree() -> bool:
        things = at_once(8, lambda _: made.get())
        return len(set(things)) == 1 and things[0] is not parents

    assert child(agree)


def test_closed_cache_stays_closed(redis_server: RedisServer, child: Child) -> None:
    """A child does not begin to listen again with what its parent has closed."""
    cache = InvalidatedCache(redis_server.url)
    await_live(cache)
    cache.close()

    def is_closed() -> bool:
        cache.look(NAME)
        return cache._subscription.get()._thread is None

    assert child(is_closed)


def test_store_in_memory(child: Child) -> None:
    """A child whose parent was in the midst of an operation can use every one."""
    store, begun = MemoryStore(), threading.Event()
    store.save(make_document(KEY))

    def hold(go_on: threading.Event) -> None:
        with store._mutexes.get():
            begun.set()
            go_on.wait(60)

    def works() -> bool:
        store.save(make_document(KEY))
        with store.lock(KEY) or pytest.fail("the lock is taken"):
            store.delete(KEY)
        return store.load(KEY) is None and list(store.scan()) == []

    with in_a_thread(hold, begun):
        assert child(works)
    assert store.load(KEY) is not None


def test_lease_of_the_parent(redis_server: RedisServer, child: Child) -> None:
    """A child that was forked while a lock was held neither releases it nor waits without end."""
    store = RedisStore(redis_server.url)
    lease = store.lock(KEY, lease=30) or pytest.fail("the lock is taken")

    def leaves() -> bool:
        with lease:
            waited = RedisStore(redis_server.url).lock(KEY, wait=0.2)
        return waited is None

    assert child(leaves)
    assert store.lock(KEY) is None
    lease.release()
    with store.lock(KEY) or pytest.fail("the lock is taken"):
        pass
