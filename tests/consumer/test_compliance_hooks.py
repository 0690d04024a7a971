"""What users of requests-oauthlib register to mend answers goes first, and then the reader."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests_oauthlib.compliance_fixes as fixes
from flask import copy_current_request_context
from oauthlib.oauth2 import InvalidGrantError
from requests import ConnectTimeout

from flask_dance_nosql.consumer import OAuth2Session
from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    ConfigurationError,
    TokenRefreshError,
    TokenRevoked,
    UserRequired,
)

from ..rotating import RotatingProvider
from .conftest import Signals
from .odd_answers import GOOD, JSON
from .site import Task, make_site, of_user, soon


def session_with(register: Callable[[Any], object]) -> type[OAuth2Session]:
    """Return a class of sessions on which something is registered when they are made."""

    class Session(OAuth2Session):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            register(self)

    return Session


def hooked(hook: Callable[[Any], Any]) -> type[OAuth2Session]:
    """Return a class of sessions with a hook for both kinds of token answers."""

    def register(session: Any) -> None:
        session.register_compliance_hook("access_token_response", hook)
        session.register_compliance_hook("refresh_token_response", hook)

    return session_with(register)


def unwrap(response: Any) -> Any:
    """Take the token out of an envelope."""
    response._content = json.dumps(response.json()["data"]).encode()
    return response


@pytest.mark.parametrize("call", ["exchange", "refresh"])
def test_hook_sees_the_answer_as_it_came(rotating: RotatingProvider, call: str) -> None:
    """A hook takes a token out of an envelope, and what it gives is made sane."""
    site = make_site(rotating, of_user(), session_class=hooked(unwrap))
    browser = site.browser()
    rotating.grant("new")
    browser.connect(rotating.grant())
    answer = {"data": {**GOOD, "scope": 5, "expires_in": "3600.0"}, "error": {"code": "ok"}}
    rotating.odd = 200, JSON, json.dumps(answer).encode()
    if call == "exchange":
        browser.login()
    else:
        assert browser.call() == 200
    stored = browser.stored
    assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-new-0")
    assert stored["expires_in"] == 3600
    assert "scope" not in stored


def raising(error: Exception) -> Callable[[Any], Any]:
    """Return a hook that raises an error."""

    def hook(response: Any) -> Any:
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (unwrap, "JSONDecodeError"),
        (lambda response: response.json()["data"], "JSONDecodeError"),
        (lambda response: None, "AttributeError"),
        (raising(KeyError("client-secret")), "KeyError"),
        (raising(RecursionError()), "RecursionError"),
        (raising(ZeroDivisionError("CODE123")), "ZeroDivisionError"),
    ],
)
def test_hook_that_fails(
    rotating: RotatingProvider, signals: Signals, hook: Any, told: str
) -> None:
    """It is a failed dance and a failed refresh, which tell the kind of error and no more."""
    browser = make_site(rotating, of_user(), session_class=hooked(hook)).browser()
    state = browser.begin()
    rotating.odd = 200, JSON, b"<html>"
    assert browser.finish(state).status_code == 302
    [sent] = signals.of("oauth-error")
    assert sent["error"] == "missing_token"
    assert told in sent["error_description"]
    assert "client-secret" not in str(sent)
    browser.connect(rotating.grant())
    with pytest.raises(TokenRefreshError, match=told):
        browser.call()


def test_hook_that_says_what_is_wrong(rotating: RotatingProvider, signals: Signals) -> None:
    """Its errors of oauthlib and requests are told as the provider's, without secrets."""
    error = InvalidGrantError(description="no CODE123 nor rt-ann-0")
    browser = make_site(rotating, of_user(), session_class=hooked(raising(error))).browser()
    rotating.approve("new")
    browser.login()
    [sent] = signals.of("oauth-error")
    assert (sent["error"], sent["error_description"]) == ("invalid_grant", "no *** nor rt-ann-0")
    away = make_site(rotating, of_user(), session_class=hooked(raising(ConnectTimeout("x"))))
    away.browser().login()
    assert signals.of("oauth-error")[-1]["error"] == "temporarily_unavailable"


def test_hook_that_raises_an_error_of_this_package(
    rotating: RotatingProvider, signals: Signals
) -> None:
    """It fails the dance as any other error does, and tells its text, without secrets."""
    hook = raising(ConfigurationError("mine, at-new-0"))
    browser = make_site(rotating, of_user(), session_class=hooked(hook)).browser()
    rotating.approve("new")
    browser.login()
    [sent] = signals.of("oauth-error")
    assert "ConfigurationError: mine, ***" in sent["error_description"]


