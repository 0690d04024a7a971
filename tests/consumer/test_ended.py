"""What means that a grant has ended, and what becomes of a token that can't be refreshed."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import pytest
import time_machine
from oauthlib.oauth2.rfc6749.errors import (
    CustomOAuth2Error,
    InvalidClientError,
    InvalidRequestError,
    ServerError,
)

from flask_dance_nosql.consumer import token_deleted, token_refresh_failed
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.ended import CODES_BESIDE, CODES_WITHIN, MESSAGES, RULES
from flask_dance_nosql.errors import (
    ConfigurationError,
    MissingDependency,
    TokenRefreshError,
    TokenRevoked,
)

from ..rotating import RotatingProvider
from .conftest import at_once
from .odd_answers import JSON
from .site import BACKENDS, Browser, Pause, Task, make_site, of_user, pass_time, soon


class Refused(NamedTuple):
    """A refusal of a refresh, and whether it ends the grant, leads to the login, or neither."""

    name: str
    right: str
    body: Any
    status: int = 400


REFUSALS = [
    Refused("RFC 6749", "ended", {"error": "invalid_grant"}),
    Refused("RFC 6749, status 401", "ended", {"error": "invalid_grant"}, 401),
    Refused("RFC 6749, status 200", "ended", {"error": "invalid_grant"}, 200),
    Refused("GitHub", "ended", {"error": "bad_refresh_token", "error_description": "x"}, 200),
    Refused("Slack", "ended", {"ok": False, "error": "invalid_refresh_token"}, 200),
    Refused("Twitch", "ended", {"status": 400, "message": "Invalid refresh token"}),
    Refused(
        "Twitch as documented",
        "ended",
        {"error": "Bad Request", "status": 400, "message": "Invalid refresh token"},
    ),
    Refused("HubSpot", "ended", {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown"}),
    Refused(
        "Strava",
        "ended",
        {
            "message": "Bad Request",
            "errors": [{"resource": "RefreshToken", "field": "x", "code": "invalid"}],
        },
    ),
    Refused("Fitbit", "ended", {"errors": [{"errorType": "invalid_grant", "message": "x"}]}, 401),
    Refused("Reddit", "ended", {"message": "Bad Request", "error": 400}),
    Refused("Zoho", "ended", {"error": "invalid_code"}, 200),
    Refused(
        "Facebook", "ended", {"error": {"message": "x", "type": "OAuthException", "code": 190}}
    ),
    Refused("object", "ended", {"error": {"code": "invalid_grant"}}),
    Refused(
        "and words that could be of a client",
        "ended",
        {"error": "invalid_grant", "error_description": "issued to another client_secret, timeout"},
    ),
    Refused("message without error", "ended", {"message": "invalid_grant", "error": ""}),
    # A client that is set up wrongly, and what passes, say nothing of the grant.
    Refused("invalid_client", "passing", {"error": "invalid_client"}, 401),
    Refused("unauthorized_client", "passing", {"error": "unauthorized_client"}),
    Refused("Fitbit's client", "passing", {"errors": [{"errorType": "invalid_client"}]}, 401),
    Refused("GitHub's client", "passing", {"error": "incorrect_client_credentials"}, 200),
    Refused("too many requests", "passing", {"error": "invalid_grant"}, 429),
    Refused("timeout", "passing", {"error": "invalid_grant"}, 408),
    Refused("down", "passing", {"error": "invalid_grant"}, 503),
    Refused("HTML", "passing", "<html>", 502),
    Refused("for a while", "passing", {"error": "temporarily_unavailable"}),
    Refused("slow down", "passing", {"error": "slow_down"}),
    Refused("Slack's limit", "passing", {"ok": False, "error": "ratelimited"}, 200),
    Refused("Slack is down", "passing", {"ok": False, "error": "internal_error"}, 200),
    Refused("Slack fails", "passing", {"ok": False, "error": "fatal_error"}, 200),
    Refused("Slack is away", "passing", {"ok": False, "error": "service_unavailable"}, 200),
    Refused("Slack's client", "passing", {"ok": False, "error": "invalid_client_id"}, 200),
    Refused("Slack's secret", "passing", {"ok": False, "error": "bad_client_secret"}, 200),
    *(
        Refused(
            f"Facebook {code}",
            "passing",
            {"error": {"message": "x", "type": "OAuthException", "code": code}},
        )
        for code in (1, 2, 4, 17, 101, 341)
    ),
    Refused(
        "Zoho's limit",
        "passing",
        {"error": "Access Denied", "error_description": "You have made too many requests."},
    ),
    Refused("Zoho's limit, bare", "passing", {"error": "Access Denied"}),
    Refused("Zoho's client", "passing", {"error": "invalid_client"}, 200),
    Refused("GitHub's limit", "passing", {"message": "API rate limit exceeded for 1.2.3.4"}, 403),
    Refused("Twitch's client", "passing", {"status": 403, "message": "invalid client secret"}, 403),
    Refused(
        "Strava's client",
        "passing",
        {"errors": [{"resource": "Application", "field": "client_id", "code": "invalid"}]},
    ),
    Refused("Reddit's client", "passing", {"message": "Unauthorized", "error": 401}, 401),
    Refused("client and grant", "passing", {"error": "invalid_client", "errors": "invalid_grant"}),
    Refused("a proxy's page, 403", "passing", "<html>Forbidden</html>", 403),
    Refused("a proxy's page, 404", "passing", "\n<!DOCTYPE html><title>x</title>", 404),
    Refused("a proxy's page with = in it", "passing", "<html a=b>Not here</html>", 404),
    Refused("a proxy's text, 404", "passing", "404 page not found", 404),
    Refused("nonsense", "passing", "hello", 200),
    # A page of text with a "=" in it is no form.
    *(
        Refused(f"a proxy's text with = in it, {status}", "passing", text, status)
        for status, text in [
            (200, "See http://portal.example/?from=x&error=blocked"),
            (403, "Request blocked by policy, ref=18.3f2"),
            (404, "No route for host=auth.example"),
            (407, "Proxy login at http://proxy/?a=b"),
        ]
    ),
    # JSON without an error of OAuth, by what stands between.
    *(
        Refused(f"a gateway's JSON, {status}", "passing", body, status)
        for status, body in [
            (403, {}),
            (403, {"message": "Forbidden"}),
            (403, {"error": "Forbidden"}),
            (404, {"message": "no Route matched with those values"}),
            (407, {"message": "Proxy Authentication Required"}),
            (409, {"error": "concurrent_refresh"}),
            (411, {"message": "Length Required"}),
            (413, {"message": "too large"}),
            (423, {"error": "locked"}),
            (451, {"error": "legal"}),
            (999, {"error": "denied"}),
        ]
    ),
    # The client again, in the words of some providers.
    *(
        Refused(f"{name}'s client", "passing", body, status)
        for name, status, body in [
            (
                "Google",
                400,
                {"error": "invalid_request", "error_description": "client_secret is missing."},
            ),
            (
                "Azure AD B2C",
                400,
                {"error": "invalid_request", "error_description": "AADB2C90079: Clients must x"},
            ),
            ("Dropbox", 400, {"error": "invalid_client: Invalid client_id or client_secret"}),
            (
                "Spring",
                401,
                {"status": 401, "error": "Unauthorized", "message": "Bad client credentials"},
            ),
            ("somebody", 401, {"error": "x", "error_description": "invalid_client"}),
            ("Keycloak", 400, {"error": "x", "error_description": "Invalid client secret"}),
        ]
    ),
    # What passes, in other words or with another status.
    *(
        Refused(f"passing: {next(iter(body.values()))}, {status}", "passing", body, status)
        for status, body in [
            (403, {"error": "quota_exceeded"}),
            (400, {"error": "quota_exceeded"}),
            (400, {"error": "throttled", "error_description": "Expected in 5 seconds."}),
            (400, {"error": "x", "message": "Request was throttled."}),
            (400, {"error": "timeout"}),
            (400, {"error": "RequestLimitExceeded", "message": "Request limit exceeded."}),
            (200, {"error": "maintenance", "message": "service unavailable"}),
            (200, {"status": 503, "error": "Out of order"}),
            (200, {"code": 503, "message": "x"}),
            (200, {"error": {"code": 503, "message": "try later"}}),
            (400, {"error": {"code": 429, "message": "slow"}}),
            (400, {"error": {"code": "too-many-requests"}}),
            (400, {"errors": [{"status": "502"}]}),
        ]
    ),
    # The provider will not have it, for whatever reason.
    Refused("unknown code", "login", {"error": "no_luck"}),
    Refused("no code", "login", "Bad Request"),
    Refused("a page, 400", "login", "<html>Bad Request</html>"),
    Refused("Bad Request", "login", {"error": "Bad Request", "status": 400}),
    Refused("Bad Request, another", "login", {"error": "Bad Request", "message": "x"}),
    Refused("error 400 of others", "login", {"error": 400, "error_description": "x"}),
    Refused("error 400 of others, too", "login", {"error": 400, "message": "Bad request: x"}),
    Refused("error 400 and more", "login", {"error": 400, "message": "Bad Request", "id": 5}),
    Refused("access_denied", "login", {"error": "access_denied"}, 403),
    Refused("a code in words", "login", {"error": "x", "error_description": "invalid_grant"}),
    Refused("Facebook, another code", "login", {"error": {"message": "x", "code": 191}}),
    Refused("Google's API", "login", {"error": {"code": 400, "message": "x", "status": "BAD"}}),
    Refused("error 401", "login", {"error": 401}, 401),
    Refused("invalid_request", "login", {"error": "invalid_request"}, 403),
    Refused("codes in a list", "login", {"error": ["invalid_grant"]}),
    Refused("unknown code, status 200", "login", {"error": "no_luck"}, 200),
]
CASES = pytest.mark.parametrize("case", REFUSALS, ids=[case.name for case in REFUSALS])


def answers(rotating: RotatingProvider, body: Any, status: int = 400) -> None:
    """Let the token endpoint answer so."""
    text = body if isinstance(body, str) else json.dumps(body)
    rotating.odd = status, JSON, text.encode()


def connected(rotating: RotatingProvider, expires_at: float = 1.0, **options: Any) -> Browser:
    """Return a browser whose user is connected, with a view that calls the API at ``/api``."""
    site = make_site(rotating, of_user(), **options)
    blueprint = site.blueprint
    view = blueprint.session.authorization_required(
        lambda: str(blueprint.session.get("api").status_code)
    )
    site.app.add_url_rule("/api", "api", view)
    browser = site.browser()
    browser.connect(rotating.grant(expires_at=expires_at))
    return browser


@CASES
def test_token_that_has_ended(rotating: RotatingProvider, case: Refused) -> None:
    """A9: an ended grant is removed, what leads to a login says so, and the rest is an error."""
    browser = connected(rotating)
    answers(rotating, case.body, case.status)
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert isinstance(caught.value, TokenRevoked) is (case.right == "ended")
    assert caught.value.needs_login is (case.right != "passing")
    assert (browser.stored is None) is (case.right == "ended")
    assert len(rotating.calls("/token")) == 1


@CASES
def test_view_of_a_token_that_has_ended(rotating: RotatingProvider, case: Refused) -> None:
    """A9: the visitor is sent to the login unless the provider may think otherwise soon."""
    browser = connected(rotating)
    answers(rotating, case.body, case.status)
    browser.site.app.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(3):
        answer = browser.get("/api")
        if case.right == "passing":
            assert answer.status_code == 500
        else:
            assert (answer.status_code, answer.location) == (302, "/login/acme")
    assert len(rotating.calls("/token")) == 1


@CASES
def test_token_that_works(rotating: RotatingProvider, case: Refused) -> None:
    """A9: a token that still works is used, unless its grant has ended."""
    browser = connected(rotating, expires_at=soon(30))
    answers(rotating, case.body, case.status)
    if case.right == "ended":
        assert browser.get("/api").location == "/login/acme"
    else:
        assert [browser.get("/api").text for _ in range(3)] == ["200"] * 3
    assert len(rotating.calls("/token")) == 1


def test_refused_token_is_tried_again_later(
    rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A9: after a minute the provider is asked again, for it may have been mended."""
    browser = connected(rotating)
    session = browser.site.blueprint.session
    with time_machine.travel(soon(0), tick=True):
        answers(rotating, {"error": "no_luck"})
        for _ in range(3):
            with pytest.raises(TokenRefreshError, match="no_luck"):
                browser.call()
        assert browser.do(lambda: browser.site.blueprint.session.authorized) is False
        assert len(rotating.calls("/token")) == 1
    pass_time(monkeypatch, 61)
    rotating.odd = None
    assert browser.do(lambda: browser.site.blueprint.session.authorized) is True
    assert browser.call() == 200
    assert session is not None


