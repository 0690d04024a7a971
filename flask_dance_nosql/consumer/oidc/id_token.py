"""The ID token: what it claims, and whether that may be believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app

from ... import clock
from ..pending import PendingLogin
from .discovery import Metadata
from .keys import ALGORITHMS, SYMMETRIC, Key, signing_key

LEEWAY_SECONDS = 60
"""How far the provider's clock may be from ours."""

LONGEST = 64 * 1024
"""How many characters an ID token may have."""

SEAL = "id_token_seal"
"""The field of a token that says that its ID token was validated here."""

_LONGEST_SUBJECT = 255

Claims = dict[str, Any]


class InvalidIDToken(ValueError):
    """An ID token that is not to be believed; the text says why and shows nothing of it."""


@dataclass(frozen=True, repr=False)
class Expected:
    """What an ID token has to be.

    Attributes:
        metadata: What the provider says of itself.
        client_id: Whom it has to be for.
        algorithms: How it may be signed.
        keys: Gives the keys for an algorithm; newer ones than those given it, if there are any.
        access_token: The access token that was issued with it.
        nonce: The nonce that it has to have; without one it may have any.
        before: The claims of the ID token in whose place it comes, if it comes by a refresh.
    """

    metadata: Metadata
    client_id: str
    algorithms: Sequence[str]
    keys: Callable[[str, tuple[Key, ...] | None], tuple[Key, ...]]
    access_token: object = None
    nonce: str | None = None
    before: Claims | None = None


def validate(id_token: object, expected: Expected) -> Claims:
    """Return the claims of an ID token.

    Source: OpenID Connect Core 1.0 sections 2, 3.1.3.7, 3.1.3.8 and 12.2.

    Raises:
        InvalidIDToken: If it is not to be believed.
        ProviderError: If the provider's keys can't be had.
    """
    claims, algorithm = verified(id_token, expected)
    if subject_of(claims) is None:
        raise InvalidIDToken("The ID token names no subject.")
    audience, party = claims.get("aud"), claims.get("azp")
    is_for_several = isinstance(audience, list) and len(audience) > 1
    if party != expected.client_id and (party is not None or is_for_several):
        raise InvalidIDToken("The ID token was issued to another client.")
    _check_binding(claims, expected, algorithm)
    return claims


def verified(
    token: object, expected: Expected, what: str = "ID token", kind: str = ""
) -> tuple[Claims, str]:
    """Return the claims of a token that the provider has signed for us, and its algorithm.

    Args:
        token: The token.
        expected: What it has to be.
        what: What it is called.
        kind: The type that its header may name besides that of any JSON Web Token.

    Raises:
        InvalidIDToken: If it is not signed by the provider, for another client, or not of now.
        ProviderError: If the provider's keys can't be had.
    """
    if not isinstance(token, str) or not token:
        raise InvalidIDToken(f"There is no {what} in the provider's answer.")
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3 or not token.isascii():
        raise InvalidIDToken(f"The {what} is no signed JSON Web Token.")
    header, claims = _decoded(parts[0], what), _decoded(parts[1], what)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in expected.algorithms or "crit" in header:
        raise InvalidIDToken(f"The {what} is signed by an algorithm that is not allowed.")
    named = str(header.get("typ", "")).lower().removeprefix("application/")
    if named.endswith("+jwt") and named != kind:
        # An access token, or whatever has a type of its own: RFC 8725 section 3.11.
        raise InvalidIDToken(f"The {what} is a token of another kind.")
    keys = expected.keys(algorithm, None)
    key = signing_key(token, algorithm, key_id, keys)
    if key is None:
        # The provider may have changed its keys.
        newer = expected.keys(algorithm, keys)
        key = None if newer is keys else signing_key(token, algorithm, key_id, newer)
    if key is None:
        raise InvalidIDToken(f"The {what} is not signed by a key of the provider.")
    _check_issuer(claims, expected.metadata, key, what)
    _check_audience(claims, expected.client_id, what)
    _check_times(claims, what)
    return claims, algorithm


def subject_of(claims: Claims) -> str | None:
    """Return the subject that claims name, or ``None`` if it can't be one."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        return None
    return subject if subject.isprintable() else None


def claims_in(token: dict[str, Any] | None) -> Claims | None:
    """Return the claims of a token's ID token as they are, validated or not, or ``None``."""
    try:
        return _decoded(str((token or {})["id_token"]).split(".")[1])
    except (InvalidIDToken, KeyError, IndexError):
        return None


