"""A login at an OpenID provider, and what is refused of it."""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from flask_dance_nosql.consumer import PrivateKeyJWT
from flask_dance_nosql.errors import ConfigurationError

from ..conftest import Signals
from .provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OpenIDProvider,
    b64,
    log_in,
    make_openid_site,
    rsa_key,
    sign,
)


def test_a_login_gives_validated_claims(openid: OpenIDProvider) -> None:
    """Only the issuer is known, and the claims are there after a login."""
    site = make_openid_site(openid)
    browser = site.browser()
    assert log_in(site, openid, browser).location == "/"
    claims = browser.do(lambda: site.blueprint.session.id_claims)
    assert (claims["sub"], claims["iss"], claims["aud"]) == ("ann", openid.url, CLIENT_ID)
    assert browser.call("api") == 200


def test_nothing_is_fetched_before_the_first_login(openid: OpenIDProvider) -> None:
    """Making and registering a blueprint, and pages that ask for a token, fetch nothing."""
    site = make_openid_site(openid)
    browser = site.browser()
    assert browser.do(lambda: site.blueprint.session.authorized) is False
    assert browser.do(lambda: site.blueprint.session.id_claims) is None
    assert browser.get("/view").location.endswith("/login/acme")
    assert openid.asked == []


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        (None, "openid"),
        ("email", "openid email"),
        (["email"], "openid email"),
        (["profile", "openid"], "profile openid"),
        ("email openid", "email openid"),
    ],
)
def test_openid_is_always_asked_for(openid: OpenIDProvider, scope: Any, sent: str) -> None:
    """The scope has openid in it, whatever the blueprint or the view says."""
    site = make_openid_site(openid, scope=scope)
    location = site.browser().get("/login/acme").location
    assert parse_qs(urlsplit(location).query)["scope"] == [sent]
    begun = site.browser().do(lambda: site.blueprint.begin(scope="email").location)
    assert "openid" in parse_qs(urlsplit(begun).query)["scope"][0].split()


@pytest.mark.parametrize("use_pkce", [None, False])
def test_each_login_has_its_own_nonce(openid: OpenIDProvider, use_pkce: bool | None) -> None:
    """It is another one for each login, and the session has nothing more to keep for it."""
    site = make_openid_site(openid, use_pkce=use_pkce)
    browser = site.browser()
    queries = [
        parse_qs(urlsplit(browser.get("/login/acme").location).query, strict_parsing=True)
        for _ in range(2)
    ]
    first, second = [query["nonce"][0] for query in queries]
    assert len(first) == len(second) == 43
    assert first != second
    assert not {first, second} & {query["state"][0] for query in queries}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
def test_keys_of_each_kind_count(openid: OpenIDProvider, kind: str) -> None:
    """RSA, elliptic curves and EdDSA."""
    openid.rotate(kind=kind)
    assert log_in(make_openid_site(openid), openid).location == "/"


Lie = Callable[[OpenIDProvider], None]


def unsigned(openid: OpenIDProvider) -> None:
    """There is no signature."""
    openid.forge = lambda claims, header: (
        f"{b64(json.dumps({**header, 'alg': 'none'}).encode())}.{b64(json.dumps(claims).encode())}."
    )


def by_the_public_key(openid: OpenIDProvider) -> None:
    """The attack on libraries that take the algorithm from the token: RFC 8725 section 2.1."""

    def forge(claims: dict[str, Any], header: dict[str, Any]) -> str:
        text = ".".join(
            b64(json.dumps(each).encode()) for each in ({**header, "alg": "HS256"}, claims)
        )
        return (
            f"{text}.{b64(hmac.digest(rsa_key().as_pem(private=False), text.encode(), 'sha256'))}"
        )

    openid.forge = forge


def by_the_client_secret(openid: OpenIDProvider) -> None:
    """The blueprint has not asked for that."""
    key = OctKey.import_key(CLIENT_SECRET)
    openid.forge = lambda claims, header: sign(claims, key, {"alg": "HS256"})


def by_another_key(openid: OpenIDProvider) -> None:
    """Its name is known, and the key is another one."""
    openid.bodies["/jwks"] = {"keys": [{**rsa_key(1).as_dict(private=False), "kid": "rsa-0"}]}


def claims(**changes: Any) -> Lie:
    """Some claims are others; ``None`` is left out."""
    return lambda openid: openid.claims.update(changes)


def header(**changes: Any) -> Lie:
    """Some members of the header are others."""
    return lambda openid: openid.header.update(changes)


def token(text: Any) -> Lie:
    """The ID token is something else."""
    return lambda openid: setattr(openid, "forge", lambda claims, header: text)


def soon(seconds: float) -> float:
    """Return the time in so many seconds."""
    return time.time() + seconds


