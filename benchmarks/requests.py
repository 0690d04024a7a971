"""What a registered blueprint costs a request, against Flask-Dance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint
from werkzeug.test import create_environ

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint

from .rounds import CALLS, ROUNDS, Row, seconds

TOKEN = {"access_token": "token"}


class Constant:
    """A backend and a storage that costs nothing."""

    def get(self, blueprint: Any) -> dict[str, str]:  # noqa: ARG002 - as backends have it
        """Return the token."""
        return TOKEN

    set = delete = get


def request_rows() -> Iterator[Row]:
    """Measure what a blueprint adds to a request: to an unrelated view, and to one that asks."""
    ours = OAuth2ConsumerBlueprint("provider", __name__, "id", backend=Constant())
    theirs = FlaskDanceBlueprint("provider", __name__, "id", storage=Constant())
    yield _added("added to a request that does not ask", "/unrelated", ours, theirs)
    yield _added("added to a request that asks authorized", "/asks", ours, theirs)


def _added(what: str, path: str, ours: Any, theirs: Any) -> Row:
    """Measure in turns what two blueprints add to the same request without any."""
    calls = [_caller(blueprint, path) for blueprint in (None, ours, theirs)]
    for call in calls:
        seconds(call)
    rounds = [tuple(seconds(call) for call in calls) for _ in range(ROUNDS)]
    added = [(one - bare, other - bare) for bare, one, other in rounds]
    # Where Flask-Dance adds next to nothing, there is nothing to divide by.
    least = min(bare for bare, _, _ in rounds) / 100
    ratios = tuple(one / max(other, least) for one, other in added)
    microseconds = median(one for one, _ in added) / CALLS * 1e6
    return Row(what, "added by Flask-Dance", ratios, microseconds)


def _caller(blueprint: Any, path: str) -> Callable[[], object]:
    app = Flask(__name__)
    app.secret_key = "for a benchmark"
    app.add_url_rule("/unrelated", "unrelated", lambda: "True")
    if blueprint is None:
        app.add_url_rule("/asks", "asks", lambda: str(bool(TOKEN)))
    else:
        app.register_blueprint(blueprint)
        app.add_url_rule("/asks", "asks", lambda: str(blueprint.session.authorized))

    def call() -> list[bytes]:
        return list(app.wsgi_app(create_environ(path), lambda *_: None))

    return call