@pytest.mark.parametrize("expires_in", [-3600, 30, 3600], ids=["ended", "expiring", "withdrawn"])
@pytest.mark.parametrize(
    ("status", "body", "pause"),
    [
        (429, {"error": "rate_limited"}, 10),
        (503, "down", 10),
        (401, {"error": "invalid_client"}, 10),
        (200, "<html>", 10),
        (400, {"error": "no_luck"}, 60),
    ],
)
def test_provider_that_fails_is_left_alone_for_a_while(
    rotating: RotatingProvider,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: Any,
    pause: int,
    expires_in: int,
) -> None:
    """Whether a token has ended, is about to, or is refused by the API: one question a pause."""
    browser = connected(rotating, expires_at=soon(expires_in))
    if expires_in == 30:
        # Whoever can go on asks again sooner, so as not to come to the end of it.
        pause = 10
    if expires_in == 3600:
        rotating.withdraw()
    answers(rotating, body, status)
    for seconds, asked in [(0, 1), (pause - 1, 1), (2, 2), (pause - 1, 2), (2, 3)]:
        pass_time(monkeypatch, seconds)
        for _ in range(3):
            if expires_in < 0:
                with pytest.raises(TokenRefreshError):
                    browser.call()
            else:
                assert browser.call() == (401 if expires_in == 3600 else 200)
        assert len(rotating.calls("/token")) == asked


