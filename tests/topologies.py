"""Fixtures: Redis as a cluster and behind Sentinels, each of several servers on this machine."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import redis

from examples.demo.embedded import HOST, RedisServer, free_port

SLOTS = 16384
SERVICE = "tokens"
DEADLINE = 30.0
DOWN_AFTER_MS = 500


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; what a server that is not ready says counts as no.

    Raises:
        TimeoutError: If it does not within 30 seconds.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {DEADLINE:.0f} seconds: {what}")
        time.sleep(0.02)


class ConfiguredServer(RedisServer):
    """A Redis server with further options, in a folder of its own.

    Args:
        folder: Where the folder is made.
        port: The port.
        options: Lines of its configuration.
    """

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        data = folder / str(port)
        data.mkdir()
        self._options = options
        super().__init__(data, port)

    def command(self) -> list[str]:
        config = self.data_dir / "redis.conf"
        config.write_text("\n".join(self._options))
        program, *rest = super().command()
        return [program, str(config), *rest]

    def run(self, *command: Any) -> Any:
        """Send the server a command on a connection of its own."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """End the server as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)


class SentinelServer(ConfiguredServer):
    """A Sentinel, which is the same program in another mode."""

    def command(self) -> list[str]:
        return [*ConfiguredServer.command(self), "--sentinel"]


class Topology:
    """Several servers that are ended together."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def start(self, server: ConfiguredServer) -> Any:
        """Take a server that was started to those that are ended."""
        return self._stack.enter_context(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The URL by which a store finds the servers."""
        raise NotImplementedError

    def master_of(self, key: str) -> ConfiguredServer:
        """Return the server that takes writes of a key at first."""
        raise NotImplementedError


class RedisCluster(Topology):
    """Three masters that share the slots, with a replica each.

    Args:
        folder: For the servers' data.
        replicas: Whether there are replicas.
    """

    def __init__(self, folder: Path, *, replicas: bool = False) -> None:
        super().__init__()
        try:
            self._begin(folder, 6 if replicas else 3)
        except BaseException:
            self._stack.close()
            raise

    def _begin(self, folder: Path, count: int) -> None:
        self.nodes = [self._node(folder, port) for port in cluster_ports(count)]
        masters, replicas = self.nodes[:3], self.nodes[3:]
        bounds = [SLOTS * number // 3 for number in range(4)]
        for master, low, high in zip(masters, bounds, bounds[1:], strict=False):
            master.run("CLUSTER", "ADDSLOTS", *range(low, high))
            # Bootstrapping nodes agree faster with epochs of their own.
            master.run("CLUSTER", "SET-CONFIG-EPOCH", self.nodes.index(master) + 1)
        for node in self.nodes[1:]:
            node.run("CLUSTER", "MEET", HOST, self.nodes[0].port)
        until(lambda: all(self._known(node) == count for node in self.nodes), "all nodes known")
        for master, replica in zip(masters, replicas, strict=False):
            replica.run("CLUSTER", "REPLICATE", master.run("CLUSTER", "MYID"))
        until(lambda: all(map(self._is_ok, self.nodes)), "cluster_state:ok")
        for replica in replicas:
            until(lambda r=replica: "master_link_status:up" in info(r), "replica in step")

    def _node(self, folder: Path, port: int) -> ConfiguredServer:
        options = ("cluster-enabled yes", "cluster-node-timeout 1000", "repl-diskless-sync-delay 0")
        node: ConfiguredServer = self.start(ConfiguredServer(folder, port, *options))
        return node

    @staticmethod
    def _known(node: ConfiguredServer) -> int:
        nodes = node.run("CLUSTER", "NODES")
        return len(nodes if isinstance(nodes, dict) else nodes.splitlines())

    @staticmethod
    def _is_ok(node: ConfiguredServer) -> bool:
        found = node.run("CLUSTER", "INFO")
        return "cluster_state:ok" in found and f"cluster_slots_assigned:{SLOTS}" in found

    @property
    def url(self) -> str:
        """The URL of one node, which knows the others."""
        return f"redis+cluster://{HOST}:{self.nodes[0].port}"

    def master_of(self, key: str) -> ConfiguredServer:
        """Return the master that the key's slot has at first."""
        slot = int(self.nodes[0].run("CLUSTER", "KEYSLOT", key))
        return self.nodes[next(n for n in range(3) if slot < SLOTS * (n + 1) // 3)]


class RedisSentinels(Topology):
    """A master and its replica, watched by three Sentinels.

    Args:
        folder: For the servers' data.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        try:
            self._begin(folder)
        except BaseException:
            self._stack.close()
            raise

    def _begin(self, folder: Path) -> None:
        quick = "repl-diskless-sync-delay 0"
        self.master: ConfiguredServer = self.start(ConfiguredServer(folder, free_port(), quick))
        follow = f"replicaof {HOST} {self.master.port}"
        self.replica = self.start(ConfiguredServer(folder, free_port(), quick, follow))
        until(lambda: "master_link_status:up" in info(self.replica), "replica in step")
        options = (
            f"sentinel monitor {SERVICE} {HOST} {self.master.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 2000",
        )
        self.sentinels = [
            self.start(SentinelServer(folder, free_port(), *options)) for _ in range(3)
        ]
        until(lambda: all(map(self._sees_all, self.sentinels)), "Sentinels know each other")

    @staticmethod
    def _sees_all(sentinel: ConfiguredServer) -> bool:
        with redis.Redis(port=sentinel.port, decode_responses=True) as client:
            [seen] = client.sentinel_masters().values()
        return seen["num-other-sentinels"] == 2 and seen["num-slaves"] == 1

    @property
    def url(self) -> str:
        """The URL of the Sentinels and the service."""
        addresses = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{addresses}/{SERVICE}"

    def master_of(self, key: str) -> ConfiguredServer:
        """Return the first master."""
        return self.master


def info(server: ConfiguredServer) -> str:
    """Return what a server says of its replication, as text."""
    found = server.run("INFO", "replication")
    return "\n".join(f"{name}:{value}" for name, value in found.items())


def cluster_ports(count: int) -> list[int]:
    """Return free ports whose cluster bus, 10,000 above, is free, too."""
    found: list[int] = []
    while len(found) < count:
        port = free_port() % 20_000 + 10_000
        if port not in found and all(is_free(number) for number in (port, port + 10_000)):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of three masters."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster_client(redis_cluster: RedisCluster) -> Iterator[redis.RedisCluster]:
    """A client of the cluster, which is empty."""
    client = redis.RedisCluster.from_url(redis_cluster.url.replace("+cluster", ""))
    client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
    yield client
    client.disconnect_connection_pools()
    client.close()


@pytest.fixture(scope="session")
def redis_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinels]:
    """A master and its replica, watched by three Sentinels."""
    with RedisSentinels(tmp_path_factory.mktemp("sentinels")) as sentinels:
        yield sentinels


@pytest.fixture
def sentinel_client(redis_sentinels: RedisSentinels) -> Iterator[redis.Redis]:
    """A client of the master that the Sentinels name, which is empty."""
    known = [(HOST, sentinel.port) for sentinel in redis_sentinels.sentinels]
    sentinel: Any = redis.Sentinel(known)
    with sentinel.master_for(SERVICE) as client:
        client.flushall()
        yield client
    for each in sentinel.sentinels:
        each.close()
