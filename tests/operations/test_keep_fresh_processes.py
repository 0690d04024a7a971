"""Two processes keep many tokens fresh while users work: each token is spent once.

``KEEP_FRESH_TOKENS`` says how many, of which stores other than Redis have at most 300, and
``KEEP_FRESH_RATE`` how many each process may refresh a second. More is 600, at a rate of 60.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.refresh.remembered import FIRST_PAUSE

from ..backend.places import store_at
from ..processes import Forked
from .many import PROVIDER, Uneven, app_of, blueprint_of, document_of, ends, fails

COUNT = int(os.environ.get("KEEP_FRESH_TOKENS", "120"))
RATE = float(os.environ.get("KEEP_FRESH_RATE", "20"))
PLACES = {"redis": "redis_server", "mongo": "mongo_server", "postgresql": "postgresql_url"}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The kind of a store, and where it is."""
    server = request.getfixturevalue(PLACES[request.param])
    if request.param == "mongo":
        return "mongo", f"{server.url}/t{uuid.uuid4().hex}"
    return ("sql", server) if request.param == "postgresql" else ("redis", server.url)


@pytest.fixture
def store(place: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """The store, empty."""
    if place[0] == "redis":
        request.getfixturevalue("redis_client").flushall()
    with store_at(*place) as opened:
        yield opened


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Uneven]:
    """The provider."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with Uneven() as made:
        yield made


class Keepers:
    """Processes that keep tokens fresh, as a context manager."""

    def __init__(self, url: str, place: tuple[str, str]) -> None:
        self._given = [url, str(RATE), *place]
        self._stack = ExitStack()

    def begin(self, count: int) -> list[Forked]:
        """Start processes, and let them begin when all are ready."""
        begun = []
        for _ in range(count):
            process = Forked("tests.operations.keeper", *self._given)
            begun.append(self._stack.enter_context(process))
            self._stack.callback(process.kill)
        for process in begun:
            assert process.stdout.readline() == "ready\n"
        for process in begun:
            process.go()
        return begun

    def __enter__(self) -> Keepers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()


def counts_of(processes: list[Forked]) -> Counter[str]:
    """Return what processes have done, together."""
    total: Counter[str] = Counter()
    for process in processes:
        total.update(json.loads(process.communicate()))
    return total


class Users:
    """Users who call the API one after the other, in a thread, until it ends."""

    def __init__(self, url: str, store: TokenStore, user_ids: list[str]) -> None:
        self.statuses: list[Any] = []
        self._blueprint = blueprint_of(url, store)
        self._app = app_of(self._blueprint)
        self._user_ids = user_ids
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for user_id in self._user_ids:
            try:
                with (
                    self._app.app_context(),
                    self._blueprint.user_session(user_id=user_id) as session,
                ):
                    self.statuses.append(session.get("api").status_code)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.statuses.append(repr(error))
            if self._is_over.wait(0.05):
                return

    def __enter__(self) -> Users:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()


def documents_in(store: TokenStore) -> dict[str, TokenDocument]:
    """Return all documents by their users."""
    found = [each for each in store.records(PROVIDER) if isinstance(each, TokenDocument)]
    return {str(each.user_id): each for each in found}


@pytest.mark.timeout(1200)
def test_two_processes_do_no_double_work(
    provider: Uneven, place: tuple[str, str], store: TokenStore
) -> None:
    """Each token is spent once, failures outlive the process, the rate holds, nothing is lost."""
    count = COUNT if place[0] == "redis" else min(COUNT, 300)
    numbers = range(count)
    for number in numbers:
        store.save(document_of(provider, f"u{number}"))
    healthy = [f"u{number}" for number in numbers if not (fails(number) or ends(number))]
    failing = [f"u{number}" for number in numbers if fails(number)]
    over = [f"u{number}" for number in numbers if ends(number)]
    with Keepers(provider.url, place) as keepers:
        began = time.monotonic()
        processes = keepers.begin(2)
        # From both ends of the order in which they are refreshed.
        with Users(provider.url, store, [*healthy[-50:], *healthy[:50]]) as users:
            first = counts_of(processes)
        seconds = time.monotonic() - began
        print(place[0], count, "tokens,", f"{seconds:.0f} s,", dict(first))
        print(provider.most_in(1.0), "asked in a second at most,", len(users.statuses), "calls")
        assert set(users.statuses) == {200}
        assert provider.spent == 0
        assert set(provider.tried.values()) == {1}
        assert provider.refreshes == len(healthy)
        assert (first["failed"], first["ended"]) == (len(failing), len(over))
        assert (first["left"], first["unsaved"]) == (0, 0)
        kept = documents_in(store)
        assert set(kept) == {f"u{number}" for number in numbers}
        for user_id in healthy:
            newest = provider.grants[user_id].refresh_token
            assert kept[user_id].token["refresh_token"] == newest
            assert kept[user_id].refresh_failure is None
        assert {u for u in kept if kept[u].grant_ended} == set(over)
        for user_id in failing:
            failure = kept[user_id].refresh_failure
            assert failure is not None
            assert (failure.count, failure.reason) == (1, "server_error")
            assert kept[user_id].token["refresh_token"] == f"rt-{user_id}-0"
        # Two processes, and the users, who ask for no more than twenty a second.
        assert provider.most_in(1.0) <= 2 * RATE * 1.25 + 20
        asked = len(provider.moments)
        again = counts_of(keepers.begin(1))
    # Those that failed first may be tried again by now, if there are many, and fail again: after
    # some such failures in a row the provider is left alone.
    assert again["waiting"] + again["failed"] + again["left"] == len(failing)
    assert (again["needs_login"], again["fresh"]) == (len(over), len(healthy))
    assert len(provider.moments) == asked + again["failed"]
    if seconds < FIRST_PAUSE / 2:
        assert again["failed"] == 0
    assert store.load(TokenKey(PROVIDER, "u0")) is not None
