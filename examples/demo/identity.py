"""What makes the provider one of OpenID Connect: ID tokens, and the keys that sign them."""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from .state import IssuedToken, User

ALGORITHM = "ES256"
ID_TOKEN_SECONDS = 300
KEYS_AHEAD = 3


class SigningKeys:
    """The keys that sign ID tokens: the current one, the one before it, and those that follow.

    The next ones are published before they sign, for clients ask for the keys about once a minute.
    Source: OpenID Connect Core 1.0 section 10.1.1.
    """

    def __init__(self) -> None:
        self._keys = [_new_key() for _ in range(1 + KEYS_AHEAD)]

    @property
    def current(self) -> ECKey:
        """The key that signs now."""
        return self._keys[-1 - KEYS_AHEAD]

    def rotate(self) -> None:
        """Let the next key sign from now on, and publish one more."""
        self._keys = [*self._keys, _new_key()][-2 - KEYS_AHEAD :]

    def published(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set. Source: RFC 7517 section 5."""
        return dict(KeySet([*self._keys]).as_dict(private=False))

    def id_token(self, issuer: str, token: IssuedToken, nonce: str | None = None) -> str:
        """Return the ID token that goes with a token. Source: OpenID Connect Core section 2.

        Args:
            issuer: The issuer identifier.
            token: The token, whose scope decides what is told of the user.
            nonce: The nonce of the login, if it had one.
        """
        now = int(time.time())
        half_hash = sha256(token.access_token.encode()).digest()[:16]
        claims = {
            "iss": issuer,
            "aud": token.client_id,
            "iat": now,
            "exp": now + ID_TOKEN_SECONDS,
            "at_hash": urlsafe_b64encode(half_hash).decode().rstrip("="),
            **claims_of(token.user, token.scope),
            **({"nonce": nonce} if nonce else {}),
        }
        key = self.current
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key)

    def hinted(self, id_token: str) -> dict[str, Any]:
        """Return the claims of an ID token that was signed here, even if it is old; else none."""
        try:
            return jwt.decode(id_token, KeySet([*self._keys]), [ALGORITHM]).claims
        except (JoseError, ValueError):
            return {}


def claims_of(user: User, scope: str) -> dict[str, str]:
    """Return what a scope tells of a user. Source: OpenID Connect Core 1.0 section 5.4."""
    told = {"sub": user.username}
    told |= {"name": user.name} if "profile" in scope.split() else {}
    return told | ({"email": user.email} if "email" in scope.split() else {})


def metadata(issuer: str, address: str) -> dict[str, Any]:
    """Return the discovery document. Source: OpenID Connect Discovery 1.0 section 3.

    Args:
        issuer: The issuer identifier.
        address: The provider's address, without a slash at the end.
    """
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{address}/authorize",
        "token_endpoint": f"{address}/token",
        "revocation_endpoint": f"{address}/revoke",
        "userinfo_endpoint": f"{address}/userinfo",
        "end_session_endpoint": f"{address}/logout",
        "jwks_uri": f"{address}/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


def _new_key() -> ECKey:
    key_id = secrets.token_hex(4)
    return ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": ALGORITHM})
