"""The default backend: a token in the Flask session."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from flask import Flask, request, session
from flask.sessions import SecureCookieSession, SessionInterface
from flask.testing import FlaskClient
from hypothesis import given, settings
from markupsafe import Markup
from werkzeug import Response

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint, oauth_error
from flask_dance_nosql.consumer.backend import SessionBackend, TokenCipher
from flask_dance_nosql.consumer.pending import PendingLogin
from flask_dance_nosql.errors import TokenDecryptError, TokenTooLarge

from .strategies import nested, tokens

Blueprint = OAuth2ConsumerBlueprint


def make_app(blueprint: Blueprint, backend: SessionBackend) -> Flask:
    """Make an app with views for the three operations."""
    app = Flask(__name__)
    app.secret_key = "for tests"

    @app.route("/token", methods=["GET", "PUT", "DELETE"])
    def token() -> Any:
        if request.method == "PUT":
            backend.set(blueprint, request.get_json())
        elif request.method == "DELETE":
            backend.delete(blueprint)
        return {"token": backend.get(blueprint)}

    return app


@pytest.fixture
def app(blueprint: Blueprint) -> Flask:
    """An app with the default backend."""
    return make_app(blueprint, SessionBackend())


def stored(client: FlaskClient) -> dict[str, Any]:
    """Return a visitor's session."""
    with client.session_transaction() as flask_session:
        return dict(flask_session)


def test_a_token_lies_under_the_documented_key(app: Flask) -> None:
    """The key is the blueprint's name and ``_oauth_token``, and survives into the next request."""
    client = app.test_client()
    client.put("/token", json={"access_token": "at"})
    assert stored(client) == {"demo_oauth_token": {"access_token": "at"}}
    assert client.get("/token").json == {"token": {"access_token": "at"}}


@pytest.mark.parametrize(
    ("key", "expected"),
    [("{bp.name}_token", "demo_token"), ("fixed", "fixed"), ("{bp.import_name}", __name__)],
)
def test_the_key_can_be_chosen(blueprint: Blueprint, key: str, expected: str) -> None:
    """The key is formatted with the blueprint, or is what it is."""
    client = make_app(
        OAuth2ConsumerBlueprint("demo", __name__), SessionBackend(key=key)
    ).test_client()
    client.put("/token", json={"access_token": "at"})
    assert list(stored(client)) == [expected]


def test_visitors_do_not_share(app: Flask) -> None:
    """Each visitor has the token of their own session."""
    one, two = app.test_client(), app.test_client()
    one.put("/token", json={"access_token": "1"})
    two.put("/token", json={"access_token": "2"})
    one.delete("/token")
    assert one.get("/token").json == {"token": None}
    assert two.get("/token").json == {"token": {"access_token": "2"}}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_visitor_without_a_token_gets_no_cookie(app: Flask, method: str) -> None:
    """Neither reading nor deleting nothing makes a session."""
    answer = app.test_client().open("/token", method=method)
    assert answer.json == {"token": None}
    assert "Set-Cookie" not in answer.headers


def test_deleting_leaves_the_rest_of_the_session(app: Flask) -> None:
    """Only the token goes; deleting again is no error."""
    client = app.test_client()
    with client.session_transaction() as flask_session:
        flask_session["cart"] = [1]
    client.put("/token", json={"access_token": "at"})
    client.delete("/token")
    client.delete("/token")
    assert stored(client) == {"cart": [1]}


def test_blueprints_are_apart(app: Flask, blueprint: Blueprint, other_blueprint: Blueprint) -> None:
    """Two blueprints with one backend have a token each."""
    backend = SessionBackend()
    with app.test_request_context():
        backend.set(blueprint, {"access_token": "1"})
        backend.set(other_blueprint, {"access_token": "2"})
        backend.delete(blueprint)
        assert backend.get(blueprint) is None
        assert backend.get(other_blueprint) == {"access_token": "2"}


