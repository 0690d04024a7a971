"""The OAuth 2 dance, against canned answers of a provider."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import fakeredis
import pytest
import requests
import responses
from flask import Flask, Response, session
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oauthlib.oauth2 import WebApplicationClient

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint, oauth_error
from flask_dance_nosql.consumer.backend import BaseBackend, MemoryBackend, RedisBackend
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError, UserRequired

from .conftest import PROVIDER, TOKEN, Signals, make_app, make_blueprint


def begin(client: FlaskClient, path: str = "/login/acme") -> dict[str, str]:
    """Call the login view and return the parameters of the authorization request."""
    response = client.get(path)
    assert response.status_code == 302
    return dict(parse_qsl(urlsplit(response.location).query))


def finish(client: FlaskClient, path: str = "/login/acme/authorized", **params: str) -> Any:
    """Call the callback view as the provider's redirect would."""
    return client.get(path, query_string=params)


def answer_token(web: responses.RequestsMock, body: Any = TOKEN, **kwargs: Any) -> None:
    """Let the token endpoint answer with a JSON document."""
    web.post(f"{PROVIDER}/token", json=body, **kwargs)


def sent_form(web: responses.RequestsMock, index: int = -1) -> dict[str, str]:
    """Return the form of a request that was sent."""
    return dict(parse_qsl(web.calls[index].request.body))


def test_login_redirects_with_a_standard_request() -> None:
    """The login view sends the parameters of RFC 6749 section 4.1.1 and RFC 7636."""
    blueprint = make_blueprint(scope=["read", "write"], authorization_url_params={"hd": "x.org"})
    params = begin(make_app(blueprint).test_client())
    assert params.pop("state")
    assert params.pop("code_challenge")
    assert params == {
        "response_type": "code",
        "client_id": "client-id",
        "redirect_uri": "http://localhost/login/acme/authorized",
        "scope": "read write",
        "hd": "x.org",
        "code_challenge_method": "S256",
    }
    assert blueprint.authorization_url_params == {"hd": "x.org"}


def test_whole_dance_stores_the_token(web: responses.RequestsMock, signals: Signals) -> None:
    """A good callback exchanges the code, stores the token, tells receivers and redirects."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    response = finish(client, code="the-code", state=params["state"])
    assert (response.status_code, response.location) == (302, "/")
    assert backend.token is not None
    assert backend.token["access_token"] == "at-secret"
    assert backend.token["expires_at"] > 1
    [authorized] = signals.of("oauth-authorized")
    assert authorized["token"]["access_token"] == "at-secret"
    [before] = signals.of("oauth-before-login")
    assert before["url"].startswith(f"{PROVIDER}/authorize?")


def test_code_is_exchanged_with_basic_and_the_verifier(web: responses.RequestsMock) -> None:
    """The token request authenticates by HTTP Basic and proves the PKCE challenge."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="the-code", state=params["state"])
    request = web.calls[0].request
    credentials = base64.b64encode(b"client-id:client-secret").decode()
    assert request.headers["Authorization"] == f"Basic {credentials}"
    form = sent_form(web)
    challenge = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert params["code_challenge"] == base64.urlsafe_b64encode(challenge).decode().rstrip("=")
    assert form == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": "http://localhost/login/acme/authorized",
    }


