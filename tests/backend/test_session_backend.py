"""The default backend: a token in the Flask session."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, request, session
from flask.testing import FlaskClient
from hypothesis import given, settings

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import SessionBackend

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


def test_what_is_read_is_the_callers_own(app: Flask, blueprint: Blueprint) -> None:
    """Changing the token that was set, or one that was read, changes nothing in the session."""
    backend = SessionBackend()
    token: dict[str, Any] = {"access_token": "at", "scope": ["a"]}
    with app.test_request_context():
        backend.set(blueprint, token)
        token["scope"].append("b")
        first = backend.get(blueprint)
        assert first is not None
        first["scope"].clear()
        assert backend.get(blueprint) == {"access_token": "at", "scope": ["a"]}


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
