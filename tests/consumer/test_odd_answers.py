"""Whatever a token or revocation endpoint answers, nothing breaks, and no good token is lost."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from oauthlib.oauth1 import SIGNATURE_HMAC

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.errors import TokenRefreshError, TokenRevoked

from ..rotating import RotatingProvider
from .conftest import Signals, make_app
from .odd_answers import CREDENTIALS, JSON, ODD_ANSWERS, REFUSALS, TOKENS, Odd
from .site import make_site, of_user, pass_time, soon, warnings_of


def named(answers: list[Odd]) -> Any:
    """Run a test with each of the answers."""
    return pytest.mark.parametrize(
        "odd", answers, ids=[each.name.encode("unicode_escape").decode() for each in answers]
    )


def has(token: dict[str, Any], right: Any) -> bool:
    """Whether a token has the right fields, and not those that were to be dropped."""
    return all(token.get(name) == value for name, value in right.items())


@named(TOKENS)
def test_exchange_gives_a_token(rotating: RotatingProvider, signals: Signals, odd: Odd) -> None:
    """A4: a login stores a token that is odd in what is optional, and can be used."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    rotating.grant("new")
    state = browser.begin()
    rotating.odd = odd.sent
    assert browser.finish(state).location == "/"
    assert signals.of("oauth-error") == []
    expected = {"scope": (odd.right["scope"] or None)} if "scope" in odd.right else {}
    assert has(browser.stored, {**odd.right, **expected})
    assert browser.do(lambda: site.blueprint.session.authorized)
    assert browser.call() == 200


@named(REFUSALS)
def test_exchange_gives_none(rotating: RotatingProvider, signals: Signals, odd: Odd) -> None:
    """A1, A12, A13: a login that gets no token is told, and what is stored stays."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    stored = browser.stored
    state = browser.begin()
    rotating.odd = odd.sent
    assert browser.finish(state).status_code == 302
    [sent] = signals.of("oauth-error")
    assert sent["error"] == odd.right
    assert isinstance(sent["error_description"], str | None)
    assert browser.stored == stored


@named(TOKENS)
def test_refresh_gives_a_token(rotating: RotatingProvider, odd: Odd) -> None:
    """A3, A4: a refresh keeps the new token; without a new refresh token, the old one stays."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.grant("new")
    rotating.odd = odd.sent
    assert browser.call() == 200
    right = {name: value for name, value in odd.right.items() if value is not None}
    assert has(browser.stored, {"refresh_token": "rt-ann-0", **right})


@named(REFUSALS)
def test_refresh_gives_none(rotating: RotatingProvider, odd: Odd) -> None:
    """A13: a refresh that gets no token is an error for a token that has ended, and no other."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = odd.sent
    with pytest.raises(TokenRefreshError):
        browser.call()
    assert browser.stored["access_token"] == "at-ann-0"
    browser.connect(rotating.grant(expires_at=soon(30)))
    assert browser.call() == 200


@named(ODD_ANSWERS)
def test_revocation(rotating: RotatingProvider, odd: Odd) -> None:
    """A13: whatever the answer to a revocation is, the token goes here, and the caller is told."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    browser.connect(rotating.grant())
    rotating.odd = odd.sent
    is_confirmed = browser.do(site.blueprint.revoke)
    assert browser.stored is None
    if odd.status >= 400 or odd.right not in ("missing_token", "temporarily_unavailable"):
        assert is_confirmed is odd.is_token


def of_oauth1(
    provider: RotatingProvider,
    backend: Any,
    signature: str = SIGNATURE_HMAC,
    client_secret: str = "cs-secret",
) -> OAuth1ConsumerBlueprint:
    """Make an OAuth 1 blueprint."""
    return OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        "key",
        client_secret,
        signature_method=signature,
        base_url=f"{provider.url}/",
        request_token_url=f"{provider.url}/request",
        authorization_url=f"{provider.url}/authorize",
        access_token_url=f"{provider.url}/access",
        backend=backend,
    )


OAUTH1 = [*CREDENTIALS, *(each._replace(right="missing_token") for each in ODD_ANSWERS)]


@named(OAUTH1)
def test_temporary_credentials(rotating: RotatingProvider, signals: Signals, odd: Odd) -> None:
    """A10, A13: OAuth 1's first step goes on with what can be used, and is told otherwise."""
    rotating.odd = odd.sent
    client = make_app(of_oauth1(rotating, MemoryBackend())).test_client()
    location = client.get("/login/acme").location
    assert location.startswith(f"{rotating.url}/authorize?oauth_token=ot") is odd.is_token
    assert len(signals.of("oauth-error")) == (not odd.is_token)


@named(OAUTH1)
def test_token_credentials(rotating: RotatingProvider, signals: Signals, odd: Odd) -> None:
    """A10, A13: so does its last one; a token with an empty secret signs calls."""
    backend = MemoryBackend()
    blueprint = of_oauth1(rotating, backend)
    app = make_app(blueprint)
    client = app.test_client()
    rotating.odd = 200, JSON, b"oauth_token=tt&oauth_token_secret="
    handle = dict(parse_qsl(urlsplit(client.get("/login/acme").location).query))["oauth_token"]
    rotating.odd = odd.sent
    answer = client.get(f"/login/acme/authorized?oauth_token={handle}&oauth_verifier=v")
    assert answer.location == "/"
    assert len(signals.of("oauth-error")) == (not odd.is_token)
    if not odd.is_token:
        assert backend.token is None
        return
    assert has(backend.token or {}, odd.right)
    rotating.odd = None
    with app.test_request_context():
        assert blueprint.session.authorized
        blueprint.session.get("api")
    [asked] = rotating.calls("/api")
    assert 'oauth_token="ot"' in asked.headers["Authorization"]


