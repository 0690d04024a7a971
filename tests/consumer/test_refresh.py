"""A token is refreshed once, whoever asks, and nobody is logged out because of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer

from flask_dance_nosql.consumer import (
    OAuth2ConsumerBlueprint,
    token_deleted,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
)
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    FileBackend,
    LocalCache,
    MemoryBackend,
    OAuthConsumerMixin,
    SQLAlchemyBackend,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import unique_per_user
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.refresh import attempt
from flask_dance_nosql.errors import BackendUnavailable, TokenRefreshError, TokenRevoked

from ..rotating import RotatingProvider
from ..topologies import wait_until
from .conftest import at_once, make_app
from .conftest import make_refreshing as make
from .site import pass_time

THREADS = 16
KEY = TokenKey("acme", "1")


class FailingStore(MemoryStore):
    """A store that can be down, for everything or for what writes a document."""

    is_down = refuses_saves = refuses_locks = refuses_unlocks = False
    before_end: Callable[[], object] = staticmethod(lambda: None)

    def load(self, key: TokenKey) -> Any:
        self._check_up("load")
        return super().load(key)

    def save(self, document: Any, if_version: int | None = None) -> Any:
        self._check_up("save", self.refuses_saves)
        if document.grant_ended:
            self.before_end()
        return super().save(document, if_version)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        self._check_up("acquire", self.refuses_locks)
        return super().acquire(key, holder, seconds)

    def release(self, key: TokenKey, holder: str) -> None:
        self._check_up("release", self.refuses_unlocks)
        super().release(key, holder)

    def _check_up(self, operation: str, is_refused: bool = False) -> None:
        if self.is_down or is_refused:
            raise BackendUnavailable(operation, "FailingStore")


def scoped(store: Any = None, **kwargs: Any) -> UserScopedBackend:
    """Make a backend of one user."""
    return UserScopedBackend(MemoryStore() if store is None else store, user_id=1, **kwargs)


def connect(blueprint: OAuth2ConsumerBlueprint, token: dict[str, Any]) -> Flask:
    """Make an app with the blueprint, whose backend has the token as it is."""
    blueprint.backend.set(blueprint, token)
    return make_app(blueprint)


def caller(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> Callable[[], int]:
    """Return what calls the API from a request of its own, and returns the status."""

    def call() -> int:
        with app.test_request_context():
            return int(blueprint.session.get("api").status_code)

    return call


@pytest.fixture
def sent() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The signals about tokens, each with its name and arguments."""
    record: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for signal in (
        token_saved,
        token_deleted,
        token_refreshed,
        token_refresh_failed,
        token_save_failed,
    ):

        def receive(sender: Any, _name: str = signal.name, **arguments: Any) -> None:
            record.append((_name, arguments))

        receivers.append(receive)
        signal.connect(receive)
    yield record
    assert "rt-" not in repr(record)
    assert "at-" not in repr(record)


@pytest.fixture(params=["scoped", "cached", "memory", "file"])
def backend(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """Backends with a store, with a cache, and such with three methods."""
    return {
        "scoped": scoped,
        "cached": lambda: scoped(cache=LocalCache()),
        "memory": MemoryBackend,
        "file": lambda: FileBackend(tmp_path / "token.json"),
    }[request.param]()


def test_threads_refresh_once(rotating: RotatingProvider, backend: Any) -> None:
    """16 threads with an expired token: one refresh, no spent token, and all are answered."""
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant())
    assert at_once(THREADS, caller(app, blueprint)) == [200] * THREADS
    assert (rotating.refreshes, rotating.spent) == (1, 0)
    assert backend.get(blueprint)["refresh_token"] == "rt-ann-1"
    assert caller(app, blueprint)() == 200


def test_threads_with_one_cookie_refresh_once(rotating: RotatingProvider) -> None:
    """Requests that bring the same cookie each have a session of their own, and one refresh."""
    blueprint = make(rotating, None)
    app = make_app(blueprint)
    app.add_url_rule("/call", "call", lambda: str(blueprint.session.get("api").status_code))
    client = app.test_client()
    with client.session_transaction() as session:
        session["acme_oauth_token"] = rotating.grant()
    cookie = client.get_cookie("session")
    assert cookie is not None

    def call() -> tuple[str, bool]:
        answer = app.test_client(use_cookies=False).get(
            "/call", headers={"Cookie": f"session={cookie.value}"}
        )
        return answer.text, "session=" in answer.headers["Set-Cookie"]

    assert at_once(THREADS, call) == [("200", True)] * THREADS
    assert (rotating.refreshes, rotating.spent) == (1, 0)