def test_session_keys_are_where_users_tests_expect_them(web: responses.RequestsMock) -> None:
    """A state that a test wrote into the Flask session completes a dance without a verifier."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    with client.session_transaction() as flask_session:
        flask_session["acme_oauth_state"] = "by-hand"
    answer_token(web)
    finish(client, code="the-code", state="by-hand")
    assert backend.token is not None
    assert "code_verifier" not in sent_form(web)
    with client.session_transaction() as flask_session:
        assert set(flask_session) == {"acme_oauth_ended"}


@pytest.mark.parametrize(("use_pkce", "sent"), [(None, True), (True, True), (False, False)])
def test_pkce_is_on_unless_switched_off(
    web: responses.RequestsMock, use_pkce: bool | None, sent: bool
) -> None:
    """The challenge and the verifier are sent, except with ``use_pkce=False``."""
    client = make_app(make_blueprint(backend=MemoryBackend(), use_pkce=use_pkce)).test_client()
    params = begin(client)
    assert ("code_challenge" in params) is sent
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert ("code_verifier" in sent_form(web)) is sent


def test_plain_challenge_is_the_verifier() -> None:
    """``code_challenge_method="plain"`` sends the verifier itself, as RFC 7636 defines."""
    client = make_app(make_blueprint(code_challenge_method="plain")).test_client()
    params = begin(client)
    with client.session_transaction() as flask_session:
        assert params["code_challenge"] == flask_session["acme_oauth_code_verifier"]


def test_required_pkce_refuses_a_callback_without_verifier(signals: Signals) -> None:
    """With ``use_pkce=True`` a callback whose verifier is gone is refused."""
    client = make_app(make_blueprint(use_pkce=True)).test_client()
    with client.session_transaction() as flask_session:
        flask_session["acme_oauth_state"] = "by-hand"
    response = finish(client, code="c", state="by-hand")
    assert response.location == "/"
    assert signals.of("oauth-error")[0]["error"] == "missing_code_verifier"


def test_two_tabs_both_complete(web: responses.RequestsMock) -> None:
    """Logins begun side by side complete in any order, each with its own verifier."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    first, second, third = (begin(client) for _ in range(3))
    answer_token(web)
    for params in (second, first, third):
        assert finish(client, code="c", state=params["state"]).location == "/"
        digest = hashlib.sha256(sent_form(web)["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == params["code_challenge"]


def test_at_most_five_logins_wait(web: responses.RequestsMock, signals: Signals) -> None:
    """The sixth login begun drops the oldest and keeps the other five."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    oldest, *others = (begin(client) for _ in range(6))
    answer_token(web)
    finish(client, code="c", state=oldest["state"])
    assert signals.of("oauth-error")[0]["error"] == "mismatching_state"
    for params in others:
        finish(client, code="c", state=params["state"])
    assert len(signals.of("oauth-authorized")) == 5


def test_a_wrong_state_spoils_no_login(web: responses.RequestsMock, signals: Signals) -> None:
    """A forged callback is refused and leaves the login that is under way intact."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    params = begin(client)
    assert finish(client, code="forged", state="guess").location == "/"
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert [name for name, _ in signals][1:] == ["oauth-error", "oauth-authorized"]
    assert len(web.calls) == 1


BAD_CALLBACKS = {
    "wrong state": ({"code": "c-secret", "state": "wrong"}, "mismatching_state"),
    "no state": ({"code": "c-secret"}, "mismatching_state"),
    "strange state": ({"code": "c-secret", "state": "\u20ac\n"}, "mismatching_state"),
    "no code": ({"state": "right"}, "missing_code"),
    "denied": ({"error": "access_denied", "state": "right"}, "access_denied"),
    "denied without state": ({"error": "access_denied"}, "access_denied"),
    "foreign iss": (
        {"code": "c-secret", "state": "right", "iss": "https://evil.example"},
        "mismatching_issuer",
    ),
    "foreign iss with error": (
        {"error": "access_denied", "state": "right", "iss": "https://evil.example"},
        "mismatching_issuer",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLBACKS)
def test_bad_callback_is_told_and_stores_nothing(
    web: responses.RequestsMock, signals: Signals, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """A bad callback sends ``oauth_error``, logs no secret, redirects and loses no token."""
    params, error = BAD_CALLBACKS[case]
    backend = MemoryBackend({"access_token": "old"})
    client = make_app(make_blueprint(backend=backend, issuer="https://op.example")).test_client()
    with client.session_transaction() as flask_session:
        flask_session["acme_oauth_state"] = "right"
    with caplog.at_level(logging.DEBUG):
        response = finish(client, **params)
    assert (response.status_code, response.location) == (302, "/")
    [sent] = signals.of("oauth-error")
    assert sent["error"] == error
    assert backend.token == {"access_token": "old"}
    assert not web.calls
    assert "c-secret" not in caplog.text
    assert error in caplog.text


def test_error_description_and_uri_reach_the_receivers(signals: Signals) -> None:
    """What the provider says of an error is passed on, if a login was begun here."""
    client = make_app(make_blueprint()).test_client()
    told = {"error": "server_error", "error_description": "We are down", "error_uri": "https://x.y"}
    finish(client, **told, state=begin(client)["state"])
    assert signals.of("oauth-error") == [
        {"error": "server_error", "error_description": "We are down", "error_uri": "https://x.y"}
    ]


def test_callback_without_a_login_ends_on_a_page(signals: Signals) -> None:
    """With no login begun in this browser, the visitor is told so, and may begin one."""
    client = make_app(make_blueprint()).test_client()
    answer = finish(client, code="c", state="s")
    assert answer.status_code == 400
    assert 'href="/login/acme?retry="' in answer.text
    assert signals.of("oauth-error")[0]["error"] == "missing_state"


def test_replayed_callback_is_refused(web: responses.RequestsMock, signals: Signals) -> None:
    """A state works once: the replay is told, exchanges nothing and keeps the token."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    response = finish(client, code="c", state=params["state"])
    assert response.status_code == 302
    assert len(web.calls) == 1
    assert len(signals.of("oauth-error")) == 1
    assert backend.token is not None


def test_right_issuer_is_accepted(web: responses.RequestsMock) -> None:
    """A response that names the configured issuer completes (RFC 9207)."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend, issuer="https://op.example")).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"], iss="https://op.example")
    assert backend.token is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html>502 Bad Gateway</html>", 502),
        ("", 200),
        ("null", 200),
        ("[]", 200),
        ("7", 200),
        ('"text"', 200),
        ("{}", 200),
        ('{"access_token": null}', 200),
        ('{"access_token": ""}', 200),
        ('{"access_token": {"$ne": null}}', 200),
        ('{"error": "invalid_grant"}', 400),
        ('{"error": {"nested": 1}}', 400),
        ('{"error": "invalid_client", "error_description": "client-secret is wrong"}', 401),
    ],
)
def test_bad_token_answer_is_told_and_stores_nothing(
    web: responses.RequestsMock,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
    body: str,
    status: int,
) -> None:
    """Whatever the token endpoint answers, there is no 500, and no secret in the log."""
    backend = MemoryBackend({"access_token": "old"})
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    web.post(f"{PROVIDER}/token", body=body, status=status)
    with caplog.at_level(logging.DEBUG):
        response = finish(client, code="c-secret", state=params["state"])
    assert (response.status_code, response.location) == (302, "/")
    assert len(signals.of("oauth-error")) == 1
    assert backend.token == {"access_token": "old"}
    assert not [secret for secret in ("c-secret", "client-secret") if secret in caplog.text]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
known_fields = st.sampled_from(
    [
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "scope",
        "refresh_token",
        "error",
        "id_token",
    ]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=json_values | st.dictionaries(known_fields, json_values | st.just("x"), max_size=6))
def test_no_token_answer_makes_a_500(body: Any) -> None:
    """Any JSON at all from the token endpoint ends in a redirect, with a whole token or none."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    with responses.RequestsMock() as web:
        web.post(f"{PROVIDER}/token", body=json.dumps(body))
        assert finish(client, code="c", state=params["state"]).status_code == 302
    if backend.token is not None:
        assert isinstance(backend.token["access_token"], str)


@pytest.mark.parametrize(
    "failure",
    [
        requests.ConnectionError("secret-host"),
        requests.ReadTimeout(),
        requests.exceptions.SSLError(),
    ],
)
def test_unreachable_token_endpoint_is_told(
    web: responses.RequestsMock, signals: Signals, failure: Exception
) -> None:
    """A token endpoint that does not answer gives the visitor a redirect, not an error page."""
    client = make_app(make_blueprint(backend=MemoryBackend())).test_client()
    params = begin(client)
    web.post(f"{PROVIDER}/token", body=failure)
    assert finish(client, code="c", state=params["state"]).location == "/"
    [sent] = signals.of("oauth-error")
    assert sent["error"] == "temporarily_unavailable"
    assert type(failure).__name__ in sent["error_description"]


@pytest.mark.parametrize(("given_timeout", "expected"), [(None, (5.0, 30.0)), (2, 2)])
def test_token_request_has_a_timeout(
    web: responses.RequestsMock, given_timeout: float | None, expected: Any
) -> None:
    """The exchange waits 5 s to connect and 30 s to read unless ``timeout=`` says otherwise."""
    options = {} if given_timeout is None else {"timeout": given_timeout}
    client = make_app(make_blueprint(backend=MemoryBackend(), **options)).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert web.calls[0].request.req_kwargs["timeout"] == expected


@pytest.mark.parametrize("granted", ["read", ["read"], "other"])
def test_narrower_scope_is_stored_and_logged(
    web: responses.RequestsMock, caplog: pytest.LogCaptureFixture, granted: Any
) -> None:
    """A granted scope that lacks something is no error: it is stored as granted, and logged."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend, scope=["read", "write"])).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "scope": granted})
    assert finish(client, code="c", state=params["state"]).location == "/"
    assert backend.token is not None
    assert backend.token["scope"] == (granted.split() if isinstance(granted, str) else granted)
    assert "scope granted differs" in caplog.text


def test_scope_separated_by_commas_is_no_difference(
    web: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that separates scopes by commas causes no log line."""
    client = make_app(
        make_blueprint(backend=MemoryBackend(), scope=["read", "write"])
    ).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "scope": "write,read"})
    finish(client, code="c", state=params["state"])
    assert "differs" not in caplog.text


GOOGLE = "https://www.googleapis.com/auth/userinfo."


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (["email", "profile"], f"{GOOGLE}email openid {GOOGLE}profile"),
        ([f"{GOOGLE}email", "openid"], f"openid {GOOGLE}email {GOOGLE}profile"),
        ("read write", "read write admin"),
        (["User.Read"], "https://graph.microsoft.com/User.Read"),
    ],
)
def test_scope_by_another_name_is_no_difference(
    web: responses.RequestsMock, caplog: pytest.LogCaptureFixture, asked: Any, granted: str
) -> None:
    """A15: what is only an alias or an addition is stored as granted, and causes no warning."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend, scope=asked)).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "scope": granted})
    finish(client, code="c", state=params["state"])
    assert backend.token is not None
    assert backend.token["scope"] == granted.split()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("setting", ["authorization_url", "token_url"])
def test_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """A provider URL without TLS is an error that names the host and the setting."""
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    app = make_app(make_blueprint(**{setting: "http://plain.example/x"}))
    app.testing = True
    with pytest.raises(ConfigurationError, match=r"plain\.example.*OAUTHLIB_INSECURE_TRANSPORT"):
        app.test_client().get("/login/acme")


def test_missing_endpoint_is_named() -> None:
    """A blueprint without an authorization URL says so at the login view."""
    app = make_app(make_blueprint(authorization_url=None))
    app.testing = True
    with pytest.raises(ConfigurationError, match="authorization_url"):
        app.test_client().get("/login/acme")


def test_endpoints_may_be_relative_to_the_base_url(web: responses.RequestsMock) -> None:
    """Endpoints given as paths are resolved against ``base_url``."""
    backend = MemoryBackend()
    blueprint = make_blueprint(
        backend=backend, base_url=f"{PROVIDER}/", authorization_url="authorize", token_url="token"
    )
    client = make_app(blueprint).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert backend.token is not None


def test_relogin_keeps_the_refresh_token(web: responses.RequestsMock) -> None:
    """A new token without a refresh token gets the stored one of the same user."""
    backend = MemoryBackend({"access_token": "old", "refresh_token": "rt-kept"})
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert backend.token is not None
    assert (backend.token["access_token"], backend.token["refresh_token"]) == (
        "at-secret",
        "rt-kept",
    )


def test_relogin_prefers_the_new_refresh_token(web: responses.RequestsMock) -> None:
    """A new token with a refresh token replaces the stored one."""
    backend = MemoryBackend({"access_token": "old", "refresh_token": "rt-old"})
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "refresh_token": "rt-new"})
    finish(client, code="c", state=params["state"])
    assert backend.token is not None
    assert backend.token["refresh_token"] == "rt-new"


def test_relogin_as_another_account_drops_the_refresh_token(web: responses.RequestsMock) -> None:
    """A refresh token of one provider account is never joined to a token of another."""
    backend = MemoryBackend({"access_token": "old", "refresh_token": "rt-old", "user_id": "X"})
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "user_id": "Y"})
    finish(client, code="c", state=params["state"])
    assert backend.token is not None
    assert "refresh_token" not in backend.token


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, "/"),
        ({"redirect_to": "home"}, "/home"),
        ({"redirect_url": "/here"}, "/here"),
        ({"redirect_url": "/here", "redirect_to": "home"}, "/here"),
        ({"redirect_url": "", "redirect_to": "home"}, "/home"),
    ],
)
def test_where_the_visitor_goes(
    web: responses.RequestsMock, options: dict[str, str], target: str
) -> None:
    """``redirect_url`` comes first, then ``redirect_to``, then the root."""
    app = make_app(make_blueprint(backend=MemoryBackend(), **options))
    app.add_url_rule("/home", "home", lambda: "")
    client = app.test_client()
    params = begin(client)
    answer_token(web)
    assert finish(client, code="c", state=params["state"]).location == target


