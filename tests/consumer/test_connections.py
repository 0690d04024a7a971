"""Calls to the provider reuse connections, and nothing of a user goes with them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..forking import in_child, needs_fork
from ..rotating import RotatingProvider
from .conftest import at_once, make_app, make_refreshing


def live(provider: RotatingProvider, name: str = "ann") -> dict[str, Any]:
    """Return a token that works."""
    return provider.grant(name, expires_at=4_000_000_000)


def test_calls_of_many_requests_share_a_connection(rotating: RotatingProvider) -> None:
    """40 calls from 40 requests open one connection; a refresh goes over it, too."""
    blueprint = make_refreshing(rotating, MemoryBackend(rotating.grant()))
    app = make_app(blueprint)
    for _ in range(40):
        with app.test_request_context():
            assert blueprint.session.get("api").status_code == 200
    assert len(rotating.calls("/api")) == 40
    assert rotating.refreshes == 1
    assert rotating.connections == 1


def test_threads_open_no_more_connections_than_they_are(rotating: RotatingProvider) -> None:
    """8 threads with 10 calls each open 8 connections at most."""
    blueprint = make_refreshing(rotating, MemoryBackend(live(rotating)))
    app = make_app(blueprint)

    def call() -> list[int]:
        statuses = []
        for _ in range(10):
            with app.test_request_context():
                statuses.append(blueprint.session.get("api").status_code)
        return statuses

    assert at_once(8, call) == [[200] * 10] * 8
    assert rotating.connections <= 8


def test_kept_connections_are_bounded(rotating: RotatingProvider) -> None:
    """Beyond ``pool_maxsize`` connections are opened for a call, and closed after it."""
    blueprint = make_refreshing(rotating, MemoryBackend(live(rotating)), pool_maxsize=2)
    app = make_app(blueprint)
    together = threading.Barrier(6)

    def call() -> int:
        with app.test_request_context():
            response = blueprint.session.get("api", stream=True)
            together.wait(10)
            return len(response.content)

    assert len(set(at_once(6, call))) == 1
    assert rotating.connections == 6
    pool = blueprint.transport.get().poolmanager.connection_from_url(rotating.url)  # type: ignore[attr-defined] # an HTTPAdapter's
    assert pool.pool.qsize() == 2


def test_cookies_stay_with_their_user(rotating: RotatingProvider) -> None:
    """A cookie that the provider sets is sent again by the same session, and by no other."""
    blueprint = make_refreshing(rotating, UserScopedBackend(MemoryStore()))
    app = make_app(blueprint)
    for name in ("ann", "bob"):
        blueprint.backend.set(blueprint, live(rotating, name), user_id=name)
    seen = {}
    for name in ("ann", "bob"):
        with app.app_context(), blueprint.user_session(user_id=name) as session:
            session.get("cookie")
            seen[name] = session.get("api").json()["cookie"]
    assert seen == {"ann": "visitor=at-ann-0", "bob": "visitor=at-bob-0"}
    with app.app_context(), blueprint.user_session(user_id="ann") as session:
        assert session.get("api").json()["cookie"] is None
    assert rotating.connections == 1


def test_closed_blueprint_opens_new_connections(rotating: RotatingProvider) -> None:
    """``close`` closes what is kept open; the next call works."""
    blueprint = make_refreshing(rotating, MemoryBackend(live(rotating)))
    app = make_app(blueprint)
    blueprint.close()
    for wanted in (1, 2):
        with app.test_request_context():
            assert blueprint.session.get("api").status_code == 200
        assert rotating.connections == wanted
        blueprint.close()


def test_connections_survive_the_end_of_a_session(rotating: RotatingProvider) -> None:
    """Closing a session leaves the blueprint's connections open for the others."""
    blueprint = make_refreshing(rotating, MemoryBackend(live(rotating)))
    app = make_app(blueprint)
    for _ in range(2):
        with app.test_request_context(), blueprint.session as session:
            session.get("api")
    assert rotating.connections == 1


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_has_connections_of_its_own(rotating: RotatingProvider) -> None:
    """Parent and child call over connections that they do not share."""
    blueprint = make_refreshing(rotating, MemoryBackend(live(rotating)))
    app = make_app(blueprint)

    def call() -> int:
        with app.test_request_context():
            return int(blueprint.session.get("api").status_code)

    assert call() == 200
    assert in_child(lambda: call() == 200)
    assert call() == 200
    assert rotating.connections == 2


def test_own_adapter(rotating: RotatingProvider) -> None:
    """The ``adapter`` hook is called once, and all calls go through what it makes."""
    made: list[HTTPAdapter] = []
    sent: list[str] = []

    class Recording(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(request.url)
            return super().send(request, *args, **kwargs)

    def make() -> HTTPAdapter:
        made.append(Recording(max_retries=2))
        return made[-1]

    blueprint = make_refreshing(rotating, MemoryBackend(rotating.grant()), adapter=make)
    app = make_app(blueprint)
    for _ in range(2):
        with app.test_request_context():
            blueprint.session.get("api")
    assert len(made) == 1
    assert sent == [f"{rotating.url}/{path}" for path in ("token", "api", "api")]


def test_proxies(rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and refreshes go by the blueprint's proxy, even if the environment names another."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    blueprint = make_refreshing(
        rotating,
        MemoryBackend(rotating.grant()),
        base_url="http://provider.example/",
        token_url="http://provider.example/token",
    )
    blueprint.from_config["proxies"] = "PROXIES"
    app = make_app(blueprint, PROXIES={"http": rotating.url})
    with app.test_request_context():
        assert blueprint.session.get("api").status_code == 200
    paths = [each.path for each in rotating.asked]
    assert paths == ["http://provider.example/token", "http://provider.example/api"]


def test_oauth1_calls_share_a_connection(rotating: RotatingProvider) -> None:
    """OAuth 1 sessions reuse connections in the same way."""
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        client_key="key",
        client_secret="secret",
        base_url=f"{rotating.url}/",
        backend=MemoryBackend({"oauth_token": "t", "oauth_token_secret": "s"}),
    )
    app = make_app(blueprint)
    for _ in range(5):
        with app.test_request_context():
            assert blueprint.session.get("api").status_code == 401
    assert rotating.connections == 1
