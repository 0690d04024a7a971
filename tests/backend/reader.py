"""What a test runs as a process of its own: reads and writes through a cache that others share.

Called as ``python -m tests.backend.reader URL``. It prints how many reads were older than a write
that had returned before they began, and how many asked the cache only.
"""

from __future__ import annotations

import os
import sys

import cachelib
import redis

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.cache.shared import SharedCache
from flask_dance_nosql.consumer.backend.redis.store import RedisStore

ROUNDS = 1250
KEY = TokenKey("provider", "42")


class CountingStore(RedisStore):
    """A store that counts its loads."""

    loads = 0

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Load, and count it."""
        self.loads += 1
        return super().load(key)


def main(url: str) -> None:
    """Write now and then, tell which version was written, and read."""
    with redis.Redis.from_url(url) as client:
        inner = CountingStore(client)
        store = CachedStore(inner, SharedCache(cachelib.RedisCache(client)), 300, 30)
        wrong = 0
        for number in range(ROUNDS):
            if number % 25 == 0:
                now = clock.now()
                token = {"by": os.getpid(), "n": number}
                saved = store.save(
                    TokenDocument(
                        provider=KEY.provider,
                        user_id=KEY.user_id,
                        token=token,
                        created_at=now,
                        updated_at=now,
                    )
                )
                client.zadd("written", {"newest": saved.version}, gt=True)
            newest = client.zscore("written", "newest") or 0
            found = store.load(KEY)
            wrong += found is None or found.version < newest
        print(wrong, ROUNDS - inner.loads)


if __name__ == "__main__":
    main(*sys.argv[1:])
