"""The death of a Redis master, as an application lives through it that is not restarted."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.errors import BackendUnavailable, VersionConflict
from flask_dance_nosql.testing import make_document

from ..topologies import (
    RedisClusterServers,
    RedisNode,
    RedisSentinelServers,
    Topology,
    wait_until,
)

KEPT, WRITTEN = TokenKey("kept", "42"), TokenKey("written", "42", "4:2")
ENOUGH = 20
LONGEST = 20.0


class Caller(threading.Thread):
    """Makes one call over and over, and remembers what came of it."""

    def __init__(self, call: Callable[[int], Any]) -> None:
        super().__init__()
        self.results: list[Any] = []
        self.errors: list[Exception] = []
        self.slowest = 0.0
        self._call = call
        self._ending = threading.Event()

    def run(self) -> None:
        """Call until told to end."""
        while not self._ending.wait(0.005):
            begun = time.monotonic()
            try:
                self.results.append(self._call(len(self.results)))
            except Exception as error:  # noqa: BLE001 - the test looks at each
                self.errors.append(error)
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def await_results(self) -> None:
        """Wait for results of calls that begin from now on."""
        before = len(self.results)
        wait_until(lambda: len(self.results) > before + ENOUGH, "the store works")

    def __enter__(self) -> Caller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()


@pytest.fixture(params=[RedisSentinelServers, RedisClusterServers], ids=["sentinel", "cluster"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    """A topology of the test's own, which it may damage."""
    with request.param(tmp_path) as started:
        yield started
    # redis-py leaves its connections to nodes that it no longer knows to the garbage collector.
    gc.collect()


@pytest.fixture
def store(servers: Topology) -> Iterator[RedisStore]:
    """A store that knows the topology by its URL."""
    with open_url(servers.url) as client:
        yield RedisStore(client)


def await_replica(master: RedisNode, store: RedisStore) -> None:
    """Wait until a replica has all that the master was told until now."""
    with master.client.pipeline(transaction=False) as pipeline:
        # WAIT is about the writes of its own connection, and those of others before them.
        pipeline.set(f"{store.redis_key(KEPT)}:mark", "")
        pipeline.execute_command("WAIT", 1, 10_000)
        assert pipeline.execute()[1] >= 1


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("failure", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_store_outlives_its_master(
    servers: Topology, store: RedisStore, failure: signal.Signals
) -> None:
    """After a master dies or freezes, the same store saves and loads again, and has lost nothing.

    Until then it says that the server is unavailable, says so within seconds, and says nothing
    else.
    """
    kept = store.save(make_document(KEPT))

    def save(number: int) -> TokenDocument:
        return store.save(make_document(WRITTEN, {"n": number}))

    with Caller(save) as writer, Caller(lambda _: store.load(KEPT)) as reader:
        for caller in (writer, reader):
            caller.await_results()
        master = servers.owner(store.redis_key(KEPT))
        await_replica(master, store)
        os.kill(master.pid, failure)
        try:
            for caller in (writer, reader):
                caller.await_results()
        finally:
            # What is frozen does not end by SIGTERM, and holds its callers.
            master.kill()
    assert {type(error) for error in writer.errors + reader.errors} <= {BackendUnavailable}
    assert all(found == kept for found in reader.results)
    assert store.load(WRITTEN) == writer.results[-1]
    assert max(writer.slowest, reader.slowest) < LONGEST


@pytest.fixture
def losing() -> threading.Event:
    """While it is set, the next answer of the server is lost."""
    return threading.Event()


@pytest.fixture(params=["redis_server", "redis8_server"])
def lossy_store(request: pytest.FixtureRequest, losing: threading.Event) -> Iterator[RedisStore]:
    """A store whose client sends a command again when the connection dies, as is usual."""

    class LossyConnection(redis.Connection):
        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            answer = super().read_response(*args, **kwargs)
            if losing.is_set():
                losing.clear()
                raise redis.ConnectionError
            return answer

    pool = redis.ConnectionPool(
        connection_class=LossyConnection,
        host="127.0.0.1",
        port=request.getfixturevalue(request.param).port,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
    )
    with redis.Redis.from_pool(pool) as client:
        client.flushall()
        yield RedisStore(client)


def test_a_save_whose_answer_is_lost_is_no_conflict(
    lossy_store: RedisStore, losing: threading.Event
) -> None:
    """A conditional save that the client sends twice is done once, and does not meet itself."""
    version = 0
    for number in range(3):
        losing.set()
        saved = lossy_store.save(make_document(KEPT, {"n": number}), if_version=version)
        assert not losing.is_set()
        assert lossy_store.load(KEPT) == saved
        assert version in (0, saved.version - 1)
        version = saved.version


def test_an_outdated_save_whose_answer_is_lost_is_a_conflict(
    lossy_store: RedisStore, losing: threading.Event
) -> None:
    """Sent twice or not, a save from an outdated read is refused."""
    first = lossy_store.save(make_document(KEPT))
    second = lossy_store.save(make_document(KEPT, {"n": 2}))
    for outdated in (0, first.version):
        losing.set()
        with pytest.raises(VersionConflict):
            lossy_store.save(make_document(KEPT, {"n": 3}), if_version=outdated)
    assert lossy_store.load(KEPT) == second


def test_other_operations_whose_answer_is_lost(
    lossy_store: RedisStore, losing: threading.Event
) -> None:
    """A lock that is taken twice is the holder's, and what is deleted twice is gone."""
    saved = lossy_store.save(make_document(KEPT))
    operations: list[Callable[[], Any]] = [
        lambda: lossy_store.acquire(KEPT, "holder", 60),
        lambda: lossy_store.load(KEPT) == saved,
        lambda: lossy_store.delete(KEPT, if_version=saved.version) is None,
        lambda: lossy_store.release(KEPT, "holder") is None,
    ]
    for operation in operations:
        losing.set()
        assert operation()
        assert not losing.is_set()
    assert lossy_store.load(KEPT) is None
    assert lossy_store.acquire(KEPT, "another", 60)