def test_receiver_that_returns_false_stores_by_itself(
    web: responses.RequestsMock, signals: Signals
) -> None:
    """``False`` from a receiver of ``oauth_authorized`` means that the blueprint does not store."""
    signals.answer = False
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    assert finish(client, code="c", state=params["state"]).location == "/"
    assert backend.token is None


@pytest.mark.parametrize("falsy", [None, 0, "", []])
def test_other_falsy_answers_do_not_stop_the_store(
    web: responses.RequestsMock, signals: Signals, falsy: Any
) -> None:
    """Only ``False`` itself keeps the blueprint from storing."""
    signals.answer = falsy
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert backend.token is not None


def test_response_of_a_receiver_goes_to_the_browser(
    web: responses.RequestsMock, signals: Signals
) -> None:
    """A response from a receiver is what the visitor gets, and the token is not stored."""
    signals.answer = Response("no entry", 403)
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    response = finish(client, code="c", state=params["state"])
    assert (response.status_code, response.text) == (403, "no entry")
    assert backend.token is None
    assert finish(client, error="access_denied").status_code == 403


def test_receiver_may_call_the_api_with_the_new_token(web: responses.RequestsMock) -> None:
    """Before the token is stored, the session already calls with it, and not with the old one."""
    backend = MemoryBackend({"access_token": "old"})
    blueprint = make_blueprint(backend=backend)
    client = make_app(blueprint).test_client()
    params = begin(client)
    answer_token(web)
    web.get(f"{PROVIDER}/api/me", json={})
    calls = []

    def receive(sender: OAuth2ConsumerBlueprint, token: dict[str, Any]) -> None:
        calls.append(sender.session.get("me").request.headers["Authorization"])

    from flask_dance_nosql.consumer import oauth_authorized

    with oauth_authorized.connected_to(receive, sender=blueprint):
        finish(client, code="c", state=params["state"])
    assert calls == ["Bearer at-secret"]
    assert "Bearer" not in web.calls[0].request.headers["Authorization"]


