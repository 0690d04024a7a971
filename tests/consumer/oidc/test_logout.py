"""Logging out at the provider."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from flask_dance_nosql.consumer.backend import TokenCipher, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError, ProviderError

from .provider import CLIENT_ID, OpenIDProvider, log_in, make_openid_site


def test_the_url_has_no_token(openid: OpenIDProvider) -> None:
    """It has the client, the user as the provider knows them, and where to go then."""
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    token = browser.stored
    url = browser.do(lambda: site.blueprint.logout_url("https://app.example/bye", state="s 1"))
    assert url.startswith(f"{openid.url}/logout?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": "https://app.example/bye",
        "state": "s 1",
        "logout_hint": "ann",
    }
    assert not [part for part in token["id_token"].split(".") if part in url]
    assert browser.stored is None


@pytest.mark.parametrize(
    ("claims", "hint", "sent"),
    [
        ({}, "me", "me"),
        ({}, None, "ann"),
        ({"login_hint": "l"}, None, "l"),
        ({"login_hint": "\ud800"}, None, "?"),
    ],
)
def test_the_hint(openid: OpenIDProvider, claims: Any, hint: Any, sent: str) -> None:
    """One of yours comes first, then the provider's own, whatever it is, then the subject."""
    site = make_openid_site(openid)
    browser = site.browser()
    openid.claims = claims
    log_in(site, openid, browser)
    url = browser.do(lambda: site.blueprint.logout_url(logout_hint=hint))
    assert dict(parse_qsl(urlsplit(url).query))["logout_hint"] == sent


def test_the_page_posts_the_id_token(openid: OpenIDProvider) -> None:
    """The hint is in the body of the page, which nobody keeps, and not in its URL."""
    openid.metadata["end_session_endpoint"] = f"{openid.url}/logout?a=1&b=%22"
    site = make_openid_site(openid)
    browser = site.browser()
    log_in(site, openid, browser)
    token = browser.stored
    page = browser.do(lambda: site.blueprint.logout("https://app.example/bye", state='"><b>'))
    text = page.get_data(as_text=True)
    assert f'action="{openid.url}/logout?a=1&amp;b=%22"' in text
    assert f'name="id_token_hint" value="{token["id_token"]}"' in text
    assert "<b>" not in text
    assert page.headers["Cache-Control"] == "no-store"
    assert browser.stored is None
    again = browser.do(lambda: site.blueprint.logout().get_data(as_text=True))
    assert "id_token_hint" not in again


def test_the_token_goes_although_the_provider_does_not_answer(openid: OpenIDProvider) -> None:
    """The visitor has asked for that."""
    site = make_openid_site(openid)
    openid.metadata = {"issuer": None}
    browser = site.browser()
    browser.connect({"access_token": "at"})
    with pytest.raises(ProviderError):
        browser.do(site.blueprint.logout_url)
    assert browser.stored is None


def test_a_provider_without_logout_is_an_error_at_once(openid: OpenIDProvider) -> None:
    """Google has no such endpoint. It is found out in the first try, which changes nothing."""
    site = make_openid_site(openid)
    openid.metadata = {"end_session_endpoint": None}
    browser = site.browser()
    log_in(site, openid, browser)
    for work in (site.blueprint.logout_url, site.blueprint.logout):
        with pytest.raises(ConfigurationError, match="del blueprint"):
            browser.do(work)
    assert browser.do(lambda: site.blueprint.session.id_claims["sub"]) == "ann"


def test_the_url_to_go_to_is_full(openid: OpenIDProvider) -> None:
    """A relative one would be one at the provider; the token stays."""
    site = make_openid_site(openid)
    browser = site.browser()
    browser.connect({"access_token": "at"})
    with pytest.raises(ConfigurationError, match="_external"):
        browser.do(lambda: site.blueprint.logout_url("/bye"))
    assert browser.stored is not None


def test_the_owner_is_asked_for_once(openid: OpenIDProvider) -> None:
    """Logging out, and asking for the userinfo, are about one owner from beginning to end."""
    asked: list[str] = []

    def owner() -> str:
        asked.append(str(len(asked)))
        return asked[-1]

    backend = UserScopedBackend(MemoryStore(), user_id=owner)
    site = make_openid_site(openid, backend=backend)
    browser = site.browser()
    log_in(site, openid, browser)
    for work in (site.blueprint.logout_url, site.blueprint.logout):
        asked.clear()
        browser.do(work)
        assert len(asked) == 1
    asked.clear()
    with pytest.raises(ProviderError):
        browser.do(site.blueprint.session.userinfo)
    assert len(asked) == 1


def test_a_record_that_can_t_be_read_goes_too(openid: OpenIDProvider) -> None:
    """Promise 17: a logout removes it, and says less to the provider."""
    store = MemoryStore()
    sealing = UserScopedBackend(store, user_id=1, cipher=TokenCipher(TokenCipher.generate_key()))
    site = make_openid_site(openid, backend=sealing)
    browser = site.browser()
    log_in(site, openid, browser)
    other = TokenCipher(TokenCipher.generate_key())
    site.blueprint.backend = UserScopedBackend(store, user_id=1, cipher=other)
    url = browser.do(site.blueprint.logout_url)
    assert "logout_hint" not in url
    assert browser.stored is None
