"""Several processes whose user's token has expired: one refresh, and all are answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenStore, UserScopedBackend

from ..backend.places import store_at
from ..backend.writer import KEY
from ..processes import Forked
from ..rotating import RotatingProvider
from .conftest import make_refreshing

PROCESSES, THREADS = 4, 8
PLACES = {
    "mongo": "mongo_server",
    "redis": "redis_server",
    "cluster": "redis_cluster",
    "postgresql": "postgresql_url",
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The kind of a store, and where it is."""
    server = request.getfixturevalue(PLACES[request.param])
    if request.param == "mongo":
        return "mongo", f"{server.url}/t{uuid.uuid4().hex}"
    return ("sql", server) if request.param == "postgresql" else ("redis", server.url)


@pytest.fixture
def store(place: tuple[str, str]) -> Iterator[TokenStore]:
    """The store, without a token."""
    with store_at(*place) as opened:
        opened.delete(KEY)
        yield opened


class Callers:
    """Processes that call the API, as a context manager.

    Args:
        provider: The provider.
        place: Where the token is.
        lease: How many seconds a lock lasts.
    """

    def __init__(
        self, provider: RotatingProvider, place: tuple[str, str], lease: float = 30.0
    ) -> None:
        self._arguments = [provider.url, str(lease)]
        self._place = place
        self._stack = ExitStack()

    def begin(self, count: int, threads: int) -> list[Forked]:
        """Start processes, and return them when all are ready."""
        given = [*self._arguments, str(threads), *self._place]
        begun = []
        for _ in range(count):
            process = Forked("tests.consumer.refresher", *given)
            begun.append(self._stack.enter_context(process))
            self._stack.callback(process.kill)
        for process in begun:
            assert process.stdout.readline() == "ready\n"
        return begun

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()


def go(processes: list[Forked]) -> None:
    """Let processes call."""
    for process in processes:
        process.go()


def results_of(processes: list[Forked]) -> list[Any]:
    """Return what came of all calls."""
    outputs = [process.communicate() for process in processes]
    return [result for output in outputs for result in json.loads(output)]


def connect(provider: RotatingProvider, store: TokenStore) -> None:
    """Give the user a token that has expired."""
    backend = UserScopedBackend(store, user_id=KEY.user_id)
    backend.set(make_refreshing(provider, backend, name=KEY.provider), provider.grant())


def test_processes_refresh_once(
    rotating: RotatingProvider, place: tuple[str, str], store: TokenStore
) -> None:
    """4 processes x 8 threads: one refresh, no spent token, 32 answers, and still logged in."""
    connect(rotating, store)
    with Callers(rotating, place) as callers:
        processes = callers.begin(PROCESSES, THREADS)
        go(processes)
        assert results_of(processes) == [200] * PROCESSES * THREADS
    assert (rotating.refreshes, rotating.spent) == (1, 0)
    document = store.load(KEY)
    assert document is not None
    assert document.token["refresh_token"] == "rt-ann-1"


def test_killed_process_holds_nobody_up(
    rotating: RotatingProvider, place: tuple[str, str], store: TokenStore
) -> None:
    """Who dies in mid-refresh keeps the others waiting for its lease, and one of them refreshes."""
    connect(rotating, store)
    with Callers(rotating, place, lease=3.0) as callers:
        (victim,) = callers.begin(1, 1)
        others = callers.begin(2, 4)
        gate = rotating.gate
        gate.clear()
        go([victim])
        assert rotating.at_the_gate.wait(30)
        victim.kill()
        victim.wait()
        rotating.gate = type(gate)()
        rotating.gate.set()
        go(others)
        assert results_of(others) == [200] * 8
    assert (rotating.refreshes, rotating.spent) == (1, 0)
    assert len(rotating.calls("/token")) == 2