@pytest.mark.parametrize("expires_in", [-3600, 30, 3600], ids=["ended", "expiring", "withdrawn"])
def test_secret_that_fails_is_left_alone_for_a_while(
    rotating: RotatingProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    expires_in: int,
) -> None:
    """A function that gives no client secret is asked once a pause, and what it raised is told."""
    asked = []

    def secret() -> str:
        asked.append(1)
        raise RuntimeError("the vault is sealed")

    browser = connected(rotating, expires_at=soon(expires_in), client_secret=secret)
    if expires_in == 3600:
        rotating.withdraw()
    for times in (1, 2):
        for _ in range(4):
            if expires_in < 0:
                with pytest.raises(TokenRefreshError, match="client_secret failed: RuntimeError"):
                    browser.call()
            else:
                assert browser.call() == (401 if expires_in == 3600 else 200)
        assert len(asked) == times
        pass_time(monkeypatch, 11)
    assert rotating.calls("/token") == []
    assert "client_secret failed: RuntimeError" in caplog.text
    assert "sealed" not in caplog.text


@pytest.mark.parametrize("expires_in", [-3600, 30])
@pytest.mark.parametrize("error", [ConfigurationError, MissingDependency])
def test_error_in_the_setup_is_told(
    rotating: RotatingProvider, error: type[Exception], expires_in: int
) -> None:
    """What is wrong with the setup is no failure of the backend, and is passed on as it is."""

    def secret() -> str:
        raise error("x", "y", "z") if error is MissingDependency else error("unset")

    browser = connected(rotating, expires_at=soon(expires_in), client_secret=secret)
    for _ in range(2):
        with pytest.raises(error):
            browser.call()