REFUSED: dict[str, tuple[str, Lie]] = {
    "aud": ("for another client", claims(aud="somebody else")),
    "aud: others": ("for another client", claims(aud=["one", "two"])),
    "aud: none": ("for another client", claims(aud=None)),
    "aud: no text": ("for another client", claims(aud=[CLIENT_ID, 1])),
    "azp": ("issued to another client", claims(azp="somebody else")),
    "azp: of several": ("issued to another client", claims(aud=[CLIENT_ID, "two"], azp="two")),
    "azp: missing": ("issued to another client", claims(aud=[CLIENT_ID, "two"])),
    "iss": ("another issuer", claims(iss="https://evil.example")),
    "iss: none": ("another issuer", claims(iss=None)),
    "iss: a slash": ("another issuer", lambda openid: openid.claims.update(iss=f"{openid.url}/")),
    "nonce": ("another login", claims(nonce="another")),
    "nonce: none": ("another login", claims(nonce=None)),
    "nonce: a number": ("another login", claims(nonce=1)),
    "exp": ("expired", lambda openid: openid.claims.update(exp=soon(-61))),
    "exp: none": ("expired", claims(exp=None)),
    "exp: text": ("expired", claims(exp="tomorrow")),
    "exp: true": ("expired", claims(exp=True)),
    "exp: NaN": ("expired", claims(exp=float("nan"))),
    "exp: huge": ("expired", claims(exp=10**400)),
    "iat": ("in the future", lambda openid: openid.claims.update(iat=soon(90))),
    "iat: none": ("in the future", claims(iat=None)),
    "nbf": ("not hold yet", lambda openid: openid.claims.update(nbf=soon(90))),
    "nbf: text": ("not hold yet", claims(nbf="now")),
    "sub: none": ("no subject", claims(sub=None)),
    "sub: empty": ("no subject", claims(sub="")),
    "sub: a number": ("no subject", claims(sub=1)),
    "sub: long": ("no subject", claims(sub="x" * 256)),
    "sub: a surrogate": ("no subject", claims(sub="\ud800")),
    "sub: a line break": ("no subject", claims(sub="ann\nbob")),
    "at_hash": ("another access token", claims(at_hash="another")),
    "none": ("algorithm", unsigned),
    "HS256 by the public key": ("algorithm", by_the_public_key),
    "HS256 by the secret": ("algorithm", by_the_client_secret),
    "crit": ("algorithm", header(crit=["exp"])),
    "access token": ("of another kind", header(typ="at+jwt")),
    "logout token": ("of another kind", header(typ="application/Logout+JWT")),
    "alg: none": ("algorithm", token(f"{b64(b'{}')}.{b64(b'{}')}.")),
    "another key": ("not signed by a key", by_another_key),
    "unknown key": ("not signed by a key", header(kid="another")),
    "no ID token": ("no ID token", token("")),
    "no ID token, null": ("no ID token", token(None)),
    "a number": ("no ID token", token(7)),
    "no JWT": ("no signed JSON Web Token", token("rubbish")),
    "no JSON": ("no signed JSON Web Token", token("a.b.c")),
    "no object": ("no signed JSON Web Token", token(f"{b64(b'[]')}.{b64(b'{}')}.c")),
    "five parts": ("no signed JSON Web Token", token("a.b.c.d.e")),
    "long": ("no signed JSON Web Token", token(f"{'a' * 70_000}.b.c")),
}


