"""What a session tells of who has logged in, later on."""

from __future__ import annotations

from typing import Any

import pytest

from flask_dance_nosql.consumer import OAuth2Session, oauth_authorized
from flask_dance_nosql.consumer.oidc import OIDCSession
from flask_dance_nosql.consumer.oidc.id_token import InvalidIDToken
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.errors import ConfigurationError, ProviderError, TokenRefreshError

from ..site import of_user, warnings_of
from .provider import OpenIDProvider, log_in, make_openid_site


def claims_in(browser: Any) -> Any:
    """Return the claims that the session of a browser has."""
    return browser.do(lambda: browser.site.blueprint.session.id_claims)


def test_claims_are_read_without_any_call(openid: OpenIDProvider) -> None:
    """Also when the ID token has expired, and the provider is gone."""
    site = make_openid_site(openid, backend=of_user())
    browser = site.browser()
    log_in(site, openid, browser)
    openid.asked.clear()
    assert claims_in(browser)["sub"] == "ann"
    assert openid.asked == []
    with site.app.app_context(), site.blueprint.user_session(user_id=1) as session:
        assert session.id_claims["sub"] == "ann"


def test_receivers_of_a_login_have_the_claims(openid: OpenIDProvider) -> None:
    """``oauth_authorized`` is where accounts are found or made."""
    site, seen = make_openid_site(openid), []

    def receive(blueprint: Any, token: Any) -> None:
        seen.append(blueprint.session.id_claims)

    with oauth_authorized.connected_to(receive, site.blueprint):
        log_in(site, openid)
    assert seen[0]["sub"] == "ann"


def test_claims_that_were_not_validated_here_don_t_count(openid: OpenIDProvider) -> None:
    """Whoever puts a token into the backend, with a seal of another blueprint, app or token."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    good = browser.stored
    forged = openid.sign("at")
    for token in (
        {"access_token": "at", "id_token": forged},
        {**good, "id_token": forged},
        {**good, "id_token_seal": "x"},
        {**good, "id_token_seal": 5},
        {**good, "id_token": None},
        {**good, "id_token": "a.b.c"},
        {**good, "id_token_seal": ""},
    ):
        browser.connect(token)
        assert claims_in(browser) is None
    browser.connect(good)
    assert claims_in(browser)["sub"] == "ann"
    other = make_openid_site(openid, client_id="another").browser()
    other.connect(good)
    assert claims_in(other) is None


def test_claims_outlive_a_new_secret_key(openid: OpenIDProvider) -> None:
    """While the old one is among the fallbacks, as Flask has it."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    site.app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["for tests"])
    assert claims_in(browser)["sub"] == "ann"
    site.app.config["SECRET_KEY_FALLBACKS"] = None
    assert claims_in(browser) is None


def test_without_a_secret_key_there_are_no_claims(
    openid: OpenIDProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to mark them with, which is said. Outside of an app it is refused."""
    blueprint = (site := make_openid_site(openid)).blueprint
    token = {"access_token": "at", "id_token": openid.sign("at")}
    with site.app.app_context():
        assert blueprint.claims_of(blueprint.sealed(token))
        site.app.config["SECRET_KEY"] = None
        assert blueprint.claims_of(blueprint.sealed(token)) is None
    assert "SECRET_KEY" in warnings_of(caplog)
    with pytest.raises(InvalidIDToken, match="app context"):
        blueprint.sealed(token)


def expired(browser: Any) -> None:
    """Have the token of a browser expire."""
    browser.connect({**browser.stored, "expires_at": 1})


def test_a_refresh_brings_new_claims(openid: OpenIDProvider) -> None:
    """Its ID token is validated, and takes the place of the old one."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    expired(browser)
    openid.claims = {"name": "Ann B."}
    assert browser.call() == 200
    assert claims_in(browser)["name"] == "Ann B."
    assert "nonce" not in claims_in(browser)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "bob"},
        {"iss": "https://evil.example"},
        {"aud": "somebody else"},
        {"nonce": "another"},
        {"exp": 1},
        {"at_hash": "another"},
    ],
    ids=str,
)
def test_an_invalid_id_token_of_a_refresh_costs_nothing_else(
    openid: OpenIDProvider, caplog: pytest.LogCaptureFixture, claims: dict[str, Any]
) -> None:
    """The new access token is used and stored, with the claims of before."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    before, known = browser.stored, claims_in(browser)
    expired(browser)
    openid.claims = claims
    assert browser.call() == 200
    assert browser.stored["access_token"] != before["access_token"]
    assert browser.stored["id_token"] == before["id_token"]
    assert claims_in(browser) == known
    assert "ID token" in warnings_of(caplog)
    assert openid.refreshes == 1


@pytest.mark.parametrize("stored", [{}, {"id_token": None}, {"id_token": "a.b.c"}], ids=str)
def test_an_id_token_of_a_refresh_needs_one_before_it(
    openid: OpenIDProvider, stored: dict[str, Any]
) -> None:
    """Without claims that were validated here, nobody can tell whether it is the same account's."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    before = browser.stored
    site.app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=None)
    browser.connect({**before, **stored, "expires_at": 1})
    openid.claims = {"sub": "mallory"}
    assert browser.call() == 200
    assert browser.stored["access_token"] != before["access_token"]
    assert claims_in(browser) is None