def test_login_after_a_refusal_counts_at_once(rotating: RotatingProvider) -> None:
    """A9: what was refused is one refresh token; that of a new login is another."""
    browser = connected(rotating)
    answers(rotating, {"error": "no_luck"})
    assert browser.get("/api").location == "/login/acme"
    rotating.odd = None
    rotating.approve("new")
    browser.login()
    assert browser.get("/api").text == "200"


@pytest.mark.parametrize("error", ["no_luck", "invalid_grant"])
def test_login_makes_a_refused_token_good_again(rotating: RotatingProvider, error: str) -> None:
    """A login that brings the same refresh token again says that it works: it is sent again."""
    browser = connected(rotating)
    answers(rotating, {"error": error})
    assert browser.get("/api").location == "/login/acme"
    rotating.odd = None
    rotating.approve("ann")
    browser.login()
    assert browser.stored["refresh_token"] == "rt-ann-0"
    with time_machine.travel(soon(7200), tick=True):
        assert browser.call() == 200
    assert rotating.refreshes == 1


SETTINGS: list[tuple[Any, Any, str]] = [
    (["gone"], {"error": "gone"}, "ended"),
    ({"GONE"}, {"error": "gone"}, "ended"),
    ("gone", {"error": "gone"}, "ended"),
    ([4711], {"error": 4711}, "ended"),
    ([4711], {"error": {"code": 4711}}, "ended"),
    ([4711], {"error_code": "4711"}, "ended"),
    (["no such grant"], {"message": "No such grant."}, "ended"),
    (["gone"], {"errors": [{"code": "gone"}]}, "ended"),
    (["gone"], {"error": "invalid_grant"}, "ended"),
    (["gone"], {"error": "other"}, "login"),
    (["invalid_client"], {"error": "invalid_client"}, "passing"),
    ([], {"error": "invalid_grant"}, "ended"),
    ([""], {}, "login"),
    (lambda answer: answer.json()["why"] == "gone", {"why": "gone"}, "ended"),
    (lambda answer: answer.status_code == 400, {"error": "x"}, "ended"),
    (lambda answer: False, {"error": "invalid_grant"}, "login"),
    (lambda answer: None, {"error": "invalid_grant"}, "ended"),
    (lambda answer: answer.json()["why"] == "gone", {"error": "invalid_grant"}, "ended"),
    (lambda answer: answer.json()["why"] == "gone", "<html>", "login"),
    (lambda answer: b"gone" in answer.content, "<html>gone", "ended"),
    ([400], {"error": "x"}, "login"),
    (lambda answer: True, {"error": "invalid_client"}, "passing"),
]


