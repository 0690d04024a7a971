"""Sessions: whose token they send, where, and what they cost."""

from __future__ import annotations

import json
import threading
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import time_machine
from flask import Flask, g
from flask import session as flask_session
from oauthlib.oauth2 import TokenExpiredError
from requests.adapters import HTTPAdapter

from flask_dance_nosql.consumer import OAuth1Session, OAuth2ConsumerBlueprint, OAuth2Session
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    MemoryBackend,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.document import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.transport import TransportSession
from flask_dance_nosql.errors import ConfigurationError, TokenRefreshError

from .conftest import PROVIDER, TOKEN, make_app, make_blueprint


class CountingStore(MemoryStore):
    """A store in memory that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def load(self, key: TokenKey) -> TokenDocument | None:
        self.calls.append("load")
        return super().load(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self.calls.append("save")
        return super().save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self.calls.append("delete")
        super().delete(key, if_version)


def sent_authorization(web: responses.RequestsMock) -> Any:
    """Return the Authorization header of the last request."""
    return web.calls[-1].request.headers.get("Authorization")


def test_token_is_sent_as_bearer(web: responses.RequestsMock) -> None:
    """A call carries the user's access token in the Authorization header only."""
    blueprint = make_blueprint(backend=MemoryBackend(dict(TOKEN)))
    web.get(f"{PROVIDER}/api/me", json={"ok": True})
    with make_app(blueprint).test_request_context():
        assert blueprint.session.get("me").json() == {"ok": True}
    assert sent_authorization(web) == "Bearer at-secret"
    assert "at-secret" not in web.calls[0].request.url


def test_call_without_a_token_is_sent_without_one(web: responses.RequestsMock) -> None:
    """Without a token, or when it is withheld, the call goes out unsigned."""
    web.get(f"{PROVIDER}/api/public", json={})
    blueprint = make_blueprint()
    with make_app(blueprint).test_request_context():
        blueprint.session.get("public")
        assert sent_authorization(web) is None
    blueprint = make_blueprint(backend=MemoryBackend(dict(TOKEN)))
    with make_app(blueprint).test_request_context():
        blueprint.session.get("public", withhold_token=True)
        assert sent_authorization(web) is None


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("me", f"{PROVIDER}/api/me"),
        ("/me", f"{PROVIDER}/me"),
        ("../me", f"{PROVIDER}/me"),
        ("?page=2", f"{PROVIDER}/api/?page=2"),
        ("https://other.example/x", "https://other.example/x"),
        (b"me", f"{PROVIDER}/api/me"),
    ],
)
def test_urls_are_resolved_like_links(
    web: responses.RequestsMock, url: str | bytes, full: str
) -> None:
    """Relative URLs are resolved against ``base_url`` as a browser resolves a link."""
    web.get(full, json={})
    blueprint = make_blueprint()
    with make_app(blueprint).test_request_context():
        blueprint.session.get(url)
    assert web.calls[0].request.url == full
    assert blueprint.session.prepare_request(requests.Request("GET", url)).url == full


def test_relative_url_without_a_base_is_explained() -> None:
    """A relative URL with nothing to resolve it against is a clear error."""
    blueprint = make_blueprint(base_url=None)
    with pytest.raises(ConfigurationError, match="base_url"):
        blueprint.session.get("/me")


def test_api_call_over_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is never sent without TLS, unless the environment allows it."""
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    blueprint = make_blueprint(backend=MemoryBackend(dict(TOKEN)))
    with (
        make_app(blueprint).test_request_context(),
        pytest.raises(ConfigurationError, match=r"plain\.example") as caught,
    ):
        blueprint.session.get("http://plain.example/me")
    assert "at-secret" not in str(caught.value)


def test_arguments_of_a_call_arrive_unchanged(web: responses.RequestsMock) -> None:
    """Body, headers and parameters reach the provider, and the caller's dicts stay as they were."""
    web.post(f"{PROVIDER}/api/things", json={})
    blueprint = make_blueprint(backend=MemoryBackend(dict(TOKEN)))
    headers = {"X-Mine": "1"}
    with make_app(blueprint).test_request_context():
        blueprint.session.post("things", json={"a": 1}, headers=headers, params={"q": "x"})
    request = web.calls[0].request
    assert json.loads(request.body) == {"a": 1}
    assert request.headers["X-Mine"] == "1"
    assert request.url.endswith("?q=x")
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("call", "expected"), [({}, (5.0, 30.0)), ({"timeout": 3}, 3), ({"timeout": None}, None)]
)
def test_api_calls_have_a_timeout(
    web: responses.RequestsMock, call: dict[str, Any], expected: Any
) -> None:
    """A call without a timeout gets the blueprint's; one that names its own keeps it."""
    web.get(f"{PROVIDER}/api/me", json={})
    blueprint = make_blueprint()
    with make_app(blueprint).test_request_context():
        blueprint.session.get("me", **call)
    assert web.calls[0].request.req_kwargs["timeout"] == expected


