"""The view for load balancers: quick, silent about what is secret, and cheap."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import RedisBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.cache.local import LocalCache
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.contrib.gitlab import make_gitlab_blueprint
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations import HealthCheck
from flask_dance_nosql.operations.health import Question
from tests.forking import in_child, needs_fork


class PingedStore(MemoryStore):
    """A store that counts how often it is asked for a sign of life, and may be down or hang."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        self.error: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def ping(self) -> None:
        """Answer, or do not."""
        self.pings += 1
        self.may_go_on.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def store() -> PingedStore:
    """A store that answers."""
    return PingedStore()


def app_of(*backends: Any, **options: Any) -> Flask:
    """Make an app with blueprints that have these backends, and a health view."""
    app = Flask(__name__)
    app.secret_key = "s"
    for make, backend in zip(
        (make_github_blueprint, make_gitlab_blueprint), backends, strict=False
    ):
        app.register_blueprint(make("id", "secret", backend=backend), url_prefix="/login")
    app.register_blueprint(HealthCheck(**options))
    return app


def test_all_answer(store: PingedStore) -> None:
    """With all stores up the answer is 200; two backends of one place cost one question."""
    backends = [UserScopedBackend(store), UserScopedBackend(store, cache=LocalCache())]
    answer = app_of(*backends).test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    assert store.pings == 1


def test_down(store: PingedStore, closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Of a store that is down the view tells the class and the blueprints, and nothing else."""
    store.error = BackendUnavailable("ping", "PingedStore", "no answer from 10.0.0.7")
    url = f"redis://:hush@127.0.0.1:{closed_port}"
    app = app_of(UserScopedBackend(store), RedisBackend(url, user_id="1", cache=LocalCache()))
    with caplog.at_level(logging.WARNING):
        answer = app.test_client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json == {
        "status": "unavailable",
        "stores": [
            {"store": "PingedStore", "providers": ["github"]},
            {"store": "RedisStore", "providers": ["gitlab"]},
        ],
    }
    assert "10.0.0.7" in caplog.text
    assert "hush" not in caplog.text


def test_error_that_is_none_of_ours(store: PingedStore, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a store raises is 503; the log has the class of the error."""
    store.error = ZeroDivisionError("a secret")
    assert app_of(UserScopedBackend(store)).test_client().get("/healthz").status_code == 503
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


def test_answers_are_kept(store: PingedStore) -> None:
    """Probes of many cost one question, also of those that come at the same time."""
    app = app_of(UserScopedBackend(store), keep=60)
    start = Barrier(8)

    def probe(_: int) -> int:
        start.wait()
        return app.test_client().get("/healthz").status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(probe, range(8))) == [200] * 8
    assert store.pings == 1


def test_answers_are_not_kept_for_long(store: PingedStore) -> None:
    """With no time to keep an answer each probe asks, and sees that a store is down or up again."""
    client = app_of(UserScopedBackend(store), keep=0).test_client()
    seen = []
    for error in (None, BackendUnavailable("ping", "PingedStore"), None):
        store.error = error
        seen.append(client.get("/healthz").status_code)
    assert seen == [200, 503, 200]


def test_store_that_hangs(store: PingedStore) -> None:
    """The view answers in time while a store hangs, and no second thread is begun for it."""
    store.may_go_on.clear()
    healthy = PingedStore()
    app = app_of(UserScopedBackend(store), UserScopedBackend(healthy), timeout=0.2, keep=0)
    client, threads = app.test_client(), threading.active_count()
    began = time.monotonic()
    answers = [client.get("/healthz") for _ in range(20)]
    assert time.monotonic() - began < 2
    assert {answer.status_code for answer in answers} == {503}
    assert (answers[0].json or {})["stores"] == [{"store": "PingedStore", "providers": ["github"]}]
    assert (store.pings, healthy.pings) == (1, 20)
    assert threading.active_count() <= threads + 1
    store.may_go_on.set()
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(5)
    assert client.get("/healthz").status_code == 200


def test_server_that_hangs(silent_port: int) -> None:
    """A server that takes connections and says nothing is down within the limit."""
    backend = RedisBackend(f"redis://127.0.0.1:{silent_port}?socket_timeout=1")
    began = time.monotonic()
    answer = app_of(backend, timeout=0.2).test_client().get("/healthz")
    assert answer.status_code == 503
    assert time.monotonic() - began < 0.9


def test_methods_and_headers(store: PingedStore) -> None:
    """GET and HEAD only; nothing is cached, and no cookie is set or read."""
    app = app_of(UserScopedBackend(store), url="/up")
    client = app.test_client()
    with client.session_transaction() as session:
        session["name"] = "ada"
    for method in ("GET", "HEAD"):
        answer = client.open("/up", method=method)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert client.open("/up", method=method).status_code == 405


def test_app_without_stores() -> None:
    """An app whose tokens are in sessions has nothing that could be down."""
    app = Flask(__name__)
    app.register_blueprint(make_github_blueprint("id", "secret"))
    app.register_blueprint(HealthCheck())
    assert app.test_client().get("/healthz").json == {"status": "ok"}


def test_no_thread_left(store: PingedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the view says 503 and raises nothing."""

    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    client = app_of(UserScopedBackend(store), keep=0).test_client()
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert client.get("/healthz").status_code == 503
    monkeypatch.undo()
    assert client.get("/healthz").status_code == 200


@needs_fork
def test_fork_while_a_store_is_asked(store: PingedStore) -> None:
    """A child that is forked while a question is open asks its own."""
    store.may_go_on.clear()
    app = app_of(UserScopedBackend(store), timeout=1.0, keep=60)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(app.test_client().get, "/healthz")
        while not store.pings:
            pass

        def probe() -> bool:
            store.may_go_on = threading.Event()
            store.may_go_on.set()
            return app.test_client().get("/healthz").status_code == 200

        assert in_child(probe)
        store.may_go_on.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": "2"}, {"keep": -1}])
def test_wrong_numbers(options: dict[str, Any]) -> None:
    """A limit that is no number of seconds is refused at once."""
    with pytest.raises(ConfigurationError, match="seconds"):
        HealthCheck(**options)


def test_answer_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as none, for who comes after it, too."""
    now = 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    late, right = Question(2.0), Question(2.0)
    now += 2.0
    right.end(True)
    now += 0.1
    late.end(True)
    assert right.wait()
    assert not late.wait()