@pytest.mark.parametrize(("setting", "body", "right"), SETTINGS)
def test_setting(rotating: RotatingProvider, setting: Any, body: Any, right: str) -> None:
    """A9: ``ended_errors`` names further codes, or is a function, whose failures break nothing."""
    browser = connected(rotating, ended_errors=setting)
    answers(rotating, body)
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert isinstance(caught.value, TokenRevoked) is (right == "ended")
    assert caught.value.needs_login is (right != "passing")


def test_function_is_not_asked_about_what_passes(rotating: RotatingProvider) -> None:
    """A9: a provider that is down never ends a grant, whatever the function says."""
    browser = connected(rotating, ended_errors=lambda answer: True)
    answers(rotating, {"error": "x"}, 503)
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert not isinstance(caught.value, TokenRevoked)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"message": "rt-ann-0 is bad", "code": 100}}, "100"),
        ({"error": "no rt-ann-0\nWARNING injected"}, "no *** WARNING injected"),
        ({"message": "rt-ann-0 is bad"}, "*** is bad"),
        ({"error": "x" * 50_000}, "x" * 297 + "..."),
        ({"error": "{asked}"}, None),
    ],
)
def test_reason_is_clean(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture, body: Any, reason: str | None
) -> None:
    """A2: neither error, log, signal nor cause has a secret, a line break or too much text."""
    browser = connected(rotating)
    answers(rotating, body)
    sent = []

    def receive(blueprint: Any, **arguments: Any) -> None:
        sent.append(arguments["error"])

    caplog.clear()
    with (
        token_refresh_failed.connected_to(receive),
        caplog.at_level(logging.DEBUG),
        pytest.raises(TokenRefreshError) as caught,
    ):
        browser.call()
    told = caught.value.reason
    assert sent == [told]
    assert reason is None or told == reason
    assert len(told) <= 300
    cause = caught.value.__cause__
    assert cause is not None
    assert cause.__context__ is cause.__cause__ is caught.value.__context__ is None
    everything = f"{told} {caught.value} {cause!r} {cause} {vars(cause)} {caplog.text}"
    assert "rt-ann-0" not in everything
    assert "client-secret" not in everything
    assert "\nWARNING injected" not in everything