def test_users_do_not_wait_for_each_other(rotating: RotatingProvider) -> None:
    """While one user's refresh hangs, another's token is refreshed and used."""
    store = MemoryStore()
    blueprint = make(rotating, UserScopedBackend(store))
    app = make_app(blueprint)
    for name in ("ann", "bob"):
        blueprint.backend.set(blueprint, rotating.grant(name), user_id=name)

    def call(name: str) -> int:
        with app.app_context(), blueprint.user_session(user_id=name) as session:
            return int(session.get("api").status_code)

    rotating.gate.clear()
    hanging = threading.Thread(target=call, args=("ann",))
    hanging.start()
    assert rotating.at_the_gate.wait(60)
    rotating.at_the_gate.clear()
    other = threading.Thread(target=call, args=("bob",))
    other.start()
    assert rotating.at_the_gate.wait(60)
    rotating.gate.set()
    hanging.join(60)
    other.join(60)
    assert (rotating.refreshes, rotating.spent) == (2, 0)


def test_nobody_waits_for_a_refresh_within_the_leeway(rotating: RotatingProvider) -> None:
    """A token that still works is used while another request refreshes it."""
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant(expires_at=time.time() + 30))
    call = caller(app, blueprint)
    rotating.gate.clear()
    refreshing = threading.Thread(target=call)
    refreshing.start()
    assert rotating.at_the_gate.wait(60)
    assert at_once(8, call) == [200] * 8
    assert rotating.refreshes == 0
    rotating.gate.set()
    refreshing.join(60)
    assert rotating.refreshes == 1


def test_short_lived_token_is_not_refreshed_each_time(rotating: RotatingProvider) -> None:
    """A token that lives shorter than the leeway is refreshed when half its life is over."""
    rotating.lifetime = 40
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant())
    call = caller(app, blueprint)
    assert [call() for _ in range(5)] == [200] * 5
    assert rotating.refreshes == 1


def test_login_during_a_refresh_survives(
    rotating: RotatingProvider, sent: list[Any], backend: Any
) -> None:
    """A token that is stored while a refresh is in flight stays; the refresh's is dropped."""
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant())
    login = {**rotating.grant("new", expires_at=time.time() + 3600)}
    rotating.before_answer = lambda: backend.set(blueprint, login)
    assert caller(app, blueprint)() == 200
    assert rotating.calls("/api")[-1].headers["Authorization"] == "Bearer at-new-0"
    assert backend.get(blueprint) == login
    assert [name for name, _ in sent] == ["token-refreshed"]


def test_note_that_is_made_during_a_refresh_stays(rotating: RotatingProvider, backend: Any) -> None:
    """Who adds to a token while it is refreshed loses neither the note nor the new token."""
    blueprint = make(rotating, backend)
    old = rotating.grant()
    app = connect(blueprint, old)
    rotating.before_answer = lambda: backend.set(blueprint, {**old, "note": "mine"})
    assert caller(app, blueprint)() == 200
    kept = backend.get(blueprint)
    assert (kept["refresh_token"], kept["note"]) == ("rt-ann-1", "mine")
    assert caller(app, blueprint)() == 200
    assert (rotating.refreshes, rotating.spent) == (1, 0)


def test_logout_during_a_refresh_stands(rotating: RotatingProvider, backend: Any) -> None:
    """A token that is deleted while a refresh is in flight does not come back."""
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant())
    rotating.before_answer = lambda: backend.delete(blueprint)
    with pytest.raises(TokenRevoked, match="removed"):
        caller(app, blueprint)()
    assert backend.get(blueprint) is None


def test_logout_before_a_refresh_stands(rotating: RotatingProvider) -> None:
    """A token that is gone from the store by the time of the refresh is not refreshed."""
    blueprint = make(rotating, scoped(cache=LocalCache()))
    app = connect(blueprint, rotating.grant())
    with app.test_request_context():
        assert blueprint.session.authorized
        MemoryStore.delete(blueprint.backend.store.inner, KEY)
        with pytest.raises(TokenRevoked, match="removed"):
            blueprint.session.get("api")
        assert not blueprint.session.authorized
    assert rotating.refreshes == 0


def test_loser_adopts_the_winners_token(
    rotating: RotatingProvider, backend: Any, sent: list[Any]
) -> None:
    """Who gets ``invalid_grant`` since another process was first goes on with its token."""
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant("lost"))
    winners = rotating.grant("won", expires_at=time.time() + 3600)
    rotating.failing = (400, {"error": "invalid_grant"})
    rotating.gate.clear()
    result: list[int] = []
    loser = threading.Thread(target=lambda: result.append(caller(app, blueprint)()))
    loser.start()
    assert rotating.at_the_gate.wait(60)
    backend.set(blueprint, winners)
    rotating.gate.set()
    loser.join(60)
    assert result == [200]
    assert backend.get(blueprint) == winners
    assert sent == []


