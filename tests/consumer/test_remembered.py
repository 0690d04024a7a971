"""What is kept with a token of refreshes by requests that have failed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flask_dance_nosql.consumer import token_recovered
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    TokenDocument,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.document import RefreshFailure
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import TokenRefreshError
from flask_dance_nosql.operations import stored_records

from ..rotating import RotatingProvider
from .conftest import make_app
from .conftest import make_refreshing as make
from .site import pass_time

KEY = TokenKey("acme", "1")


class Counting(MemoryStore):
    """A store that notes what it is asked for, and may take no failures."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.error: Exception | None = None

    def load(self, key: TokenKey) -> TokenDocument | None:
        self.asked.append("load")
        return super().load(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self.asked.append("save")
        if document.refresh_failure is not None and self.error is not None:
            raise self.error
        return super().save(document, if_version)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        self.asked.append("acquire")
        return super().acquire(key, holder, seconds)

    def release(self, key: TokenKey, holder: str) -> None:
        self.asked.append("release")
        super().release(key, holder)


class Site:
    """An app, the token of whose user is near its end."""

    def __init__(self, rotating: RotatingProvider, **settings: Any) -> None:
        self.store = Counting()
        backend = UserScopedBackend(self.store, user_id=1, **settings)
        self.blueprint = make(rotating, backend)
        self.app = make_app(self.blueprint)
        backend.set(self.blueprint, rotating.grant(expires_at=time.time() + 30))
        self.recovered: list[RefreshFailure] = []
        token_recovered.connect(self._receive, sender=self.blueprint)

    def _receive(self, sender: Any, failure: RefreshFailure, **_: Any) -> None:
        self.recovered.append(failure)

    def call(self) -> list[str]:
        """Call the API, and return what the store was asked for meanwhile."""
        self.store.asked.clear()
        with self.app.test_request_context():
            assert self.blueprint.session.get("api").status_code == 200
        return list(self.store.asked)

    def failure(self) -> RefreshFailure | None:
        """Return what is kept of how refreshes fail."""
        document = self.store.load(KEY)
        assert document is not None
        return document.refresh_failure

    def state(self) -> tuple[str, int]:
        """Return what operators see."""
        with self.app.app_context():
            [record] = stored_records()
        return record.state, record.failures


@pytest.fixture(params=["plain", "cached"])
def site(rotating: RotatingProvider, request: pytest.FixtureRequest) -> Site:
    """An app, with a cache or without one."""
    return Site(rotating, cache=LocalCache() if request.param == "cached" else None)


REFRESH = ["acquire", "load", "save", "release"]


def test_failure_is_kept_until_it_works_again(
    site: Site, rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure costs one write, is seen by operators, and its end is told as by keep-fresh."""
    rotating.failing = (503, "down")
    assert site.call()[-4:] == REFRESH
    assert site.state() == ("failing", 1)
    failure = site.failure()
    assert failure is not None
    assert "503" in (failure.reason or "")
    # It is known: nobody is asked, and nothing is written.
    assert "save" not in site.call()
    pass_time(monkeypatch, 11)
    # The provider is asked in vain once more, in the same outage.
    assert "save" not in site.call()
    assert len(rotating.calls("/token")) == 2
    assert site.failure() == failure
    rotating.failing = None
    pass_time(monkeypatch, 22)
    assert site.call()[-4:] == REFRESH
    assert site.recovered == [failure]
    assert site.state() == ("working", 0)


def test_success_costs_as_much_as_before(site: Site) -> None:
    """A refresh that succeeds takes its lock, reads, saves, and releases the lock."""
    assert site.call()[-4:] == REFRESH


def test_refusal_for_good_is_kept_at_once(
    site: Site, rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That only a login helps is written whatever was known before."""
    rotating.failing = (503, "down")
    site.call()
    rotating.failing = (400, {"error": "invalid_scope"})
    pass_time(monkeypatch, 11)
    site.call()
    assert site.state() == ("needs-login", 2)


def test_provider_that_asks_to_wait(
    site: Site, rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says nothing of the token."""
    rotating.failing = (429, {"error": "slow_down"})
    monkeypatch.setattr(rotating, "headers", lambda _: {"Retry-After": "5"})
    assert "save" not in site.call()
    assert site.state() == ("working", 0)


@pytest.mark.parametrize("error", [OSError("with a secret"), TokenRefreshError("acme", "odd")])
def test_store_that_does_not_take_it(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """The request has its answer, and the log says that nothing was kept."""
    site = Site(rotating)
    site.store.error = error
    rotating.failing = (503, "down")
    site.call()
    assert site.failure() is None
    assert "How a refresh has failed is not kept" in caplog.text
    assert "with a secret" not in caplog.text