def test_one_session_for_each_request_and_blueprint() -> None:
    """Within a request it is always the same; other requests and blueprints have others."""
    first, second = make_blueprint("first"), make_blueprint("second")
    app = make_app(first, second)
    with app.test_request_context():
        one = first.session
        assert first.session is one
        assert second.session is not one
        with app.test_request_context():
            assert first.session is not one
        assert first.session is one
    with app.app_context():
        assert first.session is first.session
        with app.test_request_context():
            inner = first.session
        with app.test_request_context():
            assert first.session is not inner
    assert first.session is not first.session


def test_session_in_a_context_of_another_app() -> None:
    """A blueprint's session works in the context of an app that it is not registered on."""
    blueprint = make_blueprint()
    with Flask("other").app_context():
        assert blueprint.session.client_id == "client-id"


def test_token_is_read_once_for_each_request() -> None:
    """However often a view asks, the store is asked once."""
    store = CountingStore()
    blueprint = make_blueprint(backend=UserScopedBackend(store))
    with make_app(blueprint).test_request_context():
        for _ in range(5):
            assert not blueprint.session.authorized
            assert blueprint.session.access_token is None
        assert store.calls == ["load"]


def test_user_who_changes_within_a_request_gets_their_own_token() -> None:
    """After a login in mid-request, the session no longer has the token of the user before."""
    store = CountingStore()
    blueprint = make_blueprint(backend=UserScopedBackend(store, user_id=lambda: g.user_id))
    app = make_app(blueprint)
    for user_id in ("alice", "bob"):
        blueprint.backend.set(blueprint, {"access_token": f"at-{user_id}"}, user_id=user_id)
    with app.test_request_context():
        g.user_id = "alice"
        assert blueprint.session.access_token == "at-alice"
        g.user_id = "bob"
        assert blueprint.session.access_token == "at-bob"
        assert blueprint.session.load_token()
        g.user_id = "nobody"
        assert not blueprint.session.authorized
        assert not blueprint.session.load_token()
        assert blueprint.session._client.access_token is None


def test_setting_and_deleting_the_token_reach_the_session() -> None:
    """After ``blueprint.token`` changed, the session of the request has the new token, or none."""
    blueprint = make_blueprint(backend=MemoryBackend())
    with make_app(blueprint).test_request_context():
        session = blueprint.session
        assert not session.authorized
        blueprint.token = {"access_token": "one"}
        assert session.access_token == "one"
        blueprint.token = {"access_token": "two"}
        assert session.access_token == "two"
        del blueprint.token
        assert not session.authorized
        del blueprint.token


def test_clearing_the_flask_session_ends_the_connection_at_once() -> None:
    """With tokens in the Flask session, a logout that clears it is seen by the same request."""
    blueprint = make_blueprint()
    with make_app(blueprint).test_request_context():
        blueprint.token = {"access_token": "x"}
        assert blueprint.session.authorized
        flask_session.clear()
        assert not blueprint.session.authorized


def test_token_assigned_to_a_session_is_used_and_not_stored() -> None:
    """``session.token = ...`` is for that session alone; ``del`` goes back to the stored one."""
    backend = MemoryBackend({"access_token": "stored"})
    blueprint = make_blueprint(backend=backend)
    with make_app(blueprint).test_request_context():
        blueprint.session.token = {"access_token": "assigned"}
        assert blueprint.session.access_token == "assigned"
        assert backend.token == {"access_token": "stored"}
        del blueprint.session.token
        assert blueprint.session.access_token == "stored"


def test_session_made_by_hand_works_without_a_blueprint() -> None:
    """The session class can be used on its own, as a requests-oauthlib session."""
    session = OAuth2Session(client_id="x", token={"access_token": "mine"})
    assert session.token == {"access_token": "mine"}
    assert session.authorized
    assert OAuth2Session(client_id="x").token is None


