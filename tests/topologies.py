"""Servers that stand in for each other: a Redis Cluster, and a Redis master watched by Sentinels.

Like `tests.servers`: each is started once, and a topology that can't be started is a failure.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from examples.demo.embedded import HOST, RedisServer, free_port

SETTLE_SECONDS = 60.0
SLOTS = 16384
SERVICE = "tokens"


def wait_until(settled: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Ask until the answer is yes; errors of Redis mean that it is not yet.

    Raises:
        TimeoutError: If it is never so.
    """
    deadline = time.monotonic() + seconds
    while not _answer(settled):
        if time.monotonic() > deadline:
            raise TimeoutError(f"It is still not so that {what}")
        time.sleep(0.02)


def _answer(settled: Callable[[], object]) -> bool:
    try:
        return bool(settled())
    except redis.RedisError:
        return False


def free_cluster_port() -> int:
    """Return a free port whose cluster bus, 10000 above it, has a free one, too."""
    while True:
        port = free_port()
        if port + 10000 < 65536 and _is_free(port + 10000):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class RedisNode(RedisServer):
    """A Redis server that is one of several, and the client that sets it up.

    Args:
        folder: Where its own folder is made.
        options: Further options of its command line, between spaces.
        port: The port to listen on; 0, the default, takes a free one.
    """

    def __init__(self, folder: Path, options: str = "", port: int = 0) -> None:
        self.options = options.split()
        port = port or free_port()
        own = folder / f"redis-{port}"
        own.mkdir(parents=True)
        super().__init__(own, port)
        self.client = redis.Redis(host=HOST, port=port, decode_responses=True)

    def command(self) -> list[str]:
        """Return the command line of a single server, and the options."""
        return [*super().command(), *self.options]

    def kill(self) -> None:
        """End the process by SIGKILL, as a crash does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the server and close the client; again is no error."""
        if hasattr(self, "client"):
            self.client.close()
        super().stop()


