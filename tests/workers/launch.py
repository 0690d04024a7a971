"""Workers of each kind, started as people start them and asked as their visitors ask."""

from __future__ import annotations

import json
import logging
import sys
from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from celery import Celery
from celery.exceptions import TimeoutError as NoResult
from kombu.exceptions import OperationalError

from examples.demo.embedded import HOST, Server

ROOT = Path(__file__).parent.parent.parent
PROCESSES = 2
ANSWER_SECONDS = 30.0
STOP_SECONDS = 1.0
_log = logging.getLogger(__name__)

APP, JOBS = "tests.workers.app:app", "tests.workers.jobs:celery"

_GUNICORN = ("-m", "gunicorn", "--workers", str(PROCESSES), "--log-level", "warning")
# So that no process takes all the requests of a test.
_FULL = ("--worker-connections", "8")
_UWSGI = ("-c", "import pyuwsgi; pyuwsgi.run()", "--master", "--die-on-term", "--need-app")


class Answer(NamedTuple):
    """What a worker said: in which process, and what came of what was asked."""

    pid: int
    result: Any


Pending = Callable[[], Answer]
"""Waits for the answer to something that was asked."""


class Workers(Server):
    """Two processes with the application, all ready from the construction until ``stop()``.

    Args:
        folder: For the log.

    Attributes:
        pids: The processes that answer.
    """

    scheme = "http"

    def __init__(self, folder: Path) -> None:
        self.pids: set[int] = set()
        super().__init__(folder)

    @classmethod
    def program(cls) -> Path:
        """Return the Python that runs them."""
        return Path(sys.executable)

    @abstractmethod
    def begin(self, task: str, provider: str, user: str, stack: ExitStack) -> Pending:
        """Ask for something, without waiting for the answer; it is given up with the stack."""

    def ask(
        self, count: int, *what: str, meanwhile: Callable[[], object] = lambda: None
    ) -> list[Answer]:
        """Ask for the same so many times at once, do something, and return the answers."""
        with ExitStack() as stack:
            begun = [self.begin(*what, stack) for _ in range(count)]
            meanwhile()
            return [wait() for wait in begun]

    def answers(self) -> bool:
        """Whether each process has answered; what was asked in vain means that it is not so yet."""
        try:
            self.pids |= {
                each.pid for each in self.ask(2 * PROCESSES, "read", "redis-none", "nobody")
            }
        except (HTTPException, OperationalError, NoResult):
            return False
        return len(self.pids) == PROCESSES

    @property
    def log(self) -> str:
        """All that they have written so far."""
        return self._log.read_text()

    def stop(self) -> None:
        """End them all: their master is told to, and whoever is left after a while is killed."""
        family = {each.pid: each for pid in (self.pid, *self.pids) for each in _family_of(pid)}
        if self._process.poll() is None:
            self._process.terminate()
        # PyMongo waits long in workers of uWSGI for threads that stayed in the master.
        _, left = psutil.wait_procs(family.values(), timeout=STOP_SECONDS)
        for process in left:
            process.kill()
        psutil.wait_procs(left)
        self._process.wait()


class WebWorkers(Workers):
    """Processes of a WSGI server.

    Args:
        folder: For the log.
        arguments: Of Python: which server, and how. ``{port}`` stands for the port.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._arguments = arguments
        super().__init__(folder)

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        given = [each.format(port=self.port) for each in self._arguments]
        return [str(self.program()), "-W", "ignore::ResourceWarning", *given]

    def begin(self, task: str, provider: str, user: str, stack: ExitStack) -> Pending:
        """Send a request on a connection of its own."""
        connection = HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        stack.callback(connection.close)
        connection.request("GET", f"/{task}/{provider}/{user}")

        def answer() -> Answer:
            response = connection.getresponse()
            body = response.read()
            # A thread may be waiting for the next request of the connection.
            connection.close()
            assert response.status == 200, f"HTTP status {response.status}:\n{self.log}"
            return Answer(**json.loads(body))

        return answer


class CeleryWorkers(Workers):
    """Processes of a Celery worker.

    Args:
        folder: For the log.
        redis_url: Where its broker is.
    """

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._celery = Celery("asking", broker=f"{redis_url}/1", backend=f"{redis_url}/1")
        super().__init__(folder)

    def command(self) -> list[str]:
        """Return the command line that runs the worker in the foreground."""
        options = ["--pool", "prefork", "--concurrency", str(PROCESSES), "--loglevel", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        python = [str(self.program()), "-W", "ignore::ResourceWarning"]
        return [*python, "-m", "celery", "--app", JOBS, "worker", *options, *quiet]

    def begin(self, task: str, provider: str, user: str, stack: ExitStack) -> Pending:
        """Send a task."""
        sent = self._celery.send_task(task, [provider, user])
        stack.callback(sent.forget)
        return lambda: Answer(**sent.get(timeout=ANSWER_SECONDS))

    def stop(self) -> None:
        """End them all, and close what tasks were sent with."""
        super().stop()
        self._celery.close()


def _family_of(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has begun, as far as they are there."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _gunicorn(kind: str, *options: str) -> tuple[str, ...]:
    bind = ("--bind", f"{HOST}:{{port}}")
    return (*_GUNICORN, "--worker-class", kind, *options, *bind, APP)


def _uwsgi(*options: str) -> tuple[str, ...]:
    processes = ("--processes", str(PROCESSES), "--disable-logging")
    return (*_UWSGI, *processes, *options, "--http-socket", f"{HOST}:{{port}}", "--module", APP)


SERVERS = {
    "gunicorn-sync": _gunicorn("sync"),
    "gunicorn-sync-preload": _gunicorn("sync", "--preload"),
    "gunicorn-gthread": _gunicorn("gthread", "--threads", "4", *_FULL),
    "gunicorn-gthread-preload": _gunicorn("gthread", "--threads", "4", *_FULL, "--preload"),
    "gunicorn-gevent": _gunicorn("gevent", *_FULL),
    "gunicorn-gevent-preload": _gunicorn("gevent", *_FULL, "--preload"),
    "gunicorn-gevent-patched-preload": (
        *("-m", "gevent.monkey", "--module"),
        *_gunicorn("gevent", *_FULL, "--preload")[1:],
    ),
    "uwsgi": _uwsgi(),
    "uwsgi-threads": _uwsgi("--threads", "4"),
}
"""How each server is run. uWSGI loads the application before it forks, unless told else."""

KINDS = [*SERVERS, "celery-prefork"]

ASK_LATE = ("gunicorn-gevent-preload",)
"""Those whose application must not ask a database before they fork.

Gunicorn loads it before gevent has patched Python's modules, which it then refuses to do. With
``python -m gevent.monkey`` it is done in time.
"""


def start(kind: str, folder: Path, places: dict[str, str]) -> Workers:
    """Start workers of a kind, and tell them where things are.

    uWSGI is started a second time if its workers do not answer. It forks without Python's hooks: a
    lock of Python's own that another thread holds at that moment is never released in the worker.
    """
    told = {**places, "asks_early": kind not in ASK_LATE}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTS_WORKERS", json.dumps(told))
        patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
        if kind not in SERVERS:
            return CeleryWorkers(folder, places["redis"])
        try:
            return WebWorkers(folder, *SERVERS[kind])
        except RuntimeError:
            if not kind.startswith("uwsgi"):
                raise
            _log.warning("%s is started again", kind, exc_info=True)
            return WebWorkers(folder, *SERVERS[kind])
