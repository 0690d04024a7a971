"""Revoking a grant: at the provider, and here in any case."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qs

import pytest

from flask_dance_nosql.consumer import token_deleted
from flask_dance_nosql.consumer.backend import MemoryBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError

from ..rotating import RotatingProvider
from .conftest import RealProvider, make_app, make_refreshing


def revoking(provider: RotatingProvider, backend: Any, **kwargs: Any) -> Any:
    """Make a blueprint that knows where to revoke."""
    return make_refreshing(
        provider, backend, **{"revocation_url": f"{provider.url}/revoke", **kwargs}
    )


def test_both_tokens_are_revoked_and_the_stored_one_goes(rotating: RotatingProvider) -> None:
    """The refresh token first, then the access token, each with its kind; then the store."""
    backend = MemoryBackend(rotating.grant())
    blueprint = revoking(rotating, backend)
    deleted: list[Any] = []

    def receive(sender: Any, **arguments: Any) -> None:
        deleted.append((sender, arguments))

    with token_deleted.connected_to(receive), make_app(blueprint).test_request_context():
        assert blueprint.session.authorized
        assert blueprint.revoke() is True
        assert not blueprint.session.authorized
    assert rotating.revoked == [
        {"token": "rt-ann-0", "token_type_hint": "refresh_token"},
        {"token": "at-ann-0", "token_type_hint": "access_token"},
    ]
    for asked in rotating.calls("/revoke"):
        assert asked.headers["Authorization"].startswith("Basic ")
    assert backend.token is None
    assert deleted == [(blueprint, {"user_id": None})]


def test_public_client_says_its_id(rotating: RotatingProvider) -> None:
    """Without a secret the client's id goes with the token."""
    blueprint = revoking(rotating, MemoryBackend({"access_token": "a"}), client_secret=None)
    with make_app(blueprint).test_request_context():
        assert blueprint.revoke()
    (asked,) = rotating.calls("/revoke")
    assert "Authorization" not in asked.headers
    assert parse_qs(asked.body.decode())["client_id"] == ["id"]


@pytest.mark.parametrize(
    ("failing", "confirmed"),
    [
        ((503, "down"), False),
        ((400, {"error": "invalid_client"}), False),
        ((400, {"error": "unsupported_token_type"}), False),
        ((400, ["not an object"]), False),
    ],
)
def test_provider_that_refuses(
    rotating: RotatingProvider, failing: Any, confirmed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The token goes here all the same; the caller is told, and the log says why."""
    rotating.failing = failing
    backend = MemoryBackend(rotating.grant())
    blueprint = revoking(rotating, backend)
    with make_app(blueprint).test_request_context(), caplog.at_level(logging.WARNING):
        assert blueprint.revoke() is confirmed
    assert backend.token is None
    assert len(rotating.revoked) == 2
    assert "did not confirm" in caplog.text
    assert "rt-ann" not in caplog.text


def test_provider_that_knows_refresh_tokens_only(rotating: RotatingProvider) -> None:
    """With a refresh token, what was issued for it ends: an access token need not be known."""
    rotating.failing = (400, {"error": "unsupported_token_type"})
    blueprint = revoking(rotating, MemoryBackend({"access_token": "a"}))
    with make_app(blueprint).test_request_context():
        assert blueprint.revoke()


def test_provider_that_can_not_be_reached(rotating: RotatingProvider, closed_port: int) -> None:
    """The token goes here all the same, and the caller is told."""
    backend = MemoryBackend(rotating.grant())
    blueprint = revoking(rotating, backend, revocation_url=f"http://127.0.0.1:{closed_port}/revoke")
    with make_app(blueprint).test_request_context():
        assert blueprint.revoke() is False
    assert backend.token is None


def test_another_users_grant(rotating: RotatingProvider) -> None:
    """An administrator can end somebody's grant, of user 0, too, and nobody else's."""
    backend = UserScopedBackend(MemoryStore(), user_id=5)
    blueprint = revoking(rotating, backend)
    backend.set(blueprint, rotating.grant("ann"), user_id=0)
    backend.set(blueprint, rotating.grant("bob"))
    with make_app(blueprint).app_context():
        assert blueprint.revoke(user_id=0)
    assert [form["token"] for form in rotating.revoked] == ["rt-ann-0", "at-ann-0"]
    assert backend.get(blueprint, user_id=0) is None
    assert backend.get(blueprint) is not None


def test_nothing_to_revoke(rotating: RotatingProvider) -> None:
    """Without a token nobody is asked, and that is no error."""
    blueprint = revoking(rotating, MemoryBackend())
    with make_app(blueprint).test_request_context():
        assert blueprint.revoke()
    assert not rotating.asked


def test_endpoint_is_needed(rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint, or with one that is not https, nothing is revoked nor removed."""
    backend = MemoryBackend(rotating.grant())
    with make_app().test_request_context():
        with pytest.raises(ConfigurationError, match="revocation_url"):
            revoking(rotating, backend, revocation_url=None).revoke()
        monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT")
        with pytest.raises(ConfigurationError, match="https"):
            revoking(rotating, backend).revoke()
    assert backend.token is not None


def test_store_that_is_down(rotating: RotatingProvider) -> None:
    """A store that can't remove the token is an error."""

    class Down(MemoryBackend):
        def delete(self, blueprint: Any) -> None:
            raise BackendUnavailable("delete", "Down")

    blueprint = revoking(rotating, Down(rotating.grant()))
    with make_app(blueprint).test_request_context(), pytest.raises(BackendUnavailable):
        blueprint.revoke()


def test_real_provider_forgets_the_tokens(provider: RealProvider) -> None:
    """After a dance and a revocation the provider knows neither token."""
    backend = MemoryBackend()
    blueprint = provider.blueprint(backend=backend, revocation_url="revoke")
    app = make_app(blueprint)
    provider.allow("http://localhost/login/demo/authorized")
    client = app.test_client()
    import requests

    answer = requests.get(client.get("/login/demo").location, allow_redirects=False, timeout=10)
    client.get(answer.headers["Location"])
    assert backend.token is not None
    token = dict(backend.token)
    with app.test_request_context():
        assert blueprint.session.get("userinfo").status_code == 200
        assert blueprint.revoke()
        blueprint.session.token = token
        assert blueprint.session.get("userinfo").status_code == 401
