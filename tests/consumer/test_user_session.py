"""A user's token outside of any request of theirs."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask, has_request_context

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MemoryBackend,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError, UserRequired

from ..rotating import RotatingProvider
from .conftest import make_app, make_refreshing


class Account:
    """A user as an app has them."""

    def __init__(self, id: Any) -> None:
        self.id = id


@pytest.fixture
def blueprint(rotating: RotatingProvider) -> OAuth2ConsumerBlueprint:
    """A blueprint whose backend would give Zoe's token, with tokens of two others."""
    backend = UserScopedBackend(MemoryStore(), user_id="zoe", cache=LocalCache())
    made = make_refreshing(rotating, backend)
    for name in ("ann", "bob", "zoe"):
        backend.set(made, rotating.grant(name), user_id=name)
    return made


@pytest.fixture
def app(blueprint: OAuth2ConsumerBlueprint) -> Flask:
    """An app with the blueprint."""
    return make_app(blueprint)


def test_session_of_a_user(
    blueprint: OAuth2ConsumerBlueprint, app: Flask, rotating: RotatingProvider
) -> None:
    """It calls with the named user's token, refreshes it, and stores it as theirs."""
    for named in ({"user_id": "ann"}, {"user": Account("bob")}):
        with app.app_context(), blueprint.user_session(**named) as session:
            assert not has_request_context()
            assert session.authorized
            assert session.get("api").status_code == 200
    calls = [each.headers["Authorization"] for each in rotating.calls("/api")]
    assert calls == ["Bearer at-ann-1", "Bearer at-bob-1"]
    kept = [blueprint.tokens_of(name)[0].token["access_token"] for name in ("ann", "bob", "zoe")]
    assert kept == ["at-ann-1", "at-bob-1", "at-zoe-0"]


def test_session_of_a_user_is_not_the_requests(
    blueprint: OAuth2ConsumerBlueprint, app: Flask
) -> None:
    """Within a request, the request's own session stays what it is."""
    with app.test_request_context():
        mine = blueprint.session
        with blueprint.user_session(user_id="ann") as session:
            assert session is not mine
            assert session.access_token == "at-ann-0"
            assert blueprint.session is mine
        assert mine.access_token == "at-zoe-0"


def test_threads_have_a_session_each(
    blueprint: OAuth2ConsumerBlueprint, app: Flask, rotating: RotatingProvider
) -> None:
    """Jobs in threads of their own need no more than an app context."""
    results: dict[str, int] = {}

    def job(name: str) -> None:
        with app.app_context(), blueprint.user_session(user_id=name) as session:
            results[name] = session.get("api").status_code

    threads = [threading.Thread(target=job, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {"ann": 200, "bob": 200}
    assert rotating.refreshes == 2


def test_user_without_a_token(blueprint: OAuth2ConsumerBlueprint, app: Flask) -> None:
    """A user who has no token has a session that is not authorized."""
    with app.app_context(), blueprint.user_session(user_id=0) as session:
        assert not session.authorized
        assert session.token_status == "none"


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({}, UserRequired),
        ({"user_id": None, "user": None}, UserRequired),
        ({"user_id": {"$ne": None}}, TypeError),
        ({"user_id": True}, TypeError),
        ({"user_id": ""}, ValueError),
        ({"user": Account(None)}, ValueError),
    ],
)
def test_nobody_is_nobody(
    blueprint: OAuth2ConsumerBlueprint, app: Flask, named: Any, error: type[Exception]
) -> None:
    """Who is nobody, or can't be anybody, does not get the backend's own user's token."""
    with app.app_context(), pytest.raises(error), blueprint.user_session(**named):
        pytest.fail("there is no such user")


def test_backend_without_users(rotating: RotatingProvider) -> None:
    """A backend that keeps no token for each user says so."""
    blueprint = make_refreshing(rotating, MemoryBackend())
    with (
        pytest.raises(ConfigurationError, match="MemoryBackend"),
        blueprint.user_session(user_id=1),
    ):
        pytest.fail("it has no users")
    with pytest.raises(ConfigurationError, match="MemoryBackend"):
        blueprint.tokens_of(1)


def test_tokens_of_a_user(rotating: RotatingProvider) -> None:
    """All documents of one user, whatever the provider, and of nobody else."""
    backend = UserScopedBackend(MemoryStore())
    acme = make_refreshing(rotating, backend)
    other = OAuth1ConsumerBlueprint("other", __name__, backend=backend)
    for blueprint in (acme, other):
        backend.set(blueprint, {"access_token": blueprint.name}, user_id=1)
        backend.set(blueprint, {"access_token": "not mine"}, user_id=11)
    documents = acme.tokens_of(1)
    assert {each.key for each in documents} == {TokenKey("acme", "1"), TokenKey("other", "1")}
    assert {each.token["access_token"] for each in documents} == {"acme", "other"}
    assert acme.tokens_of("nobody") == []
    with pytest.raises(TypeError):
        acme.tokens_of({"$ne": None})


def test_oauth1_session_of_a_user() -> None:
    """OAuth 1 blueprints have it, too."""
    backend = UserScopedBackend(MemoryStore())
    blueprint = OAuth1ConsumerBlueprint(
        "acme", __name__, client_key="k", client_secret="s", backend=backend
    )
    token = {"oauth_token": "t", "oauth_token_secret": "s"}
    backend.set(blueprint, token, user_id=7)
    with make_app(blueprint).app_context(), blueprint.user_session(user_id=7) as session:
        assert session.authorized
        assert session.token == token
