"""What a mocked provider publishes and signs, for the presets that validate it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import responses

from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.consumer.oidc.discovery import discovery_url

from ..consumer.oidc.provider import rsa_key, sign


def signed(provider: responses.RequestsMock, blueprint: Any, location: str) -> dict[str, str]:
    """Publish the provider's documents, and return what it adds to its answer to a login.

    That is nothing if the blueprint validates nothing.
    """
    if not isinstance(blueprint, OIDCConsumerBlueprint):
        return {}
    issuer, key = blueprint.issuer or "", rsa_key()
    keys_url = f"{issuer.rstrip('/')}/keys"
    provider.get(discovery_url(issuer), json={"issuer": issuer, "jwks_uri": keys_url})
    provider.get(keys_url, json={"keys": [key.as_dict(private=False)]})
    query = parse_qs(urlsplit(location).query)
    claims = {
        "iss": issuer,
        "sub": "ann",
        "aud": query["client_id"][0],
        "iat": time.time(),
        "exp": time.time() + 300,
        "nonce": query.get("nonce", [""])[0],
    }
    return {"id_token": sign(claims, key, {"alg": "RS256", "kid": key.kid})}
