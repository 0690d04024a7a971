"""What browsers do with a dance: several tabs, prefetching, the back button, strict cookies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from html import escape, unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pytest
from flask import Flask, request, session
from playwright.sync_api import Browser

from flask_dance_nosql.consumer import oauth_authorized
from flask_dance_nosql.consumer.backend import MemoryBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable

from ..rotating import RotatingProvider
from ..test_browser import browser  # noqa: F401 - a fixture
from .conftest import Signals, make_app, make_blueprint
from .test_dance import CALLBACK, blueprint_at, by_decorator, serve
from .test_dance_attacks import receiving
from .visitor import Visitor

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
FROM_ELSEWHERE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """What is stopped when the test is over."""
    with ExitStack() as stack:
        yield stack


def state_of(answer: Any) -> str:
    """Return the state of a login that a redirect begins."""
    return str(parse_qs(urlsplit(answer.location).query)["state"][0])


def guarded(blueprint: Any, *paths: str, **config: Any) -> Flask:
    """Make an app with pages that need a token."""
    app = make_app(blueprint, **config)
    for path in paths:
        app.add_url_rule(path, path, blueprint.session.authorization_required(lambda: "in"))
    return app


# Several tabs.


def test_tabs_that_are_opened_together_come_back_each_to_its_own(
    rotating: RotatingProvider,
) -> None:
    """V3: all pages are asked for before any login view is, as when a browser is started again."""
    rotating.approve()
    client = guarded(blueprint_at(rotating), "/a", "/b", "/c").test_client()
    logins = {page: client.get(page, headers=PAGE).location for page in ("/a", "/b", "/c")}
    states = {page: state_of(client.get(login)) for page, login in logins.items()}
    for page in ("/b", "/a", "/c"):
        answer = client.get(f"{CALLBACK}?code=CODE123&state={states[page]}")
        assert answer.location == page


@pytest.mark.parametrize("headers", [PAGE, {}], ids=["browser", "test"])
def test_url_of_the_login_is_that_of_flask_dance_but_for_browsers(headers: Any) -> None:
    """The page is in the URL for who says that it is a browser, and else in the session."""
    client = guarded(make_blueprint(), "/a").test_client()
    answer = client.get("/a?x=1&y=%2F", headers=headers)
    with client.session_transaction() as flask_session:
        is_noted = "acme_oauth_next" in flask_session
    if headers:
        assert answer.location == "/login/acme?next=%2Fa%3Fx%3D1%26y%3D%252F"
        assert not is_noted
    else:
        assert answer.location == "/login/acme"
        assert is_noted


@pytest.mark.parametrize("headers", [PAGE, {}], ids=["browser", "test"])
def test_page_that_is_too_long_is_not_come_back_to(
    rotating: RotatingProvider, headers: Any
) -> None:
    """V3: the login goes on without it."""
    rotating.approve()
    client = guarded(blueprint_at(rotating), "/a").test_client()
    login = client.get(f"/a?{'x' * 1000}", headers=headers).location
    assert login == "/login/acme"
    state = state_of(client.get(login))
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


def test_login_on_another_host_of_the_app_is_told_the_whole_url() -> None:
    """V3: what is a path here would be another page there."""
    app = Flask("tests.app", subdomain_matching=True)
    app.config.update(SECRET_KEY="for tests", SERVER_NAME="example.test")
    blueprint = make_blueprint(subdomain="auth")
    app.register_blueprint(blueprint)
    app.add_url_rule("/cal", "cal", blueprint.session.authorization_required(lambda: "x"))
    location = app.test_client().get("/cal", headers=PAGE).location
    assert location == "http://auth.example.test/acme?next=http%3A%2F%2Fexample.test%2Fcal"


# What is fetched, and not shown.

AHEAD: list[tuple[str, dict[str, str]]] = [
    ("GET", {"Sec-Purpose": "prefetch", "Sec-Fetch-Mode": "navigate"}),
    ("GET", {"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Mode": "navigate"}),
    ("GET", {"Purpose": "prefetch"}),
    ("GET", {"X-Purpose": "preview"}),
    ("GET", {"X-Moz": "prefetch"}),
    ("HEAD", {}),
]


@pytest.mark.parametrize(("method", "headers"), AHEAD)
def test_what_is_fetched_ahead_begins_and_ends_no_login(
    rotating: RotatingProvider, method: str, headers: Any
) -> None:
    """A link that a browser, or a checker of links, looks at costs neither a login nor a code."""
    rotating.approve()
    client = make_app(blueprint_at(rotating)).test_client()
    state = state_of(client.get("/login/acme"))
    callback = f"{CALLBACK}?code=CODE123&state={state}"
    for _ in range(6):
        for path in ("/login/acme", callback):
            answer = client.open(path, method=method, headers=headers)
            assert answer.status_code == 403
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in answer.headers
    assert client.get(callback).location == "/"
    assert len(rotating.calls("/token")) == 1


@pytest.mark.parametrize("path", ["/login/acme", CALLBACK])
def test_options_of_the_views_change_nothing(path: str) -> None:
    """They are answered by Flask, without a login."""
    answer = make_app(make_blueprint()).test_client().options(path)
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)


# Where a failed login leads.


def test_try_again_leads_to_the_page_that_was_asked_for(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """V3: although the failure itself has led to the start page, and that to the login view."""
    app = guarded(blueprint_at(rotating), "/", "/projects")
    url, visitor = serve(servers, app), Visitor()
    trail = visitor.visit(f"{url}/projects?a=1", headers=PAGE)
    assert trail.page.status_code == 400
    rotating.approve()
    (link,) = re.findall('href="(/login/acme[^"]*)"', trail.page.text)
    trail = visitor.visit(url + unescape(link), headers=PAGE)
    assert (trail.page.text, trail.urls[-1]) == ("in", f"{url}/projects?a=1")


@pytest.mark.parametrize(
    "answer",
    ["error=access_denied&state={state}", "error=access_denied", "state={state}", "code=c&state=x"],
)
def test_page_of_a_failure_knows_what_was_asked_for(answer: str) -> None:
    """V3: of a login that was refused, or had no code; of no login, it is not known."""
    client = guarded(make_blueprint(), "/").test_client()
    state = state_of(client.get("/login/acme?next=/projects"))
    client.get(f"{CALLBACK}?{answer.format(state=state)}")
    page = client.get("/", follow_redirects=True)
    assert page.status_code in (400, 403)
    is_known = "state=x" not in answer
    assert ('href="/login/acme?retry=&amp;next=%2Fprojects' in page.text.replace("/p", "%2Fp")) is (
        is_known
    )


def test_another_page_that_is_asked_for_meanwhile_wins() -> None:
    """V3: the page of the failed login is for who has asked for none since."""
    client = guarded(make_blueprint(), "/", "/other").test_client()
    state = state_of(client.get("/login/acme?next=/projects"))
    client.get(f"{CALLBACK}?error=access_denied&state={state}")
    page = client.get("/other", follow_redirects=True).text
    assert "next=/other" in page
    assert "projects" not in page


@pytest.mark.parametrize("is_known", [True, False])
def test_back_button_after_a_login_leads_home(rotating: RotatingProvider, is_known: bool) -> None:
    """Who has a token and comes to an old callback goes on; who has none gets a page."""
    rotating.approve()
    client = guarded(blueprint_at(rotating), "/").test_client()
    state = state_of(client.get("/login/acme", headers=PAGE))
    if is_known:
        client.get(f"{CALLBACK}?code=CODE123&state={state}", headers=FROM_ELSEWHERE)
    for begins in (False, True):
        if begins:
            client.get("/login/acme", headers={**PAGE, "Sec-Fetch-Site": "same-origin"})
        answer = client.get(f"{CALLBACK}?code=CODE123&state=old", headers=FROM_ELSEWHERE)
        assert answer.status_code == (302 if is_known else 400)


class OldCookie(Visitor):
    """A browser with a cookie of the same name that no answer of the app changes."""

    def _ask(self, method: str, url: str, **arguments: Any) -> Any:
        kept = dict(self.cookies)
        answer = super()._ask(method, url, **arguments)
        self.cookies = kept
        return answer


def test_cookie_that_never_changes_ends_on_a_page(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """V1: as one that is set for another domain, or when new ones are too large."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    by_decorator(app, blueprint)
    visitor = OldCookie()
    client = app.test_client()
    client.get("/login/acme")
    cookie = client.get_cookie("session")
    assert cookie is not None
    visitor.cookies["session"] = cookie.value
    trail = visitor.visit(serve(servers, app), headers=PAGE)
    assert trail.has_ended
    assert (trail.page.status_code, len(rotating.calls("/authorize"))) == (400, 1)


