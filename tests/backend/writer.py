"""What a test runs as a process of its own: writes to a store, or takes a lock and stays.

Called as ``python -m tests.backend.writer save|lock|link|die mongo|redis|sql ADDRESS``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.store import links

SAVES = 50
LINKS = 10
ACCOUNT = "account at the provider"
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


def link(store: TokenStore) -> None:
    """Link one account to ten users at once, and print who has got it."""
    store.prepare()
    barrier, found = threading.Barrier(LINKS), []

    def run(number: int) -> None:
        theirs = replace(document(number), user_id=f"{os.getpid()}-{number}")
        barrier.wait()
        try:
            store.link(replace(theirs, provider_user_id=ACCOUNT))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found.append(type(error).__name__)
        else:
            found.append("linked")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(LINKS)]
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(*found, flush=True)


def die_while_linking(store: Any) -> None:
    """Die when the document with the account is to be saved, after all that comes before."""
    links.LEASE_SECONDS = LEASE
    save = store.save

    def save_or_die(document: TokenDocument, if_version: int | None = None) -> Any:
        if document.provider_user_id == ACCOUNT:
            os._exit(9)
        return save(document, if_version)

    store.save = save_or_die
    store.link(replace(document(0), provider_user_id=ACCOUNT))


def main(task: str, kind: str, address: str) -> None:
    """Do the task: ``save`` writes 50 times, ``lock`` takes the lock and never ends."""
    store = open_store(kind, address)
    if task == "save":
        versions = [store.save(document(number)).version for number in range(SAVES)]
        print(*versions, flush=True)
        return
    if task == "link":
        link(store)
        return
    if task == "die":
        die_while_linking(store)
    asked_at = time.time()
    taken = store.lock(KEY, lease=LEASE, wait=30)
    print("taken" if taken else "refused", asked_at, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
