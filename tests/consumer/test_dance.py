"""Visitors and the dance: it arrives where the visitor wanted to go, and a failed one ends."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
import responses
import time_machine
from flask import Flask, redirect, request, url_for
from flask.sessions import SecureCookieSession, SessionInterface
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from examples.demo.serving import LocalServer
from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2ConsumerBlueprint,
    oauth_authorized,
    oauth_error,
)
from flask_dance_nosql.consumer.backend import MemoryBackend, NullBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError

from ..rotating import RotatingProvider
from .conftest import PROVIDER, Signals, make_app, make_blueprint
from .visitor import Visitor

CALLBACK = "/login/acme/authorized"


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """What is stopped when the test is over."""
    with ExitStack() as stack:
        yield stack


def blueprint_at(provider: RotatingProvider, **options: Any) -> OAuth2ConsumerBlueprint:
    """Make a blueprint for a provider that runs."""
    return make_blueprint(
        **{
            "base_url": f"{provider.url}/",
            "authorization_url": f"{provider.url}/authorize",
            "token_url": f"{provider.url}/token",
            **options,
        }
    )


def serve(servers: ExitStack, app: Any) -> str:
    """Serve an app until the test is over, and return its address."""
    server = LocalServer(app)
    servers.callback(server.stop)
    return str(server.url).rstrip("/")


def by_decorator(app: Flask, blueprint: Any) -> None:
    """Keep visitors without a token off the start page, as the documentation does."""
    view = blueprint.session.authorization_required(lambda: "welcome")
    app.add_url_rule("/", "home", view)


def by_view(app: Flask, blueprint: Any) -> None:
    """Keep them off within the view, as Flask-Dance's documentation does."""

    def home() -> Any:
        if not blueprint.session.authorized:
            return redirect(url_for("acme.login"))
        return "welcome"

    app.add_url_rule("/", "home", home)


def by_hook(app: Flask, blueprint: Any) -> None:
    """Keep them off every page."""
    app.add_url_rule("/", "home", lambda: "welcome")

    @app.before_request
    def guard() -> Any:
        is_ours = (request.endpoint or "").startswith("acme.")
        return None if is_ours or blueprint.session.authorized else blueprint.begin()


GUARDS = {"decorator": by_decorator, "view": by_view, "hook": by_hook}


class OnTheServer(SessionInterface):
    """Sessions on the server that forget everything at once, as with a store that is down."""

    def open_session(self, app: Flask, request: Any) -> Any:
        return SecureCookieSession()

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        response.set_cookie("session", "a-new-one")


def refusing(provider: RotatingProvider, status: int, answer: Any) -> None:
    """Let the provider refuse each code."""
    provider.exchange = lambda form: (status, answer)  # type: ignore[method-assign] # for this test


def dead_at_once(provider: RotatingProvider) -> None:
    """Let tokens be dead at once, and not refreshable."""
    provider.approve(refresh_token=False, expires_in=-1)


Kind = dict[str, Any]
ENDINGS: dict[str, Kind] = {
    "wrong secret": {"provider": lambda p: refusing(p, 401, {"error": "invalid_client"})},
    "error without words": {"provider": lambda p: refusing(p, 400, "")},
    "token endpoint is down": {"provider": lambda p: refusing(p, 500, "oops")},
    "page in place of a token": {"provider": lambda p: refusing(p, 200, "<html>")},
    "list in place of a token": {"provider": lambda p: refusing(p, 200, "[]")},
    "token is dead at once": {"provider": dead_at_once},
    "nothing is kept": {"options": {"backend": NullBackend()}},
    "nobody is signed in": {
        "options": {"backend": UserScopedBackend(MemoryStore(), user=lambda: None)},
        # Others would have to ask first who is there.
        "guards": ("decorator",),
    },
    "denial": {"provider": lambda p: setattr(p, "authorizes", {"error": "access_denied"})},
    "error of no standard": {"provider": lambda p: setattr(p, "authorizes", {"error": "Oh no!"})},
    "no code": {"provider": lambda p: setattr(p, "authorizes", {})},
    "no cookies": {"has_cookies": False},
    "session that forgets": {"interface": OnTheServer()},
}
"""How a dance may end without a token, although the provider asks nothing in between."""


CASES = [
    (ending, guard) for ending, kind in ENDINGS.items() for guard in kind.get("guards", GUARDS)
]


