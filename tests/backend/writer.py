"""What a test runs as a process of its own: writes to a store, or takes a lock and stays.

Called as ``python -m tests.backend.writer save|lock mongo|redis|file ADDRESS``.
"""

from __future__ import annotations

import sys
import time

from flask_dance_nosql.consumer.backend import TokenStore
from flask_dance_nosql.consumer.backend.filestore import FileStore
from flask_dance_nosql.consumer.backend.mongo import MongoStore
from flask_dance_nosql.consumer.backend.redis import RedisStore
from flask_dance_nosql.testing import make_document
from flask_dance_nosql.testing.documents import KEY

SAVES = 50
LEASE = 3.0
STORES = {"mongo": MongoStore, "redis": RedisStore, "file": FileStore}


def main(task: str, kind: str, address: str) -> None:
    """Do the task: ``save`` writes 50 times, ``lock`` takes the lock and never ends."""
    store: TokenStore = STORES[kind](address)
    if task == "save":
        versions = [store.save(make_document(token={"n": n})).version for n in range(SAVES)]
        print(*versions, flush=True)
        return
    taken = store.lock(KEY, lease=LEASE, wait=30)
    print("taken" if taken else "refused", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
