"""Fixtures of pytest for authors of applications.

Name this module in the ``conftest.py`` at the top of your tests::

    pytest_plugins = ["flask_dance_nosql.testing.fixtures"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ..consumer.backend.base import MemoryBackend
from .apps import TOKEN, Token, connected


class Login(Protocol):
    """What the fixture :func:`oauth_login` gives; its arguments are those of :func:`connected`."""

    def __call__(
        self, app: Flask | FlaskClient, provider: str, token: Token | None = TOKEN
    ) -> MemoryBackend:
        """Connect until the test is over. Returns the backend that has the token."""


@pytest.fixture
def oauth_login() -> Iterator[Login]:
    """Return a function that connects a test client to a provider until the test is over.

    ``oauth_login(client, "github")`` is :func:`connected` for the rest of the test, with the same
    arguments. It may be called for several providers, and again for another token.
    """
    with ExitStack() as stack:
        yield lambda app, provider, token=TOKEN: stack.enter_context(
            connected(app, provider, token)
        )
