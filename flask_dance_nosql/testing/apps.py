"""What authors of applications need to test views that call a provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from ..consumer.backend.base import MemoryBackend
from ..consumer.base import BaseOAuthConsumerBlueprint
from ..consumer.oauth1 import OAuth1ConsumerBlueprint
from ..consumer.token import with_expires_at
from ..errors import ConfigurationError

Token = Mapping[str, Any]

TOKEN: Token = {"access_token": "test-access-token", "token_type": "Bearer"}
"""The token of a connected user, unless the test gives another."""

TOKEN_OAUTH1: Token = {
    "oauth_token": "test-oauth-token",
    "oauth_token_secret": "test-oauth-token-secret",
}
"""The same for OAuth 1."""


@contextmanager
def connected(
    app: Flask | FlaskClient, provider: str, token: Token | None = TOKEN
) -> Iterator[MemoryBackend]:
    """Let everybody who visits an app be connected to a provider.

    For as long as the context lasts, the provider's blueprint keeps its token in memory, whatever
    backend it has otherwise. That one is neither read nor written, and is back afterwards. A
    blueprint that several apps share is connected in all of them.

    Args:
        app: The app, or its test client.
        provider: The name that the provider's blueprint has in the app.
        token: The token; default: one that does not expire, for OAuth 1 or 2 as the blueprint
            needs. With ``expires_in`` it also gets ``expires_at``, as a provider's does. ``None``
            (or an empty one) is for a visitor who is not connected.

    Yields:
        The backend that has the token, to see what the app has done to it.

    Raises:
        ConfigurationError: If the app has no OAuth blueprint of this name.
        TypeError: If JSON has no type for something in the token.
        ValueError: If JSON can't express it.
    """
    app = app.application if isinstance(app, FlaskClient) else app
    blueprint = app.blueprints.get(provider)
    if not isinstance(blueprint, BaseOAuthConsumerBlueprint):
        blueprints = app.blueprints.items()
        names = sorted(n for n, b in blueprints if isinstance(b, BaseOAuthConsumerBlueprint))
        raise ConfigurationError(
            f"The app {app.name!r} has no OAuth blueprint {provider!r}. It has: "
            f"{', '.join(names) or 'none'}."
        )
    if token is TOKEN and isinstance(blueprint, OAuth1ConsumerBlueprint):
        token = TOKEN_OAUTH1
    backend = MemoryBackend()
    if token:
        backend.set(blueprint, with_expires_at(dict(token)))
    before, blueprint.backend = blueprint.backend, backend
    try:
        yield backend
    finally:
        blueprint.backend = before
