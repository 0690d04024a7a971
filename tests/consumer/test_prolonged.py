"""Refreshes whose answer is hard to tell from the token before: the same secrets, an odd end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import time_machine

from flask_dance_nosql.consumer.backend import BaseBackend, SessionBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.refresh.flights import Flights
from flask_dance_nosql.errors import TokenRefreshError

from ..rotating import RotatingProvider
from .conftest import at_once
from .site import BACKENDS, PLAIN, STORES, Browser, ThreeMethods, make_site, of_user

THREADS = 16
KINDS = ("session", *PLAIN, *STORES)

SAME_TOKEN = {"access_token": "at-ann-0", "refresh_token": "rt-ann-0"}
"""A provider that prolongs the life of a token, and leaves the token as it is."""

ANSWERS: dict[str, tuple[int | None, dict[str, Any]]] = {
    "prolonged": (3600, SAME_TOKEN),
    "prolonged for ever": (None, SAME_TOKEN),
    "access token prolonged": (3600, {"access_token": "at-ann-0", "refresh_token": None}),
    "ended in the past": (None, {"expires_at": 5}),
    "no time to live": (-3600, {}),
    "refresh token stays, ended in the past": (
        None,
        {"refresh_token": "rt-ann-0", "expires_at": 5},
    ),
    "prolonged into the past": (None, {**SAME_TOKEN, "expires_at": 5}),
}
"""The ``expires_in`` of an answer and what it says besides, by a name."""


@pytest.fixture
def together(rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the provider answer the first refresh when all threads have begun one."""
    begun, take_turn = threading.Semaphore(0), Flights.turn

    def turn(flights: Flights, *args: Any) -> Any:
        begun.release()
        return take_turn(flights, *args)

    def wait() -> None:
        rotating.when_asked = lambda: None
        for _ in range(THREADS):
            assert begun.acquire(timeout=60)

    monkeypatch.setattr(Flights, "turn", turn)
    rotating.when_asked = wait
    rotating.keeps_old = True


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", KINDS)
def test_threads_share_one_exchange(
    rotating: RotatingProvider, tmp_path: Any, kind: str, answer: str
) -> None:
    """All who began with the older life go on with what the first one gets, whatever it is."""
    rotating.lifetime, rotating.extra = ANSWERS[answer]
    browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
    browser.connect(rotating.grant())
    assert at_once(THREADS, lambda: browser.copy().call()) == [200] * THREADS
    assert len(rotating.calls("/token")) == 1


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("end", [None, 3600.0])
@pytest.mark.parametrize("answer", ["prolonged", "prolonged for ever"])
@pytest.mark.parametrize("kind", KINDS)
def test_forced_refreshes_share_one_exchange(
    rotating: RotatingProvider, tmp_path: Any, kind: str, answer: str, end: float | None
) -> None:
    """The API refuses a token that should work, and the provider prolongs it: asked once."""
    rotating.lifetime, rotating.extra = ANSWERS[answer]
    browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
    token = rotating.grant()
    del token["expires_at"]
    browser.connect(token if end is None else {**token, "expires_at": time.time() + end})
    assert at_once(THREADS, lambda: browser.copy().call("closed")) == [401] * THREADS
    assert len(rotating.calls("/token")) == 1


@pytest.mark.parametrize("answer", ["prolonged", "prolonged for ever"])
@pytest.mark.parametrize("kind", [*KINDS, "browser"])
def test_who_comes_later_with_the_old_copy_is_given_the_longer_life(
    rotating: RotatingProvider, tmp_path: Any, kind: str, answer: str
) -> None:
    """An old cookie, or a request that has read the token before, refreshes nothing again."""
    rotating.lifetime, rotating.extra = ANSWERS[answer]
    rotating.keeps_old = True
    browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
    browser.connect(rotating.grant())
    old = browser.copy()
    blueprint = browser.site.blueprint

    def call_after_another() -> int:
        session = blueprint.session
        assert session.authorized
        assert Browser(browser.site, browser.cookie).call() == 200
        return int(session.get("api").status_code)

    assert browser.do(call_after_another) == 200
    assert old.call() == 200
    assert old.stored.get("expires_at") != 1.0
    assert len(rotating.calls("/token")) == 1


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("answer", ANSWERS)
def test_backends_of_one_store_share_one_exchange(rotating: RotatingProvider, answer: str) -> None:
    """Two backend objects on one store, as two processes have them, ask the provider once."""
    rotating.lifetime, rotating.extra = ANSWERS[answer]
    store = MemoryStore()
    browsers = [make_site(rotating, of_user(store)).browser() for _ in range(2)]
    browsers[0].connect(rotating.grant())
    turns = iter(browsers * (THREADS // 2))
    assert at_once(THREADS, lambda: next(turns).copy().call()) == [200] * THREADS
    assert len(rotating.calls("/token")) == 1


class CountingDown(ThreeMethods):
    """A backend that counts the end of its token anew at each reading, from whole seconds."""

    def get(self, blueprint: Any) -> Any:
        token = super().get(blueprint)
        return token and {**token, "expires_at": time.time() + 3600}


def test_end_that_is_counted_anew_is_no_longer_life(rotating: RotatingProvider) -> None:
    """A token that the API has refused is refreshed, though each reading says another end."""
    browser = make_site(rotating, CountingDown()).browser()
    browser.connect(rotating.grant())
    rotating.withdraw()
    assert browser.call() == 200
    assert rotating.refreshes == 1


@pytest.mark.parametrize("make", [SessionBackend, ThreeMethods])
def test_login_that_gives_the_refresh_token_again_counts(
    rotating: RotatingProvider, make: type[BaseBackend]
) -> None:
    """What a refresh has given before a login does not take the place of what the login gives."""
    rotating.lifetime, rotating.extra = None, {"refresh_token": "rt-ann-0"}
    rotating.keeps_old = True
    browser = make_site(rotating, make()).browser()
    browser.connect(rotating.grant())
    assert browser.call() == 200
    assert browser.stored["access_token"] == "at-ann-1"
    rotating.approve("bob")["refresh_token"] = "rt-ann-0"
    browser.login()
    assert browser.stored["access_token"] == "at-bob-0"
    rotating.failing = 503, "down"
    with time_machine.travel(time.time() + 7200), pytest.raises(TokenRefreshError):
        browser.call()
