"""The OAuth 1 dance, against a provider that checks signatures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
import responses
from flask.testing import FlaskClient
from oauthlib.oauth1 import SIGNATURE_RSA_SHA256, Client
from oauthlib.oauth1.rfc5849.signature import (
    base_string_uri,
    collect_parameters,
    normalize_parameters,
    sign_hmac_sha1_with_client,
    signature_base_string,
)

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.errors import ConfigurationError

from .conftest import PROVIDER, Signals, make_app


def make_blueprint(**kwargs: Any) -> OAuth1ConsumerBlueprint:
    """Make an OAuth 1 blueprint for the provider of these tests."""
    return OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        **{
            "client_key": "ck",
            "client_secret": "cs-secret",
            "base_url": f"{PROVIDER}/api/",
            "request_token_url": f"{PROVIDER}/request",
            "authorization_url": f"{PROVIDER}/authorize",
            "access_token_url": f"{PROVIDER}/access",
            **kwargs,
        },
    )


class Provider:
    """Answers the three calls of OAuth 1 and checks the signature of each."""

    def __init__(self, web: responses.RequestsMock) -> None:
        self.web = web
        self.issued = 0
        self.secrets: dict[str, str] = {}
        web.add_callback("POST", f"{PROVIDER}/request", self.request_token)
        web.add_callback("POST", f"{PROVIDER}/access", self.access_token)
        web.add_callback("GET", f"{PROVIDER}/api/me", self.me)

    def signed(self, request: requests.PreparedRequest) -> dict[str, str]:
        """Return the OAuth parameters of a request whose signature is right."""
        header = request.headers["Authorization"]
        header = header.decode() if isinstance(header, bytes) else header
        params = dict(
            collect_parameters(headers={"Authorization": header}, exclude_oauth_signature=False)
        )
        secret = self.secrets.get(params.get("oauth_token", ""))
        client = Client("ck", client_secret="cs-secret", resource_owner_secret=secret)
        collected = collect_parameters(
            uri_query=urlsplit(str(request.url)).query, headers={"Authorization": header}
        )
        base = signature_base_string(
            str(request.method), base_string_uri(str(request.url)), normalize_parameters(collected)
        )
        assert params["oauth_signature"] == sign_hmac_sha1_with_client(base, client)
        return params

    def request_token(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        params = self.signed(request)
        assert "oauth_token" not in params
        assert params["oauth_callback"] == "http://localhost/login/acme/authorized"
        self.issued += 1
        token = f"rt{self.issued}"
        self.secrets[token] = f"rt-secret{self.issued}"
        return 200, {}, urlencode({"oauth_token": token, "oauth_token_secret": self.secrets[token]})

    def access_token(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        params = self.signed(request)
        assert params["oauth_verifier"] == "the-verifier"
        self.secrets["at"] = "at-secret"
        return (
            200,
            {},
            urlencode({"oauth_token": "at", "oauth_token_secret": "at-secret", "uid": "7"}),
        )

    def me(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        return 200, {}, self.signed(request).get("oauth_token", "")


@pytest.fixture
def provider(web: responses.RequestsMock) -> Iterator[Provider]:
    """A provider that checks signatures."""
    return Provider(web)


def begin(client: FlaskClient) -> str:
    """Call the login view and return the request token that the visitor takes to the provider."""
    response = client.get("/login/acme")
    assert response.location.startswith(f"{PROVIDER}/authorize?")
    return dict(parse_qsl(urlsplit(response.location).query))["oauth_token"]


def finish(client: FlaskClient, **params: str) -> Any:
    """Call the callback view as the provider's redirect would."""
    return client.get("/login/acme/authorized", query_string=params)


def test_whole_dance_stores_the_token(provider: Provider, signals: Signals) -> None:
    """Each call is signed with the credentials of its step, and the token is stored."""
    backend = MemoryBackend()
    blueprint = make_blueprint(backend=backend)
    app = make_app(blueprint)
    client = app.test_client()
    response = finish(client, oauth_token=begin(client), oauth_verifier="the-verifier")
    assert response.location == "/"
    assert backend.token == {"oauth_token": "at", "oauth_token_secret": "at-secret", "uid": "7"}
    assert [name for name, _ in signals] == ["oauth-before-login", "oauth-authorized"]
    with app.test_request_context():
        assert blueprint.session.authorized
        assert blueprint.session.get("me").text == "at"