def refusing(session: Any) -> None:
    """Let a hook of requests refuse each answer of the token endpoint."""
    refuse_at(session, "/token")


def refusing_all(session: Any) -> None:
    """Let it refuse each answer."""
    refuse_at(session, "/")


def refuse_at(session: Any, path: str) -> None:
    """Let it refuse each answer of an endpoint."""

    def refuse(response: Any, **kwargs: Any) -> None:
        if path in response.url:
            raise KeyError(response.text)

    session.hooks["response"].append(refuse)


FAILING: dict[str, tuple[Any, dict[str, Any]]] = {
    "errors is null": (session_with(fixes.fitbit_compliance_fix), {"errors": None}),
    "errors is a list": (session_with(fixes.fitbit_compliance_fix), {"errors": []}),
    "errors is an object": (session_with(fixes.fitbit_compliance_fix), {"errors": {}}),
    "any error": (hooked(raising(ZeroDivisionError("rt-ann-1"))), {}),
    "no response": (hooked(lambda response: None), {}),
    "oauthlib's": (hooked(raising(InvalidGrantError(description="no rt-ann-1"))), {}),
    "oauthlib's warning": (hooked(raising(Warning("at-ann-1"))), {}),
    "requests'": (hooked(raising(ConnectTimeout("at-ann-1"))), {}),
    "this package's": (hooked(raising(ConfigurationError("at-ann-1"))), {}),
    "a hook of requests": (session_with(refusing), {}),
    "an envelope": (hooked(unwrap), {"data": None}),
}


@pytest.mark.parametrize("name", FAILING)
def test_refresh_token_outlives_a_hook_that_fails(rotating: RotatingProvider, name: str) -> None:
    """What the answer has issued is kept, whatever a hook makes of it: the old one is spent."""
    session_class, rotating.extra = FAILING[name]
    browser = make_site(rotating, of_user(), session_class=session_class).browser()
    browser.connect(rotating.grant())
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert "ann-1" not in f"{caught.value} {caught.value.__cause__!r}"
    assert browser.stored["refresh_token"] == "rt-ann-1"
    assert rotating.live()


@pytest.mark.parametrize("name", FAILING)
def test_what_a_failed_login_was_issued_is_revoked(
    rotating: RotatingProvider, signals: Signals, name: str
) -> None:
    """Nobody has it, and nobody will; and the error tells nothing of it."""
    session_class, extra = FAILING[name]
    browser = make_site(rotating, of_user(), session_class=session_class, revokes=True).browser()
    rotating.approve("new", **extra)
    assert browser.login().status_code == 302
    assert [each["token"] for each in rotating.revoked] == ["rt-new-0", "at-new-0"]
    [sent] = signals.of("oauth-error")
    assert "new-0" not in str(sent)


def test_all_hooks_come_before_the_reader(rotating: RotatingProvider) -> None:
    """However many there are: none is given what the reader has made of the answer."""
    seen = []

    def noting(number: int) -> Callable[[Any], Any]:
        def hook(response: Any) -> Any:
            seen.append((number, response.content))
            return response

        return hook

    def register(session: Any) -> None:
        for number in range(8):
            session.register_compliance_hook("access_token_response", noting(number))

    browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
    rotating.grant("new")
    state = browser.begin()
    body = b"access_token=at-new-0&scope="
    rotating.odd = 200, JSON, body
    browser.finish(state)
    assert {number for number, _ in seen} == set(range(8))
    assert {content for _, content in seen} == {body}
    assert browser.stored["access_token"] == "at-new-0"


FIXES: dict[str, tuple[Any, bytes, str | None]] = {
    "ebay": (
        fixes.ebay_compliance_fix,
        b'{"access_token": "at", "token_type": "Application Access Token"}',
        None,
    ),
    "facebook": (fixes.facebook_compliance_fix, b"access_token=at&expires=60", None),
    "facebook, refused": (
        fixes.facebook_compliance_fix,
        b'{"error": {"message": "no", "type": "OAuthException", "code": 100}}',
        "100",
    ),
    "fitbit": (fixes.fitbit_compliance_fix, b'{"access_token": "at"}', None),
    "fitbit, refused": (
        fixes.fitbit_compliance_fix,
        b'{"errors": [{"errorType": "invalid_grant", "message": "no"}]}',
        "invalid_grant",
    ),
    "mailchimp": (
        fixes.mailchimp_compliance_fix,
        b'{"access_token": "at", "expires_in": 0, "scope": null}',
        None,
    ),
    "plentymarkets": (
        fixes.plentymarkets_compliance_fix,
        b'{"accessToken": "at", "tokenType": "Bearer"}',
        None,
    ),
    "weibo": (fixes.weibo_compliance_fix, b'{"access_token": "at"}', None),
}


