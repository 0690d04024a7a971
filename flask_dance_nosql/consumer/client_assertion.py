"""Statements that a client signs with a private key, such as that it is the client."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from requests import PreparedRequest

from .. import clock
from ..errors import ConfigurationError
from .backend.store.driver import require

SigningAlgorithm = Literal["RS256", "PS256", "ES256"]
"""How a statement is signed. Source: RFC 7518 section 3.1."""

ASSERTION_LIFE = 60
"""How many seconds a server may take a client's statement."""

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEAST_BITS = 2048


class Signer:
    """A private key that signs JSON Web Tokens (:rfc:`7519`).

    Args:
        private_key: The key in PEM: an RSA key of at least 2048 bits, or for ES256 one on P-256.
        algorithm: How it signs.
        key_id: The name by which the receiver knows the key, or ``None``.

    Raises:
        MissingDependency: If ``joserfc`` is not installed.
        ConfigurationError: If it is no such key. The message shows nothing of it.
    """

    def __init__(
        self,
        private_key: str | bytes,
        algorithm: SigningAlgorithm = "RS256",
        key_id: str | None = None,
    ) -> None:
        if algorithm not in get_args(SigningAlgorithm):
            names = ", ".join(map(repr, get_args(SigningAlgorithm)))
            raise ConfigurationError(f"A statement is signed by {names}, not by {algorithm!r}.")
        named = {"feature": "A signed statement", "package": "joserfc", "extra": "oidc"}
        self._jwt = require("joserfc.jwt", **named)
        jwk = require("joserfc.jwk", **named)
        is_elliptic = algorithm == "ES256"
        try:
            key = (jwk.ECKey if is_elliptic else jwk.RSAKey).import_key(private_key)
            is_usable = key.is_private and (
                key.curve_name == "P-256" if is_elliptic else key.raw_value.key_size >= _LEAST_BITS
            )
        except Exception:  # noqa: BLE001 - whatever it is, its text may show the key
            is_usable = False
        if not is_usable:
            wanted = "an EC key on P-256" if is_elliptic else "an RSA key of at least 2048 bits"
            raise ConfigurationError(
                f"The private_key for {algorithm} has to be {wanted}, in PEM without a password."
            )
        self._key = key
        self._header = {"alg": algorithm, **({} if key_id is None else {"kid": key_id})}

    def sign(self, claims: Mapping[str, Any], life: int) -> str:
        """Return a signed statement that is made now, and holds for so many seconds."""
        now = int(clock.timestamp())
        dated = {**claims, "iat": now, "exp": now + life}
        text: str = self._jwt.encode(
            self._header, dated, self._key, algorithms=[self._header["alg"]]
        )
        return text


class PrivateKeyJWT:
    """Tells a provider who the client is by a signed statement, in place of a client secret.

    Give it as ``token_endpoint_auth_method``. Each call to the token and the revocation endpoint
    has a statement of its own in its body, which holds for a minute.

    Source: RFC 7523 section 2.2 and 3; OpenID Connect Core 1.0 section 9, ``private_key_jwt``.

    Args:
        private_key: The key in PEM, without a password.
        algorithm: ``"RS256"`` (default), ``"PS256"`` or ``"ES256"``.
        key_id: The ``kid`` by which the provider knows the key; default: none.
        audience: Whom it is for. The default is the blueprint's ``issuer``, and without one the
            URL of the endpoint. Some providers, Microsoft and Okta among them, want the URL of the
            token endpoint.

    Raises:
        MissingDependency: If ``joserfc`` is not installed.
        ConfigurationError: If the key is none for the algorithm. The message shows nothing of it.
    """

    def __init__(
        self,
        private_key: str | bytes,
        algorithm: SigningAlgorithm = "RS256",
        key_id: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._signer = Signer(private_key, algorithm, key_id)
        self._audience = audience

    def of(self, client_id: str, issuer: str | None) -> Callable[[PreparedRequest], Any]:
        """Return what signs the calls of a client: what requests takes as ``auth``."""
        return _Assertion(self._signer, client_id, self._audience or issuer)


@dataclass(frozen=True, repr=False)
class _Assertion:
    signer: Signer
    client_id: str
    audience: str | None

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the client and its statement to the form of a request."""
        kind, body = request.headers.get("Content-Type", ""), request.body or ""
        text = body.decode("latin-1") if isinstance(body, bytes) else str(body)
        # requests-oauthlib says of everything that it is a form.
        is_form = str(kind).startswith("application/x-www-form-urlencoded")
        if not is_form or any(mark in text for mark in '{}[]<>"'):
            raise ConfigurationError("PrivateKeyJWT signs forms, and this provider takes none.")
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience or request.url,
            "jti": secrets.token_urlsafe(16),
        }
        fields = {
            "client_id": self.client_id,
            "client_assertion_type": _TYPE,
            "client_assertion": self.signer.sign(claims, ASSERTION_LIFE),
        }
        # Some clients of oauthlib say who they are by themselves.
        parts = [part for part in text.split("&") if not part.startswith("client_id=")]
        request.body = "&".join([*parts, urlencode(fields)])
        return request