class RefusingBackend(BaseBackend):
    """A user's backend whose operations fail as they are told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, blueprint: Any) -> Any:
        raise self.error

    def set(self, blueprint: Any, token: Any) -> None:
        raise self.error

    def delete(self, blueprint: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (UserRequired("set"), "Cannot set OAuth token"),
        (ValueError("holds at-secret"), "ValueError"),
    ],
)
def test_token_that_is_refused_is_told(
    web: responses.RequestsMock,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    described: str,
) -> None:
    """A backend that refuses the token with a ``ValueError`` leads to ``oauth_error``."""
    client = make_app(make_blueprint(backend=RefusingBackend(error))).test_client()
    params = begin(client)
    answer_token(web, {**TOKEN, "refresh_token": "r"})
    assert finish(client, code="c", state=params["state"]).location == "/"
    [sent] = signals.of("oauth-error")
    assert sent["error"] == "token_not_stored"
    assert described in sent["error_description"]
    assert "at-secret" not in caplog.text + str(sent)


def test_missing_user_is_told_as_a_failed_set(
    web: responses.RequestsMock, signals: Signals
) -> None:
    """A dance that nobody is signed in for says that the token could not be set, not read."""
    backend = RedisBackend(fakeredis.FakeRedis(), user=lambda: None)
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    [sent] = signals.of("oauth-error")
    assert sent["error_description"] == "Cannot set OAuth token without an associated user"


def test_store_that_is_down_is_not_a_redirect(web: responses.RequestsMock) -> None:
    """A backend that can't store raises: the visitor must not be told that all is well."""
    down = RefusingBackend(BackendUnavailable("save", "MongoStore"))
    app = make_app(make_blueprint(backend=down))
    app.testing = True
    client = app.test_client()
    params = begin(client)
    answer_token(web)
    with pytest.raises(BackendUnavailable):
        finish(client, code="c", state=params["state"])