# Cookies that only come from pages of the site.


class StrictVisitor(Visitor):
    """A browser that sends cookies only with what the site itself leads to, as with Strict."""

    def walk(self, url: str, *, headers: dict[str, str] | None = None) -> Any:
        """Open a URL, follow redirects, and the page that goes on by itself."""
        kept = {} if headers == FROM_ELSEWHERE else self.cookies
        urls = [url]
        answer = self._ask("GET", url, headers=headers, cookies=kept)
        while len(urls) < 20:
            onward = answer.headers.get("Location")
            refresh = re.search('http-equiv="refresh" content="0;url=([^"]*)"', answer.text)
            if refresh:
                onward, kept = unescape(refresh[1]), self.cookies
            if onward is None:
                break
            urls.append(urljoin(urls[-1], onward))
            if urlsplit(urls[-1]).netloc != urlsplit(urls[-2]).netloc:
                # From here on it is another site that leads.
                kept = {}
            answer = self._ask("GET", urls[-1], headers=headers, cookies=kept)
        return answer


@pytest.mark.parametrize("posts", [False, True])
def test_login_with_strict_cookies(
    servers: ExitStack, rotating: RotatingProvider, posts: bool
) -> None:
    """V5: the callback goes on by a page of the site, with which the cookie comes."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint, SESSION_COOKIE_SAMESITE="Strict")
    by_decorator(app, blueprint)
    url, visitor = serve(servers, app), StrictVisitor()
    if posts:
        begun = visitor._ask("GET", f"{url}/login/acme")
        query = parse_qs(urlsplit(begun.headers["Location"]).query)
        form = {"code": "CODE123", "state": query["state"][0]}
        answer = visitor._ask("POST", url + CALLBACK, data=form, cookies={})
        assert answer.status_code == 303
        callback = urljoin(url, answer.headers["Location"])
        answer = visitor.walk(callback, headers=FROM_ELSEWHERE)
    else:
        answer = visitor.walk(f"{url}/")
    assert (answer.status_code, answer.text) == (200, "welcome")


def test_strict_cookies_that_never_come_end_on_a_page(
    servers: ExitStack, rotating: RotatingProvider
) -> None:
    """V1: the stepping stone is used once."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint, SESSION_COOKIE_SAMESITE="Strict")
    by_decorator(app, blueprint)
    visitor = StrictVisitor(has_cookies=False)
    answer = visitor.walk(f"{serve(servers, app)}/")
    assert answer.status_code == 400
    assert "missing_state" in answer.text
    assert len(rotating.calls("/authorize")) == 1