def test_revoked_token_is_dropped_once(
    rotating: RotatingProvider, backend: Any, sent: list[Any]
) -> None:
    """The provider is asked for an ended grant once, and told of once; every request learns it."""
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant())
    rotating.grants["ann"].has_ended = True
    all_there = threading.Barrier(4)

    def call() -> None:
        with app.test_request_context():
            assert blueprint.session.token
            all_there.wait(60)
            blueprint.session.get("api")

    results = at_once(4, call)
    assert [type(each) for each in results] == [TokenRevoked] * 4
    assert len(rotating.calls("/token")) == 1
    assert backend.get(blueprint) is None
    user_id = "1" if isinstance(backend, UserScopedBackend) else None
    assert sent == [
        ("token-refresh-failed", {"user_id": user_id, "error": "invalid_grant"}),
        ("token-deleted", {"user_id": user_id}),
    ]


def test_session_of_a_revoked_token_has_none(rotating: RotatingProvider) -> None:
    """The request that has learned that a grant is ended goes on without a token."""
    blueprint = make(rotating, MemoryBackend(rotating.grant()))
    rotating.grants["ann"].has_ended = True
    with make_app(blueprint).test_request_context():
        assert blueprint.session.authorized
        with pytest.raises(TokenRevoked):
            blueprint.session.get("api")
        assert not blueprint.session.authorized


def test_login_while_a_revoked_token_is_dropped_survives(
    rotating: RotatingProvider, sent: list[Any]
) -> None:
    """A login that lands at the last moment, before the removal, stays and is used."""
    store = FailingStore()
    blueprint = make(rotating, scoped(store))
    app = connect(blueprint, rotating.grant("lost"))
    rotating.grants["lost"].has_ended = True
    login = rotating.grant("new", expires_at=time.time() + 3600)
    store.before_end = lambda: blueprint.backend.set(blueprint, login)
    assert caller(app, blueprint)() == 200
    assert blueprint.backend.get(blueprint) == login
    assert sent == []


def test_view_with_a_revoked_token_goes_to_the_login(rotating: RotatingProvider) -> None:
    """``authorization_required`` turns the end of a grant, and a dead token, into a login."""
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant())
    view = blueprint.session.authorization_required(
        lambda: str(blueprint.session.get("api").status_code)
    )
    app.add_url_rule("/view", "view", view)
    rotating.grants["ann"].has_ended = True
    for _ in range(2):
        answer = app.test_client().get("/view")
        assert (answer.status_code, answer.location) == (302, "/login/acme")
    assert len(rotating.calls("/token")) == 1
    blueprint.backend.set(blueprint, {"access_token": "dead", "expires_at": 1})
    assert app.test_client().get("/view").location == "/login/acme"


def test_view_passes_other_errors_on(rotating: RotatingProvider) -> None:
    """A provider or a store that does not answer, or another provider's end, is no login."""
    store = FailingStore()
    blueprint = make(rotating, scoped(store))
    app = connect(blueprint, rotating.grant())

    def raising(error: Exception) -> Any:
        def view() -> None:
            raise error

        return blueprint.session.authorization_required(view)

    for error in (
        TokenRefreshError("acme", "down"),
        TokenRevoked("other", "invalid_grant"),
        BackendUnavailable("load", "Store"),
    ):
        with app.test_request_context(), pytest.raises(type(error)):
            raising(error)()
    store.is_down = True
    with app.test_request_context(), pytest.raises(BackendUnavailable):
        raising(RuntimeError())()


