"""The client says who it is in the same way for exchange, refresh and revocation."""

from __future__ import annotations

import base64
import itertools
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from requests.auth import AuthBase

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.errors import ConfigurationError, TokenRefreshError

from ..rotating import Asked, RotatingProvider
from .conftest import Signals
from .site import Browser, make_site, of_user


class MyAuth(AuthBase):
    """An authentication of the application's own."""

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = "Mine of-my-own"
        return request


def basic(client_id: str = "id", secret: str = "client-secret") -> str:
    """Return the header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


class Case(NamedTuple):
    """Options of a blueprint, and what the three calls have of the client."""

    name: str
    options: dict[str, Any]
    header: str | None
    fields: dict[str, str] = {}
    calls: tuple[str, ...] = ("exchange", "refresh", "revocation")


BOTH = {"client_id": "id", "client_secret": "client-secret"}
PUBLIC = {"client_id": "id"}
CASES = [
    Case("default", {}, basic()),
    Case("no secret", {"client_secret": None}, None, PUBLIC),
    Case("empty secret", {"client_secret": ""}, None, PUBLIC),
    Case("function", {"client_secret": lambda: "client-secret"}, basic()),
    Case("function without a secret", {"client_secret": lambda: None}, None, PUBLIC),
    Case(
        "secret beyond ASCII", {"client_secret": "gehe\u00edm 秘"}, basic(secret="gehe\u00edm 秘")
    ),
    Case("basic", {"token_endpoint_auth_method": "client_secret_basic"}, basic()),
    Case("post", {"token_endpoint_auth_method": "client_secret_post"}, None, BOTH),
    Case("none", {"token_endpoint_auth_method": "none"}, None, PUBLIC),
    Case("object", {"token_endpoint_auth_method": MyAuth()}, "Mine of-my-own"),
    Case("pair", {"token_endpoint_auth_method": ("me", "pass")}, basic("me", "pass")),
    Case(
        "method before parameters",
        {
            "token_endpoint_auth_method": "client_secret_basic",
            "token_url_params": {"include_client_id": True},
        },
        basic(),
    ),
    Case(
        "post of a function",
        {
            "token_endpoint_auth_method": "client_secret_post",
            "client_secret": lambda: "client-secret",
        },
        None,
        BOTH,
    ),
    Case("include_client_id", {"token_url_params": {"include_client_id": True}}, None, BOTH),
    Case("include_client_id is False", {"token_url_params": {"include_client_id": False}}, basic()),
    Case(
        "include_client_id without a secret",
        {"client_secret": None, "token_url_params": {"include_client_id": True}},
        None,
        PUBLIC,
    ),
    Case("auth", {"token_url_params": {"auth": MyAuth()}}, "Mine of-my-own"),
    Case(
        "auth and include_client_id",
        {"token_url_params": {"auth": MyAuth(), "include_client_id": True}},
        "Mine of-my-own",
        BOTH,
    ),
    Case(
        "auth without a secret",
        {"client_secret": None, "token_url_params": {"auth": ("me", "pass")}},
        basic("me", "pass"),
    ),
    Case("another secret", {"token_url_params": {"client_secret": "else"}}, basic(secret="else")),
    Case(
        "auth of a refresh",
        {"auto_refresh_kwargs": {"auth": MyAuth()}},
        "Mine of-my-own",
        calls=("refresh",),
    ),
    Case(
        "auth of a refresh only",
        {"auto_refresh_kwargs": {"auth": MyAuth()}},
        basic(),
        calls=("exchange", "revocation"),
    ),
    Case(
        "secret of a refresh",
        {"auto_refresh_kwargs": {"client_id": "id", "client_secret": "other"}},
        None,
        {"client_id": "id", "client_secret": "other"},
        ("refresh",),
    ),
    Case(
        "refresh of a public client",
        {
            "client_secret": None,
            "auto_refresh_kwargs": {"client_id": None, "client_secret": None, "scope": "a"},
        },
        None,
        PUBLIC,
        ("refresh",),
    ),
    Case(
        "secret of a refresh by a function",
        {"auto_refresh_kwargs": {"client_secret": lambda: "other"}},
        None,
        {"client_id": "id", "client_secret": "other"},
        ("refresh",),
    ),
    Case("no secret in parameters", {"token_url_params": {"client_secret": None}}, basic()),
    Case(
        "include_client_id of a refresh",
        {"auto_refresh_kwargs": {"include_client_id": True}},
        None,
        BOTH,
        ("refresh",),
    ),
]


def ask(browser: Browser, rotating: RotatingProvider, call: str) -> Asked:
    """Make one of the calls, and return it."""
    blueprint = browser.site.blueprint
    if call == "exchange":
        rotating.approve("new")
        assert browser.login().location == "/"
        assert browser.stored is not None
    else:
        browser.connect(rotating.grant())
        assert browser.call() == 200 if call == "refresh" else browser.do(blueprint.revoke)
    return rotating.calls("/revoke" if call == "revocation" else "/token")[0]


def form(asked: Asked) -> dict[str, str]:
    """Return the fields of a request's body."""
    fields = parse_qs(asked.body.decode(), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


@pytest.mark.parametrize("call", ["exchange", "refresh", "revocation"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_client_says_who_it_is(rotating: RotatingProvider, case: Case, call: str) -> None:
    """A5, A6: in one way, whichever call it is, and in no other way besides."""
    if call not in case.calls:
        return
    asked = ask(make_site(rotating, of_user(), **case.options).browser(), rotating, call)
    assert asked.headers.get("Authorization") == case.header
    about = {name: value for name, value in form(asked).items() if name.startswith("client_")}
    assert about == case.fields
    others = {"token", "token_type_hint", "grant_type", "refresh_token", "code", "code_verifier"}
    assert set(form(asked)) <= {*others, "redirect_uri", *case.fields, "scope"}


@pytest.mark.parametrize("call", ["exchange", "refresh", "revocation"])
def test_own_headers(rotating: RotatingProvider, call: str) -> None:
    """A6: headers that say who asks go along with each call, and with none to the API."""
    params = {"headers": {"X-Key": "k"}, "auth": MyAuth()}
    browser = make_site(rotating, of_user(), token_url_params=params).browser()
    asked = ask(browser, rotating, call)
    assert asked.headers["X-Key"] == "k"
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["Authorization"] == "Mine of-my-own"
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert all("X-Key" not in each.headers for each in rotating.calls("/api"))
    assert params["headers"] == {"X-Key": "k"}


@pytest.mark.parametrize("call", ["exchange", "refresh", "revocation"])
def test_ways_of_a_call(
    rotating: RotatingProvider, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A6: certificate, proxies, timeout and TLS settings hold for each call, and are not posted."""
    from requests.adapters import HTTPAdapter

    seen = []
    send = HTTPAdapter.send

    def note(self: Any, request: Any, **kwargs: Any) -> Any:
        seen.append((urlsplit(request.url).path, kwargs))
        return send(self, request, **{**kwargs, "proxies": {}, "cert": None})

    monkeypatch.setattr(HTTPAdapter, "send", note)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    ways = {"verify": False, "cert": "/mine.pem", "proxies": {"https": "http://p"}, "timeout": 7.0}
    browser = make_site(rotating, of_user(), token_url_params=ways).browser()
    asked = ask(browser, rotating, call)
    kwargs = next(sent for path, sent in seen if path == urlsplit(asked.path).path)
    assert {name: kwargs[name] for name in ways} | {"proxies": None} == ways | {"proxies": None}
    assert kwargs["proxies"]["https"] == "http://p"
    assert not {*form(asked)} & {*ways}


def test_ways_of_a_refresh(rotating: RotatingProvider) -> None:
    """A6: those in ``auto_refresh_kwargs`` are not posted as text; parameters are."""
    given = {"headers": {"X-Key": "k"}, "timeout": 5, "verify": False, "resource": "r"}
    browser = make_site(rotating, of_user(), auto_refresh_kwargs=given).browser()
    asked = ask(browser, rotating, "refresh")
    assert asked.headers["X-Key"] == "k"
    assert set(form(asked)) == {"grant_type", "refresh_token", "resource"}


def test_refresh_of_ones_own(rotating: RotatingProvider) -> None:
    """A6: so it is where the application calls ``session.refresh_token``."""
    auth, given = MyAuth(), {"auth": MyAuth(), "cert": None, "resource": "r"}
    site = make_site(rotating, of_user(), auto_refresh_kwargs={**given, "auth": auth})
    browser = site.browser()
    browser.connect(rotating.grant())
    token = browser.do(lambda: site.blueprint.session.refresh_token(f"{rotating.url}/token"))
    assert token["refresh_token"] == "rt-ann-1"
    [asked] = rotating.calls("/token")
    assert asked.headers["Authorization"] == "Mine of-my-own"
    assert set(form(asked)) == {"grant_type", "refresh_token", "resource"}


def test_secret_is_made_for_each_call(rotating: RotatingProvider) -> None:
    """A function's secret is short-lived: it is asked for once at each call, and at no other."""
    numbers = itertools.count()
    site = make_site(rotating, of_user(), client_secret=lambda: f"secret-{next(numbers)}")
    browser = site.browser()
    rotating.approve("new")
    browser.login()
    browser.connect({**browser.stored, "expires_at": 1.0})
    assert browser.call() == 200
    headers = [asked.headers["Authorization"] for asked in rotating.calls("/token")]
    assert headers == [basic(secret="secret-0"), basic(secret="secret-1")]
    assert next(numbers) == 2


def test_secret_may_come_from_the_configuration(rotating: RotatingProvider) -> None:
    """The app's configuration may have the secret, the function or the method."""
    site = make_site(rotating, of_user(), client_secret=None)
    site.blueprint.from_config.update(client_secret="SECRET", token_endpoint_auth_method="METHOD")
    site.app.config.update(SECRET=lambda: "of the app", METHOD="client_secret_post")
    asked = ask(site.browser(), rotating, "refresh")
    assert form(asked)["client_secret"] == "of the app"


@pytest.mark.parametrize("method", ["client_secret_baisc", "private_key_jwt", "", 5, ("a",), []])
def test_method_that_is_none(method: Any) -> None:
    """A typo is an error where it is made, and names what there is."""
    with pytest.raises(ConfigurationError, match=r"client_secret_basic.*client_secret_post"):
        OAuth2ConsumerBlueprint("acme", __name__, token_endpoint_auth_method=method)


@pytest.mark.parametrize("setting", ["token_url_params", "auto_refresh_kwargs"])
@pytest.mark.parametrize("auth", [(), ("s3cret",), ("me", "s3cret", 1), ["me", "s3cret"], "s3cret"])
def test_auth_that_is_none(setting: str, auth: Any) -> None:
    """What requests can't take as auth is an error where it is made, which does not show it."""
    with pytest.raises(ConfigurationError, match=f"{setting} is a dict in which auth") as caught:
        OAuth2ConsumerBlueprint("acme", __name__, **{setting: {"auth": auth}})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("call", ["exchange", "refresh"])
def test_no_auth_at_all(rotating: RotatingProvider, call: str) -> None:
    """``False`` keeps the client's id and secret out of the header, as in requests-oauthlib."""
    site = make_site(rotating, of_user(), token_url_params={"auth": False})
    assert "Authorization" not in ask(site.browser(), rotating, call).headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_method_that_needs_a_secret(rotating: RotatingProvider, method: str) -> None:
    """Without a secret, a method that needs one is an error that says so."""
    site = make_site(rotating, of_user(), client_secret=None, token_endpoint_auth_method=method)
    browser = site.browser()
    browser.connect(rotating.grant())
    with pytest.raises(ConfigurationError, match="client_secret"):
        browser.do(site.blueprint.revoke)


@pytest.mark.parametrize("secret", [lambda: 5, lambda: b"bytes"], ids=["number", "bytes"])
def test_secret_that_is_none(rotating: RotatingProvider, secret: Any) -> None:
    """A function whose secret is no text is an error that does not show it."""
    site = make_site(rotating, of_user(), client_secret=secret)
    browser = site.browser()
    browser.connect(rotating.grant())
    with pytest.raises(ConfigurationError, match="A client_secret is a str"):
        browser.do(site.blueprint.revoke)


def locked() -> str:
    """Fail to get a client secret."""
    raise RuntimeError("the vault is locked; its key is k3y")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"client_secret": locked}, "RuntimeError"),
        ({"token_url_params": {"verify": "/missing.pem"}}, "OSError"),
    ],
)
def test_client_that_can_not_say_who_it_is(
    rotating: RotatingProvider,
    signals: Signals,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    told: str,
) -> None:
    """A secret or a certificate that can't be had fails a dance, a refresh and a revocation."""
    if "client_secret" not in options:
        monkeypatch.setattr(rotating.__class__, "url", "https://127.0.0.1:9")
    site = make_site(rotating, of_user(), **options)
    browser = site.browser()
    assert browser.login().status_code == 302
    [sent] = signals.of("oauth-error")
    assert sent["error"] == "temporarily_unavailable"
    assert told in sent["error_description"]
    browser.connect(rotating.grant())
    with pytest.raises(TokenRefreshError, match=told) as caught:
        browser.call()
    assert not caught.value.needs_login
    assert "k3y" not in f"{sent} {caught.value} {caught.value.__cause__!r}"
    assert caught.value.__context__ is None
    assert browser.do(site.blueprint.revoke) is False
    assert browser.stored is None