@pytest.mark.parametrize("path", ["exchange", "refresh"])
def test_dropped_fields_are_told_once(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """A4: one log line names the provider and the fields, and has no control characters."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.grant("new")
    rotating.odd = (
        200,
        JSON,
        b'{"access_token": "at-new-0", "scope": 5, "a\\nb": NaN, "expires_in": ""}',
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        if path == "refresh":
            browser.call()
        else:
            browser.login()
    [line] = [each for each in warnings_of(caplog).splitlines() if "odd fields" in each]
    assert line.endswith("'acme' has odd fields, which are dropped: scope, a b")


@pytest.mark.parametrize("revokes", [True, False])
def test_what_came_with_an_unusable_access_token_is_revoked(
    rotating: RotatingProvider, revokes: bool
) -> None:
    """A12: a refresh token that nobody has must not live on at the provider."""
    browser = make_site(rotating, of_user(), revokes=revokes).browser()
    state = browser.begin()
    rotating.odd = 200, JSON, b'{"access_token": "a\\nb", "refresh_token": "rt-new-0"}'
    browser.finish(state)
    assert [each["token"] for each in rotating.revoked] == (["rt-new-0"] if revokes else [])


def test_rotated_refresh_token_is_kept(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A12: a refresh without a usable access token loses no refresh token that came with it."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect({**rotating.grant(), "note": "mine"})
    rotating.odd = 200, JSON, b'{"access_token": "a\\nb", "refresh_token": "rt-ann-1"}'
    with pytest.raises(TokenRefreshError):
        browser.call()
    stored = browser.stored
    assert (stored["refresh_token"], stored["note"]) == ("rt-ann-1", "mine")
    assert stored["expires_at"] == 1.0
    rotating.grants["ann"].generation = 1
    rotating.odd = None
    pass_time(monkeypatch, 11)
    assert browser.call() == 200
    assert (browser.stored["refresh_token"], rotating.spent) == ("rt-ann-2", 0)


@pytest.mark.parametrize(
    ("written", "stored"),
    [("12345", "12345"), (r'"rt-1\n"', "rt-1"), (r'"\r\n rt 1\r\n"', " rt 1")],
)
def test_refresh_token_that_is_written_oddly(
    rotating: RotatingProvider, written: str, stored: str
) -> None:
    """A number, or a text with a line break after it, is the text that it is meant to be."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = 200, JSON, f'{{"access_token": "at", "refresh_token": {written}}}'.encode()
    browser.call()
    assert browser.stored["refresh_token"] == stored


ISSUED = {"access_token": 5, "refresh_token": "rt-ann-1"}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, ISSUED),
        (500, ISSUED),
        (200, [ISSUED]),
        (200, {"data": ISSUED}),
        (200, {"data": {"token": ISSUED}}),
        (200, {"data": [{"tokens": [ISSUED]}]}),
        (200, {"data": {"token": {**ISSUED, "access_token": "at-ann-1"}}}),
        (400, {"data": {"token": ISSUED}}),
        (200, {**ISSUED, "refresh_token": 71}),
    ],
)
def test_rotated_refresh_token_is_found(
    rotating: RotatingProvider, status: int, answer: Any
) -> None:
    """Whatever the status beside an access token, and whatever envelope it comes in."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = status, JSON, json.dumps(answer).encode()
    with pytest.raises(TokenRefreshError):
        browser.call()
    assert browser.stored["refresh_token"] in ("rt-ann-1", "71")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"refresh_token": "This field is invalid."}),
        (400, {"errors": {"refresh_token": "is unknown"}}),
        (200, {"error": "bad", "refresh_token": "is unknown"}),
        (200, {"error": {"code": "bad", "refresh_token": "is unknown"}}),
        (200, {"data": {"data": {"data": {"data": {"data": ISSUED}}}}}),
        (200, {"refresh_token": True}),
        (200, {"refresh_token": "rt\n1"}),
    ],
)
def test_word_about_a_refresh_token(rotating: RotatingProvider, status: int, answer: Any) -> None:
    """What an error says of a refresh token is no new one."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = status, JSON, json.dumps(answer).encode()
    with pytest.raises(TokenRefreshError):
        browser.call()
    assert browser.stored["refresh_token"] == "rt-ann-0"


@pytest.mark.parametrize("error", ["invalid_grant", "bad"])
@pytest.mark.parametrize("status", [200, 201])
def test_refresh_token_beside_an_error(rotating: RotatingProvider, error: str, status: int) -> None:
    """Who issues a new refresh token has not ended the grant, whatever the error says."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    answer = {"error": error, "access_token": "at-ann-1", "refresh_token": "rt-ann-1"}
    rotating.odd = status, JSON, json.dumps(answer).encode()
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert type(caught.value) is TokenRefreshError
    assert browser.stored["refresh_token"] == "rt-ann-1"


def test_old_refresh_token_beside_an_error(rotating: RotatingProvider) -> None:
    """The old one is none that was issued: the grant has ended."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = 200, JSON, b'{"error": "invalid_grant", "refresh_token": "rt-ann-0"}'
    with pytest.raises(TokenRevoked):
        browser.call()
    assert browser.stored is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_request", "InvalidRequestError"),
        ("invalid_grant", "InvalidGrantError"),
        ("temporarily_unavailable", "TemporarilyUnavailableError"),
        ("missing_token", "MissingTokenError"),
        ("of_their_own", "CustomOAuth2Error"),
    ],
)
def test_cause_of_a_failed_refresh(rotating: RotatingProvider, code: str, kind: str) -> None:
    """It is oauthlib's error of the provider's code."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect(rotating.grant())
    rotating.odd = 400, JSON, json.dumps({"error": code}).encode()
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert type(caught.value.__cause__).__name__ == kind
