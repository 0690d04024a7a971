"""Fixtures for the tests of blueprints and sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses
from flask import Flask

from examples.demo.provider import CLIENT_ID, CLIENT_SECRET, create_provider, provider_state
from examples.demo.serving import LocalServer
from flask_dance_nosql.consumer import (
    OAuth2ConsumerBlueprint,
    oauth_authorized,
    oauth_before_login,
    oauth_error,
)

from ..rotating import RotatingProvider

PROVIDER = "https://provider.example"
TOKEN = {"access_token": "at-secret", "token_type": "Bearer", "expires_in": 3600}


def make_app(*blueprints: Any, **config: Any) -> Flask:
    """Make an app with these blueprints below ``/login``."""
    app = Flask("tests.app")
    app.config.update(SECRET_KEY="for tests", **config)
    for blueprint in blueprints:
        app.register_blueprint(blueprint, url_prefix="/login")
    return app


def make_blueprint(name: str = "acme", **kwargs: Any) -> OAuth2ConsumerBlueprint:
    """Make an OAuth 2 blueprint for a provider that only exists in canned responses."""
    return OAuth2ConsumerBlueprint(
        name,
        __name__,
        **{
            "client_id": "client-id",
            "client_secret": "client-secret",
            "base_url": f"{PROVIDER}/api/",
            "authorization_url": f"{PROVIDER}/authorize",
            "token_url": f"{PROVIDER}/token",
            **kwargs,
        },
    )


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """Canned answers of the provider; a call that has none is an error."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


class Signals(list[tuple[str, dict[str, Any]]]):
    """The signals that were sent, each as its name and arguments; receivers answer ``answer``."""

    answer: Any = None

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of the signals with this name."""
        return [arguments for sent, arguments in self if sent == name]


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Record the signals of every blueprint."""
    sent = Signals()

    def receiver(signal: Any) -> Callable[..., Any]:
        def receive(blueprint: Any, **arguments: Any) -> Any:
            sent.append((signal.name, arguments))
            return sent.answer if signal is not oauth_before_login else None

        return receive

    receivers = {
        signal: receiver(signal) for signal in (oauth_before_login, oauth_authorized, oauth_error)
    }
    for signal, receive in receivers.items():
        signal.connect(receive)
    yield sent
    for signal, receive in receivers.items():
        signal.disconnect(receive)


class RealProvider:
    """The demo's provider, running on a free port and granting everything at once."""

    def __init__(self) -> None:
        self.app = create_provider(auto_consent="alice")
        self.state = provider_state(self.app)
        self.server = LocalServer(self.app)
        self.url = self.server.url

    def blueprint(self, name: str = "demo", **kwargs: Any) -> OAuth2ConsumerBlueprint:
        """Make a blueprint for this provider."""
        return OAuth2ConsumerBlueprint(
            name,
            __name__,
            **{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "base_url": f"{self.url}/",
                "authorization_url": f"{self.url}/authorize",
                "token_url": f"{self.url}/token",
                "scope": ["profile", "email"],
                **kwargs,
            },
        )

    def allow(self, redirect_uri: str) -> None:
        """Register a callback URL of the client."""
        self.state.add_redirect_uri(CLIENT_ID, redirect_uri)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealProvider]:
    """A real OAuth 2 provider on this machine."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    real = RealProvider()
    yield real
    real.server.stop()


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


def make_refreshing(
    provider: RotatingProvider, backend: Any, **kwargs: Any
) -> OAuth2ConsumerBlueprint:
    """Make a blueprint of the provider that refreshes."""
    return OAuth2ConsumerBlueprint(
        **{
            "name": "acme",
            "import_name": __name__,
            "client_id": "id",
            "client_secret": "client-secret",
            "base_url": f"{provider.url}/",
            "authorization_url": f"{provider.url}/authorize",
            "token_url": f"{provider.url}/token",
            "auto_refresh": True,
            "backend": backend,
            **kwargs,
        },
    )


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    """Do the same in many threads that begin together, and return what came of each."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        barrier.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results
