"""The keys by which a provider signs, and the check of its signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MOST_KEYS = 100
"""How many keys of a provider are read."""

SYMMETRIC = ("HS256", "HS384", "HS512")
"""The algorithms whose key is the client secret. They count only if the blueprint says so."""

TENANT = "{tenantid}"
"""What stands for the tenant in what Microsoft publishes for all of them."""

_KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
    **dict.fromkeys(SYMMETRIC, "oct"),
}
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
# Base64 of 2048 and of 8192 bits: less is broken some day, and more takes long to check.
_RSA_LENGTHS = range(341, 1380)
_MOST_TRIED = 10
# PEM, also of certificates, and OpenSSH (RFC 4253 section 6.6).
_OF_PUBLIC_KEYS = ("-----BEGIN ", "---- BEGIN ", "ssh-", "ecdsa-sha2-")

ALGORITHMS = tuple(_KINDS)
"""The algorithms that are known here."""


@dataclass(frozen=True, repr=False)
class Key:
    """A key, with what the provider says of it.

    ``issuer`` is Microsoft's: some keys are good for one tenant only.
    """

    kind: str
    value: Any
    key_id: str | None = None
    algorithm: str | None = None
    issuer: str | None = None

    def is_of(self, issuer: object, tenant: object) -> bool:
        """Whether it may sign for an issuer, which is that of a tenant."""
        return self.issuer is None or self.issuer.replace(TENANT, str(tenant)) == issuer


def read_keys(document: dict[str, Any]) -> tuple[Key, ...]:
    """Return the signing keys of a JWK Set; what is none is passed over.

    Source: RFC 7517 section 5.
    """
    from joserfc.jwk import JWKRegistry

    entries = document.get("keys")
    keys = []
    for entry in entries[:MOST_KEYS] if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("use") not in (None, "sig"):
            continue
        kind = entry.get("kty")
        if not isinstance(kind, str) or kind not in _PUBLIC:
            continue
        if kind == "RSA" and len(str(entry.get("n"))) not in _RSA_LENGTHS:
            continue
        public = {name: str(entry.get(name)) for name in ("kty", *_PUBLIC[kind])}
        try:
            value = JWKRegistry.import_key({**public})
        except Exception:  # noqa: BLE001, S112 - whatever it is, it is no key
            continue
        texts = (entry.get(name) for name in ("kid", "alg", "issuer"))
        keys.append(Key(kind, value, *(each if isinstance(each, str) else None for each in texts)))
    return tuple(keys)


def secret_key(client_secret: str) -> tuple[Key, ...]:
    """Return the client secret as a key. Source: OpenID Connect Core 1.0 section 10.1.

    There is none for an empty one, nor for a public key, with which everybody could sign. Early
    versions of joserfc warn of both, and take them.
    """
    from joserfc.jwk import OctKey

    if not client_secret.strip() or client_secret.strip().startswith(_OF_PUBLIC_KEYS):
        return ()
    try:
        return (Key("oct", OctKey.import_key(client_secret)),)
    except ValueError:
        return ()


def signing_key(token: str, algorithm: str, key_id: object, keys: Sequence[Key]) -> Key | None:
    """Return which key has signed a token, or ``None`` if none of them has."""
    suitable = [
        key
        for key in keys
        if key.kind == _KINDS.get(algorithm)
        and key.algorithm in (None, algorithm)
        and (key_id is None or key.key_id in (None, key_id))
    ]
    return next((key for key in suitable[:_MOST_TRIED] if _has_signed(key, token, algorithm)), None)


def _has_signed(key: Key, token: str, algorithm: str) -> bool:
    from joserfc import jws

    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    # Its own are too small for certificates in the header; how long the token is was looked at.
    registry.max_header_length = registry.max_payload_length = len(token)
    registry.max_signature_length = len(token)
    try:
        jws.deserialize_compact(token, key.value, [algorithm], registry)
    except Exception:  # noqa: BLE001 - whatever it is, it is no signature
        return False
    return True
