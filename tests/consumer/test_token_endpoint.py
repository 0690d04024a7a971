"""Secrets go to the endpoint that they are for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import requests
import responses
from oauthlib.oauth1 import (
    SIGNATURE_HMAC,
    SIGNATURE_PLAINTEXT,
    SIGNATURE_TYPE_AUTH_HEADER,
    SIGNATURE_TYPE_BODY,
    SIGNATURE_TYPE_QUERY,
)
from oauthlib.oauth2 import WebApplicationClient

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.errors import ConfigurationError, TokenRefreshError

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


OTHERS = {
    "another host": "https://elsewhere.example/api/me",
    "plain http": "http://provider.example/api/me",
    "another port": "https://provider.example:8443/api/me",
}
"""Where no signature and no token goes."""


def make_oauth1(**options: Any) -> OAuth1ConsumerBlueprint:
    """Make an OAuth 1 blueprint that has a token."""
    token = {"oauth_token": "ot", "oauth_token_secret": "ts-secret"}
    given = {"base_url": f"{PROVIDER}/api/", "backend": MemoryBackend(token), **options}
    return OAuth1ConsumerBlueprint("acme", __name__, "key", "cs-secret", **given)


def sent_with(web: responses.RequestsMock, index: int = -1) -> str:
    """Return all that a request was sent with."""
    request = web.calls[index].request
    return f"{request.url} {request.headers} {request.body}"


@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", [SIGNATURE_TYPE_AUTH_HEADER, SIGNATURE_TYPE_QUERY])
@pytest.mark.parametrize("method", [SIGNATURE_HMAC, SIGNATURE_PLAINTEXT])
def test_redirect_elsewhere_is_not_signed(
    web: responses.RequestsMock, place: str, status: int, kind: str, method: str
) -> None:
    """A8: a call that the API redirects to another host, or to plain http, goes there unsigned."""
    target = OTHERS[place]
    web.get(f"{PROVIDER}/api/user", status=status, headers={"Location": target})
    web.get(target, json={})
    blueprint = make_oauth1(signature_type=kind, signature_method=method)
    with make_app(blueprint).test_request_context():
        assert blueprint.session.get("user").json() == {}
    assert "oauth_" in sent_with(web, 0)
    assert not [part for part in ("oauth_", "secret") if part in sent_with(web)]


def test_redirect_back_is_not_signed(web: responses.RequestsMock) -> None:
    """A8: a call that came from elsewhere is not signed either: they have chosen where it goes."""
    web.get(f"{PROVIDER}/api/user", status=302, headers={"Location": ELSEWHERE})
    web.get(ELSEWHERE, status=302, headers={"Location": f"{PROVIDER}/api/delete-all"})
    web.get(f"{PROVIDER}/api/delete-all", json={})
    blueprint = make_oauth1()
    with make_app(blueprint).test_request_context():
        blueprint.session.get("user")
    assert "oauth_" not in sent_with(web)


def test_redirect_on_the_same_host_is_signed_anew(web: responses.RequestsMock) -> None:
    """A8: each call has a signature for its own URL."""
    web.get(f"{PROVIDER}/api/user", status=302, headers={"Location": f"{PROVIDER}/api/me"})
    web.get(f"{PROVIDER}/api/me", json={})
    blueprint = make_oauth1()
    with make_app(blueprint).test_request_context():
        blueprint.session.get("user")
    signs = [each.request.headers["Authorization"] for each in web.calls]
    assert all(b"oauth_signature=" in sign for sign in signs)
    assert signs[0] != signs[1]


@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("status", [307, 308])
def test_body_with_a_signature_goes_nowhere_else(
    web: responses.RequestsMock, place: str, status: int
) -> None:
    """A8: a redirect that would send the body along is the answer, and is not followed."""
    web.post(f"{PROVIDER}/api/post", status=status, headers={"Location": OTHERS[place]})
    blueprint = make_oauth1(signature_type=SIGNATURE_TYPE_BODY)
    with make_app(blueprint).test_request_context():
        answer = blueprint.session.post("post", data={"a": "b"})
    assert answer.status_code == status
    assert len(web.calls) == 1


@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("status", [307, 308])
def test_body_with_a_token_goes_nowhere_else(
    web: responses.RequestsMock, place: str, status: int
) -> None:
    """A8: neither is one that would send an OAuth 2 token along; without one in it, it is."""
    web.post(f"{PROVIDER}/api/post", status=status, headers={"Location": OTHERS[place]})
    web.post(OTHERS[place], json={})
    client = WebApplicationClient("id", default_token_placement="body")
    for given, followed in ((client, False), (None, True)):
        backend = MemoryBackend({"access_token": "at/se+cret="})
        blueprint = make_blueprint(client=given, backend=backend)
        with make_app(blueprint).test_request_context():
            answer = blueprint.session.post("post", data={"a": "b"} if followed else "a=b")
        assert (answer.status_code == 200) is followed
    assert "cret" not in sent_with(web)


@pytest.mark.parametrize("path", ["http://provider.example/api/me", "me"])
def test_plaintext_signature_needs_https(
    web: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A8: it is both secrets, so that plain http is refused (RFC 5849 section 3.4.4)."""
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    blueprint = make_oauth1(
        signature_method=SIGNATURE_PLAINTEXT, base_url="http://provider.example/api/"
    )
    with make_app(blueprint).test_request_context():
        with pytest.raises(ConfigurationError, match="https"):
            blueprint.session.get(path)
        blueprint.session.auth.client.signature_method = SIGNATURE_HMAC
        web.get("http://provider.example/api/me", json={})
        assert blueprint.session.get(path).json() == {}


@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("status", STATUSES)
def test_header_with_a_token_goes_nowhere_else(
    web: responses.RequestsMock, place: str, status: int
) -> None:
    """A8: a token goes to no other host, whatever header a hook has put it into."""

    def put(url: str, headers: dict[str, str], data: Any) -> Any:
        return url, {**headers, "X-Token": "Token at-secret", "X-Mine": "mine"}, data

    web.get(f"{PROVIDER}/api/user", status=status, headers={"Location": OTHERS[place]})
    web.get(OTHERS[place], json={})
    blueprint = make_blueprint(backend=MemoryBackend({"access_token": "at-secret"}))
    with make_app(blueprint).test_request_context():
        blueprint.session.register_compliance_hook("protected_request", put)
        assert blueprint.session.get("user").json() == {}
    assert "X-Token" in web.calls[0].request.headers
    assert "at-secret" not in sent_with(web)
    assert web.calls[1].request.headers["X-Mine"] == "mine"


@pytest.mark.parametrize("token", ["at-secret", "at/se+cr=et"])
def test_error_of_a_call_shows_no_token(web: responses.RequestsMock, token: str) -> None:
    """A2: where the token is in the URL, the error of an API that is not reached shows none."""
    client = WebApplicationClient("id", default_token_placement="query")
    blueprint = make_blueprint(client=client, backend=MemoryBackend({"access_token": token}))
    error = requests.ConnectionError(f"with url: /api/user?access_token={quote(token, safe='')}")
    web.get(f"{PROVIDER}/api/user", body=error)
    with (
        make_app(blueprint).test_request_context(),
        pytest.raises(requests.ConnectionError) as caught,
    ):
        blueprint.session.get("user")
    assert str(caught.value) == "with url: /api/user?access_token=***"
    assert caught.value.__context__ is caught.value.__cause__ is None
