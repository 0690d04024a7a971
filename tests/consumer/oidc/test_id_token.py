"""The validation takes whatever an ID token may hold, and says no to all but the right one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from flask_dance_nosql.consumer.oidc.discovery import Metadata, read_metadata
from flask_dance_nosql.consumer.oidc.id_token import Expected, InvalidIDToken, validate
from flask_dance_nosql.consumer.oidc.keys import Key, read_keys, secret_key
from flask_dance_nosql.errors import ProviderError

from .provider import b64, rsa_key, sign

# How long it takes is no matter here, on a machine that has other work.
whatever = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ISSUER = "https://issuer.example"
EXPECTED = Expected(
    metadata=Metadata(ISSUER, {}, ("RS256",), names_issuer=False),
    client_id="me",
    algorithms=["RS256", "ES256", "EdDSA"],
    keys=lambda algorithm, known: known or (Key("RSA", rsa_key()),),
    access_token="at",
    nonce="n",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["me", ISSUER, "n", "RS256", "none", "HS256", "ann", 10**400, -1]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
CLAIMS = ("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "tid")
HEADER = ("alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip", "enc", "cty")


def good() -> dict[str, Any]:
    """Return claims that are taken."""
    now = time.time()
    return {"iss": ISSUER, "sub": "ann", "aud": "me", "exp": now + 60, "iat": now, "nonce": "n"}


def is_taken(id_token: Any) -> bool:
    """Whether it is; any error but the one that says why not is a fault."""
    try:
        claims = validate(id_token, EXPECTED)
    except InvalidIDToken:
        return False
    assert claims["iss"] == ISSUER
    assert claims["aud"] == "me" or "me" in claims["aud"]
    assert claims["nonce"] == "n"
    assert isinstance(claims["sub"], str)
    return True


def test_a_good_one_is_taken() -> None:
    """What the others are changes of."""
    assert is_taken(sign(good(), rsa_key(), {"alg": "RS256"}))


@whatever
@given(changes=st.dictionaries(st.sampled_from(CLAIMS), values, max_size=3))
def test_any_claims_that_are_signed(changes: dict[str, Any]) -> None:
    """A provider may sign anything."""
    is_taken(sign({**good(), **changes}, rsa_key(), {"alg": "RS256"}))


@whatever
@given(header=st.dictionaries(st.sampled_from(HEADER), values, max_size=4), payload=values)
def test_any_header(header: dict[str, Any], payload: Any) -> None:
    """Without a signature of the provider's key nothing is taken, whatever the header says."""
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
    for signature in ("", b64(b"x" * 256), "%"):
        assert not is_taken(f"{text}.{signature}")


@whatever
@given(header=st.dictionaries(st.sampled_from(HEADER[1:]), values, max_size=4))
def test_any_header_that_is_signed(header: dict[str, Any]) -> None:
    """So may it sign any header."""
    is_taken(sign(good(), rsa_key(), {**header, "alg": "RS256"}))


@whatever
@given(data=st.one_of(values, st.text(alphabet="abAB01.-_=%", max_size=60)), raw=st.binary())
def test_anything_in_place_of_a_token(data: Any, raw: bytes) -> None:
    """Text of any form, and values that are no text."""
    assert not is_taken(data)
    assert not is_taken(sign(raw, rsa_key(), {"alg": "RS256"}))


@whatever
@given(
    document=st.dictionaries(
        st.sampled_from(["keys", "a"]),
        st.lists(
            st.dictionaries(
                st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "kid", "alg", "issuer"]),
                st.one_of(values, st.sampled_from(["RSA", "EC", "OKP", "P-256", "AQAB", "sig"])),
                max_size=6,
            ),
            max_size=3,
        )
        | values,
    )
)
def test_any_keys(document: dict[str, Any]) -> None:
    """What is no key is passed over."""
    assert len(read_keys(document)) <= 3


@whatever
@given(
    document=st.dictionaries(
        st.sampled_from(
            ["issuer", "token_endpoint", "jwks_uri", "id_token_signing_alg_values_supported"]
        ),
        values,
    )
)
def test_any_discovery_document(document: dict[str, Any]) -> None:
    """It is refused, or has what it has to have."""
    try:
        metadata = read_metadata("acme", document, ISSUER)
    except ProviderError:
        return
    assert metadata.issuer == ISSUER
    assert all(url.startswith("https://") for url in metadata.endpoints.values())


@pytest.mark.parametrize("text", ["\ud800.a.b", "é.é.é", "a\n.b.c", " . . "])
def test_text_that_is_no_ascii(text: str) -> None:
    """It never is a token."""
    assert not is_taken(text)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        " \n",
        rsa_key().as_pem(private=False).decode(),
        "\n-----BEGIN CERTIFICATE-----\nMIIB",
        "ssh-rsa AAAAB3NzaC1yc2E",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNh",
    ],
)
def test_what_everybody_knows_is_no_secret(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused also where joserfc would take it, as early versions do."""
    monkeypatch.setattr(OctKey, "import_key", lambda *_: OctKey.generate_key(256))
    assert secret_key(secret) == ()
    assert len(secret_key("a client secret that only the two know")) == 1