def allowed_algorithms(metadata: Metadata, chosen: Iterable[str] | None) -> list[str]:
    """Return how ID tokens may be signed: as the blueprint says, else as the provider does.

    That they are not signed, or by a secret that anybody may know, is for nobody to say but the
    blueprint. Source: RFC 8725 section 3.1.
    """
    if chosen is not None:
        return list(chosen)
    return [each for each in metadata.algorithms if each in ALGORITHMS and each not in SYMMETRIC]


def _check_issuer(claims: Claims, metadata: Metadata, key: Key, what: str) -> None:
    issuer, tenant = claims.get("iss"), claims.get("tid")
    if not metadata.is_issuer(issuer, tenant or ""):
        raise InvalidIDToken(f"The {what} is of another issuer.")
    if metadata.is_for_all_tenants and not key.is_of(issuer, tenant):
        raise InvalidIDToken(f"The {what} is signed by the key of another issuer.")


def _check_audience(claims: Claims, client_id: str, what: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or not all(isinstance(each, str) for each in audiences):
        raise InvalidIDToken(f"The {what} is for another client.")


def _check_times(claims: Claims, what: str) -> None:
    now = clock.timestamp()
    end, issued, begin = (number(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if end is None or end + LEEWAY_SECONDS <= now:
        raise InvalidIDToken(f"The {what} has expired.")
    if issued is None or issued - LEEWAY_SECONDS > now:
        raise InvalidIDToken(f"The {what} was issued in the future.")
    if claims.get("nbf") is not None and (begin is None or begin - LEEWAY_SECONDS > now):
        raise InvalidIDToken(f"The {what} does not hold yet.")


def _check_binding(claims: Claims, expected: Expected, algorithm: str) -> None:
    """Check that it belongs to this login, or to this refresh, and to its access token."""
    nonce, before = claims.get("nonce"), expected.before
    if expected.nonce is not None and not _same(nonce, expected.nonce):
        raise InvalidIDToken("The ID token is of another login.")
    if before is not None:
        if any(claims.get(name) != before.get(name) for name in ("iss", "sub")):
            raise InvalidIDToken("The ID token is of another account than before.")
        if nonce is not None and nonce != before.get("nonce"):
            raise InvalidIDToken("The ID token is of another login than before.")
    said = claims.get("at_hash")
    if said is not None and not _same(said, _half_hash(str(expected.access_token), algorithm)):
        raise InvalidIDToken("The ID token is of another access token.")


def _half_hash(text: str, algorithm: str) -> str:
    bits = algorithm[-3:] if algorithm[-3:] in ("256", "384", "512") else "512"
    digest = hashlib.new(f"sha{bits}", text.encode()).digest()
    return encoded(digest[: len(digest) // 2])


def number(value: object) -> float | None:
    """Return a number that a claim may have as a time, or ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _same(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(
        value.encode("utf-8", "surrogatepass"), expected.encode()
    )


def _decoded(part: str, what: str = "ID token") -> dict[str, Any]:
    """Return the JSON object in a part of a JSON Web Token."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidIDToken(f"The {what} is no signed JSON Web Token.")
    return value


def encoded(data: bytes) -> str:
    """Return bytes as text for URLs. Source: RFC 7515 section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def seal_of(key: str | bytes, context: Sequence[str | None], id_token: str) -> str:
    """Return what tells later that an ID token was validated here, by who has the key.

    A plain digest would not do: what an application stores may come from anybody.
    """
    text = json.dumps(["flask-dance-nosql.id-token", *context, id_token])
    secret = key.encode() if isinstance(key, str) else key
    return encoded(hmac.digest(secret, text.encode(), "sha256")[:16])


def sealed_claims(token: dict[str, Any] | None, context: Sequence[str | None]) -> Claims | None:
    """Return the claims of a stored token whose seal is by a key of the app's, or ``None``."""
    id_token, seal = (token or {}).get("id_token"), (token or {}).get(SEAL)
    if not isinstance(id_token, str) or not isinstance(seal, str):
        return None
    if not any(_same(seal, seal_of(key, context, id_token)) for key in secret_keys()):
        return None
    return _decoded(id_token.split(".")[1])


def secret_keys() -> list[str | bytes]:
    """Return the app's secret keys, the one of now first."""
    config = current_app.config
    keys = [config.get("SECRET_KEY"), *(config.get("SECRET_KEY_FALLBACKS") or ())]
    return [key for key in keys if key]


def nonce_of(login: PendingLogin) -> str:
    """Return the nonce of a login.

    It is made of what the browser's session has of the login anyway. So it takes no room there, is
    as random as the state and the code verifier are, and can't be that of another login. As the
    verifier is hashed together with another text than for the code challenge, neither tells of the
    other.
    """
    text = f"nonce {login.handle} {login.secret or ''}"
    return encoded(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
