"""What can be counted instead of timed: refreshes, answers, connections. Against Flask-Dance."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from tests.rotating import RotatingProvider

THREADS = 16
CALLS = 41


@dataclass(frozen=True)
class Count:
    """How often something happened here, and with Flask-Dance."""

    what: str
    ours: object
    theirs: object


def count_rows() -> Iterator[Count]:
    """Count a storm of refreshes, and the connections of many calls."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    ours, theirs = (_storm(make) for make in (_blueprint, _flask_dance_blueprint))
    for what, one, other in zip(_STORM, ours, theirs, strict=True):
        yield Count(f"{THREADS} requests, expired token: {what}", one, other)
    ours, theirs = (_connections(make) for make in (_blueprint, _flask_dance_blueprint))
    yield Count(f"{CALLS} calls from {CALLS} requests: connections", ours, theirs)


_STORM = ("refreshes", "spent tokens used", "answers 200", "still logged in")


def _blueprint(provider: RotatingProvider, token: dict[str, Any]) -> Any:
    return OAuth2ConsumerBlueprint(
        backend=MemoryBackend(token), auto_refresh=True, **_arguments(provider)
    )


def _flask_dance_blueprint(provider: RotatingProvider, token: dict[str, Any]) -> Any:
    from flask_dance.consumer.storage import MemoryStorage

    return FlaskDanceBlueprint(
        storage=MemoryStorage(token),
        auto_refresh_url=f"{provider.url}/token",
        **_arguments(provider),
    )


def _arguments(provider: RotatingProvider) -> dict[str, Any]:
    return {
        "name": "provider",
        "import_name": __name__,
        "client_id": "id",
        "client_secret": "secret",
        "base_url": f"{provider.url}/",
        "token_url": f"{provider.url}/token",
    }


Make = Callable[[RotatingProvider, dict[str, Any]], Any]


@contextmanager
def _caller(make: Make, **grant: float) -> Iterator[tuple[RotatingProvider, Callable[[], int]]]:
    """Give a provider, and what calls it from a request of its own and returns the status."""
    with RotatingProvider() as provider:
        blueprint = make(provider, provider.grant(**grant))
        app = Flask(__name__)
        app.secret_key = "for a benchmark"
        app.register_blueprint(blueprint)

        def call() -> int:
            with app.test_request_context():
                try:
                    return int(blueprint.session.get("api").status_code)
                except Exception:  # noqa: BLE001 - what fails is counted
                    return 0

        yield provider, call


def _storm(make: Make) -> tuple[int, int, int, bool]:
    with _caller(make) as (provider, call):
        together, statuses = threading.Barrier(THREADS), []

        def run() -> None:
            together.wait()
            statuses.append(call())

        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked = len(provider.calls("/token"))
        return asked, provider.spent, statuses.count(200), call() == 200


def _connections(make: Make) -> int:
    with _caller(make, expires_at=4e9) as (provider, call):
        for _ in range(CALLS):
            call()
        return provider.connections
