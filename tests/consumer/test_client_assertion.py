"""A client says who it is by a statement that it signs."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from authlib.oauth2.rfc6749 import InvalidClientError  # type: ignore[import-untyped] # it has none
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion  # type: ignore[import-untyped] # so
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from flask_dance_nosql.consumer import PrivateKeyJWT
from flask_dance_nosql.consumer.client_assertion import Signer
from flask_dance_nosql.contrib.apple import apple_client_secret
from flask_dance_nosql.errors import ConfigurationError

from ..rotating import RotatingProvider
from .site import make_site, of_user
from .test_client_auth import ask, form

RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
PEM = {"RSA": RSA.as_pem(private=True), "EC": EC.as_pem(private=True)}


class Server(JWTBearerClientAssertion):  # type: ignore[misc] # which is Any
    """What Authlib's server does with a statement."""

    def __init__(self, key: Any, *audiences: str) -> None:
        super().__init__(leeway=0)
        self._key, self._audiences, self._seen = key, audiences, set[str]()

    def get_audiences(self) -> list[str]:
        return list(self._audiences)

    def validate_jti(self, claims: Any, jti: str) -> bool:
        is_new = jti not in self._seen
        self._seen.add(jti)
        return is_new

    def resolve_client_public_key(self, client: Any, headers: Any = None) -> Any:
        return self._key

    def authenticate_client(self, client: Any) -> Any:
        return client

    def check(self, fields: dict[str, str]) -> None:
        """Raise an error if it refuses a request."""
        request: Any = type("Request", (), {"form": fields})()
        assert self(lambda client_id: client_id if client_id == "id" else None, request) == "id"


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
@pytest.mark.parametrize("audience", ["issuer", "endpoint", "own"])
def test_each_call_has_a_statement_that_a_server_takes(
    rotating: RotatingProvider, algorithm: Any, key: Any, audience: str
) -> None:
    """Exchange, refresh and revocation alike, each with one of its own, and without a secret."""
    method = PrivateKeyJWT(
        key.as_pem(private=True),
        algorithm,
        key_id="key-1",
        audience="https://own.example" if audience == "own" else None,
    )
    issuer = "https://issuer.example" if audience == "issuer" else None
    options: Any = {"token_endpoint_auth_method": method, "client_secret": None, "issuer": issuer}
    seen = set[str]()
    for call in ("exchange", "refresh", "revocation"):
        browser = make_site(rotating, of_user(), **options).browser()
        rotating.asked.clear()
        asked = ask(browser, rotating, call)
        fields = form(asked)
        aud = {"issuer": issuer, "endpoint": f"{rotating.url}{asked.path}"}
        server = Server(key, aud.get(audience) or "https://own.example")
        if algorithm != "PS256":  # Authlib's takes no PS256
            server.check(fields)
        assert fields["client_id"] == "id"
        assert asked.body.count(b"client_id=") == 1
        assert "Authorization" not in asked.headers
        assert "client_secret" not in fields
        token = jwt.decode(fields["client_assertion"], key, algorithms=[algorithm])
        assert token.header["kid"] == "key-1"
        assert token.claims["exp"] - time.time() <= 60
        seen.add(token.claims["jti"])
    assert len(seen) == 3


@pytest.mark.parametrize(
    "request_of",
    [
        lambda form: {"json": form},
        lambda form: {"data": json.dumps(form)},
        lambda form: {"data": json.dumps(form).encode()},
        lambda form: {"data": "<xml/>"},
    ],
)
@pytest.mark.parametrize("call", ["exchange", "refresh", "revocation"])
def test_what_is_no_form_is_not_signed(
    rotating: RotatingProvider, call: str, request_of: Any
) -> None:
    """Whatever its header says: a form's fields would be no part of it."""
    method = PrivateKeyJWT(PEM["EC"], "ES256")
    options: Any = {"token_endpoint_auth_method": method, "token_request": request_of}
    site = make_site(rotating, of_user(), **options)
    with pytest.raises(ConfigurationError, match="signs forms"):
        ask(site.browser(), rotating, call)
    assert rotating.asked == []


