"""What authors of applications need to test views that call a provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from ..consumer.backend.base import MemoryBackend
from ..consumer.base import BaseOAuthConsumerBlueprint
from ..errors import ConfigurationError

TOKEN = {"access_token": "test-access-token", "token_type": "Bearer"}
"""The token of a connected user, unless the test gives another. OAuth 1 has two texts instead."""

TOKEN_OAUTH1 = {"oauth_token": "test-oauth-token", "oauth_token_secret": "test-oauth-token-secret"}
"""The same for OAuth 1."""


@contextmanager
def connected(
    app: Flask | FlaskClient, provider: str, token: Mapping[str, Any] | None = None
) -> Iterator[MemoryBackend]:
    """Let everybody who visits an app be connected to a provider.

    For as long as the context lasts, the provider's blueprint keeps its token in memory, whatever
    backend it has otherwise. That one is neither read nor written.

    Args:
        app: The app, or its test client.
        provider: The name of the provider's blueprint.
        token: The token; ``None``, the default, takes one that does not expire. An empty one is
            for a visitor who is not connected.

    Yields:
        The backend that has the token, to see what the app has done to it.

    Raises:
        ConfigurationError: If the app has no OAuth blueprint of this name.
    """
    blueprint = _blueprint(app.application if isinstance(app, FlaskClient) else app, provider)
    before = blueprint.backend
    given = _usual_token(blueprint) if token is None else dict(token)
    blueprint.backend = MemoryBackend(given or None)
    try:
        yield blueprint.backend
    finally:
        blueprint.backend = before


def _blueprint(app: Flask, provider: str) -> BaseOAuthConsumerBlueprint:
    found = {
        name: blueprint
        for name, blueprint in app.blueprints.items()
        if isinstance(blueprint, BaseOAuthConsumerBlueprint)
    }
    if provider not in found:
        raise ConfigurationError(
            f"The app {app.name!r} has no OAuth blueprint {provider!r}. It has: "
            f"{', '.join(sorted(found)) or 'none'}."
        )
    return found[provider]


def _usual_token(blueprint: BaseOAuthConsumerBlueprint) -> dict[str, Any]:
    from ..consumer.oauth1 import OAuth1ConsumerBlueprint

    return dict(TOKEN_OAUTH1 if isinstance(blueprint, OAuth1ConsumerBlueprint) else TOKEN)
