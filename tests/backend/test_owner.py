"""Whose token it is, from every way of saying so."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from bson import ObjectId
from flask import Flask
from flask_login import AnonymousUserMixin, UserMixin, current_user
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.local import LocalProxy

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.errors import ConfigurationError, UserRequired

from .places import DictStore, scoped

UUID_TEXT = "12345678-1234-5678-1234-567812345678"


class Person:
    """A model's user."""

    def __init__(self, id: Any) -> None:
        self.id = id


class Named(UserMixin):
    """A user of Flask-Login, whose id is under another name."""

    def __init__(self, name: Any) -> None:
        self.name = name

    def get_id(self) -> Any:
        """Return the name."""
        return self.name


class Member(UserMixin, Person):
    """A model's user who is one of Flask-Login's, too."""


class Nobody:
    """A class of an application's own for visitors."""

    id = "nobody"


class Visitor:
    """A visitor, as Flask-Login's protocol has it, without being of its class."""

    id = "visitor"
    is_anonymous = True


WHO: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str | None]] = {
    # scoping of the backend, arguments of the call, the blueprint's config, whose token it is
    "nobody": ({}, {}, {}, None),
    "user": ({"user": Person(1)}, {}, {}, "1"),
    "user 0": ({"user": Person(0)}, {}, {}, "0"),
    "user's UUID": ({"user": Person(UUID(UUID_TEXT))}, {}, {}, UUID_TEXT),
    "user's ObjectId": ({"user": Person(ObjectId("0" * 24))}, {}, {}, "0" * 24),
    "user's id method": ({"user": Person(lambda: 5)}, {}, {}, "5"),
    "function of user": ({"user": lambda: Person(1)}, {}, {}, "1"),
    "proxy of user": ({"user": LocalProxy(lambda: Person(1))}, {}, {}, "1"),
    "proxy of a function": ({"user": LocalProxy(lambda: lambda: Person(1))}, {}, {}, "1"),
    "get_id": ({"user": Named("ann")}, {}, {}, "ann"),
    "id before get_id": ({"user": Member(0)}, {}, {}, "0"),
    "an id as user": ({"user": "ann"}, {}, {}, "ann"),
    "a number as user": ({"user": lambda: 0}, {}, {}, "0"),
    "user_id": ({"user_id": 2}, {}, {}, "2"),
    "user_id 0": ({"user_id": 0}, {}, {}, "0"),
    "function of user_id": ({"user_id": lambda: 0}, {}, {}, "0"),
    "proxy of user_id": ({"user_id": LocalProxy(lambda: "2")}, {}, {}, "2"),
    "user_id wins over user": ({"user": Person(1), "user_id": 0}, {}, {}, "0"),
    "function of no user_id": ({"user": Person(1), "user_id": lambda: None}, {}, {}, "1"),
    "the call's user": ({}, {"user": Person(3)}, {}, "3"),
    "the call's user_id": ({}, {"user_id": 0}, {}, "0"),
    "the call's function": ({}, {"user": lambda: Person(3)}, {}, "3"),
    "the call's user_id wins": ({}, {"user": Person(3), "user_id": 4}, {}, "4"),
    "the call's user over user": ({"user": Person(1)}, {"user": Person(3)}, {}, "3"),
    "the call's user over user_id": ({"user_id": 2}, {"user": Person(3)}, {}, "3"),
    "the call's user_id over all": ({"user": Person(1), "user_id": 2}, {"user_id": 0}, {}, "0"),
    "config's user": ({}, {}, {"user": Person(5)}, "5"),
    "config's function": ({}, {}, {"user": lambda: Person(5)}, "5"),
    "config's user_id": ({}, {}, {"user_id": 0}, "0"),
    "config's user_id wins": ({}, {}, {"user": Person(5), "user_id": 6}, "6"),
    "the backend before config": ({"user_id": 0}, {}, {"user_id": 6}, "0"),
    "the call before config": ({}, {"user_id": 0}, {"user_id": 6}, "0"),
    "config where the backend has none": ({"user": lambda: None}, {}, {"user_id": 6}, "6"),
    "a class of visitors": (
        {"user": Nobody(), "anon_user": Nobody, "user_required": False},
        {},
        {},
        None,
    ),
    "two such classes": (
        {"user": Nobody(), "anon_user": (Visitor, Nobody), "user_required": False},
        {},
        {},
        None,
    ),
    "Nobody is somebody": ({"user": Nobody()}, {}, {}, "nobody"),
    "is_anonymous": ({"user": Visitor(), "user_required": False}, {}, {}, None),
    "is_anonymous is not truth": ({"user": SimpleNamespace(id=7, is_anonymous=1)}, {}, {}, "7"),
    "Flask-Login's visitor": ({"user": AnonymousUserMixin(), "user_required": False}, {}, {}, None),
    "scope app": ({"scope": "app"}, {}, {}, None),
    "the call's user in scope app": ({"scope": "app"}, {"user_id": 3}, {}, "3"),
    "scope user": ({"scope": "user", "user_required": False}, {}, {}, None),
}