def test_backend_that_raises_in_get_yields_that_error() -> None:
    """A failing ``get`` is no "not logged in": the error comes through, and no login begins."""
    blueprint = make_blueprint(backend=RefusingBackend(RuntimeError("my store broke")))
    app = make_app(blueprint)
    app.testing = True

    @app.get("/page")
    @blueprint.session.authorization_required
    def page() -> str:
        return "never"

    with pytest.raises(RuntimeError, match="my store broke"):
        app.test_client().get("/page")


def test_state_may_be_fixed_or_made_by_a_function() -> None:
    """``state=`` takes a text or a function, as users' tests give it."""
    assert begin(make_app(make_blueprint(state="fixed")).test_client())["state"] == "fixed"
    assert begin(make_app(make_blueprint(state=lambda: "made")).test_client())["state"] == "made"


def test_client_credentials_may_go_into_the_body(web: responses.RequestsMock) -> None:
    """``token_url_params`` are arguments of ``fetch_token``, and are not changed by a dance."""
    extras = {"include_client_id": True}
    client = make_app(
        make_blueprint(backend=MemoryBackend(), token_url_params=extras)
    ).test_client()
    params = begin(client)
    answer_token(web)
    finish(client, code="c", state=params["state"])
    assert "Authorization" not in web.calls[0].request.headers
    assert sent_form(web)["client_secret"] == "client-secret"
    assert extras == {"include_client_id": True}


