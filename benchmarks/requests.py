"""What a registered blueprint costs a request, against Flask-Dance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint
from flask_dance.consumer.storage import MemoryStorage
from werkzeug.test import create_environ

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend

from .rounds import Row, compare

TOKEN = {"access_token": "token"}


def request_rows() -> Iterator[Row]:
    """Measure whole requests: to a view that does not use the blueprint, and to one that does."""
    bare = _caller(None, "/unrelated")
    ours = OAuth2ConsumerBlueprint("provider", __name__, "id", backend=MemoryBackend(TOKEN))
    theirs = FlaskDanceBlueprint("provider", __name__, "id", storage=MemoryStorage(TOKEN))
    yield compare("request to an unrelated view", _caller(ours, "/unrelated"), "no blueprint", bare)
    yield compare(
        "request to an unrelated view",
        _caller(ours, "/unrelated"),
        "the same with Flask-Dance",
        _caller(theirs, "/unrelated"),
    )
    yield compare(
        "request that asks session.authorized",
        _caller(ours, "/authorized"),
        "the same with Flask-Dance",
        _caller(theirs, "/authorized"),
    )


def _caller(blueprint: Any, path: str) -> Callable[[], object]:
    app = Flask(__name__)
    app.secret_key = "for a benchmark"
    app.add_url_rule("/unrelated", "unrelated", lambda: "")
    if blueprint is not None:
        app.register_blueprint(blueprint)
        app.add_url_rule("/authorized", "authorized", lambda: str(blueprint.session.authorized))

    def call() -> list[bytes]:
        return list(app.wsgi_app(create_environ(path), lambda *_: None))

    return call