def test_stepping_stone_shows_nothing_and_leads_nowhere_else() -> None:
    """It is not stored, says nothing of where it was, and leads to the callback only."""
    client = make_app(make_blueprint(), SESSION_COOKIE_SAMESITE="Strict").test_client()
    query = urlencode({"state": 's"><script>', "code": "c", "next": "//evil.example"})
    answer = client.get(f"{CALLBACK}?{query}")
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    links = re.findall('(?:href|url)="?([^"]*)"', answer.text)
    assert {urlsplit(unescape(link)).path for link in links} == {CALLBACK}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers
    huge = client.get(f"{CALLBACK}?state={'s' * 9000}")
    assert len(huge.text) < 2000


CONSENT = {
    "GET": '<a href="{uri}?code=CODE123&state={state}">Allow</a>',
    "POST": (
        '<form method="post" action="{uri}"><input name="code" value="CODE123">'
        '<input name="state" value="{state}"><button>Allow</button></form>'
    ),
}
"""The page on which a provider asks the visitor, who answers by a link or by a form."""


@pytest.mark.parametrize("same_site", ["Lax", "Strict"])
@pytest.mark.parametrize("method", CONSENT)
def test_login_in_a_real_browser(
    servers: ExitStack,
    rotating: RotatingProvider,
    browser: Browser,  # noqa: F811 - the fixture
    method: str,
    same_site: str,
) -> None:
    """V3, V5: whichever cookies it sends, the visitor comes back to the page."""
    rotating.approve()
    other = Flask("provider")

    @other.get("/authorize")
    def ask() -> str:
        return CONSENT[method].format(
            uri=escape(request.args["redirect_uri"]), state=escape(request.args["state"])
        )

    blueprint = blueprint_at(rotating, authorization_url=f"{serve(servers, other)}/authorize")
    app = guarded(blueprint, "/projects", SESSION_COOKIE_SAMESITE=same_site)
    app.add_url_rule("/", "home", lambda: '<a href="/projects?a=1">Projects</a>')
    # For a browser, this is another site than that of the provider.
    url = serve(servers, app).replace("127.0.0.1", "localhost")
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url)
        page.click("a")
        page.click("a, button")
        page.wait_for_url(f"{url}/projects?a=1")
        assert page.inner_text("body") == "in"
    finally:
        context.close()


# Another user.


