"""The contract of a backend, the simplest backends, and backends that users write."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import given

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer import backend as backend_package
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    FileBackend,
    MemoryBackend,
    MongoBackend,
    NullBackend,
    RedisBackend,
    SessionBackend,
    TokenKey,
)

from .places import DictStore, scoped
from .strategies import exact, nested, tokens

Blueprint = OAuth2ConsumerBlueprint
pytestmark = pytest.mark.usefixtures("versions_from_one")

TOKEN = {"access_token": "at"}


class UsersBackend(BaseBackend):
    """A backend as a user writes it: three methods, by provider, in a dict."""

    def __init__(self) -> None:
        self.tokens: dict[str, Any] = {}

    def get(self, blueprint: Any) -> Any:
        """Return the token."""
        return self.tokens.get(blueprint.name)

    def set(self, blueprint: Any, token: Any) -> None:
        """Keep the token."""
        self.tokens[blueprint.name] = token

    def delete(self, blueprint: Any) -> None:
        """Forget the token."""
        self.tokens.pop(blueprint.name, None)


def app_with(blueprint: Blueprint) -> Flask:
    """Make an app with a blueprint, a page that needs its token and one that asks for it."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    app.register_blueprint(blueprint, url_prefix="/login")
    needs = blueprint.session.authorization_required(lambda: "in")
    app.add_url_rule("/needs", "needs", needs)
    app.add_url_rule("/asks", "asks", lambda: {"in": blueprint.session.authorized})
    return app


def test_three_methods_make_a_backend(blueprint: Blueprint, other_blueprint: Blueprint) -> None:
    """A user's backend with three methods is all that a blueprint needs."""
    blueprint.backend = other_blueprint.backend = backend = UsersBackend()
    client = app_with(blueprint).test_client()
    assert client.get("/needs").location == "/login/demo"
    blueprint.token = TOKEN
    assert backend.tokens == {"demo": TOKEN}
    assert blueprint.token == TOKEN
    assert client.get("/needs").text == "in"
    assert other_blueprint.token is None
    del blueprint.token
    assert client.get("/asks").json == {"in": False}
    del blueprint.token
    assert backend.tokens == {}


@pytest.mark.parametrize("left_out", ["get", "set", "delete"])
def test_a_backend_has_all_three_methods(left_out: str) -> None:
    """A backend that leaves a method out can't be made: none quietly does nothing."""
    methods = {
        name: getattr(UsersBackend, name) for name in ("get", "set", "delete") if name != left_out
    }
    incomplete = type("Incomplete", (BaseBackend,), methods)
    with pytest.raises(TypeError, match=left_out):
        incomplete()


def test_an_owner_need_not_be_told(blueprint: Blueprint) -> None:
    """Without an ``owner`` of its own, a backend is taken to be for one owner."""
    assert UsersBackend().owner(blueprint) is None
    assert scoped(DictStore(), user_id=1).owner(blueprint) == TokenKey("demo", "1")


class Outage(Exception):
    """What a user's backend raises."""


class FailingBackend(UsersBackend):
    """A user's backend that can't read."""

    def get(self, blueprint: Any) -> Any:
        """Fail."""
        raise Outage("the disk is on fire")


@pytest.mark.parametrize("page", ["/needs", "/asks"])
def test_an_error_of_a_backend_is_not_a_login(blueprint: Blueprint, page: str) -> None:
    """A backend that raises in ``get`` yields that error; nobody is sent to log in."""
    blueprint.backend = FailingBackend()
    app = app_with(blueprint)
    app.testing = True
    with pytest.raises(Outage, match="on fire"):
        app.test_client().get(page)
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = app.test_client().get(page)
    assert answer.status_code == 500
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "backend",
    [
        NullBackend(),
        MemoryBackend(),
        SessionBackend(),
        FileBackend("token.json"),
        UsersBackend(),
        scoped(DictStore()),
        MongoBackend(lambda: None),
        RedisBackend(lambda: None),
    ],
    ids=lambda backend: type(backend).__name__,
)
def test_every_backend_is_one_of_the_contract(blueprint: Blueprint, backend: BaseBackend) -> None:
    """Each backend is a ``BaseBackend`` and may be given to a blueprint under both names."""
    assert isinstance(backend, BaseBackend)
    for name in ("backend", "storage"):
        setattr(blueprint, name, backend)
        assert blueprint.backend is blueprint.storage is backend


@pytest.mark.parametrize("name", backend_package.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What the package says it exports can be imported from it and is documented."""
    assert getattr(backend_package, name).__doc__


def test_other_names_are_not_there() -> None:
    """A name that the package does not have is an ``AttributeError``, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'CassandraBackend'"):
        backend_package.CassandraBackend  # noqa: B018 - what is tested


def test_null_backend_keeps_nothing(blueprint: Blueprint) -> None:
    """Whatever is set is dropped, and deleting is no error."""
    backend = NullBackend()
    assert backend.set(blueprint, TOKEN) is None
    assert backend.get(blueprint) is None
    assert backend.delete(blueprint) is None
    assert backend.get(blueprint) is None


def test_memory_backend_begins_with_a_token(blueprint: Blueprint) -> None:
    """A test gives the token to begin with, and can look at the one that is there."""
    assert MemoryBackend().get(blueprint) is None
    backend = MemoryBackend(TOKEN)
    assert backend.get(blueprint) == TOKEN
    backend.set(blueprint, {"access_token": "new"})
    assert backend.token == {"access_token": "new"}
    backend.delete(blueprint)
    backend.delete(blueprint)
    assert backend.token is backend.get(blueprint) is None


@given(token=tokens)
def test_memory_backend_keeps_tokens_exactly(token: dict[str, Any]) -> None:
    """Whatever JSON object a token is, it comes back the same, and as the caller's own."""
    blueprint = OAuth2ConsumerBlueprint("demo", __name__)
    backend = MemoryBackend()
    backend.set(blueprint, token)
    first = backend.get(blueprint)
    assert first is not None
    assert exact(first) == exact(token)
    first["changed"] = True
    assert exact(backend.get(blueprint)) == exact(token)


def test_memory_backend_does_not_share(blueprint: Blueprint) -> None:
    """Neither the token that was set nor one that was read leads to the one that is kept."""
    token: dict[str, Any] = {"scope": ["a"]}
    backend = MemoryBackend()
    backend.set(blueprint, token)
    token["scope"].append("b")
    read = backend.get(blueprint)
    assert read is not None
    read["scope"].append("c")
    assert backend.get(blueprint) == {"scope": ["a"]}


@pytest.mark.parametrize("bad", [None, [], {"a": {1}}, {"a": float("nan")}, nested(101)], ids=str)
def test_memory_backend_refuses_what_the_others_refuse(blueprint: Blueprint, bad: Any) -> None:
    """A test with a token that no real backend would take fails as the application would."""
    backend = MemoryBackend(TOKEN)
    with pytest.raises((TypeError, ValueError)):
        backend.set(blueprint, bad)
    assert backend.get(blueprint) == TOKEN


@pytest.mark.parametrize(
    "backend", [MemoryBackend({"access_token": "at-secret"}), SessionBackend(), NullBackend()]
)
def test_backends_show_no_secret(backend: BaseBackend) -> None:
    """The repr of a backend has no token in it."""
    assert "at-secret" not in f"{backend} {backend!r}"
