"""Fixtures for the tests of OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_dance_nosql import clock

from .provider import OpenIDProvider


@pytest.fixture
def openid(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenIDProvider]:
    """An OpenID provider."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with OpenIDProvider() as provider:
        yield provider


class Ages:
    """The clock by which documents get old; ``pass_(seconds)`` moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def ages(monkeypatch: pytest.MonkeyPatch) -> Ages:
    """A clock for the ages of documents that only the test moves."""
    own = Ages()
    monkeypatch.setattr(clock, "monotonic", lambda: own.now)
    return own