def test_unreachable_provider_shows_no_secret(rotating: RotatingProvider, closed_port: int) -> None:
    """A2: the error of a provider that does not answer is chained without the request."""
    url = f"http://127.0.0.1:{closed_port}/token?key=client-secret"
    browser = connected(rotating, auto_refresh_url=url)
    with pytest.raises(TokenRefreshError, match="ConnectionError") as caught:
        browser.call()
    cause = caught.value.__cause__
    assert "client-secret" not in f"{cause!r} {vars(cause)}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_who_waits_for_the_end_of_a_grant_is_told(
    rotating: RotatingProvider, tmp_path: Any, kind: str
) -> None:
    """16 requests wait for one refresh, which ends the grant: each is told, and none calls on."""
    site = make_site(rotating, BACKENDS[kind](tmp_path))
    browser = site.browser()
    browser.connect(rotating.grant(expires_at=1.0))
    all_there = threading.Barrier(16)
    told: list[Any] = []

    def receive(sender: Any, **arguments: Any) -> None:
        told.append(arguments)

    def call() -> int:
        session = site.blueprint.session
        assert session.token
        all_there.wait(60)
        return int(session.get("api").status_code)

    rotating.grants["ann"].has_ended = True
    with token_deleted.connected_to(receive):
        results = at_once(16, lambda: browser.copy().do(call))
    assert [type(each) for each in results] == [TokenRevoked] * 16
    assert (len(rotating.calls("/token")), rotating.calls("/api")) == (1, [])
    # Each browser has a cookie of its own to remove the token from.
    assert len(told) == (16 if kind == "session" else 1)


@pytest.mark.parametrize("end", ["refresh", "logout"])
def test_other_process_that_waits_for_the_end_of_a_grant_is_told(
    rotating: RotatingProvider, end: str
) -> None:
    """So is who waits in another process, which shares no more than the store."""
    store = MemoryStore()
    first, other = (make_site(rotating, of_user(store)).browser() for _ in range(2))
    first.connect(rotating.grant(expires_at=1.0))
    assert first.site.blueprint.flights is not other.site.blueprint.flights
    asked = Pause()
    rotating.when_asked = asked
    rotating.grants["ann"].has_ended = end == "refresh"
    ends = Task(first.call)
    asked.wait()
    all_have_read = threading.Barrier(9)

    def call() -> int:
        session = other.site.blueprint.session
        assert session.token
        all_have_read.wait(60)
        return int(session.get("api").status_code)

    waiting = [Task(lambda: other.copy().do(call)) for _ in range(8)]
    all_have_read.wait(60)
    if end == "logout":
        first.site.blueprint.backend.delete(first.site.blueprint)
    asked.go()
    assert {type(each.result) for each in (ends, *waiting)} == {TokenRevoked}
    assert (len(rotating.calls("/token")), rotating.calls("/api")) == (1, [])


def test_each_rule_is_written_as_it_is_compared() -> None:
    """A rule with a typo in its place, or a value in another way of writing, would never hold."""
    of_fields = {"error", "status", "code", "text", "answer", "resource.code", "HTTP status"}
    of_fields |= {*MESSAGES, *CODES_BESIDE, *(f"error.{name}" for name in CODES_WITHIN)}
    for rule in RULES:
        assert rule.place in of_fields, rule
        assert rule.value == rule.value.lower(), rule
        assert rule.source, rule
    assert len({(rule.place, rule.value) for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_request", InvalidRequestError),
        ("invalid_client", InvalidClientError),
        ("server_error", ServerError),
        ("no_luck", CustomOAuth2Error),
    ],
)
def test_cause_is_the_error_of_its_code(rotating: RotatingProvider, code: str, kind: Any) -> None:
    """The cause is of oauthlib's class for the code, and of no special case of it."""
    browser = connected(rotating)
    answers(rotating, {"error": code})
    with pytest.raises(TokenRefreshError) as caught:
        browser.call()
    assert type(caught.value.__cause__) is kind


@pytest.mark.parametrize("scope", ["a", "a b", ["a", "b"], None])
def test_scope_of_refreshes(rotating: RotatingProvider, scope: Any) -> None:
    """A scope in ``auto_refresh_kwargs`` is asked for, as RFC 6749 section 6 has it."""
    browser = connected(rotating, auto_refresh_kwargs={"scope": scope})
    assert browser.call() == 200
    form = parse_qs(rotating.calls("/token")[0].body.decode())
    text = " ".join(scope) if isinstance(scope, list) else scope
    assert form.get("scope") == (None if scope is None else [text])