@pytest.mark.parametrize(
    "failing",
    [
        (503, "down for a while"),
        (200, "<html>"),
        (200, []),
        (400, {"error": "invalid_client"}),
        (200, {"access_token": "", "token_type": "Bearer"}),
    ],
)
def test_provider_that_fails(
    rotating: RotatingProvider,
    failing: Any,
    sent: list[Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that still works is used, with a warning; a dead one is an error; both are kept."""
    rotating.failing = failing
    blueprint = make(rotating, scoped())
    works = rotating.grant("ann", expires_at=time.time() + 30)
    app = connect(blueprint, works)
    call = caller(app, blueprint)
    with caplog.at_level(logging.WARNING):
        assert [call() for _ in range(3)] == [200] * 3
    assert len(rotating.calls("/token")) == 1
    assert "could not be refreshed" in caplog.text
    assert "rt-ann" not in caplog.text
    assert blueprint.backend.get(blueprint) == works
    dead = rotating.grant("bob")
    blueprint.backend.set(blueprint, dead)
    for _ in range(2):
        with pytest.raises(TokenRefreshError, match="acme") as caught:
            call()
        assert not isinstance(caught.value, TokenRevoked)
        assert "rt-bob" not in str(caught.value)
    assert blueprint.backend.get(blueprint) == dead
    assert {name for name, _ in sent} == {"token-refresh-failed"}
    assert len(rotating.calls("/token")) == 2
    rotating.failing = None
    pass_time(monkeypatch, 11)
    assert call() == 200


def test_provider_that_is_down(rotating: RotatingProvider, closed_port: int) -> None:
    """A token endpoint that can't be reached is a ``TokenRefreshError`` too, or a warning."""
    blueprint = make(rotating, scoped(), auto_refresh_url=f"http://127.0.0.1:{closed_port}/token")
    app = connect(blueprint, rotating.grant())
    with pytest.raises(TokenRefreshError, match="ConnectionError"):
        caller(app, blueprint)()
    blueprint.backend.set(blueprint, rotating.grant(expires_at=time.time() + 30))
    assert caller(app, blueprint)() == 200


def test_waiters_share_a_failure(rotating: RotatingProvider) -> None:
    """Who has waited for a refresh that failed does not ask the provider once more."""
    rotating.failing = (503, "down")
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant())
    rotating.gate.clear()
    opener = threading.Thread(target=lambda: rotating.at_the_gate.wait(60) and waited())
    call, waiting = caller(app, blueprint), threading.Semaphore(0)

    def waited() -> None:
        for _ in range(THREADS):
            waiting.acquire()
        rotating.gate.set()

    def announced() -> int:
        waiting.release()
        return call()

    opener.start()
    results = at_once(THREADS, announced)
    opener.join(60)
    assert {type(each) for each in results} == {TokenRefreshError}
    # One that was late to wait may ask for itself.
    assert len(rotating.calls("/token")) <= 3


def test_call_arrives_once_and_unchanged(rotating: RotatingProvider) -> None:
    """None of a call's body, headers and files reaches the token endpoint; it arrives as it is."""
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant())
    with app.test_request_context():
        blueprint.session.post(
            "api?q=1",
            data={"field": "secret-body"},
            headers={"X-Mine": "secret-header"},
            files={"file": ("name.txt", b"secret-file")},
            params={"more": "2"},
            cookies={"mine": "secret-cookie"},
        )
        blueprint.backend.set(blueprint, rotating.grant("bob"))
        blueprint.forget_token()
        blueprint.session.post("api", json={"body": "secret-json"})
    tokens, (first, second) = rotating.calls("/token"), rotating.calls("/api")
    assert len(tokens) == 2
    assert all("secret-" not in repr(each).replace("client-secret", "") for each in tokens)
    for part in (b"secret-body", b"secret-file", b"name.txt"):
        assert part in first.body
    assert first.path == "/api?q=1&more=2"
    assert first.headers["X-Mine"] == "secret-header"
    assert first.headers["Cookie"] == "mine=secret-cookie"
    assert first.headers["Authorization"] == "Bearer at-ann-1"
    assert json.loads(second.body) == {"body": "secret-json"}


def test_what_is_said_once_is_kept(rotating: RotatingProvider) -> None:
    """What the first response had and a refresh has not stays, but for when it ends."""
    rotating.lifetime = None
    rotating.extra = {"scope": "less"}
    blueprint = make(rotating, scoped())
    app = connect(blueprint, {**rotating.grant(), "id_token": "who", "scope": "more"})
    assert caller(app, blueprint)() == 200
    assert blueprint.backend.get(blueprint) == {
        "access_token": "at-ann-1",
        "refresh_token": "rt-ann-1",
        "token_type": "Bearer",
        "id_token": "who",
        "scope": ["less"],
        "granted_scope": ["more", "less"],
    }


@pytest.mark.parametrize("none", [None, ""])
def test_field_that_is_empty_is_as_one_that_is_missing(
    rotating: RotatingProvider, none: str | None
) -> None:
    """Else the grant would be lost, or the token could not be sent."""
    rotating.extra = {"refresh_token": none, "token_type": "Bearer" if none == "" else None}
    blueprint = make(rotating, scoped())
    app = connect(blueprint, rotating.grant())
    assert caller(app, blueprint)() == 200
    token = blueprint.backend.get(blueprint)
    assert token is not None
    assert (token["refresh_token"], token["token_type"]) == ("rt-ann-0", "Bearer")


