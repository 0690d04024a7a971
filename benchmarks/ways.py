"""How long the way of a token through the package is, and how often its owner is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_dance
import mongomock
from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint
from flask_dance.consumer.storage import MemoryStorage

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MongoBackend
from tests.calls import Way, way_of
from tests.rotating import RotatingProvider

from .counts import Count

FLASK_DANCE = str(Path(flask_dance.__file__).parent)


class Owner:
    """The current user's id, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        """Return the id."""
        self.asked += 1
        return 42


def way_rows() -> Iterator[Count]:
    """Count the way of a first call and of an assignment, and what a request asks its owner."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    owner = Owner()
    with RotatingProvider() as provider:
        arguments: dict[str, Any] = {
            "import_name": __name__,
            "client_id": "id",
            "client_secret": "secret",
            "base_url": f"{provider.url}/",
            "token_url": f"{provider.url}/token",
        }
        collection: Any = mongomock.MongoClient().db.tokens
        ours = OAuth2ConsumerBlueprint(
            "acme",
            backend=MongoBackend(collection, user_id=owner),
            auto_refresh=True,
            **arguments,
        )
        theirs = FlaskDanceBlueprint("acme", storage=MemoryStorage(), **arguments)
        token = provider.grant(expires_at=4e9)
        for what, name in (("a first session.get", "get"), ("blueprint.token = t", "set")):
            way = _measured(ours, token, name)
            other = _measured(theirs, token, name, FLASK_DANCE)
            for part, one, two in zip(Way._fields, way, other, strict=True):
                yield Count(f"{what}: {part}", one, two)
        for what, work in _asking(ours, token).items():
            with _request(ours):
                owner.asked = 0
                work()
                yield Count(f"the owner's function, {what}", owner.asked, "")


@contextmanager
def _request(blueprint: Any) -> Iterator[None]:
    app = Flask(__name__)
    app.secret_key = "for a benchmark"
    app.register_blueprint(blueprint)
    with app.test_request_context():
        yield


def _measured(blueprint: Any, token: dict[str, Any], name: str, *root: str) -> Way:
    def assign() -> None:
        blueprint.token = dict(token)

    with _request(blueprint):
        # What is made once in a process does not count.
        assign()
        assert blueprint.session.get("api").status_code == 200
    with _request(blueprint):
        return way_of(assign if name == "set" else lambda: blueprint.session.get("api"), *root)


def _asking(blueprint: Any, token: dict[str, Any]) -> dict[str, Callable[[], object]]:
    return {
        "blueprint.token = t": lambda: setattr(blueprint, "token", dict(token)),
        "session.authorized": lambda: blueprint.session.authorized,
        "a first session.get": lambda: blueprint.session.get("api"),
    }