def test_two_tabs_both_complete(provider: Provider, signals: Signals) -> None:
    """Each of several logins is signed with its own request token's secret."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    first, second = begin(client), begin(client)
    finish(client, oauth_token=first, oauth_verifier="the-verifier")
    finish(client, oauth_token=second, oauth_verifier="the-verifier")
    assert len(signals.of("oauth-authorized")) == 2


def test_login_of_a_connected_user_is_not_signed_with_the_old_token(provider: Provider) -> None:
    """Temporary credentials are asked for without the stored token, even after it was read."""
    blueprint = make_blueprint(
        backend=MemoryBackend({"oauth_token": "old", "oauth_token_secret": "old-secret"})
    )
    app = make_app(blueprint)

    @app.before_request
    def read_the_token() -> None:
        assert blueprint.session.authorized

    begin(app.test_client())
    assert provider.issued == 1


BAD_CALLBACKS = [
    ({"oauth_token": "foreign", "oauth_verifier": "v-secret"}, "mismatching_state"),
    ({"oauth_verifier": "v-secret"}, "mismatching_state"),
    ({"oauth_token": "rt1"}, "missing_code"),
    ({"denied": "rt1"}, "access_denied"),
]


@pytest.mark.parametrize(("params", "error"), BAD_CALLBACKS)
def test_bad_callback_is_told_and_stores_nothing(
    provider: Provider,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
    params: dict[str, str],
    error: str,
) -> None:
    """A token that was not issued here, a missing verifier or a denial: told, nothing stored."""
    backend = MemoryBackend({"oauth_token": "old", "oauth_token_secret": "s"})
    client = make_app(make_blueprint(backend=backend)).test_client()
    begin(client)
    with caplog.at_level(logging.DEBUG):
        assert finish(client, **params).location == "/"
    assert signals.of("oauth-error")[0]["error"] == error
    assert backend.token == {"oauth_token": "old", "oauth_token_secret": "s"}
    assert "secret" not in caplog.text


def test_callback_without_a_login_ends_on_a_page(signals: Signals) -> None:
    """With no login begun in this browser, the visitor is told so, and may begin one."""
    client = make_app(make_blueprint()).test_client()
    answer = finish(client, oauth_token="x", oauth_verifier="v")
    assert answer.status_code == 400
    assert 'href="/login/acme?retry="' in answer.text
    assert signals.of("oauth-error")[0]["error"] == "missing_state"


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "Failed to validate", "status": 401},
        {"body": "<html>"},
        {"body": ""},
        {"body": "[1, 2]"},
        {"body": "7"},
        {"body": "oauth_token=only"},
        {"body": "oauth_token_secret=only"},
        {"body": requests.ConnectionError("down")},
    ],
)
@pytest.mark.parametrize("step", ["request", "access"])
def test_bad_answer_is_told_and_stores_nothing(
    web: responses.RequestsMock,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
    step: str,
    answer: dict[str, Any],
) -> None:
    """Whatever the provider answers in either step, the visitor is redirected and told."""
    provider = Provider(web)
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    if step == "access":
        token = begin(client)
    web.replace("POST", f"{PROVIDER}/{step}", **answer)
    with caplog.at_level(logging.DEBUG):
        if step == "request":
            response = client.get("/login/acme")
        else:
            response = finish(client, oauth_token=token, oauth_verifier="the-verifier")
    assert response.location == "/"
    assert len(signals.of("oauth-error")) == 1
    assert backend.token is None
    assert provider.issued == (step == "access")
    assert "cs-secret" not in caplog.text


def test_plain_http_is_refused_for_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials are fetched over TLS only: RFC 5849 sections 2.1 and 2.3."""
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    app = make_app(make_blueprint(request_token_url="http://plain.example/x"))
    app.testing = True
    with pytest.raises(ConfigurationError, match=r"plain\.example"):
        app.test_client().get("/login/acme")


def test_requests_have_a_timeout(provider: Provider) -> None:
    """Every call of the dance carries the blueprint's timeout."""
    client = make_app(make_blueprint(backend=MemoryBackend(), timeout=9)).test_client()
    finish(client, oauth_token=begin(client), oauth_verifier="the-verifier")
    assert [call.request.req_kwargs["timeout"] for call in provider.web.calls] == [9, 9]


def test_credentials_may_come_from_the_configuration(provider: Provider) -> None:
    """``from_config`` supplies the client credentials of the current app."""
    blueprint = make_blueprint(client_key=None, client_secret=None)
    blueprint.from_config.update(client_key="KEY", client_secret="SECRET")
    app = make_app(blueprint, KEY="ck", SECRET="cs-secret")
    begin(app.test_client())
    with app.test_request_context():
        assert blueprint.session.auth.client.client_key == "ck"


def test_session_without_a_token_is_not_authorized() -> None:
    """Without a token, or without a client secret, there is nothing to sign with."""
    with make_app(blueprint := make_blueprint()).test_request_context():
        assert not blueprint.session.authorized
    blueprint = make_blueprint(
        client_secret=None, backend=MemoryBackend({"oauth_token": "a", "oauth_token_secret": "b"})
    )
    with make_app(blueprint).test_request_context():
        assert not blueprint.session.authorized


def test_rsa_needs_no_client_secret() -> None:
    """With an RSA signature the token's key alone makes a session authorized."""
    blueprint = make_blueprint(
        client_secret=None,
        rsa_key="a key",
        signature_method=SIGNATURE_RSA_SHA256,
        backend=MemoryBackend({"oauth_token": "a"}),
    )
    with make_app(blueprint).test_request_context():
        client = blueprint.session.auth.client
        assert (client.signature_method, client.rsa_key) == (SIGNATURE_RSA_SHA256, "a key")