def test_document_is_renewed(rotating: RotatingProvider) -> None:
    """The record keeps when it was made; its version goes up by one, and its end is set anew."""
    backend = scoped(ttl=1000)
    blueprint = make(rotating, backend)
    app = connect(blueprint, rotating.grant())
    before = backend.store.load(KEY)
    caller(app, blueprint)()
    after = backend.store.load(KEY)
    assert before is not None
    assert after is not None
    assert (after.created_at, after.version) == (before.created_at, before.version + 1)
    assert after.updated_at >= before.updated_at
    assert after.expires_at >= before.expires_at


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"header": True, "fields": set()}),
        ({"client_secret": None}, {"header": False, "fields": {"client_id"}}),
        (
            {"token_url_params": {"include_client_id": True}},
            {"header": False, "fields": {"client_id", "client_secret"}},
        ),
        (
            {"auto_refresh_kwargs": {"client_id": "id", "client_secret": "client-secret"}},
            {"header": False, "fields": {"client_id", "client_secret"}},
        ),
        ({"auto_refresh_kwargs": {"extra": "1"}}, {"header": True, "fields": {"extra"}}),
    ],
)
def test_client_says_who_it_is_in_one_way(
    rotating: RotatingProvider, options: Any, wanted: dict[str, Any]
) -> None:
    """By HTTP Basic unless told else, a public client by its id, and nobody in two ways."""
    blueprint = make(rotating, scoped(), scope=["more", "than", "granted"], **options)
    app = connect(blueprint, rotating.grant())
    caller(app, blueprint)()
    (asked,) = rotating.calls("/token")
    fields = {part.partition("=")[0] for part in asked.body.decode().split("&")}
    assert ("Authorization" in asked.headers) == wanted["header"]
    assert fields == {"grant_type", "refresh_token", *wanted["fields"]}


def test_nothing_is_refreshed_without_being_told(rotating: RotatingProvider) -> None:
    """Without ``auto_refresh`` and ``auto_refresh_url`` a token is used as long as it works."""
    blueprint = make(rotating, scoped(), auto_refresh=False)
    app = connect(blueprint, rotating.grant(expires_at=time.time() + 5))
    assert caller(app, blueprint)() == 200
    assert not rotating.calls("/token")


def test_status_and_authorized(rotating: RotatingProvider) -> None:
    """A session is authorized if its token works or can be refreshed."""
    now = time.time()
    cases = [
        (None, "none", False),
        ({"access_token": ""}, "none", False),
        ({"refresh_token": "r"}, "expired", True),
        ({"access_token": "a"}, "active", True),
        ({"access_token": "a", "expires_at": now + 3600}, "active", True),
        ({"access_token": "a", "expires_at": now + 30}, "expiring", True),
        ({"access_token": "a", "expires_at": now - 1}, "expired", False),
        ({"access_token": "a", "expires_at": now - 1, "refresh_token": "r"}, "expired", True),
    ]
    for token, status, authorized in cases:
        blueprint = make(rotating, MemoryBackend(token))
        with make_app(blueprint).test_request_context():
            assert blueprint.session.token_status == status
            assert blueprint.session.authorized is authorized
    lonely = make(rotating, MemoryBackend(cases[-1][0]), auto_refresh=False)
    with make_app(lonely).test_request_context():
        assert not lonely.session.authorized
    assert not rotating.asked


def test_signals_keep_a_browsers_id_to_themselves(
    rotating: RotatingProvider, sent: list[Any]
) -> None:
    """The random id by which a visitor without a user is known is a secret, and in no signal."""
    blueprint = make(rotating, UserScopedBackend(MemoryStore(), scope="browser"))
    with make_app(blueprint).test_request_context():
        blueprint.token = rotating.grant()
        blueprint.token = {**rotating.grant("bob"), "expires_in": -1}
        assert blueprint.session.get("api").status_code == 200
        del blueprint.token
    names = ["token-saved", "token-saved", "token-saved", "token-refreshed", "token-deleted"]
    assert sent == [(name, {"user_id": None}) for name in names]


@pytest.mark.parametrize("signal", [token_refreshed, token_saved, token_save_failed])
def test_receiver_that_raises_loses_no_token(rotating: RotatingProvider, signal: Any) -> None:
    """What a receiver raises reaches the caller, and the new token is stored all the same."""
    store = FailingStore()
    blueprint = make(rotating, scoped(store))
    app = connect(blueprint, rotating.grant())
    store.refuses_saves = signal is token_save_failed

    def receive(sender: Any, **arguments: Any) -> None:
        raise LookupError("a receiver's own")

    with signal.connected_to(receive), pytest.raises(LookupError):
        caller(app, blueprint)()
    store.refuses_saves = False
    wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")
    assert caller(app, blueprint)() == 200
    assert (rotating.refreshes, rotating.spent) == (1, 0)