@pytest.mark.parametrize("case", WHO)
def test_whose_token_it_is(blueprint: OAuth2ConsumerBlueprint, case: str) -> None:
    """The same owner is found for get, set and delete, by what wins in each combination."""
    scoping, call, config, user_id = WHO[case]
    blueprint.config.update(config)
    store = DictStore()
    backend = scoped(store, **scoping)
    backend.set(blueprint, {"access_token": "at"}, **call)
    assert backend.get(blueprint, **call) == {"access_token": "at"}
    backend.delete(blueprint, **call)
    key = TokenKey("demo", user_id)
    assert store.calls == [("save", key), ("load", key), ("delete", key)]


def operations(backend: Any, blueprint: Any, **call: Any) -> dict[str, Callable[[], Any]]:
    """Return the three operations of a backend, ready to be called."""
    return {
        "get": lambda: backend.get(blueprint, **call),
        "set": lambda: backend.set(blueprint, {"access_token": "at"}, **call),
        "delete": lambda: backend.delete(blueprint, **call),
    }


REQUIRED: dict[str, dict[str, Any]] = {
    "no user": {"user": lambda: None},
    "no user_id": {"user_id": lambda: None},
    "a visitor": {"user": Visitor()},
    "Flask-Login's visitor": {"user": AnonymousUserMixin()},
    "a visitor of a class": {"user": Nobody(), "anon_user": Nobody},
    "scope user": {"scope": "user"},
    "required in scope app": {"user_required": True},
    "required in scope browser": {"scope": "browser", "user_required": True},
}


@pytest.mark.parametrize("case", REQUIRED)
@pytest.mark.parametrize("operation", ["get", "set", "delete"])
def test_a_required_user_is_missing(
    blueprint: OAuth2ConsumerBlueprint, case: str, operation: str
) -> None:
    """Without the user that is required, an operation says so and asks the store nothing."""
    store = DictStore()
    backend = scoped(store, **REQUIRED[case])
    with pytest.raises(UserRequired) as caught:
        operations(backend, blueprint)[operation]()
    assert str(caught.value) == f"Cannot {operation} OAuth token without an associated user"
    assert store.calls == []
    with pytest.raises(UserRequired, match=r"^Cannot get OAuth token"):
        backend.owner(blueprint)


HOSTILE: dict[str, tuple[Any, type[Exception]]] = {
    "a query": ({"$ne": None}, TypeError),
    "an empty query": ({}, TypeError),
    "a list": (["42"], TypeError),
    "True": (True, TypeError),
    "False": (False, TypeError),
    "bytes": (b"42", TypeError),
    "a float": (42.0, TypeError),
    "an object": (object(), TypeError),
    "empty text": ("", ValueError),
    "broken text": ("\ud800", ValueError),
}


