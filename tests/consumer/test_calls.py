"""The way of a token through the package is short, and its owner is asked for once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongomock
import pytest
import responses
from flask import Flask

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MongoBackend

from ..calls import way_of
from .conftest import PROVIDER, make_app, make_blueprint

TOKEN = {
    "access_token": "at",
    "refresh_token": "rt",
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": ["profile", "email"],
}


@pytest.fixture
def connected(web: responses.RequestsMock) -> Iterator[tuple[OAuth2ConsumerBlueprint, Flask]]:
    """A blueprint on MongoDB, whose current user is connected, in an app."""
    collection: Any = mongomock.MongoClient().db.tokens
    blueprint = make_blueprint(
        backend=MongoBackend(collection, user_id=lambda: 42), auto_refresh=True
    )
    app = make_app(blueprint)
    web.get(f"{PROVIDER}/api/user", json={})
    with app.test_request_context():
        blueprint.token = dict(TOKEN)
        assert blueprint.session.get("user").ok
    return blueprint, app


def test_first_call_of_a_request(connected: tuple[OAuth2ConsumerBlueprint, Flask]) -> None:
    """A first call to the API passes at most 75 functions, 36 hops and 13 modules."""
    blueprint, app = connected
    with app.test_request_context():
        way = way_of(lambda: blueprint.session.get("user"))
    assert (way.calls <= 75, way.hops <= 36, way.modules <= 13) == (True, True, True), way


def test_assignment(connected: tuple[OAuth2ConsumerBlueprint, Flask]) -> None:
    """Storing a token passes at most 50 functions and 26 hops."""
    blueprint, app = connected

    def assign() -> None:
        blueprint.token = dict(TOKEN)

    with app.test_request_context():
        way = way_of(assign)
    assert (way.calls <= 50, way.hops <= 26) == (True, True), way
