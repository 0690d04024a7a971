"""An OpenID provider on this machine, which may rotate its keys, lie, or be down."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint

from ...rotating import Asked, RotatingProvider
from ..site import Site

CLIENT_ID = "client-1"
CLIENT_SECRET = "a client secret that is long enough"


@cache
def rsa_key(number: int = 0) -> RSAKey:
    """Return one of the keys that are made once only, since that takes its time."""
    return RSAKey.generate_key(2048, {"kid": f"rsa-{number}"})


def b64(data: bytes) -> str:
    """Return bytes as text of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims: Any, key: Any, header: dict[str, Any]) -> str:
    """Return a signed token whose header and payload may be anything."""
    parts = [
        each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)
    ]
    text = ".".join(map(b64, parts))
    algorithm = JWSRegistry.algorithms[header["alg"]]
    return f"{text}.{b64(algorithm.sign(text.encode(), key))}"


class OpenIDProvider(RotatingProvider):
    """A :class:`RotatingProvider` that issues ID tokens.

    Attributes:
        keys: Its keys; it signs with the last one.
        algorithm: How it signs.
        header: Further members of the header.
        claims: Claims in place of its own; ``None`` leaves one out.
        forge: Makes an ID token of the claims and the header, in place of signing it.
        metadata: Fields of the discovery document in place of its own; ``None`` leaves one out.
        down: Paths that answer with 503.
        bodies: What paths answer, in place of their own.
        redirects: Where paths lead.
        user: What its userinfo says.
        issuer: Its issuer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Any] = [rsa_key()]
        self.algorithm = "RS256"
        self.header: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.forge: Callable[[dict[str, Any], dict[str, Any]], Any] = self._signed
        self.metadata: dict[str, Any] = {}
        self.down: set[str] = set()
        self.bodies: dict[str, Any] = {}
        self.redirects: dict[str, str] = {}
        self.user: Any = {"sub": "ann", "name": "Ann"}
        self._nonces: dict[str, str | None] = {}
        self.issuer = self.url

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Answer as the endpoint that is asked."""
        path = urlsplit(asked.path).path
        own: dict[str, Callable[[], Any]] = {
            "/.well-known/openid-configuration": self.discovery,
            "/jwks": lambda: {"keys": [key.as_dict(private=False) for key in self.keys]},
            "/userinfo": lambda: self.user,
        }
        if path not in own and path not in self.bodies:
            return super().answer(asked)
        self.asked.append(asked)
        if path in self.redirects:
            return 302, self.redirects[path]
        if path in self.down:
            return 503, {"error": "down"}
        return 200, self.bodies[path] if path in self.bodies else own[path]()

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "revocation_endpoint": f"{self.url}/revoke",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/logout",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256", "EdDSA"],
            **self.metadata,
        }
        return {name: value for name, value in document.items() if value is not None}

    def rotate(self, *, kind: str = "EC") -> None:
        """Sign with a new key from now on, and forget the others."""
        name = f"key-{time.monotonic_ns()}"
        if kind == "EC":
            self.keys, self.algorithm = [ECKey.generate_key("P-256", {"kid": name})], "ES256"
        elif kind == "OKP":
            self.keys, self.algorithm = [OKPKey.generate_key("Ed25519", {"kid": name})], "EdDSA"
        else:
            self.keys, self.algorithm = [rsa_key(1)], "RS256"

    def authorize(self, url: str) -> str:
        """Grant at once, and remember the nonce."""
        query = parse_qs(urlsplit(url).query)
        code = f"code-{query['state'][0]}"
        self._nonces[code] = query.get("nonce", [None])[0]
        self.approve("ann", code)
        return super().authorize(url).replace("CODE123", code)

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """Answer a token request with an ID token, too."""
        status, answer = super().exchange(form)
        if status != 200:
            return status, answer
        id_token = self.sign(answer["access_token"], self._nonces.get(form.get("code", "")))
        return 200, {**answer, "id_token": id_token}

    def sign(self, access_token: str, nonce: str | None = None) -> Any:
        """Return the ID token for an access token."""
        now = int(time.time())
        digest = hashlib.sha256(access_token.encode()).digest()
        claims = {
            "iss": self.issuer,
            "sub": "ann",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "at_hash": b64(digest[:16]) if self.algorithm.endswith("256") else None,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.keys[-1].kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return self.forge(claims, header)

    def _signed(self, claims: dict[str, Any], header: dict[str, Any]) -> str:
        return sign(claims, self.keys[-1], header)

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return len(self.calls(path))

    def form(self, path: str = "/token") -> dict[str, str]:
        """Return the last form that was posted to a path."""
        return dict(parse_qsl(self.calls(path)[-1].body.decode()))


class OpenIDSite(Site):
    """An app with a blueprint for an OpenID provider."""

    blueprint: OIDCConsumerBlueprint


def make_openid_site(provider: OpenIDProvider, **options: Any) -> OpenIDSite:
    """Make an app whose blueprint knows the issuer of the provider."""
    options = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "issuer": provider.url,
        "base_url": f"{provider.url}/",
        "backend": MemoryBackend(),
        **options,
    }
    return OpenIDSite(make_oidc_blueprint("acme", **options))


def log_in(site: Site, provider: OpenIDProvider, browser: Any = None, **more: str) -> Any:
    """Go through a whole login with a browser, and return the answer to the callback."""
    browser = browser or site.browser()
    location = browser.get("/login/acme").location
    back = urlsplit(provider.authorize(location))
    query = urlencode({**dict(parse_qsl(back.query)), **more})
    return browser.get(f"{back.path}?{query}")
