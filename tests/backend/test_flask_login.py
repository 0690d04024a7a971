"""Owners in an app with Flask-Login: ``user=current_user``."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, request
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.errors import UserRequired

from .places import DictStore, scoped


class Member(UserMixin):
    """A user of the application."""

    def __init__(self, id: str) -> None:
        self.id = id


@pytest.fixture
def login_app(blueprint: OAuth2ConsumerBlueprint) -> tuple[Flask, DictStore]:
    """An app with Flask-Login whose views sign in, connect, and show and drop the token."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    LoginManager(app).user_loader(Member)
    store = DictStore()
    backend = scoped(store, user=current_user)

    @app.post("/sign-in/<user_id>")
    def sign_in(user_id: str) -> str:
        login_user(Member(user_id))
        return ""

    @app.post("/sign-out")
    def sign_out() -> str:
        logout_user()
        return ""

    @app.route("/token", methods=["GET", "PUT", "DELETE"])
    def token() -> Any:
        if request.method == "PUT":
            backend.set(blueprint, {"access_token": request.get_data(as_text=True)})
        elif request.method == "DELETE":
            backend.delete(blueprint)
        return {"token": backend.get(blueprint)}

    app.register_error_handler(UserRequired, lambda error: (str(error), 401))
    return app, store


def test_flask_login_users_have_their_own(login_app: tuple[Flask, DictStore]) -> None:
    """With ``user=current_user``, each request gets the token of whoever is signed in."""
    app, store = login_app
    ann, bea = app.test_client(), app.test_client()
    for client, name in ((ann, "ann"), (bea, "bea")):
        client.post(f"/sign-in/{name}")
        client.put("/token", data=f"of {name}")
    for client, name in ((bea, "bea"), (ann, "ann")):
        assert client.get("/token").json == {"token": {"access_token": f"of {name}"}}
    ann.delete("/token")
    assert ann.get("/token").json == {"token": None}
    assert bea.get("/token").json == {"token": {"access_token": "of bea"}}
    assert [key.user_id for key in store.documents] == ["bea"]


def test_flask_login_visitors_touch_nothing(login_app: tuple[Flask, DictStore]) -> None:
    """A visitor, or one who has signed out, can neither read, write nor delete."""
    app, store = login_app
    client = app.test_client()
    client.post("/sign-in/ann")
    client.put("/token", data="of ann")
    client.post("/sign-out")
    before = list(store.calls)
    for visitor in (client, app.test_client()):
        for method, operation in (("GET", "get"), ("PUT", "set"), ("DELETE", "delete")):
            answer = visitor.open("/token", method=method, data="x")
            assert answer.status_code == 401
            assert answer.text == f"Cannot {operation} OAuth token without an associated user"
    assert store.calls == before


def test_the_owner_changes_with_the_user(
    login_app: tuple[Flask, DictStore], blueprint: Any
) -> None:
    """``owner`` says whose token ``get`` would give now, without asking the store."""
    app, store = login_app
    backend = scoped(store, user=current_user)
    with app.test_request_context():
        login_user(Member("ann"))
        assert backend.owner(blueprint) == TokenKey("demo", "ann")
        login_user(Member("bea"))
        assert backend.owner(blueprint) == TokenKey("demo", "bea")
    assert store.calls == []