@pytest.mark.parametrize("name", FIXES)
def test_fixes_of_requests_oauthlib(
    rotating: RotatingProvider, signals: Signals, name: str
) -> None:
    """The compliance fixes that come with it work as there."""
    fix, body, error = FIXES[name]
    browser = make_site(rotating, of_user(), session_class=session_with(fix)).browser()
    state = browser.begin()
    rotating.odd = 200, JSON, body
    browser.finish(state)
    assert [sent["error"] for sent in signals.of("oauth-error")] == ([error] if error else [])
    assert (browser.stored or {}).get("access_token") == (None if error else "at")


def test_fitbit_ends_with_and_without_its_fix(rotating: RotatingProvider) -> None:
    """A grant that has ended is known by what the provider said, hook or no hook."""
    rotating.odd = 400, JSON, b'{"errors": [{"errorType": "invalid_grant", "message": "no"}]}'
    for options in ({}, {"session_class": session_with(fixes.fitbit_compliance_fix)}):
        browser = make_site(rotating, of_user(), **options).browser()
        browser.connect(rotating.grant())
        with pytest.raises(TokenRevoked):
            browser.call()


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b'{"error": "invalid_grant"}', TokenRevoked), (b"<html>", TokenRefreshError)],
)
def test_session_that_raises_for_each_bad_status(
    rotating: RotatingProvider, signals: Signals, body: bytes, kind: type[Exception]
) -> None:
    """A hook of requests, as many sessions have it, keeps nobody from what the provider said."""

    def register(session: Any) -> None:
        session.hooks["response"].append(lambda response, **kwargs: response.raise_for_status())

    browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
    state = browser.begin()
    rotating.odd = 400, JSON, body
    browser.finish(state)
    [sent] = signals.of("oauth-error")
    assert sent["error"] == ("invalid_grant" if kind is TokenRevoked else "missing_token")
    browser.connect(rotating.grant())
    with pytest.raises(kind) as caught:
        browser.call()
    assert type(caught.value) is kind
    assert caught.value.needs_login


@pytest.mark.parametrize(
    ("body", "confirmed"),
    [(b'{"error": "unsupported_token_type"}', True), (b'{"error": "invalid_request"}', False)],
)
def test_revocation_by_a_session_that_raises_for_each_bad_status(
    rotating: RotatingProvider, body: bytes, confirmed: bool
) -> None:
    """Neither do such hooks keep a revocation from what the provider said."""

    def register(session: Any) -> None:
        session.hooks["response"].append(lambda response, **kwargs: response.raise_for_status())

    site = make_site(rotating, of_user(), session_class=session_with(register))
    browser = site.browser()
    browser.connect({"access_token": "at-ann-0"})
    rotating.odd = 400, JSON, body
    assert browser.do(site.blueprint.revoke) is confirmed
    assert browser.stored is None


def test_revocation_by_a_session_whose_hook_fails(rotating: RotatingProvider) -> None:
    """It is not confirmed, and the token goes all the same."""
    site = make_site(rotating, of_user(), session_class=session_with(refusing_all))
    browser = site.browser()
    browser.connect(rotating.grant())
    assert browser.do(site.blueprint.revoke) is False
    assert browser.stored is None


def test_hook_that_asks_again(rotating: RotatingProvider) -> None:
    """What a hook of requests gets by another call, as Digest does, is read like an answer."""

    def register(session: Any) -> None:
        def again(response: Any, **kwargs: Any) -> Any:
            rotating.odd = None
            return response.connection.send(response.request, **kwargs)

        session.hooks["response"].append(again)

    browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
    rotating.approve("new")
    state = browser.begin()
    rotating.odd = 401, JSON, b"{}"
    browser.finish(state)
    assert browser.stored["access_token"] == "at-new-0"


@pytest.mark.parametrize("error", [UserRequired("mine"), ZeroDivisionError("mine")])
def test_hook_that_fails_before_the_call(rotating: RotatingProvider, error: Exception) -> None:
    """Nobody was asked anything, so that the application's own error is passed on."""

    def fail(*asked: Any) -> Any:
        raise error

    def register(session: Any) -> None:
        session.register_compliance_hook("access_token_request", fail)

    browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
    with pytest.raises(type(error), match="mine"):
        browser.login()
    assert rotating.asked == []