@pytest.mark.timeout(20)
def test_receiver_that_calls_the_provider_does_not_wait_for_itself(
    rotating: RotatingProvider,
) -> None:
    """A receiver runs in the midst of a refresh, and is told at once that there is no token."""
    rotating.failing = (503, "down")
    blueprint = make(rotating, scoped())
    call = caller(connect(blueprint, rotating.grant()), blueprint)
    answers = []

    def receive(sender: Any, **arguments: Any) -> None:
        with pytest.raises(TokenRefreshError) as caught:
            blueprint.session.get("api")
        answers.append(caught.value)

    with token_refresh_failed.connected_to(receive), pytest.raises(TokenRefreshError):
        call()
    assert len(answers) == len(rotating.calls("/token")) == 1


class TestStoreDown:
    """The store fails while a token is refreshed."""

    def test_new_token_is_rescued(
        self, rotating: RotatingProvider, sent: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """A token that the store refuses is used, and stored when it answers, without a request."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())
        store.refuses_saves = True
        assert caller(app, blueprint)() == 200
        assert caller(app, blueprint)() == 200
        assert rotating.refreshes == 1
        assert [name for name, _ in sent] == [
            "token-save-failed",
            "token-refreshed",
            "token-save-failed",
        ]
        assert "rt-ann" not in caplog.text
        store.refuses_saves = False
        wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")
        wait_until(lambda: ("token-saved", {"user_id": "1"}) in sent, "the signal was sent")
        assert caller(app, blueprint)() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_next_refresh_uses_the_rescued_token(self, rotating: RotatingProvider) -> None:
        """A rescued token that ends itself is refreshed by its own refresh token."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())
        store.refuses_saves = True
        rotating.lifetime = 1
        with app.test_request_context():
            blueprint.session.get("api")
        store.refuses_saves = False
        wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")
        rotating.lifetime = 3600
        assert caller(app, blueprint)() == 200
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    def test_store_that_goes_down_in_mid_refresh(self, rotating: RotatingProvider) -> None:
        """The request succeeds though save and unlock fail, and the token is stored later."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())

        def fall() -> None:
            store.is_down = True

        rotating.before_answer = fall
        assert caller(app, blueprint)() == 200
        with pytest.raises(BackendUnavailable):
            caller(app, blueprint)()
        store.is_down = False
        wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_rescued_token_is_used_while_nothing_can_be_written(
        self, rotating: RotatingProvider
    ) -> None:
        """Where the store can be read and neither locked nor written, its owner goes on with it."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())
        store.refuses_saves = True
        assert caller(app, blueprint)() == 200
        store.refuses_locks = True
        assert caller(app, blueprint)() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        store.refuses_saves = store.refuses_locks = False
        wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")

    def test_rescue_has_the_apps_context(self, rotating: RotatingProvider) -> None:
        """A store that is reached through the app is reached by the thread that tries again."""
        asked: list[str] = []

        class OfTheApp(FailingStore):
            def save(self, document: Any, if_version: int | None = None) -> Any:
                asked.append(current_app.name)
                return super().save(document, if_version)

        store = OfTheApp()
        blueprint = make(rotating, scoped(store))
        app = make_app(blueprint)
        with app.app_context():
            blueprint.backend.set(blueprint, rotating.grant())
        store.refuses_saves = True
        assert caller(app, blueprint)() == 200
        store.refuses_saves = False
        wait_until(lambda: stored_refresh_token(store) == "rt-ann-1", "it is stored")
        assert set(asked) == {app.name}
        assert len(asked) == 3

    def test_lock_can_not_be_given_up(self, rotating: RotatingProvider) -> None:
        """A store that goes away after the save is no error: the token is there, the lock ends."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())
        store.refuses_unlocks = True
        assert caller(app, blueprint)() == 200
        assert stored_refresh_token(store) == "rt-ann-1"

    def test_login_meanwhile_wins(self, rotating: RotatingProvider) -> None:
        """A rescued token never replaces one of a later login."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store))
        app = connect(blueprint, rotating.grant())
        store.refuses_saves = True
        assert caller(app, blueprint)() == 200
        store.refuses_saves = False
        login = rotating.grant("new")
        blueprint.backend.set(blueprint, login)
        rescue = blueprint.flights.rescue
        wait_until(lambda: rescue._thread is None, "nothing is left to be stored")
        assert blueprint.backend.get(blueprint) == login

    def test_plain_backend_is_tried_when_its_owner_comes_back(
        self, rotating: RotatingProvider
    ) -> None:
        """A backend of three methods gets the token at the next call."""

        class Refusing(MemoryBackend):
            refuses = False

            def set(self, blueprint: Any, token: Any) -> None:
                if self.refuses:
                    raise OSError("disk full")
                super().set(blueprint, token)

        backend = Refusing()
        blueprint = make(rotating, backend)
        app = connect(blueprint, rotating.grant())
        backend.refuses = True
        assert [caller(app, blueprint)() for _ in range(2)] == [200, 200]
        backend.refuses = False
        assert caller(app, blueprint)() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        assert backend.token is not None
        assert backend.token["refresh_token"] == "rt-ann-1"

    def test_lock_can_not_be_taken(self, rotating: RotatingProvider) -> None:
        """Without the store nothing is refreshed: a token that works is used, a dead one is not."""
        store = FailingStore()
        blueprint = make(rotating, scoped(store, cache=LocalCache()))
        app = connect(blueprint, rotating.grant(expires_at=time.time() + 30))
        call = caller(app, blueprint)
        store.is_down = True
        assert call() == 200
        store.is_down = False
        blueprint.backend.set(blueprint, rotating.grant())
        store.is_down = True
        with pytest.raises(BackendUnavailable):
            call()
        assert not rotating.calls("/token")

    def test_rescued_tokens_are_bounded(
        self,
        rotating: RotatingProvider,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Beyond the bound the oldest is given up, and an error says so."""
        from flask_dance_nosql.consumer.refresh import rescue

        monkeypatch.setattr(rescue, "MAX_KEPT", 2)
        store = FailingStore()
        blueprint = make(rotating, UserScopedBackend(store))
        app = make_app(blueprint)
        for name in ("ann", "bob", "cid"):
            blueprint.backend.set(blueprint, rotating.grant(name), user_id=name)
        store.refuses_saves = True
        for name in ("ann", "bob", "cid"):
            with app.app_context(), blueprint.user_session(user_id=name) as session:
                assert session.get("api").status_code == 200
        assert "the oldest is lost" in caplog.text
        store.refuses_saves = False
        wait_until(lambda: blueprint.flights.rescue._thread is None, "all are stored")
        kept = [
            blueprint.tokens_of(name)[0].token["refresh_token"] for name in ("ann", "bob", "cid")
        ]
        assert kept == ["rt-ann-0", "rt-bob-1", "rt-cid-1"]


def stored_refresh_token(store: MemoryStore) -> Any:
    """Return the refresh token that the store has."""
    document = MemoryStore.load(store, KEY)
    return None if document is None else document.token["refresh_token"]


def test_other_process_that_refreshes_is_waited_for(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a dead token waits for the lock that somebody else has, and takes their token."""
    store = MemoryStore()
    blueprint = make(rotating, scoped(store))
    app = connect(blueprint, rotating.grant())
    lock = store.lock(KEY)
    assert lock is not None
    result: list[int] = []
    waiting = threading.Thread(target=lambda: result.append(caller(app, blueprint)()))
    waiting.start()
    blueprint.backend.set(blueprint, rotating.grant("new", expires_at=time.time() + 3600))
    lock.release()
    waiting.join(60)
    assert result == [200]
    assert rotating.refreshes == 0


def test_clocks_that_differ_make_no_further_refresh(rotating: RotatingProvider) -> None:
    """A new token of another process that looks near its end here is good enough to go on with."""
    store = MemoryStore()
    blueprint = make(rotating, scoped(store))
    app = connect(blueprint, rotating.grant())
    with app.test_request_context():
        assert blueprint.session.token_status == "expired"
        blueprint.backend.set(blueprint, rotating.grant("new", expires_at=time.time() + 20))
        assert blueprint.session.get("api").status_code == 200
        assert blueprint.session.token_status == "expiring"
    assert rotating.refreshes == 0


def test_lock_is_renewed_in_the_apps_context(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is reached through the app is reached when its lock is renewed, too."""
    monkeypatch.setattr(attempt, "LEASE_SECONDS", 0.1)
    asked: list[str] = []

    class OfTheApp(MemoryStore):
        def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
            asked.append(current_app.name)
            return super().acquire(key, holder, seconds)

    blueprint = make(rotating, scoped(OfTheApp()))
    app = connect(blueprint, rotating.grant())
    rotating.gate.clear()
    thread = threading.Thread(target=caller(app, blueprint))
    thread.start()
    wait_until(lambda: len(asked) >= 4, "the lock was renewed")
    rotating.gate.set()
    thread.join(60)
    assert set(asked) == {app.name}


def test_wait_for_another_process_is_bounded(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for too long gets a ``TokenRefreshError``; a token that works waits for nobody."""
    monkeypatch.setattr("flask_dance_nosql.consumer.client._MARGIN", 0.0)
    store = MemoryStore()
    blueprint = make(rotating, scoped(store), timeout=0.05)
    app = connect(blueprint, rotating.grant())
    lock = store.lock(KEY)
    assert lock is not None
    with pytest.raises(TokenRefreshError, match="too long"):
        caller(app, blueprint)()
    blueprint.timeout = 60
    blueprint.backend.set(blueprint, rotating.grant(expires_at=time.time() + 30))
    assert caller(app, blueprint)() == 200
    lock.release()
    assert rotating.refreshes == 0


def test_lease_is_kept_however_slow_the_provider(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token endpoint that is slower than the lease still makes one refresh."""
    monkeypatch.setattr(attempt, "LEASE_SECONDS", 3.0)
    store = MemoryStore()
    first, second = (make(rotating, scoped(store)) for _ in range(2))
    calls = [caller(connect(each, rotating.grant()), each) for each in (first, second)]
    rotating.gate.clear()
    results: list[int] = []
    threads = [threading.Thread(target=lambda c=call: results.append(c())) for call in calls]
    for thread in threads:
        thread.start()
    assert rotating.at_the_gate.wait(60)
    renewals = CountRenewals(store)
    wait_until(lambda: renewals.count >= 4, "the lock was renewed for longer than its lease")
    assert len(rotating.calls("/token")) == 1
    rotating.gate.set()
    for thread in threads:
        thread.join(60)
    assert results == [200, 200]
    assert (rotating.refreshes, rotating.spent) == (1, 0)


def test_threads_refresh_once_with_flask_sqlalchemy(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The session of each request stays its own, though a thread renews the lock meanwhile."""
    monkeypatch.setattr(attempt, "LEASE_SECONDS", 0.3)
    db = SQLAlchemy()

    class OAuth(OAuthConsumerMixin, db.Model):  # type: ignore[name-defined,misc] # made at run time
        __table_args__ = unique_per_user()
        user_id = Column(Integer)

    backend = SQLAlchemyBackend(OAuth, db.session, user_id=1)
    blueprint = make(rotating, backend)
    app = make_app(blueprint, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/tokens.db")
    db.init_app(app)
    with app.app_context():
        db.create_all()
        backend.set(blueprint, rotating.grant())
    renewals = CountRenewals(backend.store)
    rotating.before_answer = lambda: wait_until(lambda: renewals.count >= 5, "it was renewed")
    assert at_once(8, caller(app, blueprint)) == [200] * 8
    assert (rotating.refreshes, rotating.spent) == (1, 0)
    with app.app_context():
        assert blueprint.token["refresh_token"] == "rt-ann-1"
        db.engine.dispose()


class CountRenewals:
    """Counts how often a store's lock was taken anew by its holder."""

    def __init__(self, store: Any) -> None:
        self.count = 0
        original = store.acquire

        def acquire(key: TokenKey, holder: str, seconds: float) -> bool:
            taken = original(key, holder, seconds)
            self.count += taken
            return taken

        store.acquire = acquire


def test_assigned_token_is_left_alone_within_the_leeway(rotating: RotatingProvider) -> None:
    """A token that was assigned to a session is refreshed when it has ended, and not before."""
    blueprint = make(rotating, scoped())
    with make_app(blueprint).test_request_context():
        blueprint.session.token = rotating.grant(expires_at=time.time() + 30)
        assert blueprint.session.get("api").status_code == 200
        assert not rotating.calls("/token")
        blueprint.session.token = rotating.grant()
        assert blueprint.session.get("api").status_code == 200
        assert blueprint.session.token["refresh_token"] == "rt-ann-1"
    assert blueprint.backend.get(blueprint) is None


class ThreeMethods(BaseBackend):
    """A backend as users write it."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, blueprint: Any) -> Any:
        return self.kept.get(blueprint.name)

    def set(self, blueprint: Any, token: Any) -> None:
        self.kept[blueprint.name] = token

    def delete(self, blueprint: Any) -> None:
        self.kept.pop(blueprint.name, None)


def test_plain_backend_refreshes_once(rotating: RotatingProvider) -> None:
    """A backend of three methods has single flight within a process."""
    blueprint = make(rotating, ThreeMethods())
    app = connect(blueprint, rotating.grant())
    assert at_once(THREADS, caller(app, blueprint)) == [200] * THREADS
    assert (rotating.refreshes, rotating.spent) == (1, 0)
