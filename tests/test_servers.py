"""The servers that tests and demo start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from examples.demo.embedded import MongoServer, RedisServer, Server, wheel_program

from .topologies import RedisNode, RedisSentinelServers


@pytest.mark.parametrize("server_class", [RedisServer, MongoServer])
def test_server_answers_and_ends(server_class: type[Server], tmp_path: Path) -> None:
    """A server answers once it is constructed, and its process is gone after ``stop``."""
    with server_class(tmp_path) as server:
        assert server.answers()
        assert server.url.endswith(f"127.0.0.1:{server.port}")
        pid = server.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    server.stop()


def test_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """A program that ends at once is an error with what it said."""
    program = tmp_path / "broken-server"
    program.write_text("#!/bin/sh\necho the reason\nexit 1\n")
    program.chmod(0o700)
    with pytest.raises(RuntimeError, match="the reason"):
        RedisServer(tmp_path, executable=program)


def test_missing_program_is_named() -> None:
    """A wheel that is not installed is an error that names it."""
    with pytest.raises(FileNotFoundError, match="no_such_wheel"):
        wheel_program("no_such_wheel", "bin", "server")


def ping_until_it_ends(client: redis.Redis) -> None:
    """Ask a server over and over; the test's own time limit bounds it."""
    while True:
        client.ping()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends orphans")
def test_server_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """A server whose parent is killed outright does not stay behind."""
    RedisServer.program()
    program = (
        "import os, signal\n"
        "from examples.demo.embedded import RedisServer\n"
        f"server = RedisServer({str(tmp_path)!r})\n"
        "print(server.port, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False
    ).stdout
    client = redis.Redis(port=int(output), host="127.0.0.1")
    with pytest.raises(redis.ConnectionError):
        ping_until_it_ends(client)


def test_topology_that_cannot_start_ends_what_it_started(tmp_path: Path) -> None:
    """When one of several servers fails to start, those before it do not stay behind."""
    pids = []

    class Half(RedisSentinelServers):
        def begin(self) -> None:
            pids.append(self.started(RedisNode(tmp_path)).pid)
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), Half(tmp_path):
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_redis_versions(redis8_client: redis.Redis) -> None:
    """The second Redis is of version 8."""
    assert str(redis8_client.info("server")["redis_version"]).startswith("8.")