@pytest.mark.parametrize("kind", [KeyError, ValueError, TypeError, ConnectTimeout])
def test_hook_that_keeps_a_call_from_being_made(
    rotating: RotatingProvider, signals: Signals, kind: type[Exception]
) -> None:
    """It is told that no request was made, since no answer of the provider's is to blame."""

    def fail(*asked: Any) -> Any:
        raise kind("CODE123")

    def register(session: Any) -> None:
        session.register_compliance_hook("access_token_request", fail)
        session.register_compliance_hook("refresh_token_request", fail)

    browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
    told = f"No request was made: {kind.__name__}."
    browser.login()
    assert signals.of("oauth-error")[-1]["error_description"] == told
    browser.connect(rotating.grant())
    with pytest.raises(TokenRefreshError, match=told):
        browser.call()
    assert rotating.asked == []


@pytest.mark.filterwarnings("ignore:`client_id` has been deprecated:DeprecationWarning")
def test_setting_that_keeps_a_call_from_being_made(
    rotating: RotatingProvider, signals: Signals
) -> None:
    """So it is where oauthlib refuses what it is to send, as another client's id."""
    params = {"client_id": "another"}
    make_site(rotating, of_user(), token_url_params=params).browser().login()
    [sent] = signals.of("oauth-error")
    assert sent["error_description"] == "No request was made: ValueError."


class TestClientOfTheSession:
    """Hooks that look at the client of the session, as LinkedIn's users have them."""

    def test_hook_of_a_call_reads_its_token(self, rotating: RotatingProvider) -> None:
        """What requests-oauthlib calls before it signs, and what it signs with, know the token."""

        def register(session: Any) -> None:
            def add_parameter(url: str, headers: Any, data: Any) -> Any:
                return f"{url}?token={session._client.access_token}", headers, data

            def add_header(uri: str, method: str, body: Any, headers: Any, place: Any) -> Any:
                header = f"Bearer {session._client.access_token}"
                return uri, {**headers, "Authorization": header}, body

            session.register_compliance_hook("protected_request", add_parameter)
            session._client._add_bearer_token = add_header

        browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
        browser.connect(rotating.grant())
        assert browser.call() == 200
        [asked] = rotating.calls("/api")
        assert asked.path == "/api?token=at-ann-1"

    def test_hook_that_sets_the_token_counts(self, rotating: RotatingProvider) -> None:
        """The call goes out with what a hook has made of the client, and the next one does not."""
        tokens = iter(["other"])

        def register(session: Any) -> None:
            def change(*call: Any) -> Any:
                session._client.access_token = next(tokens, session._client.access_token)
                return call

            session.register_compliance_hook("protected_request", change)

        site = make_site(rotating, of_user(), session_class=session_with(register))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon(3600)))

        def call_twice() -> None:
            for _ in range(2):
                site.blueprint.session.get("api")

        browser.do(call_twice)
        signed = [each.headers["Authorization"] for each in rotating.calls("/api")]
        assert signed[0] == "Bearer other"
        assert signed[-1].startswith("Bearer at-ann-")

    def test_hooks_of_a_refresh_read_the_token_of_before(self, rotating: RotatingProvider) -> None:
        """The request for a refresh and its answer find the token that is being refreshed."""
        seen = []

        def register(session: Any) -> None:
            def look(*given: Any) -> Any:
                seen.append((session._client.access_token, session._client.refresh_token))
                return given if len(given) > 1 else given[0]

            session.register_compliance_hook("refresh_token_request", look)
            session.register_compliance_hook("refresh_token_response", look)

        browser = make_site(rotating, of_user(), session_class=session_with(register)).browser()
        browser.connect(rotating.grant())
        assert browser.call() == 200
        assert seen == [("at-ann-0", "rt-ann-0")] * 2

    def test_threads_read_each_their_own(self, rotating: RotatingProvider) -> None:
        """Calls of one session at the same time, with two users' tokens, are not mixed up."""
        users, together = threading.local(), threading.Barrier(2)
        backend = UserScopedBackend(MemoryStore(), user_id=lambda: users.name)

        def register(session: Any) -> None:
            def look(url: str, headers: Any, data: Any) -> Any:
                together.wait(60)
                found = session._client.access_token
                together.wait(60)
                return f"{url}/{found}", headers, data

            session.register_compliance_hook("protected_request", look)

        site = make_site(rotating, backend, session_class=session_with(register))

        def act(name: str) -> None:
            users.name = name
            session.get(f"of/{name}")

        with site.app.test_request_context():
            for users.name in ("ann", "bob"):
                token = rotating.grant(users.name, expires_at=soon(3600))
                backend.set(site.blueprint, token)
            session = site.blueprint.session
            run = copy_current_request_context
            for task in [Task(partial(run(act), name)) for name in ("ann", "bob")]:
                assert task.result is None
            assert session._client.access_token is None
        paths = sorted(each.path for each in rotating.asked)
        assert paths == ["/of/ann/at-ann-0", "/of/bob/at-bob-0"]
