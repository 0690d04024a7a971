"""What a test runs as a process of its own: writes to a store, or takes a lock and stays.

Called as ``python -m tests.backend.writer save|lock mongo|redis|sql ADDRESS``.
"""

from __future__ import annotations

import sys
import time

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore

SAVES = 50
LEASE = 1.0
KEY = TokenKey("provider", "42")


def open_store(kind: str, address: str) -> TokenStore:
    """Open a store; only its own driver is imported, since many processes begin at once."""
    if kind == "mongo":
        from flask_dance_nosql.consumer.backend.mongo.store import MongoStore

        return MongoStore(address)
    if kind == "redis":
        from flask_dance_nosql.consumer.backend.redis.store import RedisStore

        return RedisStore(address)
    from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore

    from .written import Written

    return SQLAlchemyStore(Written, address)


def document(number: int) -> TokenDocument:
    """Make the document of one write."""
    now = clock.now()
    return TokenDocument(
        provider=KEY.provider,
        user_id=KEY.user_id,
        token={"n": number},
        created_at=now,
        updated_at=now,
    )


def main(task: str, kind: str, address: str) -> None:
    """Do the task: ``save`` writes 50 times, ``lock`` takes the lock and never ends."""
    store = open_store(kind, address)
    if task == "save":
        versions = [store.save(document(number)).version for number in range(SAVES)]
        print(*versions, flush=True)
        return
    asked_at = time.time()
    taken = store.lock(KEY, lease=LEASE, wait=30)
    print("taken" if taken else "refused", asked_at, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