def test_no_error_of_the_validation_costs_a_refresh(
    openid: OpenIDProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one that nobody has thought of; what its text shows is not known."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    expired(browser)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("of-a-secret")

    monkeypatch.setattr(site.blueprint, "sealed", fail)
    assert browser.call() == 200
    assert browser.stored["access_token"] == "at-ann-1"
    assert "RuntimeError" in warnings_of(caplog)
    assert "of-a-secret" not in caplog.text


def test_keys_that_are_down_cost_no_refresh(openid: OpenIDProvider) -> None:
    """In a new process, which has no keys yet, the new access token is kept all the same."""
    backend = of_user()
    first = make_openid_site(openid, backend=backend).browser()
    log_in(first.site, openid, first)
    second = make_openid_site(openid, backend=backend).browser()
    expired(second)
    openid.down = {"/jwks"}
    assert second.call() == 200
    assert claims_in(second)["sub"] == "ann"


def test_a_discovery_that_is_down_is_a_refresh_that_failed(openid: OpenIDProvider) -> None:
    """The token stays, nobody is sent to a login, and the next call asks again."""
    backend = of_user()
    first = make_openid_site(openid, backend=backend).browser()
    log_in(first.site, openid, first)
    site = make_openid_site(openid, backend=backend)
    second = site.browser()
    expired(second)
    openid.down = {"/.well-known/openid-configuration"}
    assert second.do(lambda: site.blueprint.session.authorized) is True
    with pytest.raises(TokenRefreshError) as caught:
        second.call()
    assert not caught.value.needs_login
    assert second.stored["refresh_token"]


def test_userinfo(openid: OpenIDProvider) -> None:
    """It is asked for with the token."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    assert browser.do(site.blueprint.session.userinfo) == {"sub": "ann", "name": "Ann"}
    assert openid.calls("/userinfo")[0].headers["Authorization"].startswith("Bearer at-ann")


@pytest.mark.parametrize(
    "answer",
    [{"sub": "bob"}, {"name": "Ann"}, {}, [], b"rubbish", b"", b"a" * 300_000],
    ids=lambda each: str(each)[:10],
)
def test_userinfo_of_somebody_else_is_refused(openid: OpenIDProvider, answer: Any) -> None:
    """So is what is no claims at all, and what has no end."""
    from requests import RequestException

    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    openid.user = answer
    with pytest.raises((ProviderError, RequestException)):
        browser.do(site.blueprint.session.userinfo)


def test_userinfo_needs_an_id_token(openid: OpenIDProvider) -> None:
    """There is nothing else to compare it with."""
    site = make_openid_site(openid)
    browser = site.browser()
    browser.connect({"access_token": "at"})
    with pytest.raises(ProviderError, match="no validated ID token"):
        browser.do(site.blueprint.session.userinfo)


def test_revocation_finds_its_endpoint(openid: OpenIDProvider) -> None:
    """It is a discovered one, too."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    assert browser.do(site.blueprint.revoke) is True
    assert browser.stored is None
    assert openid.count("/revoke") == 2


def test_a_token_goes_although_discovery_is_down(openid: OpenIDProvider) -> None:
    """The visitor has asked for that, and it is said that the provider has not confirmed it."""
    site = make_openid_site(openid)
    browser = site.browser()
    browser.connect({"access_token": "at", "refresh_token": "rt"})
    openid.down = {"/.well-known/openid-configuration"}
    assert browser.do(site.blueprint.revoke) is False
    assert browser.stored is None


def test_a_session_class_has_to_be_of_openid(openid: OpenIDProvider) -> None:
    """Another one would not validate what a refresh brings."""

    class Mine(OIDCSession):
        """A session of the application's own."""

    assert make_openid_site(openid, session_class=Mine).blueprint.session_class is Mine
    with pytest.raises(ConfigurationError, match="OIDCSession"):
        make_oidc_blueprint("acme", issuer=openid.url, session_class=OAuth2Session)
    assert OIDCSession().id_claims is None