def test_form_encoded_token_answer_is_understood(web: responses.RequestsMock) -> None:
    """Providers that answer in the old form encoding work as well."""
    backend = MemoryBackend()
    client = make_app(make_blueprint(backend=backend)).test_client()
    params = begin(client)
    web.post(f"{PROVIDER}/token", body="access_token=form-at&token_type=bearer&scope=repo")
    finish(client, code="c", state=params["state"])
    assert backend.token is not None
    assert backend.token["access_token"] == "form-at"


def test_custom_client_is_copied_for_each_session() -> None:
    """A given oauthlib client is never written to: it would carry one user's token to the next."""
    original = WebApplicationClient("from-client")
    blueprint = make_blueprint(client_id=None, client=original, backend=MemoryBackend(dict(TOKEN)))
    with make_app(blueprint).test_request_context():
        assert blueprint.session.load_token()
        assert blueprint.session.client_id == "from-client"
        assert blueprint.session._client is not original
    assert original.access_token is None


def test_routes_can_be_named(web: responses.RequestsMock) -> None:
    """``login_url``, ``authorized_url`` and ``rule_kwargs`` shape both routes."""
    blueprint = make_blueprint(
        login_url="/in/{bp.name}",
        authorized_url="/back/{bp.name}",
        rule_kwargs={"strict_slashes": False},
    )
    app = make_app(blueprint)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    assert rules["acme.login"].rule == "/login/in/acme"
    assert rules["acme.authorized"].rule == "/login/back/acme"
    assert rules["acme.login"].strict_slashes is False
    params = begin(app.test_client(), "/login/in/acme")
    assert params["redirect_uri"] == "http://localhost/login/back/acme"


def test_nested_blueprint_finds_its_own_views() -> None:
    """A blueprint nested in another, or registered under another name, redirects to itself."""
    from flask import Blueprint

    inner = make_blueprint()
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    outer.register_blueprint(inner, name="renamed")
    app = Flask(__name__)
    app.secret_key = "x"
    app.register_blueprint(outer)
    app.add_url_rule("/page", "page", inner.session.authorization_required(lambda: "in"))
    client = app.test_client()
    assert client.get("/page").location == "/outer/acme"
    params = begin(client, "/outer/acme")
    assert params["redirect_uri"] == "http://localhost/outer/acme/authorized"


def test_dance_of_one_browser_is_not_finished_by_another(
    web: responses.RequestsMock, signals: Signals
) -> None:
    """A callback with a state of another browser is not accepted (login CSRF)."""
    app = make_app(make_blueprint(backend=MemoryBackend()))
    attacker, victim = app.test_client(), app.test_client()
    begin(victim)
    stolen = begin(attacker)["state"]
    finish(victim, code="attackers-code", state=stolen)
    assert signals.of("oauth-error")[0]["error"] == "mismatching_state"
    assert not web.calls


def test_oauth_error_receiver_sees_the_current_request(signals: Signals) -> None:
    """Receivers run inside the request and may use the Flask session."""
    app = make_app(make_blueprint())

    def receive(sender: Any, **error: Any) -> None:
        session["seen"] = error["error"]

    client = app.test_client()
    state = begin(client)["state"]
    with oauth_error.connected_to(receive):
        finish(client, error="access_denied", state=state)
    with client.session_transaction() as flask_session:
        assert flask_session["seen"] == "access_denied"


def test_query_of_the_redirect_is_well_formed() -> None:
    """Parameters of an authorization URL that has some already are added to them."""
    blueprint = make_blueprint(authorization_url=f"{PROVIDER}/authorize?tenant=1")
    location = make_app(blueprint).test_client().get("/login/acme").location
    assert parse_qs(urlsplit(location).query)["tenant"] == ["1"]