def site_of_users(provider: RotatingProvider, **options: Any) -> tuple[Flask, Any, MemoryStore]:
    """Make an app with users, who are whom the session names."""
    store = MemoryStore()
    backend = UserScopedBackend(store, user_id=lambda: session.get("user"))
    blueprint = blueprint_at(provider, backend=backend, **options)
    app = make_app(blueprint)

    @app.get("/as/<user>")
    def become(user: str) -> str:
        session["user"] = user
        return user

    @app.get("/nobody")
    def leave() -> str:
        session.pop("user", None)
        return ""

    return app, blueprint, store


@pytest.mark.parametrize("then", ["/as/ben", "/nobody"])
def test_login_of_one_user_is_not_ended_by_another(
    rotating: RotatingProvider, signals: Signals, then: str
) -> None:
    """Ann's account at the provider is not connected to Ben, who has signed in meanwhile."""
    rotating.approve()
    app, _, store = site_of_users(rotating)
    client = app.test_client()
    client.get("/as/ann")
    state = state_of(client.get("/login/acme?next=/of-ann"))
    client.get(then)
    client.get(f"{CALLBACK}?code=CODE123&state={state}")
    # Nor is Ben led to what Ann had asked for.
    assert "mismatching_user" in client.get("/login/acme").text
    assert "of-ann" not in client.get("/login/acme").text
    assert [sent["error"] for sent in signals.of("oauth-error")] == ["mismatching_user"]
    assert list(store.scan()) == []
    assert rotating.calls("/token") == []


@pytest.mark.parametrize("first", ["/as/ann", "/nobody"])
def test_login_is_ended_by_who_began_it(rotating: RotatingProvider, first: str) -> None:
    """So it is by who has signed in here since, as an account is linked in another tab."""
    rotating.approve()
    app, _, store = site_of_users(rotating)
    client = app.test_client()
    client.get(first)
    state = state_of(client.get("/login/acme"))
    client.get("/as/ann")
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert [document.user_id for document in store.scan()] == ["ann"]


def test_login_where_asking_who_it_is_fails_before_it(rotating: RotatingProvider) -> None:
    """An app whose visitors sign in by the dance may know no user until then."""
    rotating.approve()
    store = MemoryStore()
    backend = UserScopedBackend(store, user_id=lambda: session["user"])
    blueprint = blueprint_at(rotating, backend=backend)
    client = make_app(blueprint).test_client()
    state = state_of(client.get("/login/acme"))

    def sign_in(sender: Any, **token: Any) -> None:
        session["user"] = "ann"

    with oauth_authorized.connected_to(sign_in):
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert [document.user_id for document in store.scan()] == ["ann"]


def test_login_by_which_another_user_signs_in_is_theirs(rotating: RotatingProvider) -> None:
    """Who switches accounts is another user only after the provider has said who it is."""
    rotating.approve()
    app, blueprint, store = site_of_users(rotating)
    client = app.test_client()
    client.get("/as/ann")
    state = state_of(client.get("/login/acme"))
    with receiving(oauth_authorized, blueprint, lambda: session.update(user="ben")):
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert [document.user_id for document in store.scan()] == ["ben"]


def test_beginning_asks_for_the_user_once(rotating: RotatingProvider) -> None:
    """Promise 13: also where it reads what was granted so far."""
    asked = []

    def who() -> str:
        asked.append("ann")
        return "ann"

    backend = UserScopedBackend(MemoryStore(), user_id=who)
    blueprint = blueprint_at(rotating, backend=backend)
    with make_app(blueprint).test_request_context():
        blueprint.begin(scope="write")
    assert asked == ["ann"]


@pytest.mark.parametrize("scope", ["browser", "app"])
def test_login_where_there_are_no_users(rotating: RotatingProvider, scope: Any) -> None:
    """Two tabs of one browser may log in one after the other: neither has another user."""
    rotating.approve()
    blueprint = blueprint_at(rotating, backend=UserScopedBackend(MemoryStore(), scope=scope))
    client = make_app(blueprint).test_client()
    states = [state_of(client.get("/login/acme")) for _ in range(2)]
    for state in states:
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


# What is not stored.


class Down(MemoryBackend):
    """A backend whose server does not answer."""

    def set(self, blueprint: Any, token: Any) -> None:
        raise BackendUnavailable("set", "Down")


class WriteOnly(MemoryBackend):
    """A backend whose server takes a token, and does not answer any more."""

    def get(self, blueprint: Any) -> Any:
        raise OSError("connection reset")