def test_another_key_is_refused_by_the_server(rotating: RotatingProvider) -> None:
    """The check of this test works."""
    method = PrivateKeyJWT(PEM["EC"], "ES256")
    browser = make_site(rotating, of_user(), token_endpoint_auth_method=method).browser()
    fields = form(ask(browser, rotating, "exchange"))
    with pytest.raises(InvalidClientError):
        Server(ECKey.generate_key("P-256"), f"{rotating.url}/token").check(fields)


BAD_KEYS: dict[str, tuple[Any, Any]] = {
    "rubbish": ("no-key-at-all-1234", "RS256"),
    "empty": ("", "RS256"),
    "public": (RSA.as_pem(private=False), "RS256"),
    "EC for RSA": (PEM["EC"], "RS256"),
    "RSA for EC": (PEM["RSA"], "ES256"),
    "another curve": (ECKey.generate_key("P-384").as_pem(private=True), "ES256"),
    "Ed25519": (OKPKey.generate_key("Ed25519").as_pem(private=True), "ES256"),
    "sealed": (RSA.as_pem(private=True, password="hunter22"), "RS256"),
    "none": (None, "RS256"),
}


@pytest.mark.parametrize(("pem", "algorithm"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_bad_key_is_an_error_that_does_not_show_it(pem: Any, algorithm: Any) -> None:
    """Where it is given, and without any part of it in the message or its context."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJWT(pem, algorithm)
    text = pem.decode() if isinstance(pem, bytes) else str(pem)
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert not [line for line in text.splitlines() if len(line) > 8 and line in shown]


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_short_key_is_an_error() -> None:
    """It is when it can be broken some day, also where the library only warns."""
    with pytest.raises(ConfigurationError, match="2048"):
        PrivateKeyJWT(RSAKey.generate_key(1024).as_pem(private=True))


def test_an_unknown_algorithm_is_an_error() -> None:
    """So is HMAC, which has no private key."""
    with pytest.raises(ConfigurationError, match="HS256"):
        PrivateKeyJWT(PEM["RSA"], "HS256")  # type: ignore[arg-type] # that is the mistake


def test_nothing_shows_the_key(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a repr nor a log has the key or a statement."""
    method, signer = PrivateKeyJWT(PEM["EC"], "ES256"), Signer(PEM["EC"], "ES256")
    browser = make_site(rotating, of_user(), token_endpoint_auth_method=method).browser()
    with caplog.at_level(logging.DEBUG):
        statement = form(ask(browser, rotating, "exchange"))["client_assertion"]
        rotating.odd = (400, "application/json", b'{"error": "invalid_client", "x": "{plain}"}')
        browser.login()
    text = f"{method!r} {signer!r} {method.of('id', None)!r} {caplog.text}"
    assert statement.split(".")[2] not in text
    assert not [line for line in PEM["EC"].decode().splitlines() if line in text]


def test_what_is_no_form_can_t_be_signed() -> None:
    """A clear error in place of a call without a client."""
    from requests import Request

    request = Request("POST", "https://p.example/token", json={"a": 1}).prepare()
    with pytest.raises(ConfigurationError, match="form"):
        PrivateKeyJWT(PEM["EC"], "ES256").of("id", None)(request)


def test_apple_s_client_secret_is_such_a_statement() -> None:
    """It is made anew for each call, and lasts for minutes."""
    secret = apple_client_secret("app.id", "TEAM", "KEY", PEM["EC"].decode())
    token = jwt.decode(secret(), EC, algorithms=["ES256"])
    claims = token.claims
    assert token.header == {"typ": "JWT", "alg": "ES256", "kid": "KEY"}
    assert (claims["iss"], claims["sub"]) == ("TEAM", "app.id")
    assert claims["aud"] == "https://appleid.apple.com"
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    assert secret() != secret()
    with pytest.raises(ConfigurationError, match="P-256"):
        apple_client_secret("app.id", "TEAM", "KEY", PEM["RSA"].decode())
    json.dumps(claims)