@settings(max_examples=40, deadline=None)
@given(token=tokens)
def test_any_token_comes_back_exactly_from_the_cookie(token: dict[str, Any]) -> None:
    """Through Flask's own signed cookie, too, a token comes back as it was, however odd."""
    blueprint = OAuth2ConsumerBlueprint("demo", __name__)
    app = Flask(__name__)
    app.secret_key = "for tests"
    backend = SessionBackend()
    with app.test_request_context():
        backend.set(blueprint, token)
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined] # Flask's own
        cookie = serializer.dumps(dict(session))
    with app.test_request_context(headers={"Cookie": f"session={cookie}"}):
        assert in_order(backend.get(blueprint)) == in_order(token)


def in_order(token: Any) -> str:
    """Return the exact text of a token with sorted names, as Flask writes its sessions."""
    return json.dumps(token, sort_keys=True)


@pytest.mark.parametrize("allows", [False, True])
def test_what_is_read_is_the_callers_own(app: Flask, blueprint: Blueprint, allows: bool) -> None:
    """Changing the token that was set, or one that was read, changes nothing in the session."""
    plain, cipher = SessionBackend(), TokenCipher(TokenCipher.generate_key(), allow_plaintext=True)
    backend = SessionBackend(cipher=cipher) if allows else plain
    token: dict[str, Any] = {"access_token": "at", "scope": ["a"]}
    with app.test_request_context():
        plain.set(blueprint, token)
        token["scope"].append("b")
        first = backend.get(blueprint)
        assert first is not None
        first["scope"].clear()
        assert backend.get(blueprint) == {"access_token": "at", "scope": ["a"]}


def test_what_an_app_has_put_there_comes_back_as_it_is(app: Flask, blueprint: Blueprint) -> None:
    """Flask's sessions hold more than JSON does: tuples, dates and markup stay what they are."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    token = {"scope": ("a", ["b"]), "at": moment, "m": Markup("<b>"), "deep": {"x": [1, None]}}
    with app.test_request_context():
        session["demo_oauth_token"] = token
        found = SessionBackend().get(blueprint)
        assert found == token
        assert found is not None
        assert [type(value) for value in found.values()] == [tuple, datetime, Markup, dict]
        found["scope"][1].append("c")
        found["deep"]["x"].clear()
        assert token["scope"] == ("a", ["b"])
        assert token["deep"] == {"x": [1, None]}


@pytest.mark.parametrize("odd", [5, True, "sealed", ["sealed"], []])
@pytest.mark.parametrize("allows", [False, True])
def test_what_is_no_token_is_not_opened(
    app: Flask, blueprint: Blueprint, odd: Any, allows: bool
) -> None:
    """What somebody else has put under the key is an error that says so."""
    cipher = TokenCipher(TokenCipher.generate_key(), allow_plaintext=allows)
    backend = SessionBackend(cipher=cipher)
    with app.test_request_context():
        session[f"{blueprint.name}_oauth_token"] = odd
        with pytest.raises(TokenDecryptError, match="it is no token"):
            backend.get(blueprint)


@pytest.mark.parametrize(
    "bad", [None, [], {"a": {1}}, {"a": b""}, {"a": float("inf")}, {1: 2}, nested(101)], ids=str
)
def test_a_rejected_token_changes_nothing(app: Flask, blueprint: Blueprint, bad: Any) -> None:
    """A token that JSON can't hold is refused when it is set, not when the response is sent."""
    backend = SessionBackend()
    with app.test_request_context():
        backend.set(blueprint, {"access_token": "old"})
        session.modified = False
        with pytest.raises((TypeError, ValueError)):
            backend.set(blueprint, bad)
        assert backend.get(blueprint) == {"access_token": "old"}
        assert not session.modified