def test_login_that_is_stored_has_ended_well(rotating: RotatingProvider) -> None:
    """Whether it was kept is looked up for the loop guard, which is no reason to fail."""
    rotating.approve()
    backend = WriteOnly()
    client = make_app(blueprint_at(rotating, backend=backend)).test_client()
    state = state_of(client.get("/login/acme"))
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert backend.token is not None


@pytest.mark.parametrize("handles", [True, False])
def test_error_at_the_callback_is_not_stored(rotating: RotatingProvider, handles: bool) -> None:
    """V12: nor is what the app makes of it; the URL has the code in it."""
    rotating.approve()
    app = make_app(blueprint_at(rotating, backend=Down()))
    if handles:
        app.register_error_handler(BackendUnavailable, lambda error: ("later", 503))
    client = app.test_client()
    state = state_of(client.get("/login/acme"))
    answer = client.get(f"{CALLBACK}?code=CODE123&state={state}")
    assert answer.status_code == (503 if handles else 500)
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_comes_in_place_of_the_callback_is_not_stored() -> None:
    """V12: such as the page of an app that is closed."""
    app = make_app(make_blueprint())
    app.before_request(lambda: "closed")
    answer = app.test_client().get(f"{CALLBACK}?code=CODE123&state=x")
    assert (answer.text, answer.headers["Cache-Control"]) == ("closed", "no-store")


def test_files_of_a_blueprint_may_be_stored(tmp_path: Any) -> None:
    """V12 is about the two views only."""
    (tmp_path / "logo.txt").write_text("logo")
    blueprint = make_blueprint(static_folder=str(tmp_path), static_url_path="/files")
    with make_app(blueprint).test_client().get("/login/files/logo.txt") as answer:
        assert answer.get_data() == b"logo"
        assert answer.headers["Cache-Control"] == "no-cache"


# Other hosts of the app.


@pytest.mark.parametrize("matches", [True, False])
def test_page_on_another_host_is_one_that_the_app_has(
    rotating: RotatingProvider, matches: bool
) -> None:
    """V3: without subdomains, what is below ``SERVER_NAME`` may be somebody else's."""
    app = Flask("tests.app", subdomain_matching=matches)
    app.config.update(SECRET_KEY="for tests", SERVER_NAME="example.test")
    app.register_blueprint(blueprint_at(rotating))
    app.register_blueprint(blueprint_at(rotating, name="other"), subdomain="auth")
    app.add_url_rule("/cal", "cal", lambda: "x", subdomain="tools")
    rotating.approve()
    for page, is_own in {
        "http://tools.example.test/cal": True,
        "http://tools.example.test/else": False,
        "http://customer.example.test/": False,
        "http://auth.example.test/other": False,
        "http://evil.test%2F.example.test/cal": False,
        "http://a@tools.example.test/cal": False,
    }.items():
        client = app.test_client()
        there = "http://example.test"
        state = state_of(client.get(f"{there}/acme?next={quote(page)}"))
        end = client.get(f"{there}/acme/authorized?code=CODE123&state={state}").location
        assert end == (page if matches and is_own else "/")


def test_login_view_that_ends_with_a_slash_is_no_page_to_come_back_to(
    rotating: RotatingProvider,
) -> None:
    """V1: nor without the slash, which leads there."""
    rotating.approve()
    app = make_app(blueprint_at(rotating, login_url="/{bp.name}/"))
    client = app.test_client()
    for page in ("/login/acme", "/login/acme/"):
        with client.session_transaction() as flask_session:
            flask_session.clear()
        state = state_of(client.get(f"/login/acme/?next={page}"))
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


def test_second_name_of_a_blueprint_is_of_the_dance_too(rotating: RotatingProvider) -> None:
    """V1, V12: whichever of its login views is named, it is no page, and is not stored."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    app.register_blueprint(blueprint, name="second", url_prefix="/second")
    client = app.test_client()
    begun = client.get("/second/acme?next=/second/acme")
    assert begun.headers["Cache-Control"] == "no-store"
    answer = client.get(f"/second/acme/authorized?code=CODE123&state={state_of(begun)}")
    assert (answer.location, answer.headers["Cache-Control"]) == ("/", "no-store")


@pytest.mark.parametrize("prefix", ["/ü", "/a b"])
def test_callback_below_an_odd_prefix_is_a_url(prefix: str) -> None:
    """V2: the provider is told what a browser shows, and what is registered there."""
    client = make_app(make_blueprint()).test_client()
    environ = {"SCRIPT_NAME": prefix.encode().decode("latin-1")}
    begun = client.get("/login/acme", environ_overrides=environ)
    query = parse_qs(urlsplit(begun.location).query)
    assert query["redirect_uri"] == [f"http://localhost{quote(prefix)}{CALLBACK}"]
