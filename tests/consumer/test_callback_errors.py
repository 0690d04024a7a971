"""What a provider says of an error when it sends the visitor back."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import session as flask_session
from requests.auth import HTTPBasicAuth

from ..rotating import RotatingProvider
from .conftest import Signals
from .site import Browser, make_site, of_user

PAGE = "https://docs.example/errors"


def come_back(browser: Browser, state: str, **arguments: str) -> Any:
    """Come back with these arguments."""
    return browser.get(f"/login/acme/authorized?{urlencode({'state': state, **arguments})}")


@pytest.mark.parametrize("error", ["", " ", "0", "null", "None", "false"])
def test_error_that_says_nothing(rotating: RotatingProvider, signals: Signals, error: str) -> None:
    """A3: an empty error beside a code is none."""
    browser = make_site(rotating, of_user()).browser()
    rotating.approve("new")
    come_back(browser, browser.begin(), code="CODE123", error=error, error_code=error)
    assert signals.of("oauth-error") == []
    assert browser.stored["access_token"] == "at-new-0"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"error": "access_denied"}, ("access_denied", None, None)),
        (
            {"error": "a", "error_description": "b", "error_uri": PAGE},
            ("a", "b", PAGE),
        ),
        ({"error": "a", "error_uri": "javascript:alert(1)"}, ("a", None, None)),
        (
            {"error_code": "1349126", "error_message": "App not active"},
            ("1349126", "App not active", None),
        ),
        ({"error": "", "error_code": "7", "error_message": "no"}, ("7", "no", None)),
        ({"error_message": "no"}, ("missing_code", "no", None)),
        ({"error": "a", "error_message": "b", "code": "CODE123"}, ("a", "b", None)),
        ({"error": "no\r\nWARNING x"}, ("no WARNING x", None, None)),
        ({"error": "a" * 5_000}, ("a" * 297 + "...", None, None)),
        ({"error": "a", "error_description": "\u202ex\u0000y"}, ("a", "x y", None)),
    ],
)
def test_error_is_told(
    rotating: RotatingProvider, signals: Signals, arguments: dict[str, str], told: Any
) -> None:
    """A2, A14: error, description and page are told as clean text, in whichever form they come."""
    browser = make_site(rotating, of_user()).browser()
    assert come_back(browser, browser.begin(), **arguments).status_code == 302
    [sent] = signals.of("oauth-error")
    assert tuple(sent.values()) == told
    assert rotating.asked == []


def in_disorder() -> str:
    """Fail to get a client secret."""
    raise RuntimeError("client-secret")


class Pin:
    """An authentication of an application's own."""

    def __init__(self, pin: Any) -> None:
        self.pin = pin

    def __call__(self, request: Any) -> Any:
        """Authenticate a request."""
        request.headers["X-Pin"] = "client-secret"
        return request


SECRETS: dict[str, dict[str, Any]] = {
    "text": {},
    "function": {"client_secret": lambda: "client-secret"},
    "parameter": {"client_secret": None, "token_url_params": {"client_secret": "client-secret"}},
    "pair": {"client_secret": None, "token_endpoint_auth_method": ("id", "client-secret")},
    "authentication": {"token_endpoint_auth_method": HTTPBasicAuth("id", "client-secret")},
    "authentication of their own": {"token_endpoint_auth_method": Pin("client-secret")},
    **{
        f"parameter, {name}": {"client_secret": None, "token_url_params": parameters}
        for name, parameters in {
            "header": {"headers": {"X-Pin": "client-secret"}},
            "bearer": {"headers": {"authorization": b"Bearer client-secret"}},
            "basic": {
                "headers": {"Authorization": f"Basic {b64encode(b'id:client-secret').decode()}"}
            },
            "assertion": {"client_assertion": "client-secret"},
            "password": {"username": "u", "password": "client-secret"},
            "unusual": {"pin": "client-secret"},
            "nested": {"auth": Pin(("id", b"client-secret"))},
        }.items()
    },
    "parameter of a refresh": {
        "client_secret": None,
        "auto_refresh_kwargs": {"client_secret": "client-secret"},
    },
    "unusual parameter of a refresh": {"auto_refresh_kwargs": {"pin": "client-secret"}},
    "settings in disorder": {
        "client_secret": in_disorder,
        "token_url_params": {"pin": "client-secret"},
    },
}


@pytest.mark.parametrize("place", SECRETS)
@pytest.mark.parametrize("name", ["error", "error_description", "error_message", "error_uri"])
def test_error_shows_no_secret(
    rotating: RotatingProvider,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
    name: str,
    place: str,
) -> None:
    """A2: code, state, verifier and client secret are shown in none of them."""
    browser = make_site(rotating, of_user(), **SECRETS[place]).browser()
    state = browser.begin()
    verifier = browser.do(lambda: flask_session["acme_oauth_code_verifier"])
    secrets = ("CODE123", state, verifier, "client-secret")
    text = f"https://docs.example/{'/'.join(secrets)}"
    with caplog.at_level(logging.DEBUG):
        come_back(browser, state, code="CODE123", **{"error": "a", name: text})
    [sent] = signals.of("oauth-error")
    for secret in secrets:
        assert secret not in f"{sent} {caplog.text}"


def test_error_is_told_without_a_client_secret(
    rotating: RotatingProvider, signals: Signals
) -> None:
    """Where the secret can't be had, the visitor's error is told all the same."""
    browser = make_site(rotating, of_user(), client_secret=in_disorder).browser()
    come_back(browser, browser.begin(), error="access_denied")
    assert [sent["error"] for sent in signals.of("oauth-error")] == ["access_denied"]
