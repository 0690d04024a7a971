"""Waiting until caches that listen do listen; and a process of its own, which does so.

Called as ``python -m tests.backend.redis.hearing URL [fork]``. It prints the token that it has at
hand, and then the next one, when it has heard of that. With ``fork``, a child does it.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from functools import partial

import redis

from flask_dance_nosql.consumer.backend import InvalidatedCache, TokenKey
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore

from ...topologies import wait_until

KEY = TokenKey("demo", "42")
_PROBE = ("probe", TokenKey("probe"))


def keeps(cache: InvalidatedCache) -> bool:
    """Whether a cache keeps what it is given now."""
    found, _, ticket = cache.look(_PROBE)
    if not found:
        cache.fill(_PROBE, ticket, None, 300)
        found = cache.look(_PROBE)[0]
    cache.forget(_PROBE)
    return found


def await_live(*caches: InvalidatedCache) -> None:
    """Wait until each of these caches hears the others, and so keeps something."""
    for cache in caches:
        wait_until(partial(keeps, cache), "a cache keeps something")


def main(url: str, *task: str) -> None:
    """Print the token, and the next one."""
    cache = InvalidatedCache(url)
    await_live(cache)
    if "fork" in task:
        child = os.fork()
        if child:
            cache.close()
            sys.exit(os.waitpid(child, 0)[1])
        # What the parent has is not served: nobody tells the child yet that it is old.
        assert not cache._subscription.get().is_live()
        assert not cache._memory.get().found
        await_live(cache)
    with closing(cache), redis.Redis.from_url(url) as client:
        report(CachedStore(RedisStore(client), cache, 300, 30))


def report(store: CachedStore) -> None:
    """Print the token, and the next one."""
    first = text_of(store)
    assert store.cache.look((store.inner.place, KEY))[0]
    print(first, flush=True)
    wait_until(lambda: text_of(store) != first, "the token is another")
    print(text_of(store), flush=True)


def text_of(store: CachedStore) -> str:
    """Return the access token."""
    found = store.load(KEY)
    return "" if found is None else str(found.token["access_token"])


if __name__ == "__main__":
    main(*sys.argv[1:])
