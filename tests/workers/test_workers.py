"""What holds in threads of one process holds in the workers that people deploy."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from examples.demo.embedded import MongoServer, RedisServer
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenStore, UserScopedBackend

from ..backend.places import store_at
from ..rotating import RotatingProvider
from ..topologies import wait_until
from .launch import KINDS, Answer, Workers, start

REQUESTS = 16
BOUNDS = {"shared": 0.0, "invalidated": 10.0}
"""How many seconds after a write another process may serve what was there before, at most."""

each_store = pytest.mark.parametrize("store", ["mongo", "redis"])


@pytest.fixture(scope="module")
def provider() -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    with RotatingProvider() as running:
        yield running


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, provider: RotatingProvider
) -> Iterator[dict[str, str]]:
    """The URLs of the provider and the databases, as workers are told them."""
    # Others share a server of MongoDB that is replaced now and then.
    with MongoServer(tmp_path_factory.mktemp("mongo")) as mongo:
        yield {
            "provider": provider.url,
            "redis": redis_server.url,
            "mongo": f"{mongo.url}/t{uuid.uuid4().hex}",
        }


@pytest.fixture(scope="module", params=KINDS)
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, places: dict[str, str]
) -> Iterator[Workers]:
    """Workers of each kind, none of which is left in the end."""
    with start(request.param, tmp_path_factory.mktemp("workers"), places) as running:
        yield running
    assert not [pid for pid in (running.pid, *running.pids) if psutil.pid_exists(pid)]


class Account:
    """A user of one blueprint, as the workers and the store see them."""

    def __init__(self, workers: Workers, store: TokenStore, provider: str) -> None:
        self.user = uuid.uuid4().hex
        self._workers = workers
        self._provider = provider
        self._blueprint = OAuth2ConsumerBlueprint(provider, __name__, client_id="id")
        self._backend = UserScopedBackend(store, user_id=self.user)

    def put(self, token: dict[str, Any]) -> None:
        """Store a token, and tell no cache."""
        self._backend.set(self._blueprint, token)

    @property
    def stored(self) -> Any:
        """What is stored."""
        return self._backend.get(self._blueprint)

    def ask(
        self, task: str, count: int = 1, meanwhile: Callable[[], object] = lambda: None
    ) -> list[Answer]:
        """Ask for the same so many times at once, do something, and return the answers."""
        what = (task, self._provider, self.user)
        return self._workers.ask(count, *what, meanwhile=meanwhile)

    def read_everywhere(self) -> dict[int, Any]:
        """Return what each process has for the user."""
        found: dict[int, Any] = {}
        deadline = time.monotonic() + 30
        while found.keys() != self._workers.pids:
            assert time.monotonic() < deadline, f"only {set(found)} of {self._workers.pids} answer"
            found |= dict(self.ask("read", 4))
        return found

    def is_kept_everywhere(self) -> bool:
        """Have each process keep a token, and return whether it does.

        Those who keep one do not see what is stored meanwhile past their cache.
        """
        for number in range(100):
            stored = f"at-{number}"
            self.put({"access_token": stored, "token_type": "Bearer"})
            if stored not in self.read_everywhere().values():
                return True
        return False


@pytest.fixture
def account(workers: Workers, places: dict[str, str], store: str, cache: str) -> Iterator[Account]:
    """A new user."""
    with store_at(store, places[store]) as opened:
        yield Account(workers, opened, f"{store}-{cache}")


@each_store
@pytest.mark.parametrize("cache", ["none", *BOUNDS])
def test_one_refresh(account: Account, workers: Workers, provider: RotatingProvider) -> None:
    """16 requests with one token that has ended: one refresh, no spent token, 16 answers."""
    refreshes = provider.refreshes
    account.put(provider.grant(account.user))
    # Those who know of the old token must not go on with it.
    account.read_everywhere()
    provider.gate.clear()
    provider.at_the_gate.clear()

    paths = {f"/come/{account.user}/{pid}" for pid in workers.pids}

    def open_when_all_have_come() -> None:
        try:
            wait_until(lambda: paths <= {each.path for each in provider.asked}, "all have come")
            assert provider.at_the_gate.wait(30), workers.log
        finally:
            provider.gate.set()

    answers = account.ask("call", REQUESTS, open_when_all_have_come)
    assert [each.result for each in answers] == [200] * REQUESTS
    assert {each.pid for each in answers} == workers.pids
    assert (provider.refreshes - refreshes, provider.spent) == (1, 0)
    assert account.stored["refresh_token"] == f"rt-{account.user}-1"
    assert set(account.read_everywhere().values()) == {f"at-{account.user}-1"}


@each_store
@pytest.mark.parametrize("cache", BOUNDS)
def test_no_old_token(account: Account, workers: Workers, cache: str) -> None:
    """After a write in one worker, none serves what was there before for longer than documented."""
    assert account.is_kept_everywhere()
    [written] = account.ask("write")
    since, new = time.monotonic(), set()
    while new != workers.pids:
        asked_at = time.monotonic()
        for pid, token in account.ask("read", 4):
            if token == written.result:
                new.add(pid)
            else:
                assert pid != written.pid, "the writer itself has an old token"
                assert asked_at - since < BOUNDS[cache], f"after {asked_at - since} seconds"
    assert account.stored["access_token"] == written.result
