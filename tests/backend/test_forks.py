"""A forked child waits for no thread that it has left behind in its parent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from examples.demo.embedded import RedisServer
from flask_dance_nosql.consumer.backend import InvalidatedCache, LocalCache, TokenCipher, TokenKey
from flask_dance_nosql.consumer.backend.redis.client import client_source
from flask_dance_nosql.testing import make_document

from ..forking import in_child, needs_fork
from .redis.hearing import await_live

pytestmark = [
    needs_fork,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

KEY = TokenKey("demo", "42")
NAME = ("here", KEY)


@contextmanager
def in_a_thread(
    task: Callable[[threading.Event], object], begun: threading.Event
) -> Iterator[None]:
    """Have a thread in the midst of something, until it is told to go on."""
    go_on = threading.Event()
    thread = threading.Thread(target=task, args=(go_on,))
    thread.start()
    assert begun.wait(10)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def test_local_cache() -> None:
    """A cache that a thread was about to change can be used, and is empty."""
    cache, begun = LocalCache(), threading.Event()
    cache.fill(NAME, cache.look(NAME)[2], make_document(KEY, {"access_token": "at"}), 300)

    def hold(go_on: threading.Event) -> None:
        with cache._mutex:
            begun.set()
            go_on.wait(10)

    with in_a_thread(hold, begun):
        assert in_child(lambda: not cache.look(NAME)[0])
    assert cache.look(NAME)[0]


def test_keys_from_a_function() -> None:
    """While a thread asks for a key, which may take long, a child asks for itself."""
    begun, key = threading.Event(), TokenCipher.generate_key()
    parents, wait = threading.get_ident(), [threading.Event()]

    def ask() -> str:
        if threading.get_ident() != parents:
            begun.set()
            wait[0].wait(10)
        return key

    cipher = TokenCipher(ask)

    def seal(go_on: threading.Event) -> None:
        wait[0] = go_on
        cipher.seal(KEY, {"access_token": "at"})

    with in_a_thread(seal, begun):
        assert in_child(lambda: bool(cipher.seal(KEY, {"access_token": "at"})))


def test_client_from_a_url(redis_server: RedisServer) -> None:
    """While a thread opens a URL, a child opens its own."""
    source, begun = client_source(redis_server.url, "RedisStore"), threading.Event()

    def hold(go_on: threading.Event) -> None:
        with source._opening:
            begun.set()
            go_on.wait(10)

    with in_a_thread(hold, begun):
        assert in_child(lambda: bool(source.get().ping()))


def test_closed_cache_stays_closed(redis_server: RedisServer) -> None:
    """A child does not begin to listen again with what its parent has closed."""
    cache = InvalidatedCache(redis_server.url)
    await_live(cache)
    cache.close()

    def is_closed() -> bool:
        cache.look(NAME)
        return not any("invalidation" in thread.name for thread in threading.enumerate())

    assert in_child(is_closed)