def test_authorization_required_sends_visitors_to_the_login_view() -> None:
    """A view decorated at import time redirects without a token and runs with one."""
    backend = MemoryBackend()
    blueprint = make_blueprint(backend=backend)

    @blueprint.session.authorization_required
    def page(number: int) -> str:
        """The view's own docstring."""
        return f"page {number}"

    app = make_app(blueprint)
    app.add_url_rule("/page/<int:number>", "page", page)
    client = app.test_client()
    assert client.get("/page/3").location == "/login/acme"
    backend.token = dict(TOKEN)
    assert client.get("/page/3").text == "page 3"
    assert (page.__name__, page.__doc__) == ("page", "The view's own docstring.")


def test_authorization_required_asks_for_each_visitor_anew() -> None:
    """The decorator keeps no session: what one visitor may see, the next may not."""
    blueprint = make_blueprint()
    app = make_app(blueprint)
    app.add_url_rule("/page", "page", blueprint.session.authorization_required(lambda: "in"))
    connected, stranger = app.test_client(), app.test_client()
    with connected.session_transaction() as flask_session:
        flask_session["acme_oauth_token"] = {"access_token": "x"}
    assert connected.get("/page").text == "in"
    assert stranger.get("/page").status_code == 302


def test_unrelated_requests_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view or file that does not use the blueprint builds no session and asks no store."""
    store, built = CountingStore(), []
    blueprint = make_blueprint(
        backend=UserScopedBackend(store), session_class=lambda **_: built.append(1)
    )
    app = make_app(blueprint)
    app.static_folder = str(Path(__file__).parent)
    app.add_url_rule("/unrelated", "unrelated", lambda: "fine")
    client = app.test_client()
    for _ in range(10):
        assert client.get("/unrelated").text == "fine"
        with client.get("/static/__init__.py") as static:
            assert static.status_code == 200
        assert client.get("/nowhere").status_code == 404
    assert (store.calls, built) == ([], [])
    assert not app.before_request_funcs
    assert not app.teardown_request_funcs
    assert not app.teardown_appcontext_funcs


def test_transport_session_has_all_that_requests_gives() -> None:
    """A session that skips the adapters has every other attribute of a fresh requests session."""
    ours, theirs = TransportSession(), requests.Session()
    assert vars(theirs).keys() == vars(ours).keys() | {"headers", "cookies"}
    for name in vars(theirs).keys() - {"adapters", "cookies"}:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert type(OAuth2Session().cookies) is type(theirs.cookies)
    assert not ours.adapters


def test_adapter_mounted_on_a_session_comes_first() -> None:
    """A mounted adapter is used; other URLs go by the shared one; other schemes are refused."""
    session, mine = TransportSession(), HTTPAdapter()
    session.mount("https://mine.example", mine)
    assert session.get_adapter("https://mine.example/x") is mine
    shared = session.get_adapter("https://other.example")
    assert shared is not mine
    assert session.get_adapter("HTTPS://other.example") is shared
    with pytest.raises(requests.exceptions.InvalidSchema):
        session.get_adapter("ftp://mine.example")


def test_sessions_share_the_adapter_and_not_the_cookies(web: responses.RequestsMock) -> None:
    """Connections are the blueprint's; a cookie that the provider sets for one user is not."""
    web.get(f"{PROVIDER}/api/me", json={}, headers={"Set-Cookie": "sid=alices"})
    blueprint = make_blueprint(backend=MemoryBackend(dict(TOKEN)))
    app = make_app(blueprint)
    with app.test_request_context():
        blueprint.session.get("me")
        assert blueprint.session.cookies["sid"] == "alices"
        adapter = blueprint.session.get_adapter(PROVIDER)
    with app.test_request_context():
        assert not blueprint.session.cookies
        blueprint.session.get("me")
        assert "Cookie" not in web.calls[1].request.headers
        assert blueprint.session.get_adapter(PROVIDER) is adapter


def test_expired_token_is_refreshed_and_stored(web: responses.RequestsMock) -> None:
    """An expired token is exchanged before the call, and the new one is stored and used."""
    backend = MemoryBackend({"access_token": "old", "refresh_token": "rt", "expires_at": 1})
    blueprint = make_blueprint(
        backend=backend, auto_refresh_url=f"{PROVIDER}/token", auto_refresh_kwargs={"extra": "1"}
    )
    web.post(f"{PROVIDER}/token", json={**TOKEN, "access_token": "new"})
    web.post(f"{PROVIDER}/api/me", json={})
    with make_app(blueprint).test_request_context():
        blueprint.session.post(
            "me", json={"body": "x"}, headers={"X-Mine": "1"}, auth=None, allow_redirects=False
        )
    refresh, call = (each.request for each in web.calls)
    assert refresh.body == "grant_type=refresh_token&refresh_token=rt&extra=1" or (
        sorted(refresh.body.split("&"))
        == ["extra=1", "grant_type=refresh_token", "refresh_token=rt"]
    )
    assert "X-Mine" not in refresh.headers
    assert refresh.headers["Authorization"].startswith("Basic ")
    assert call.headers["Authorization"] == "Bearer new"
    assert json.loads(call.body) == {"body": "x"}
    assert backend.token is not None
    assert (backend.token["access_token"], backend.token["refresh_token"]) == ("new", "rt")