class SentinelNode(RedisNode):
    """A Sentinel, which keeps its settings in a file of its own.

    Args:
        folder: Where its own folder is made.
        master: The master that it watches.
    """

    def __init__(self, folder: Path, master: RedisServer) -> None:
        self._master = master
        super().__init__(folder)

    def command(self) -> list[str]:
        """Write the settings and return the command line."""
        config = self.data_dir / "sentinel.conf"
        config.write_text(
            f"port {self.port}\n"
            f"bind {HOST}\n"
            f"dir {self.data_dir}\n"
            f"sentinel monitor {SERVICE} {HOST} {self._master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        return [self._executable, str(config), "--sentinel"]


class Topology(ABC):
    """Several servers that are started together and ended together, as a context manager.

    Args:
        folder: Where the servers' folders are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = ExitStack()

    @abstractmethod
    def begin(self) -> None:
        """Start the servers and wait until they work together."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that a store takes."""

    @abstractmethod
    def owner(self, key: str) -> RedisNode:
        """Return the server that takes the writes to a key."""

    def started(self, node: RedisNode) -> Any:
        """Remember a server, to end it, and return it."""
        return self._running.enter_context(node)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._running = stack
            self.begin()
            self._running = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()


class RedisClusterServers(Topology):
    """A Redis Cluster of three primaries with a replica each."""

    OPTIONS = "--cluster-enabled yes --cluster-node-timeout 1000 --repl-diskless-sync-delay 0"

    def begin(self) -> None:
        """Start six nodes, let them meet, and share the slots out."""
        self.nodes: list[RedisNode] = [
            self.started(RedisNode(self.folder, self.OPTIONS, free_cluster_port()))
            for _ in range(6)
        ]
        self.primaries, self.replicas = self.nodes[:3], self.nodes[3:]
        self._share_slots()
        for node in self.nodes[1:]:
            self.nodes[0].client.execute_command("CLUSTER MEET", HOST, node.port)
        for primary, replica in zip(self.primaries, self.replicas, strict=True):
            self._follow(replica, primary)
        wait_until(self._is_whole, "every node of the cluster knows all slots and replicas")

    @property
    def url(self) -> str:
        """The URL of the cluster, by all nodes."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def _share_slots(self) -> None:
        bounds = [0, 5461, 10923, SLOTS]
        for number, primary in enumerate(self.primaries):
            primary.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            slots = range(bounds[number], bounds[number + 1])
            primary.client.execute_command("CLUSTER ADDSLOTS", *slots)

    def _follow(self, replica: RedisNode, primary: RedisNode) -> None:
        identity = primary.client.execute_command("CLUSTER MYID")

        def follows() -> bool:
            return bool(replica.client.execute_command("CLUSTER REPLICATE", identity))

        wait_until(follows, "a replica has met its primary")

    def _is_whole(self) -> bool:
        return all(map(_knows_all, self.nodes)) and all(map(_is_in_step, self.replicas))

    def owner(self, key: str) -> RedisNode:
        """Return the primary that has the slot of a key."""
        asked = self.nodes[0].client
        slot = asked.execute_command("CLUSTER KEYSLOT", key)
        for first, last, (_, port, *_), *_ in asked.execute_command("CLUSTER SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"Nobody has slot {slot}")


def _knows_all(node: RedisNode) -> bool:
    fields: Any = node.client.execute_command("CLUSTER INFO")
    if fields["cluster_state"] != "ok" or fields["cluster_slots_ok"] != str(SLOTS):
        return False
    # A node may hear later that another one is a replica, and clients believe what it says.
    return all(replicas for _, _, _, *replicas in node.client.execute_command("CLUSTER SLOTS"))


def _is_in_step(replica: RedisNode) -> bool:
    info = replica.client.info("replication")
    return info["role"] == "slave" and info["master_link_status"] == "up"


class RedisSentinelServers(Topology):
    """A Redis master with one replica, and three Sentinels that watch them."""

    OPTIONS = "--repl-diskless-sync-delay 0"

    def begin(self) -> None:
        """Start the master, its replica, and then the Sentinels."""
        self.master: RedisNode = self.started(RedisNode(self.folder, self.OPTIONS))
        follow = f"{self.OPTIONS} --replicaof {HOST} {self.master.port}"
        self.replica: RedisNode = self.started(RedisNode(self.folder, follow))
        # A Sentinel that finds no replica at first asks again only after ten seconds.
        wait_until(lambda: _is_in_step(self.replica), "the replica follows the master")
        self.sentinels: list[SentinelNode] = [
            self.started(SentinelNode(self.folder, self.master)) for _ in range(3)
        ]
        wait_until(self._is_watched, "every Sentinel knows the others and the replica")

    @property
    def url(self) -> str:
        """The URL of the service, by all Sentinels."""
        addresses = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{addresses}/{SERVICE}"

    def owner(self, key: str) -> RedisNode:
        """Return the first master, whichever the key."""
        return self.master

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses of the Sentinels."""
        return [(HOST, sentinel.port) for sentinel in self.sentinels]

    def _is_watched(self) -> bool:
        return all(map(_knows_everybody, self.sentinels))


def _knows_everybody(sentinel: SentinelNode) -> bool:
    state = sentinel.client.sentinel_master(SERVICE)
    return state["num-slaves"] == 1 and state["num-other-sentinels"] == 2


@pytest.fixture(scope="session")
def redis_cluster(server_dir: Path) -> Iterator[RedisClusterServers]:
    """A Redis Cluster."""
    with RedisClusterServers(server_dir / "cluster") as servers:
        yield servers


@pytest.fixture
def redis_cluster_client(redis_cluster: RedisClusterServers) -> Iterator[redis.RedisCluster]:
    """A client of the cluster, which is empty."""
    with redis.RedisCluster(host=HOST, port=redis_cluster.nodes[0].port) as client:
        client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
        yield client


@pytest.fixture(scope="session")
def redis_sentinel(server_dir: Path) -> Iterator[RedisSentinelServers]:
    """A Redis master behind Sentinels."""
    with RedisSentinelServers(server_dir / "sentinel") as servers:
        yield servers


@pytest.fixture
def sentinel_client(redis_sentinel: RedisSentinelServers) -> Iterator[redis.Redis]:
    """A client of the master that the Sentinels name, which is empty."""
    sentinel = redis.Sentinel(redis_sentinel.addresses)
    with sentinel.master_for(SERVICE) as client:
        client.flushall()
        yield client
    for each in sentinel.sentinels:
        each.close()
