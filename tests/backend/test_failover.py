"""A master dies: what was stored is there, and the same store goes on with the next master."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.redis import RedisStore
from flask_dance_nosql.errors import BackendUnavailable
from flask_dance_nosql.testing import make_document
from flask_dance_nosql.testing.documents import KEY
from tests.topologies import RedisCluster, RedisSentinels, Topology, until

AFTERWARDS = 20
"""How many operations have to work, one after the other, before it counts as going on."""

STAYS = TokenKey("other", "42")
"""A token of the same user, and thus in the same slot, that nobody writes to meanwhile."""


@pytest.fixture(params=["sentinels", "cluster"])
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    """Servers of this test's own, since one of them dies."""
    if request.param == "sentinels":
        with RedisSentinels(tmp_path) as sentinels:
            yield sentinels
    else:
        with RedisCluster(tmp_path, replicas=True) as cluster:
            yield cluster


class Worker:
    """Does one thing over and over, and remembers what failed.

    Args:
        operation: What to do.
    """

    def __init__(self, operation: Any) -> None:
        self._operation = operation
        self.errors: list[Exception] = []
        self.in_a_row = 0
        self.last: Any = None
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stopping.is_set():
            try:
                self.last = self._operation()
                self.in_a_row += 1
            except Exception as error:  # noqa: BLE001 - which ones it may be is what we test
                self.errors.append(error)
                self.in_a_row = 0

    def stop(self) -> None:
        """End the work after the operation that is under way."""
        self._stopping.set()

    def goes_on(self) -> bool:
        """Whether the last operations have all worked."""
        return self.in_a_row >= AFTERWARDS


def test_a_master_dies(topology: Topology) -> None:
    """Reads and writes resume by themselves; meanwhile there is only ``BackendUnavailable``."""
    store = RedisStore(topology.url)
    kept = store.save(make_document(STAYS, {"access_token": "kept"}))
    master = topology.master_of(store.redis_key(KEY))
    assert int(master.run("INFO", "replication")["connected_slaves"]) == 1
    until(lambda: replicated(master), "the replica has it")
    writer, reader = Worker(lambda: store.save(make_document())), Worker(lambda: store.load(STAYS))
    with ThreadPoolExecutor(2) as pool:
        workers = [writer, reader]
        running = [pool.submit(worker.run) for worker in workers]
        try:
            until(lambda: all(worker.goes_on() for worker in workers), "work begins")
            master.kill()
            for worker in workers:
                worker.in_a_row = 0
            until(lambda: all(worker.goes_on() for worker in workers), "work goes on")
        finally:
            for worker in workers:
                worker.stop()
        for each in running:
            each.result()
    assert {type(error) for worker in workers for error in worker.errors} <= {BackendUnavailable}
    assert reader.last == store.load(STAYS) == kept
    last: TokenDocument = writer.last
    assert store.load(KEY) == last


def replicated(master: Any) -> bool:
    """Whether the replica has all that the master has."""
    found = master.run("INFO", "replication")
    return bool(found["slave0"]["offset"] == found["master_repl_offset"])