def test_assigned_token_is_refreshed_and_not_stored(web: responses.RequestsMock) -> None:
    """A token that was assigned to a session may be another user's: its refresh is not stored."""
    backend = MemoryBackend({"access_token": "stored"})
    blueprint = make_blueprint(backend=backend, auto_refresh_url=f"{PROVIDER}/token")
    web.post(f"{PROVIDER}/token", json={**TOKEN, "access_token": "new"})
    web.get(f"{PROVIDER}/api/me", json={})
    with make_app(blueprint).test_request_context():
        session = blueprint.session
        session.token = {"access_token": "old", "refresh_token": "rt", "expires_at": 1}
        session.get("me")
        assert sent_authorization(web) == "Bearer new"
        assert session.token["refresh_token"] == "rt"
    assert backend.token == {"access_token": "stored"}


def test_failed_refresh_keeps_the_token(web: responses.RequestsMock) -> None:
    """A refresh that the provider refuses is a ``TokenRefreshError``; the stored token stays."""
    expired = {"access_token": "old", "refresh_token": "rt-secret", "expires_at": 1}
    backend = MemoryBackend(dict(expired))
    blueprint = make_blueprint(backend=backend, auto_refresh_url=f"{PROVIDER}/token")
    web.post(f"{PROVIDER}/token", json={"error": "invalid_client"}, status=400)
    with make_app(blueprint).test_request_context():
        for _ in range(2):
            with pytest.raises(TokenRefreshError, match="invalid_client") as caught:
                blueprint.session.get("me")
            assert "rt-secret" not in str(caught.value)
        assert blueprint.session.access_token == "old"
    assert backend.token == expired


def test_expired_token_that_cannot_be_refreshed(web: responses.RequestsMock) -> None:
    """Without a refresh URL or refresh token an expired token is oauthlib's error, and kept."""
    expired = {"access_token": "old", "expires_at": 1}
    for options in ({}, {"auto_refresh_url": f"{PROVIDER}/token"}):
        backend = MemoryBackend(dict(expired))
        blueprint = make_blueprint(backend=backend, **options)
        with make_app(blueprint).test_request_context(), pytest.raises(TokenExpiredError):
            blueprint.session.get("me")
        assert backend.token == expired
    assert not web.calls


def test_expiry_is_counted_from_what_is_stored() -> None:
    """``expires_at`` is added on set; ``expires_in`` is counted on get; the store stays as is."""
    backend = MemoryBackend()
    blueprint = make_blueprint(backend=backend)
    given = {"access_token": "x", "expires_in": 100}
    with make_app(blueprint).test_request_context():
        with time_machine.travel(1_000_000, tick=False):
            blueprint.token = given
        assert given == {"access_token": "x", "expires_in": 100}
        assert backend.token == {**given, "expires_at": 1_000_100}
        with time_machine.travel(1_000_030, tick=False):
            assert blueprint.token == {
                "access_token": "x",
                "expires_in": 70,
                "expires_at": 1_000_100,
            }
        assert backend.token == {**given, "expires_at": 1_000_100}


@pytest.mark.parametrize("expires_in", [None, "soon", [], float("nan")])
def test_strange_lifetime_adds_no_expiry(expires_in: Any) -> None:
    """A lifetime that is no number of seconds is stored as it is, without ``expires_at``."""
    from flask_dance_nosql.consumer.token import with_expires_at

    assert "expires_at" not in with_expires_at({"access_token": "x", "expires_in": expires_in})


@pytest.mark.parametrize("lifetime", [0, "0", -5, 3600.0])
def test_lifetime_of_zero_is_a_lifetime(lifetime: Any) -> None:
    """``expires_in`` 0 is a token that has ended, not one without an end."""
    from flask_dance_nosql.consumer.token import with_expires_at

    with time_machine.travel(1_000_000, tick=False):
        token = with_expires_at({"expires_in": lifetime})
    assert token["expires_at"] == 1_000_000 + int(lifetime)