@pytest.mark.parametrize(("ending", "guard"), CASES)
def test_each_dance_ends_on_a_page(
    servers: ExitStack, rotating: RotatingProvider, ending: str, guard: str
) -> None:
    """V1: a page within three redirects, and the provider asked at most twice."""
    rotating.approve()
    kind = ENDINGS[ending]
    kind.get("provider", lambda p: None)(rotating)
    blueprint = blueprint_at(rotating, **kind.get("options", {}))
    app = make_app(blueprint)
    app.session_interface = kind.get("interface", app.session_interface)
    GUARDS[guard](app, blueprint)
    url = serve(servers, app)
    visitor = Visitor(has_cookies=kind.get("has_cookies", True))
    for path in ("/", "/login/acme"):
        rotating.asked.clear()
        trail = visitor.visit(url + path)
        assert trail.has_ended
        assert len(rotating.calls("/authorize")) <= 2
        assert trail.page.status_code in (200, 400, 403)
        if CALLBACK in trail.paths:
            assert trail.redirects_after(CALLBACK) <= 3
            assert "not signed in" in trail.page.text or trail.page.text == "welcome"


def test_page_of_a_failure_leads_back_to_the_provider(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """Its link begins anew at once, and so does any way to the login view after a moment."""
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    by_decorator(app, blueprint)
    url = serve(servers, app)
    visitor = Visitor()
    trail = visitor.visit(f"{url}/")
    assert (trail.page.status_code, trail.paths[-1]) == (400, "/login/acme")
    assert "invalid_grant" in trail.page.text
    rotating.approve()
    assert visitor.visit(f"{url}/").page.status_code == 400
    (link,) = re.findall('href="(/login/acme[^"]*)"', trail.page.text)
    assert visitor.visit(url + link).page.text == "welcome"
    later = Visitor()
    rotating._codes.clear()
    assert later.visit(f"{url}/").page.status_code == 400
    rotating.approve()
    with time_machine.travel(time.time() + 4):
        assert later.visit(f"{url}/").page.text == "welcome"


def test_click_after_a_failure_begins_anew(servers: ExitStack, rotating: RotatingProvider) -> None:
    """Browsers tell a click on a page of the site from the end of a chain of redirects."""
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    by_view(app, blueprint)
    url, visitor = serve(servers, app), Visitor()
    visitor.visit(f"{url}/")
    click = {"Sec-Fetch-Site": "same-origin"}
    assert len(visitor.visit(f"{url}/login/acme", headers=click).urls) > 1
    # What clicks by itself, as a script may, does not go on for ever.
    assert visitor.visit(f"{url}/login/acme", headers=click).paths == ["/login/acme"]
    assert len(rotating.calls("/authorize")) == 2


def test_slow_loop_ends_too(servers: ExitStack, rotating: RotatingProvider) -> None:
    """V1: an app that takes its time between the failure and the login view asks twice at most."""
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    with time_machine.travel(time.time()) as moment:
        client = app.test_client()
        for _ in range(5):
            begun = client.get("/login/acme")
            if begun.status_code == 302:
                state = parse_qs(urlsplit(begun.location).query)["state"][0]
                client.get(f"{CALLBACK}?code=unknown&state={state}")
            moment.shift(5)
    assert len(rotating.calls("/token")) == 2


def test_oauth1_key_that_nobody_knows_ends_on_a_page(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """V1: so does a login view that gets no temporary credentials."""
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        "unknown",
        "secret",
        request_token_url=f"{rotating.url}/closed",
        access_token_url=f"{rotating.url}/closed",
        authorization_url=f"{rotating.url}/authorize",
    )
    app = make_app(blueprint)
    by_decorator(app, blueprint)
    trail = Visitor().visit(serve(servers, app))
    assert trail.paths == ["", "/login/acme", "/", "/login/acme"]
    assert trail.page.status_code == 400
    assert len(rotating.asked) == 1


def test_failure_goes_to_a_page_that_needs_no_token(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """An open start page is where a failed dance ends, as with a receiver's flashed message."""
    app = make_app(blueprint_at(rotating))
    app.add_url_rule("/", "home", lambda: "open")
    trail = Visitor().visit(f"{serve(servers, app)}/login/acme")
    assert (trail.page.text, trail.paths[-2:]) == ("open", [CALLBACK, "/"])


def test_receiver_of_a_failure_has_the_last_word(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """What a receiver of ``oauth_error`` returns is sent in place of any page."""
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    by_decorator(app, blueprint)

    def receive(sender: Any, **error: Any) -> Any:
        return app.make_response((f"no: {error['error']}", 418))

    with oauth_error.connected_to(receive):
        trail = Visitor().visit(serve(servers, app))
        assert (trail.page.status_code, trail.page.text) == (418, "no: invalid_grant")
        trail = Visitor(has_cookies=False).visit(serve(servers, app))
        assert trail.page.text == "no: missing_state"


def test_scope_that_is_not_granted_ends_on_a_page(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """V1: a view that asks for more until it is granted does not ask without end."""
    rotating.approve(scope="read")
    blueprint = blueprint_at(rotating, scope=["read"])
    app = make_app(blueprint)

    @app.get("/")
    def home() -> Any:
        token = blueprint.token or {}
        return "ok" if "write" in token.get("scope", ()) else blueprint.begin(scope="write")

    trail = Visitor().visit(serve(servers, app))
    assert trail.has_ended
    assert "scope_not_granted" in trail.page.text
    assert len(rotating.calls("/authorize")) == 1


def test_failure_page_shows_nothing_foreign(signals: Signals) -> None:
    """What is no code is not shown; the page is not stored, and says nothing of where it was."""
    app = make_app(make_blueprint())
    client = app.test_client()
    client.get(f"{CALLBACK}?error=<script>&error_description=PHISH", headers={"Host": "a.b"})
    answer = client.get(f"{CALLBACK}?error=<script>&error_description=PHISH&state=x")
    assert "script" not in answer.text
    assert "PHISH" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert {sent["error"] for sent in signals.of("oauth-error")} == {"missing_state"}


def test_failure_page_can_be_replaced_and_translated(tmp_path: Any) -> None:
    """A template of the app comes first, and its ``gettext`` is asked for the texts."""
    app = make_app(make_blueprint())
    app.jinja_env.globals["gettext"] = lambda text: text.upper()
    assert "YOU ARE NOT SIGNED IN" in app.test_client().get(CALLBACK).text
    folder = tmp_path / "flask_dance_nosql"
    folder.mkdir()
    (folder / "failed.html").write_text("{{ provider }} {{ error }} {{ retry_url }}")
    own = Flask("own", template_folder=tmp_path)
    own.secret_key = "for tests"
    own.register_blueprint(make_blueprint())
    assert own.test_client().get("/acme/authorized").text == "acme missing_state /acme?retry="


# Where a visitor comes to.


@pytest.mark.parametrize("how", ["dispatcher", "proxy"])
@pytest.mark.parametrize("is_good", [True, False])
def test_app_below_a_prefix_keeps_its_visitors(
    rotating: RotatingProvider, how: str, is_good: bool
) -> None:
    """V2: whatever the outcome, the visitor stays inside the app."""
    if is_good:
        rotating.approve()
    app = make_app(blueprint_at(rotating))
    base = app.wsgi_app
    if how == "dispatcher":
        app.wsgi_app = DispatcherMiddleware(Flask("outer"), {"/shop": base})  # type: ignore[method-assign]
        client, prefix, headers = app.test_client(), "/shop", {}
    else:
        app.wsgi_app = ProxyFix(base, x_prefix=1)  # type: ignore[method-assign] # as documented
        client, prefix, headers = app.test_client(), "", {"X-Forwarded-Prefix": "/shop"}
    client.set_cookie("x", "y")
    begun = client.get(f"{prefix}/login/acme", headers=headers)
    query = parse_qs(urlsplit(begun.location).query)
    assert query["redirect_uri"] == [f"http://localhost/shop{CALLBACK}"]
    path = f"{prefix}{CALLBACK}?code=CODE123&state={query['state'][0]}"
    assert client.get(path, headers=headers).location == "/shop/"
    lost = client.get(f"{prefix}{CALLBACK}", headers=headers)
    assert (lost.location == "/shop/") if is_good else ('href="/shop/"' in lost.text)


PAGES = ["/projects", "/projects?a=1&b=%2F%2Fx&b=2", "/projects/%C3%BC", "/p//q", "/a:b?c=d:e"]


@pytest.mark.parametrize("page", PAGES)
def test_visitor_comes_back_to_the_page_that_was_asked_for(
    servers: ExitStack, rotating: RotatingProvider, page: str
) -> None:
    """V3: after the login, the guarded page that led to it is the one that is shown."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    app.url_map.merge_slashes = False

    @blueprint.session.authorization_required
    def show(path: str) -> str:
        return f"{request.path} {request.query_string.decode()}"

    app.add_url_rule("/<path:path>", "show", show)
    url = serve(servers, app)
    trail = Visitor().visit(url + page)
    assert trail.urls[-1] == url + page
    assert trail.page.status_code == 200


HOSTILE = [
    *("//evil.example", "https://evil.example/", "http:evil.example", "/\\evil.example"),
    *("\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "///evil.example"),
    *("javascript:alert(1)", "data:text/html,x", "evil.example", "", " /x", "////evil.example"),
    *("https://localhost:5000@evil.example/", "http://localhost.evil.example/", "//localhost"),
    *(
        "http://[::1",
        "/login/acme",
        "/login/acme?next=/x",
        "/" + "x" * 5000,
        "https:///evil.example",
    ),
    *("http://localhost:80\\@evil.example", "/\u2028/x", "/\x00", "\x00//evil.example"),
]


@pytest.mark.parametrize("url", HOSTILE)
@pytest.mark.parametrize("way", ["query", "begin", "session"])
def test_hostile_page_is_not_gone_to(rotating: RotatingProvider, url: str, way: str) -> None:
    """V3: a page of another site, or none at all, is ignored, however it is given."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    app.add_url_rule("/go", "go", lambda: blueprint.begin(next=url))
    client = app.test_client()
    if way == "session":
        with client.session_transaction() as flask_session:
            flask_session["acme_oauth_next"] = [time.time(), url]
    path = {"query": f"/login/acme?next={quote(url)}", "begin": "/go", "session": "/login/acme"}
    begun = client.get(path[way])
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


def test_page_of_this_very_origin_may_be_a_full_url(rotating: RotatingProvider) -> None:
    """V3: views may give ``request.url``; it wins over where the blueprint goes otherwise."""
    rotating.approve()
    blueprint = blueprint_at(rotating, redirect_url="/elsewhere")
    app = make_app(blueprint)
    app.add_url_rule("/go", "go", lambda: blueprint.begin(next=request.url))
    client = app.test_client()
    begun = client.get("/go?x=1")
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/go?x=1"


@pytest.mark.parametrize(
    ("method", "headers"),
    [("POST", {}), ("GET", {"Sec-Fetch-Mode": "cors"}), ("HEAD", {})],
)
def test_only_pages_are_come_back_to(
    rotating: RotatingProvider, method: str, headers: dict[str, str]
) -> None:
    """V3: what a script asked for, or a form sent, is no page to come back to."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    view = blueprint.session.authorization_required(lambda: "x")
    app.add_url_rule("/api", "api", view, methods=["GET", "POST"])
    client = app.test_client()
    client.get("/api")
    client.open("/api", method=method, headers=headers)
    begun = client.get("/login/acme")
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


def test_page_asked_for_long_ago_is_forgotten(rotating: RotatingProvider) -> None:
    """V3: who signs in of their own accord later is not taken back to it."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    app.add_url_rule("/api", "api", blueprint.session.authorization_required(lambda: "x"))
    client = app.test_client()
    client.get("/api")
    with time_machine.travel(time.time() + 61):
        begun = client.get("/login/acme")
        state = parse_qs(urlsplit(begun.location).query)["state"][0]
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


def test_each_tab_comes_back_to_its_own_page(rotating: RotatingProvider) -> None:
    """V3: the page is kept with the login, so that tabs do not mix."""
    rotating.approve()
    client = make_app(blueprint_at(rotating)).test_client()
    states = {}
    for page in ("/a", "/b", "/c"):
        begun = client.get(f"/login/acme?next={page}")
        states[page] = parse_qs(urlsplit(begun.location).query)["state"][0]
    for page in ("/b", "/a", "/c"):
        answer = client.get(f"{CALLBACK}?code=CODE123&state={states[page]}")
        assert answer.location == page


# The session cookie.


def test_unfinished_logins_never_fill_the_cookie(rotating: RotatingProvider) -> None:
    """V4: of eight providers with five unfinished logins each, the oldest are forgotten."""
    blueprints = [blueprint_at(rotating, name=f"provider{number}") for number in range(8)]
    app = make_app(*blueprints)
    client = app.test_client()
    states = {}
    with time_machine.travel(0, tick=False) as clock:
        for round_ in range(5):
            for blueprint in blueprints:
                clock.shift(1)
                answer = client.get(f"/login/{blueprint.name}?next=/{'x' * 60}/{round_}")
                states[blueprint.name] = parse_qs(urlsplit(answer.location).query)["state"][0]
                assert len(answer.headers["Set-Cookie"]) <= 4093
        # The last ones are there still.
        rotating.approve()
        last = blueprints[-1].name
        answer = client.get(f"/login/{last}/authorized?code=CODE123&state={states[last]}")
    assert answer.location.startswith("/xxx")


def test_login_beside_a_large_token_fits_or_is_told(
    rotating: RotatingProvider, signals: Signals
) -> None:
    """V4: with a cookie that is full, no login is begun that would be dropped by the browser."""
    app = make_app(blueprint_at(rotating), blueprint_at(rotating, name="other"))
    client = app.test_client()
    outcomes = set()
    for size in range(1500, 2930, 30):
        with client.session_transaction() as flask_session:
            flask_session.clear()
            flask_session["acme_oauth_token"] = {"access_token": secrets.token_urlsafe(size)}
        answer = client.get("/login/other")
        assert len(answer.headers.get("Set-Cookie", "")) <= 4093
        outcomes.add(answer.status_code)
        if answer.status_code == 400:
            assert "session_too_large" in answer.text
            with client.session_transaction() as flask_session:
                assert "other_oauth_state" not in flask_session
    assert outcomes == {302, 400}
    told = signals.of("oauth-error")[-1]
    assert told["error"] == "session_too_large"
    assert "bytes too large" in told["error_description"]


# Other ways to call back.


def test_posted_callback_arrives(servers: ExitStack, rotating: RotatingProvider) -> None:
    """V5: ``response_mode=form_post`` works although the Lax cookie does not come with it."""
    rotating.approve()
    blueprint = blueprint_at(
        rotating,
        authorization_url_params={"response_mode": "form_post"},
        callback_fields=("user",),
        backend=MemoryBackend(),
    )
    app = make_app(blueprint, SESSION_COOKIE_SAMESITE="Lax")
    by_view(app, blueprint)
    url, visitor = serve(servers, app), Visitor()
    begun = requests.get(f"{url}/login/acme", allow_redirects=False, timeout=30)
    visitor.cookies.update(begun.cookies.get_dict())
    query = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert query["response_mode"] == ["form_post"]
    form = {"code": "CODE123", "state": query["state"][0], "user": '{"name": "Änn; \\"A\\""}'}
    form |= {"id_token": "an-id-token", "access_token": "at"}
    trail = visitor.post_from_elsewhere(url + CALLBACK, form)
    assert trail.page.text == "welcome"
    assert blueprint.backend.get(blueprint)["user"] == form["user"]
    assert parse_qs(urlsplit(trail.urls[1]).query).keys() == {"code", "state"}
    assert trail.paths == [CALLBACK, CALLBACK, "/"]
    assert visitor.cookies.keys() == {"session"}


@pytest.mark.parametrize("samesite", [None, "Lax", "Strict", "None"])
def test_what_is_posted_of_a_person_is_in_no_url(samesite: str | None) -> None:
    """It goes by a cookie that comes back once, with the login that it belongs to alone."""
    blueprint = make_blueprint(callback_fields=("user", "place"))
    app = make_app(blueprint, SESSION_COOKIE_SAMESITE=samesite, SESSION_COOKIE_SECURE=True)
    form = {"code": "c", "state": "s", "user": "Ann", "id_token": "i", "scope": "x"}
    answer = app.test_client().post(CALLBACK, data=form)
    assert answer.location == f"{CALLBACK}?code=c&state=s"
    (cookie,) = answer.headers.getlist("Set-Cookie")
    parts = set(cookie.split("; ")[1:])
    # As a Strict one would not come with the redirect.
    expected = "None" if samesite == "None" else "Lax"
    assert parts >= {"Secure", "HttpOnly", "Max-Age=60", f"SameSite={expected}", f"Path={CALLBACK}"}
    for of_nobody in ({"state": "s"}, {"user": "Ann"}, {"state": "s", "user": "a" * 5000}):
        assert "Set-Cookie" not in app.test_client().post(CALLBACK, data=of_nobody).headers


def test_what_is_posted_stays_with_its_login(rotating: RotatingProvider) -> None:
    """Another site may post what it likes; only who knows the state can add to a login."""
    rotating.approve()
    blueprint = blueprint_at(rotating, callback_fields=("user",), backend=MemoryBackend())
    client = make_app(blueprint).test_client()
    state = parse_qs(urlsplit(client.get("/login/acme").location).query)["state"][0]
    client.post(CALLBACK, data={"state": "another", "user": "Mallory"})
    client.get(f"{CALLBACK}?code=CODE123&state={state}")
    assert "user" not in blueprint.backend.get(blueprint)


def test_posted_callback_is_no_way_to_another_site() -> None:
    """V5: the redirect goes to the callback itself, and a large form becomes no large URL."""
    client = make_app(make_blueprint()).test_client()
    form = {"code": "c", "junk": "j", "state": "s"}
    answer = client.post(f"{CALLBACK}?x=1", data=form)
    assert answer.status_code == 303
    assert answer.location == f"{CALLBACK}?x=1&code=c&state=s"
    assert answer.headers["Cache-Control"] == "no-store"
    answer = client.post(f"{CALLBACK}?x={'x' * 50_000}", data=form)
    assert answer.location == f"{CALLBACK}?code=c&state=s"


def test_a_posted_error_arrives() -> None:
    """In whichever field the provider tells it."""
    client = make_app(make_blueprint()).test_client()
    form = {"error_code": "200", "error_message": "no", "error_uri": "u", "error_reason": "r"}
    answer = client.post(CALLBACK, data=form)
    assert answer.location == f"{CALLBACK}?error_code=200&error_message=no&error_uri=u"


@pytest.mark.parametrize("version", [1, 2])
def test_redirect_uri_is_what_the_provider_is_told(
    rotating: RotatingProvider, version: int
) -> None:
    """V6: the setting wins in the request for authorization and in the exchange."""
    uri = "https://public.example/back"
    if version == 1:
        with responses.RequestsMock() as web:
            web.post(f"{PROVIDER}/temporary", body="oauth_token=t&oauth_token_secret=s")
            blueprint = OAuth1ConsumerBlueprint(
                "acme",
                __name__,
                "key",
                "secret",
                redirect_uri=uri,
                request_token_url=f"{PROVIDER}/temporary",
                access_token_url=f"{PROVIDER}/token",
                authorization_url=f"{PROVIDER}/authorize",
            )
            make_app(blueprint).test_client().get("/login/acme")
            assert quote(uri, safe="") in web.calls[0].request.headers["Authorization"].decode()
        return
    rotating.approve()
    client = make_app(blueprint_at(rotating, redirect_uri=uri)).test_client()
    query = parse_qs(urlsplit(client.get("/login/acme").location).query)
    assert query["redirect_uri"] == [uri]
    client.get(f"{CALLBACK}?code=CODE123&state={query['state'][0]}")
    (asked,) = rotating.calls("/token")
    assert parse_qs(asked.body.decode())["redirect_uri"] == [uri]


@pytest.mark.parametrize(
    "options",
    [
        {"authorized_url": "https://public.example/back"},
        {"login_url": "https://public.example/go"},
        {"authorized_url": "no-slash"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": "public.example/back"},
        {"redirect_uri": ""},
        {"redirect_uri": 5},
    ],
)
def test_odd_urls_of_our_own_are_refused(options: Any) -> None:
    """V6: what can't be a route, or a full URL, is an error where the blueprint is made."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        make_blueprint(**options)


# More for one visitor.


def test_begin_asks_for_one_visitor(rotating: RotatingProvider) -> None:
    """V7: more scopes and parameters of a view are for this visitor and this login alone."""
    rotating.approve(scope="read write")
    blueprint = blueprint_at(
        rotating, scope=["read"], authorization_url_params={"prompt": "none", "a": "1"}
    )
    app = make_app(blueprint)
    app.add_url_rule(
        "/more", "more", lambda: blueprint.begin(scope=["write"], next="/x", prompt="consent")
    )
    first, second = app.test_client(), app.test_client()
    query = parse_qs(urlsplit(first.get("/more").location).query)
    assert (query["scope"], query["prompt"], query["a"]) == (["write"], ["consent"], ["1"])
    other = parse_qs(urlsplit(second.get("/login/acme").location).query)
    assert (other["scope"], other["prompt"]) == (["read"], ["none"])
    answer = first.get(f"{CALLBACK}?code=CODE123&state={query['state'][0]}")
    assert answer.location == "/x"
    assert blueprint.scope == ["read"]


@pytest.mark.parametrize("where", ["begin", "setting"])
def test_a_number_of_zero_is_sent(rotating: RotatingProvider, where: str) -> None:
    """``max_age=0`` asks the provider to have the visitor log in anew: it must not get lost."""
    asked = {"max_age": 0, "level": 1, "none": None}
    setting, given = ({}, asked) if where == "begin" else (asked, {})
    blueprint = blueprint_at(rotating, authorization_url_params=setting)
    app = make_app(blueprint)
    app.add_url_rule("/more", "more", lambda: blueprint.begin(**given))
    query = parse_qs(urlsplit(app.test_client().get("/more").location).query)
    assert (query["max_age"], query["level"]) == (["0"], ["1"])
    assert "none" not in query


def test_begin_keeps_what_was_granted(rotating: RotatingProvider) -> None:
    """V7: a step up asks for what the token has, too; a narrower answer loses none of it."""
    rotating.approve(name="ann", code="one", scope="read profile")
    rotating.approve(name="ann", code="two", scope="write", refresh_token=False)
    backend = UserScopedBackend(MemoryStore(), user_id=1)
    blueprint = blueprint_at(rotating, scope="read profile", backend=backend)
    app = make_app(blueprint)
    app.add_url_rule("/more", "more", lambda: blueprint.begin(scope="write"))
    client = app.test_client()
    for path, code, asked in [
        ("/login/acme", "one", "read profile"),
        ("/more", "two", "read profile write"),
        ("/more", "two", "read profile write"),
    ]:
        with client.session_transaction() as flask_session:
            flask_session.pop("acme_oauth_ended", None)
        query = parse_qs(urlsplit(client.get(path).location).query)
        assert query["scope"] == [asked]
        client.get(f"{CALLBACK}?code={code}&state={query['state'][0]}")
    with app.test_request_context():
        token = blueprint.token
        assert token is not None
        assert token["scope"] == ["write"]
        assert token["granted_scope"] == ["read", "profile", "write"]


@pytest.mark.parametrize(
    ("own", "more", "asked"),
    [
        ("read,profile", "write", "read,profile,write"),
        ("read,profile", ["write"], "read,profile,write"),
        (["read", "profile"], "write,admin", "read,profile,write,admin"),
        (["read", "profile"], "write admin", "read profile write admin"),
    ],
)
def test_begin_asks_with_the_commas_that_the_provider_wants(
    rotating: RotatingProvider, own: Any, more: Any, asked: str
) -> None:
    """V7: what was granted is asked for in the same form as the rest."""
    backend = UserScopedBackend(MemoryStore(), user_id=1)
    blueprint = blueprint_at(rotating, scope=own, backend=backend)
    rotating.approve(scope=asked)
    app = make_app(blueprint)
    app.add_url_rule("/more", "more", lambda: blueprint.begin(scope=more))
    with app.test_request_context():
        blueprint.token = {"access_token": "x", "scope": "read,profile"}
    client = app.test_client()
    query = parse_qs(urlsplit(client.get("/more").location).query)
    assert query["scope"] == [asked]
    client.get(f"{CALLBACK}?code=CODE123&state={query['state'][0]}")
    with client.session_transaction() as flask_session:
        assert flask_session["acme_oauth_ended"][1] == ""


def test_scope_that_is_not_named_is_the_one_asked_for(rotating: RotatingProvider) -> None:
    """V7: an answer without a scope grants what was asked for (RFC 6749 section 5.1)."""
    rotating.approve()
    blueprint = blueprint_at(rotating, scope=["read", "write"], backend=MemoryBackend())
    client = make_app(blueprint).test_client()
    query = parse_qs(urlsplit(client.get("/login/acme").location).query)
    client.get(f"{CALLBACK}?code=CODE123&state={query['state'][0]}")
    assert blueprint.backend.get(blueprint)["scope"] == ["read", "write"]


@pytest.mark.parametrize("setting", ["scope", "client_id", "redirect_url", "authorization_url"])
def test_setting_is_not_assigned_within_a_request(setting: str) -> None:
    """V7: it would hold for every later visitor, so that it is an error that says what to do."""
    blueprint = make_blueprint()
    app = make_app(blueprint)
    with app.test_request_context(), pytest.raises(ConfigurationError, match=r"begin\(scope="):
        setattr(blueprint, setting, "x")
    with app.app_context():
        setattr(blueprint, setting, "x")
    with app.test_request_context():
        make_blueprint(name="made-in-a-request", scope=["a"])


@pytest.mark.parametrize("client_id", [None, ""])
def test_missing_client_id_is_told_at_the_login_view(client_id: Any) -> None:
    """V8: nothing is sent to the provider."""
    app = make_app(make_blueprint(client_id=client_id), PROPAGATE_EXCEPTIONS=True)
    with pytest.raises(ConfigurationError, match="no client_id"):
        app.test_client().get("/login/acme")


STRANGE = {
    "error": "x",
    "error_description": "PHISH",
    "error_uri": "javascript:alert(1)",
    "error_code": "PHISH",
    "error_message": "PHISH",
    "error_reason": "PHISH",
    "denied": "PHISH",
    "state": "PHISH",
}


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_text_of_strangers_reaches_nobody(
    signals: Signals, caplog: pytest.LogCaptureFixture, has_begun: bool, with_state: bool
) -> None:
    """V9: of a callback that belongs to no login, nothing is passed on or logged."""
    client = make_app(make_blueprint()).test_client()
    if has_begun:
        client.get("/login/acme")
    query = {name: value for name, value in STRANGE.items() if with_state or name != "state"}
    answer = client.get(CALLBACK, query_string=query)
    told = str(signals.of("oauth-error")) + caplog.text + answer.text
    assert "PHISH" not in told
    assert "javascript" not in told
    assert signals.of("oauth-error")[0]["error_uri"] is None


@pytest.mark.parametrize("view", ["login", "authorized"])
def test_blueprint_that_is_not_registered_says_so(view: str) -> None:
    """V11: its views are named by no guess, and a guarded view says what to do."""
    blueprint = make_blueprint()
    app = Flask("bare")
    app.secret_key = "for tests"
    guarded = blueprint.session.authorization_required(lambda: "x")
    with app.test_request_context():
        for work in (
            guarded,
            blueprint.begin,
            lambda: blueprint.view_endpoint(view),
        ):
            with pytest.raises(ConfigurationError, match="register_blueprint"):
                work()


def test_answers_of_the_dance_are_not_stored(rotating: RotatingProvider) -> None:
    """V12: neither redirects, nor pages, nor what receivers return."""
    rotating.approve()
    app = make_app(blueprint_at(rotating))
    client = app.test_client()
    begun = client.get("/login/acme")
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    answers = [begun, client.get(f"{CALLBACK}?code=CODE123&state={state}"), client.get(CALLBACK)]
    state = parse_qs(urlsplit(client.get("/login/acme").location).query)["state"][0]

    def receive(sender: Any, **arguments: Any) -> Any:
        return app.make_response("mine")

    with oauth_authorized.connected_to(receive):
        answers.append(client.get(f"{CALLBACK}?code=CODE123&state={state}"))
    assert answers[-1].text == "mine"
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize("required", [True, False])
def test_oauth1_without_a_verifier(signals: Signals, required: bool) -> None:
    """V13: providers of OAuth 1.0 send none, which has to be allowed."""
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        "key",
        "secret",
        request_token_url=f"{PROVIDER}/temporary",
        access_token_url=f"{PROVIDER}/token",
        authorization_url=f"{PROVIDER}/authorize",
        backend=MemoryBackend(),
        **({} if required else {"require_verifier": False}),
    )
    client = make_app(blueprint).test_client()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
        web.post(f"{PROVIDER}/temporary", body="oauth_token=t&oauth_token_secret=s")
        web.post(f"{PROVIDER}/token", body="oauth_token=T&oauth_token_secret=S")
        client.get("/login/acme")
        client.get(f"{CALLBACK}?oauth_token=t")
    assert (blueprint.backend.get(blueprint) is None) is required
    errors = [sent["error"] for sent in signals.of("oauth-error")]
    assert errors == (["missing_code"] if required else [])


KEYS = [
    *("acme_oauth_state", "acme_oauth_code_verifier", "acme_oauth_state_pending"),
    *("acme_oauth_state_rest", "acme_oauth_ended", "acme_oauth_next"),
]
VALUES: list[Any] = [
    *(None, 5, "", "text", True, [], {}, [5], [[]], [["a"]], [["a", 5]], [[5, "a"]], ["a", "b"]),
    *([1.0], [1.0, None], [1.0, 5], ["x", "y"], [[None, None]], [["s", "v", "late"]], {"a": 1}),
    *([["s", "v", 1.0, 5, 5]], [["s", "v", 1.0, None, None, None, None]], "\ud800", 1e308),
]


@pytest.mark.parametrize("key", KEYS)
def test_whatever_the_session_holds_a_login_works(rotating: RotatingProvider, key: str) -> None:
    """What another version, or somebody else, has left under our keys is no error."""
    rotating.approve()
    app = make_app(blueprint_at(rotating))
    for value in VALUES:
        client = app.test_client()
        with client.session_transaction() as flask_session:
            flask_session[key] = json.loads(json.dumps(value))
        assert client.get(CALLBACK).status_code in (302, 400), value
        begun = client.get("/login/acme?retry=")
        state = parse_qs(urlsplit(begun.location).query)["state"][0]
        answer = client.get(f"{CALLBACK}?code=CODE123&state={state}")
        assert answer.location == "/", value