@pytest.mark.parametrize("operation", ["get", "set", "delete"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_id_never_reaches_a_store(
    blueprint: OAuth2ConsumerBlueprint, case: str, operation: str
) -> None:
    """What is no id is an error before the store is asked, from wherever it comes."""
    hostile, error = HOSTILE[case]
    store = DictStore()
    ways = [
        ({}, {"user_id": hostile}),
        ({}, {"user_id": lambda: hostile}),
        ({}, {"user": Person(hostile)}),
        ({}, {"user": Named(hostile)}),
        ({"user_id": hostile}, {}),
        ({"user_id": lambda: hostile}, {}),
        ({"user": Person(hostile)}, {}),
        ({"user": LocalProxy(lambda: Person(hostile))}, {}),
        ({"user_id": 1}, {"user_id": hostile}),
    ]
    for scoping, call in ways:
        with pytest.raises(error) as caught:
            operations(scoped(store, **scoping), blueprint, **call)[operation]()
        assert not isinstance(caught.value, UserRequired)
    blueprint.config["user_id"] = hostile
    with pytest.raises(error):
        operations(scoped(store), blueprint)[operation]()
    assert store.calls == []


def test_a_hostile_user_of_a_call_is_refused(blueprint: OAuth2ConsumerBlueprint) -> None:
    """An object that is neither a user nor an id is a ``TypeError``, not nobody."""
    store = DictStore()
    for user in ({"id": 1}, {}, [1], b"1", False, 1.5, object()):
        with pytest.raises(TypeError):
            scoped(store).delete(blueprint, user=user)
    assert store.calls == []


@given(st.text(min_size=1).filter(lambda text: "\0" not in text) | st.integers())
def test_any_id_of_a_session_is_a_key_of_its_own(user_id: Any) -> None:
    """Whatever text or number an application uses as an id, the document is that user's alone."""
    store = DictStore()
    blueprint = OAuth2ConsumerBlueprint("demo", __name__, client_id="client-id")
    scoped(store, user_id=user_id).set(blueprint, {})
    assert [key.user_id for key in store.documents] == [str(user_id)]


@pytest.mark.parametrize(
    "unsaved",
    [Person(None), Person(lambda: None), Named(None), Member(None)],
    ids=["id", "id method", "get_id", "Flask-Login's get_id of no id"],
)
@pytest.mark.parametrize("operation", ["get", "set", "delete"])
def test_a_user_who_is_not_saved_has_no_token(
    blueprint: OAuth2ConsumerBlueprint, unsaved: Any, operation: str
) -> None:
    """A user without an id yet is an error that says so: all such users would be one."""
    store = DictStore()
    for scoping, call in (({"user": unsaved}, {}), ({"user": 1}, {"user": unsaved})):
        with pytest.raises(ValueError, match=r"no id yet\. Save it"):
            operations(scoped(store, **scoping), blueprint, **call)[operation]()
    assert store.calls == []


@pytest.mark.parametrize("operation", ["get", "set", "delete"])
@pytest.mark.parametrize("visitor", [AnonymousUserMixin(), Visitor()], ids=["mixin", "protocol"])
def test_a_visitor_named_by_the_call_is_not_the_backends_user(
    blueprint: OAuth2ConsumerBlueprint, visitor: Any, operation: str
) -> None:
    """A call for a visitor does not touch the token of the user the backend was given."""
    store = DictStore()
    backend = scoped(store, user=Person(1))
    with pytest.raises(UserRequired):
        operations(backend, blueprint, user=visitor)[operation]()
    assert store.calls == []


@pytest.mark.parametrize(
    "scoping",
    [
        {"scope": "everybody"},
        {"scope": ""},
        {"scope": "USER"},
        {"scope": "app", "user": Person(1)},
        {"scope": "app", "user_id": 0},
        {"scope": "browser", "user": current_user},
        {"scope": "browser", "user_id": 0},
    ],
)
def test_contradictions_are_told_when_the_backend_is_made(scoping: dict[str, Any]) -> None:
    """An unknown scope, or a user for tokens that are nobody's, is a ``ConfigurationError``."""
    with pytest.raises(ConfigurationError, match="scope"):
        scoped(DictStore(), **scoping)


def test_config_of_one_request_is_not_anothers(blueprint: OAuth2ConsumerBlueprint) -> None:
    """A user set in the blueprint's ``config`` within a request is forgotten with it."""
    app = Flask(__name__)
    backend = scoped(DictStore())
    with app.test_request_context():
        blueprint.config["user_id"] = 1
        assert backend.owner(blueprint) == TokenKey("demo", "1")
    with app.test_request_context():
        assert backend.owner(blueprint) == TokenKey("demo")


class Staff(Person):
    """One kind of users."""


class Customer(Person):
    """Another kind of users, who have ids of their own."""


class Manager(Staff):
    """Members of the staff, whose ids are the staff's."""


class Users(DeclarativeBase):
    """The base of users in a database."""


class Account(Users):
    """Users of two kinds with one table."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind"}


class Author(Account):
    """One kind."""

    __mapper_args__ = {"polymorphic_identity": "author"}


class Reader(Account):
    """Another kind."""

    __mapper_args__ = {"polymorphic_identity": "reader"}


KINDS: dict[str, tuple[list[Any], bool]] = {
    "one": ([Staff(1), Staff(2), Staff(1)], False),
    "two": ([Staff(1), Customer(1), Staff(2), Customer(3)], True),
    "get_id": ([Named("1"), Member(1), Customer(1)], True),
    "a class and its subclass": ([Staff(1), Manager(1), Staff(1)], False),
    "a subclass and its class": ([Manager(1), Staff(1)], False),
    "one table": ([Author(id=1), Reader(id=2), Account(id=3)], False),
    "two tables": ([Author(id=1), Staff(1)], True),
    "a visitor": ([Staff(1), Visitor(), AnonymousUserMixin()], False),
    "ids": (["1", 1, Staff(1)], False),
}


@pytest.mark.parametrize("case", KINDS)
def test_users_of_two_kinds(
    blueprint: OAuth2ConsumerBlueprint, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Users of two classes, who may have the same id, are told of once, with the way out."""
    users, told = KINDS[case]
    current = iter(users)
    backend = scoped(DictStore(), user=lambda: next(current), user_required=False)
    for user in users:
        backend.get(blueprint)
        backend.get(blueprint, user=user)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == told
    assert all("share a token" in warning and "user_id" in warning for warning in warnings)