@pytest.mark.parametrize("value", [None, "text", 7, [("a", 1)]])
def test_token_that_is_not_a_dict_is_refused(value: Any) -> None:
    """Assigning anything but a dict is a ``TypeError``, and nothing is stored."""
    backend = MemoryBackend()
    blueprint = make_blueprint(backend=backend)
    with pytest.raises(TypeError):
        blueprint.token = value
    assert backend.token is None


def test_token_read_is_the_callers_own() -> None:
    """Changing what ``blueprint.token`` gave changes nothing, whatever the backend returns."""

    class Leaky(BaseBackend):
        kept = {"access_token": "x"}

        def get(self, blueprint: Any) -> Any:
            return self.kept

        def set(self, blueprint: Any, token: Any) -> None:
            raise AssertionError

        def delete(self, blueprint: Any) -> None:
            raise AssertionError

    blueprint = make_blueprint(backend=Leaky)
    token = blueprint.token
    assert token is not None
    token["access_token"] = "changed"
    assert Leaky.kept == {"access_token": "x"}


def test_session_created_hook_shapes_every_session() -> None:
    """A subclass can change each new session, or replace it."""

    class Custom(OAuth2ConsumerBlueprint):
        def session_created(self, session: Any) -> Any:
            session.headers["X-App"] = "mine"
            return session

    blueprint = Custom("acme", __name__, client_id="x")
    with make_app(blueprint).test_request_context():
        assert blueprint.session.headers["X-App"] == "mine"


def test_further_keywords_go_to_the_session_class() -> None:
    """What the blueprint does not know is an argument of the session class."""

    class Versioned(OAuth2Session):
        def __init__(self, *args: Any, api_version: str, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.api_version = api_version

    blueprint = make_blueprint(session_class=Versioned, api_version="3")
    assert blueprint.session.api_version == "3"


def test_adapter_is_remade_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child does not use its parent's sockets."""
    from flask_dance_nosql import process

    shared = make_blueprint().transport
    before = shared.get()
    assert shared.get() is before
    monkeypatch.setattr(process.os, "getpid", lambda: -1)
    assert shared.get() is not before


def test_threads_get_one_adapter() -> None:
    """Threads that make the first call together share one adapter."""
    blueprint = make_blueprint()
    barrier, seen = threading.Barrier(16), []

    def call() -> None:
        barrier.wait()
        seen.append(blueprint.session.get_adapter(PROVIDER))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert len(set(map(id, seen))) == 1


def test_sessions_without_a_blueprint() -> None:
    """A session that is made by hand has what it was given, as in requests-oauthlib."""
    one = OAuth1Session(
        client_key="k", client_secret="s", resource_owner_key="t", resource_owner_secret="ts"
    )
    assert one.authorized
    two = OAuth2Session(client_id="x", token={"access_token": "given"})
    assert (two.authorized, two.access_token) == (True, "given")
    bare = OAuth2Session(client_id="x")
    assert not bare.authorized
    bare.token = {"access_token": "assigned"}
    assert bare.authorized


def test_what_is_set_first_stays() -> None:
    """Attributes that are set on a new session hold, though the rest of it is made later."""
    blueprint = make_blueprint(backend=MemoryBackend({"access_token": "x"}))
    with make_app(blueprint).test_request_context():
        session = blueprint.session
        session.verify, session.trust_env, session.redirect_uri = "/bundle", False, "https://me"
        session.client_id, session.scope = "another", ["mine"]
        session.headers["X-Mine"] = "1"
        assert (session.verify, session.trust_env, session.redirect_uri) == (
            "/bundle",
            False,
            "https://me",
        )
        assert (session.client_id, session.scope, session.max_redirects) == (
            "another",
            ["mine"],
            30,
        )
        assert session.token == {"access_token": "x"}
        assert not hasattr(session, "nothing_of_the_kind")
        assert session.headers["X-Mine"] == copy(session).headers["X-Mine"]


def test_session_is_made_without_reading_the_token_again() -> None:
    """To ask whether there is a token, and then to call, reads the backend once."""
    reads: list[object] = []

    class Counting(MemoryBackend):
        def get(self, blueprint: Any) -> Any:
            reads.append(blueprint)
            return super().get(blueprint)

    blueprint = make_blueprint(backend=Counting({"access_token": "x"}))
    with make_app(blueprint).test_request_context():
        assert blueprint.session.authorized
        assert blueprint.session.headers
        assert blueprint.session.load_token()
    assert len(reads) == 1