@pytest.mark.parametrize("sealed", [False, True])
def test_token_that_no_cookie_can_hold(blueprint: Blueprint, sealed: bool) -> None:
    """It is an error that says what to do, and the session stays as it was."""
    cipher = TokenCipher(TokenCipher.generate_key()) if sealed else None
    backend = SessionBackend(cipher=cipher)
    small, large = {"access_token": "small"}, {"access_token": secrets.token_hex(4000)}
    with bare_app().test_request_context():
        backend.set(blueprint, small)
        with pytest.raises(TokenTooLarge, match="too large") as caught:
            backend.set(blueprint, large)
        assert caught.value.excess > 0
        assert large["access_token"] not in str(caught.value)
        assert backend.get(blueprint) == small


@pytest.mark.parametrize(
    "more", [{}, {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True}]
)
def test_largest_token_that_a_cookie_can_hold(blueprint: Blueprint, more: dict[str, Any]) -> None:
    """A token is accepted if its cookie has the allowed size, to the byte, and only then.

    Which lengths fit depends on how well the token compresses: a longer one may take a byte less.
    """
    app, backend = bare_app(), SessionBackend()
    app.config.update(more, MAX_COOKIE_SIZE=1000)
    letters = secrets.token_hex(1000)

    def cookie_size(token: dict[str, Any]) -> int:
        kept = app.session_interface.session_class({"demo_oauth_token": token})  # type: ignore[attr-defined]
        kept.modified, response = True, Response()
        response.max_cookie_size = 0
        app.session_interface.save_session(app, kept, cast(Any, response))
        return len(response.headers["Set-Cookie"])

    answers = set()
    for length in range(400, 1200):
        token = {"access_token": letters[:length]}
        with app.test_request_context():
            excess = 0
            try:
                backend.set(blueprint, token)
            except TokenTooLarge as error:
                excess = error.excess
            assert excess == max(0, cookie_size(token) - 1000)
            assert ("demo_oauth_token" in session) == (not excess)
            answers.add(bool(excess))
    assert answers == {False, True}


def test_server_side_session_takes_any_token(blueprint: Blueprint) -> None:
    """A session that is not in a cookie, or that has no limit, takes a large token."""
    large = {"access_token": secrets.token_hex(4000)}
    unlimited, on_the_server = bare_app(), bare_app()
    unlimited.config["MAX_COOKIE_SIZE"] = 0

    class OnTheServer(SessionInterface):
        def open_session(self, app: Flask, request: Any) -> Any:
            return SecureCookieSession()

        def save_session(self, app: Flask, session: Any, response: Any) -> None:
            """Nothing: it is not asked."""

    on_the_server.session_interface = OnTheServer()
    for app in (unlimited, on_the_server):
        with app.test_request_context():
            SessionBackend().set(blueprint, large)
            assert SessionBackend().get(blueprint) == large


def test_login_whose_token_no_cookie_can_hold(
    signals_of_errors: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dance ends with ``token_not_stored``, and says why."""
    blueprint = OAuth2ConsumerBlueprint("demo", __name__, client_id="id")
    app = bare_app()
    app.register_blueprint(blueprint)
    monkeypatch.setattr(blueprint, "_accept_response", lambda: PendingLogin("state", None))
    monkeypatch.setattr(blueprint, "_exchange", lambda _: {"access_token": secrets.token_hex(4000)})
    with app.test_request_context():
        blueprint.authorized()
        assert blueprint.token is None
    (error,) = signals_of_errors
    assert error["error"] == "token_not_stored"
    assert "too large" in error["error_description"]


@pytest.fixture
def signals_of_errors() -> Iterator[list[dict[str, Any]]]:
    """What ``oauth_error`` was sent with."""
    sent: list[dict[str, Any]] = []

    def receive(sender: Any, **arguments: Any) -> None:
        sent.append(arguments)

    with oauth_error.connected_to(receive):
        yield sent


def bare_app() -> Flask:
    """Make an app with sessions in cookies."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    return app
