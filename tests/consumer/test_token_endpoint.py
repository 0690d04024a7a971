"""Secrets go to the endpoint that they are for."""

from __future__ import annotations

from typing import Any

import pytest
import responses

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.errors import TokenRefreshError

from .conftest import PROVIDER, make_app, make_blueprint

ELSEWHERE = "https://elsewhere.example/token"
EXPIRED = {"access_token": "at", "refresh_token": "rt", "expires_at": 1.0}
STATUSES = [301, 302, 303, 307, 308]


@pytest.fixture
def redirect(web: responses.RequestsMock) -> Any:
    """Return what lets the provider redirect from an endpoint to another host."""
    web.post(ELSEWHERE, json={"access_token": "at", "refresh_token": "rt"})

    def redirect(url: str, status: int) -> None:
        web.post(url, status=status, headers={"Location": ELSEWHERE})

    return redirect


def hosts(web: responses.RequestsMock) -> set[str]:
    """Return the hosts that were asked."""
    return {str(call.request.url).split("/")[2] for call in web.calls}


@pytest.mark.parametrize("status", STATUSES)
def test_code_is_posted_nowhere_else(web: Any, redirect: Any, status: int) -> None:
    """A redirect of the token endpoint ends the dance: code, verifier and secret stay here."""
    redirect(f"{PROVIDER}/token", status)
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    state = client.get("/login/acme").location.split("state=")[1].split("&")[0]
    assert client.get(f"/login/acme/authorized?code=c&state={state}").status_code == 302
    assert backend.token is None
    assert hosts(web) == {"provider.example"}


@pytest.mark.parametrize("status", STATUSES)
def test_refresh_token_is_posted_nowhere_else(web: Any, redirect: Any, status: int) -> None:
    """A redirect of the token endpoint is a failed refresh."""
    redirect(f"{PROVIDER}/token", status)
    blueprint = make_blueprint(backend=MemoryBackend(dict(EXPIRED)), auto_refresh=True)
    with make_app(blueprint).test_request_context(), pytest.raises(TokenRefreshError):
        blueprint.session.get("user")
    assert hosts(web) == {"provider.example"}


@pytest.mark.parametrize("status", STATUSES)
def test_revoked_token_is_posted_nowhere_else(web: Any, redirect: Any, status: int) -> None:
    """A redirect of the revocation endpoint confirms nothing."""
    redirect(f"{PROVIDER}/revoke", status)
    blueprint = make_blueprint(
        backend=MemoryBackend(dict(EXPIRED)), revocation_url=f"{PROVIDER}/revoke"
    )
    with make_app(blueprint).test_request_context():
        assert blueprint.revoke() is False
    assert hosts(web) == {"provider.example"}


@pytest.mark.parametrize("status", STATUSES)
def test_temporary_credentials_are_asked_for_nowhere_else(
    web: Any, redirect: Any, status: int
) -> None:
    """A redirect of OAuth 1's first endpoint ends the dance."""
    redirect(f"{PROVIDER}/request", status)
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        "key",
        "secret",
        request_token_url=f"{PROVIDER}/request",
        authorization_url=f"{PROVIDER}/authorize",
        access_token_url=f"{PROVIDER}/access",
    )
    answer = make_app(blueprint).test_client().get("/login/acme")
    assert answer.location == "/"
    assert hosts(web) == {"provider.example"}


def test_api_call_follows_redirects(web: Any) -> None:
    """A call to the API follows them as requests does."""
    web.get(f"{PROVIDER}/api/user", status=302, headers={"Location": f"{PROVIDER}/api/me"})
    web.get(f"{PROVIDER}/api/me", json={})
    blueprint = make_blueprint(backend=MemoryBackend({"access_token": "at"}))
    with make_app(blueprint).test_request_context():
        assert blueprint.session.get("user").json() == {}
