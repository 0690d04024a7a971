"""A provider with many grants, some of which fail or end, and tokens of many users."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from flask import Flask

from flask_dance_nosql import clock
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenDocument, TokenStore, UserScopedBackend

from ..rotating import RotatingProvider

PROVIDER = "acme"
_PAUSE = threading.Event()


class Uneven(RotatingProvider):
    """A slow provider; of each hundred grants five fail, and one has ended.

    Attributes:
        seconds: How long an answer takes.
        is_healed: Whether none fails any more.
        tried: How often each refresh token has come.
        moments: When each has come.
    """

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds, self.is_healed = seconds, False
        self.tried: Counter[str] = Counter()
        self.moments: list[float] = []
        super().__init__()

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """Answer a token request."""
        token = form["refresh_token"]
        self.tried[token] += 1
        self.moments.append(time.monotonic())
        # It is slow, as providers are.
        _PAUSE.wait(self.seconds)
        number = int(token.split("-")[1][1:])
        if fails(number) and not self.is_healed:
            return 500, {"error": "server_error"}
        if ends(number):
            return 400, {"error": "invalid_grant"}
        return super().exchange(form)

    def works(self, authorization: str | None) -> bool:
        """Whether an access token works, found by its name since there are many."""
        token = (authorization or "").removeprefix("Bearer ")
        grant = self.grants.get(token.split("-")[1]) if "-" in token else None
        return grant is not None and token == grant.access_token

    def most_in(self, seconds: float) -> int:
        """Return how many requests came within so many seconds at most."""
        moments, most, first = sorted(self.moments), 0, 0
        for last, moment in enumerate(moments):
            while moment - moments[first] > seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


def fails(number: int) -> bool:
    """Whether the provider fails for a user."""
    return number % 20 == 7


def ends(number: int) -> bool:
    """Whether the provider has ended a user's grant."""
    return number % 100 == 3


def document_of(provider: RotatingProvider, user_id: str, days: float = 40.0) -> TokenDocument:
    """Make the document of a user, with a new grant, last written some days ago."""
    then = clock.now() - timedelta(days=days)
    return TokenDocument(
        provider=PROVIDER,
        user_id=user_id,
        token=provider.grant(user_id),
        created_at=then,
        updated_at=then,
    )


def blueprint_of(url: str, store: TokenStore, **settings: Any) -> OAuth2ConsumerBlueprint:
    """Make a blueprint of a provider, on a store."""
    return OAuth2ConsumerBlueprint(
        **{
            "name": PROVIDER,
            "import_name": __name__,
            "client_id": "id",
            "client_secret": "client-secret",
            "base_url": f"{url}/",
            "authorization_url": f"{url}/authorize",
            "token_url": f"{url}/token",
            "auto_refresh": True,
            "backend": UserScopedBackend(store, user_id=lambda: None),
            **settings,
        }
    )


def app_of(*blueprints: OAuth2ConsumerBlueprint) -> Flask:
    """Make an app."""
    app = Flask("tests.keeping")
    app.secret_key = "for tests"
    for blueprint in blueprints:
        app.register_blueprint(blueprint, url_prefix="/login")
    return app