@pytest.mark.parametrize(("reason", "lie"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_id_token_ends_the_login(
    openid: OpenIDProvider, signals: Signals, reason: str, lie: Lie
) -> None:
    """Nothing is stored, the signal says why, and what was issued is revoked."""
    # What it announces is not to be believed either.
    openid.metadata["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS256"]
    lie(openid)
    site = make_openid_site(openid)
    browser = site.browser()
    assert log_in(site, openid, browser).status_code == 302
    [told] = signals.of("oauth-error")
    assert told["error"] == "invalid_id_token"
    assert reason in told["error_description"]
    assert browser.stored is None
    assert browser.do(lambda: site.blueprint.session.id_claims) is None
    assert openid.count("/revoke") == 2
    assert signals.of("oauth-authorized") == []


def test_what_may_be_is_taken(openid: OpenIDProvider) -> None:
    """An old iat, several audiences, an extra header, a key without a name, no at_hash."""
    openid.claims = {
        "aud": ["two", CLIENT_ID],
        "azp": CLIENT_ID,
        "iat": 1,
        "exp": time.time() - 30,
        "at_hash": None,
        "nbf": time.time() + 30,
    }
    openid.header = {"kid": None, "x5t": "aa", "mine": 1, "x5c": ["A" * 2000]}
    assert log_in(make_openid_site(openid), openid).location == "/"


def test_a_provider_that_knows_no_nonce(openid: OpenIDProvider, signals: Signals) -> None:
    """None is sent and none is needed, if the blueprint says so."""
    site = make_openid_site(openid, use_nonce=False)
    assert log_in(site, openid).location == "/"
    assert "nonce" not in signals.of("oauth-before-login")[0]["url"]


def test_hs256_counts_if_the_blueprint_says_so(openid: OpenIDProvider, signals: Signals) -> None:
    """With the client secret, and with nothing else."""
    site = make_openid_site(openid, id_token_algorithms=["HS256"])
    openid.algorithm, openid.keys = "HS256", [OctKey.import_key(CLIENT_SECRET, {"kid": "a"})]
    assert log_in(site, openid).location == "/"
    openid.keys = [OctKey.import_key("some other text of enough length", {"kid": "a"})]
    log_in(site, openid)
    assert signals.of("oauth-error")[-1]["error"] == "invalid_id_token"
    openid.algorithm, openid.keys = "RS256", [rsa_key()]
    log_in(site, openid)
    assert len(signals.of("oauth-error")) == 2


def test_a_secret_that_can_not_be_had_any_more(openid: OpenIDProvider, signals: Signals) -> None:
    """A function for the secret that fails between the exchange and the check ends the login."""
    openid.algorithm, openid.keys = "HS256", [OctKey.import_key(CLIENT_SECRET, {"kid": "a"})]
    secrets = iter([CLIENT_SECRET])
    site = make_openid_site(
        openid, client_secret=lambda: next(secrets), id_token_algorithms=["HS256"]
    )
    browser = site.browser()
    assert log_in(site, openid, browser).status_code == 302
    assert [told["error"] for told in signals.of("oauth-error")] == ["temporarily_unavailable"]
    assert browser.stored is None


@pytest.mark.parametrize("secret", [None, "", rsa_key().as_pem(private=False).decode()])
def test_a_secret_that_is_none_signs_nothing(
    openid: OpenIDProvider, signals: Signals, secret: str | None
) -> None:
    """Neither an empty one nor a public key can be what a token is signed with."""
    site = make_openid_site(openid, client_secret=secret, id_token_algorithms=["HS256"])

    def forge(claims: dict[str, Any], header: dict[str, Any]) -> str:
        text = ".".join(b64(json.dumps(each).encode()) for each in ({"alg": "HS256"}, claims))
        return f"{text}.{b64(hmac.digest((secret or '').encode(), text.encode(), 'sha256'))}"

    openid.forge = forge
    log_in(site, openid)
    assert "not signed by a key" in signals.of("oauth-error")[0]["error_description"]


def test_a_client_with_a_private_key(openid: OpenIDProvider) -> None:
    """Its statement is for the issuer."""
    key = ECKey.generate_key("P-256")
    method = PrivateKeyJWT(key.as_pem(private=True), "ES256")
    site = make_openid_site(openid, client_secret=None, token_endpoint_auth_method=method)
    assert log_in(site, openid).location == "/"
    statement = openid.form()["client_assertion"]
    assert jwt.decode(statement, key, algorithms=["ES256"]).claims["aud"] == openid.url


def test_a_fixed_nonce_is_an_error(openid: OpenIDProvider) -> None:
    """The blueprint makes it, as it makes the state."""
    site = make_openid_site(openid)
    with pytest.raises(ConfigurationError, match="nonce"):
        site.browser().do(lambda: site.blueprint.begin(nonce="mine"))


@pytest.mark.parametrize(
    ("advertised", "iss", "error"),
    [
        (True, None, "mismatching_issuer"),
        (True, "https://evil.example", "mismatching_issuer"),
        (None, "https://evil.example", "mismatching_issuer"),
        ("true", None, "mismatching_issuer"),
        ("false", None, None),
        (True, "own", None),
        (None, None, None),
        (None, "own", None),
    ],
)
def test_the_response_says_whose_it_is_where_that_is_advertised(
    openid: OpenIDProvider, signals: Signals, advertised: Any, iss: str | None, error: str | None
) -> None:
    """As of RFC 9207: a missing or another issuer is refused before the code is sent anywhere."""
    openid.metadata["authorization_response_iss_parameter_supported"] = advertised
    if iss is not None:
        openid.authorizes = {**openid.authorizes, "iss": openid.url if iss == "own" else iss}
    log_in(make_openid_site(openid), openid)
    assert [each["error"] for each in signals.of("oauth-error")] == ([error] if error else [])
    assert openid.count("/token") == (0 if error else 1)


def test_no_secret_of_a_login_reaches_a_log(
    openid: OpenIDProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Login, refused login and refresh at level DEBUG: no ID token, and no part of one."""
    site = make_openid_site(openid)
    browser = site.browser()
    with caplog.at_level(logging.DEBUG):
        log_in(site, openid, browser)
        secrets = [browser.stored[name] for name in ("id_token", "access_token", "id_token_seal")]
        browser.connect({**browser.stored, "expires_at": 1})
        browser.call()
        secrets += [browser.stored[name] for name in ("id_token", "access_token")]
        forged = sign({"sub": "x"}, rsa_key(1), {"alg": "RS256"})
        openid.forge = lambda claims, header: forged
        log_in(site, openid, browser)
        secrets.append(forged)
    text = "\n".join(f"{each.getMessage()} {each.args} {each.exc_text}" for each in caplog.records)
    parts = [part for secret in secrets for part in secret.split(".") if len(part) > 12]
    # All headers are alike, and no secret.
    assert not [part for part in parts if part in text and not part.startswith("eyJhbGc")]
