"""Odd apps, odd visitors and strangers: no endless dance, no foreign site, nobody locked out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import jinja2
import pytest
import requests
import time_machine
from flask import Blueprint, Flask, redirect, session, url_for

from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2ConsumerBlueprint,
    Setting,
    oauth_authorized,
    oauth_error,
)
from flask_dance_nosql.consumer.backend import MemoryBackend, NullBackend
from flask_dance_nosql.consumer.settings import argument
from flask_dance_nosql.errors import ConfigurationError

from ..rotating import RotatingProvider
from .conftest import Signals, make_app, make_blueprint
from .test_dance import CALLBACK, GUARDS, blueprint_at, serve
from .visitor import Visitor

Pair = tuple[Any, Any]


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """What is stopped when the test is over."""
    with ExitStack() as stack:
        yield stack


@contextmanager
def receiving(signal: Any, blueprint: Any, answer: Callable[[], Any]) -> Iterator[None]:
    """Let a receiver of a signal answer so."""

    def receive(sender: Any, **arguments: Any) -> Any:
        return answer()

    with signal.connected_to(receive, sender=blueprint):
        yield


def begun(client: Any, path: str = "/login/acme", **options: Any) -> str:
    """Begin a login and return its state."""
    query = parse_qs(urlsplit(client.get(path, **options).location).query)
    return query["state"][0]


def token_that_never_works(provider: RotatingProvider, blueprint: Any) -> Pair:
    """The API refuses each new token, and the refresh says that the grant has ended."""
    provider.works = lambda authorization: False  # type: ignore[method-assign] # for this test
    provider.failing = (400, {"error": "invalid_grant"})
    view = blueprint.session.authorization_required(lambda: blueprint.session.get("api").text)
    return view, ()


def receiver_of_success(answer: Callable[[], Any]) -> Callable[..., Pair]:
    """A receiver of ``oauth_authorized`` keeps the token from being stored."""

    def make(provider: RotatingProvider, blueprint: Any) -> Pair:
        view = blueprint.session.authorization_required(lambda: "in")
        return view, (oauth_authorized, answer)

    return make


def receiver_of_failure(answer: Callable[[], Any]) -> Callable[..., Pair]:
    """A receiver of ``oauth_error`` does something after a denial."""

    def make(provider: RotatingProvider, blueprint: Any) -> Pair:
        provider.authorizes = {"error": "access_denied"}
        return blueprint.session.authorization_required(lambda: "in"), (oauth_error, answer)

    return make


def scope_that_is_never_granted(provider: RotatingProvider, blueprint: Any) -> Pair:
    """The view wants a scope that the provider never grants."""
    provider.approve(scope="less")

    def view() -> Any:
        has_scope = "more" in (blueprint.token or {}).get("scope", ())
        return "in" if has_scope else redirect(url_for("acme.login"))

    return view, ()


LOOPS: dict[str, Callable[..., Pair]] = {
    "token that never works": token_that_never_works,
    "receiver stores nothing": receiver_of_success(lambda: False),
    "receiver redirects home": receiver_of_success(lambda: redirect("/")),
    "receiver redirects to the login": receiver_of_success(lambda: redirect("/login/acme")),
    "receiver of an error clears the session": receiver_of_failure(lambda: session.clear() or None),
    "receiver of an error redirects": receiver_of_failure(lambda: redirect("/login/acme")),
    "scope that is never granted": scope_that_is_never_granted,
}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("has_cookies", [True, False])
def test_app_that_goes_round_in_circles_comes_to_a_page(
    servers: ExitStack, rotating: RotatingProvider, kind: str, has_cookies: bool
) -> None:
    """V1: whatever leads back to the login view, the provider is asked twice at most."""
    rotating.approve()
    blueprint = blueprint_at(rotating, auto_refresh=True, scope=["more"])
    app = make_app(blueprint)
    view, receiver = LOOPS[kind](rotating, blueprint)
    app.add_url_rule("/", "home", view)
    if receiver:
        signal, answer = receiver
        servers.enter_context(receiving(signal, blueprint, answer))
    trail = Visitor(has_cookies=has_cookies).visit(f"{serve(servers, app)}/")
    assert trail.has_ended
    assert trail.page.status_code in (400, 403)
    assert len(rotating.calls("/authorize")) <= 2


@pytest.mark.parametrize("guard", GUARDS)
def test_provider_of_oauth1_that_is_down_for_who_has_no_cookies(
    servers: ExitStack, rotating: RotatingProvider, guard: str
) -> None:
    """V1: nothing can be noted in such a browser, so that the login view itself is the end."""
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        "key",
        "secret",
        request_token_url=f"{rotating.url}/closed",
        access_token_url=f"{rotating.url}/closed",
        authorization_url=f"{rotating.url}/authorize",
    )
    app = make_app(blueprint)
    GUARDS[guard](app, blueprint)
    headers = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
    trail = Visitor(has_cookies=False).visit(f"{serve(servers, app)}/", headers=headers)
    assert (trail.page.status_code, len(rotating.asked)) == (400, 1)


def test_script_that_goes_to_the_login_view(servers: ExitStack, rotating: RotatingProvider) -> None:
    """V1: what looks like clicks is counted, too."""
    rotating.approve()
    blueprint = blueprint_at(rotating, backend=NullBackend())
    app = make_app(blueprint)
    app.add_url_rule("/", "home", lambda: "<script>location.href='/login/acme'</script>")
    url, visitor = serve(servers, app), Visitor()
    for _ in range(6):
        visitor.visit(f"{url}/login/acme", headers={"Sec-Fetch-Site": "same-origin"})
    assert len(rotating.calls("/authorize")) == 2


@pytest.mark.parametrize(
    "link",
    [
        "/./login/acme?next=/",
        "/login//acme?next=/",
        "/login/./acme?next=/",
        "/x/../login/acme?next=/",
        "/login/acme#x",
        "/%6cogin/acme",
        "/login/other",
        "/login/acme/authorized?error=x",
    ],
)
def test_page_to_come_back_to_is_no_view_of_a_dance(rotating: RotatingProvider, link: str) -> None:
    """V1: in whatever form it is written, and of whatever blueprint."""
    rotating.approve()
    app = make_app(blueprint_at(rotating), blueprint_at(rotating, name="other"))
    client = app.test_client()
    state = begun(client, f"/login/acme?next={quote(link)}")
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


@pytest.mark.parametrize("target", ["acme.login", "nowhere"])
def test_end_that_is_none_is_told_before_the_dance(target: str) -> None:
    """A ``redirect_to`` that leads to the login, or nowhere, is an error of the set-up."""
    app = make_app(make_blueprint(redirect_to=target), PROPAGATE_EXCEPTIONS=True)
    with pytest.raises(ConfigurationError, match="redirect_to"):
        app.test_client().get("/login/acme")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/%09/evil.example", "/%09/evil.example/acme/authorized?code=c"),
        ("/en/%0a", "/en/%0A/acme/authorized?code=c"),
        ("/en/a%3Fb", "/en/a%3Fb/acme/authorized?code=c"),
        ("/en/a%2520b", "/en/a%2520b/acme/authorized?code=c"),
    ],
)
def test_posted_callback_below_a_prefix_that_varies(
    servers: ExitStack, path: str, location: str
) -> None:
    """V5: the redirect leads to the same URL, whatever is in its path."""
    blueprint = make_blueprint()

    @blueprint.url_value_preprocessor
    def forget(endpoint: Any, values: Any) -> None:
        values.clear()

    app = make_app()
    app.register_blueprint(blueprint, url_prefix="/<language>/<tenant>")
    url = serve(servers, app) + path + "/acme/authorized"
    answer = requests.post(url, data={"code": "c"}, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (303, location)


def test_posted_callback_makes_no_endless_url() -> None:
    """V5: not even by a parameter that is known."""
    answer = make_app(make_blueprint()).test_client().post(CALLBACK, data={"state": "s" * 70_000})
    assert (answer.status_code, answer.location) == (303, CALLBACK)


@pytest.mark.parametrize("name", ["my report", "a?b", "a#b", "a%20b", "ü", "a\\b", "a+b&c=d"])
def test_page_with_odd_characters_is_come_back_to(
    servers: ExitStack, rotating: RotatingProvider, name: str
) -> None:
    """V3: the page is the one that was asked for, to the letter."""
    rotating.approve()
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    view = blueprint.session.authorization_required(lambda name: name)
    app.add_url_rule("/f/<path:name>", "file", view)
    trail = Visitor().visit(f"{serve(servers, app)}/f/{quote(name)}")
    assert (trail.page.status_code, trail.page.text) == (200, name)


def test_page_on_another_host_of_the_app_is_come_back_to(rotating: RotatingProvider) -> None:
    """V3: with ``SERVER_NAME``, a login on a subdomain leads back to the app's other hosts."""
    rotating.approve()
    app = Flask("tests.app", subdomain_matching=True)
    app.config.update(
        SECRET_KEY="for tests", SERVER_NAME="example.test", SESSION_COOKIE_DOMAIN="example.test"
    )
    blueprint = blueprint_at(rotating, subdomain="auth")
    app.register_blueprint(blueprint)
    app.add_url_rule("/cal", "cal", blueprint.session.authorization_required(lambda: "x"))
    client = app.test_client()
    there = "http://auth.example.test"
    login = client.get("/cal", base_url="http://example.test").location
    state = begun(client, urljoin("http://example.test/cal", login))
    end = client.get(f"{there}/acme/authorized?code=CODE123&state={state}").location
    assert end == "http://example.test/cal"
    for hostile in ("http://evil.test/", "http://notexample.test/", "https://example.test/"):
        with client.session_transaction(base_url=there) as flask_session:
            flask_session.pop("acme_oauth_ended", None)
        state = begun(client, f"{there}/acme?next={quote(hostile)}")
        end = client.get(f"{there}/acme/authorized?code=CODE123&state={state}").location
        assert end == "/"


def test_link_of_a_stranger_forgets_no_login(rotating: RotatingProvider) -> None:
    """V4: a page that is asked for makes no room for itself at the cost of a login."""
    rotating.approve()
    app = make_app(blueprint_at(rotating))
    client = app.test_client()
    with client.session_transaction() as flask_session:
        flask_session["full"] = secrets.token_urlsafe(2600)
    state = begun(client)
    client.get(f"/login/acme?next=/{secrets.token_urlsafe(700)}")
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert len(rotating.calls("/token")) == 1


@pytest.mark.parametrize("mode", ["no-cors", "cors", "same-origin", "websocket"])
def test_only_pages_begin_logins(rotating: RotatingProvider, mode: str) -> None:
    """V4: images and scripts push out no login that waits."""
    rotating.approve()
    client = make_app(blueprint_at(rotating)).test_client()
    state = begun(client, headers={"Sec-Fetch-Mode": "navigate"})
    for _ in range(6):
        assert client.get("/login/acme", headers={"Sec-Fetch-Mode": mode}).status_code == 403
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"
    assert len(rotating.calls("/token")) == 1


@pytest.mark.parametrize("query", ["error=access_denied", "state=of-a-stranger&code=x"])
def test_stranger_keeps_nobody_from_logging_in(signals: Signals, query: str) -> None:
    """V9: links to the callback, however many, keep no click from beginning a login."""
    client = make_app(make_blueprint()).test_client()
    client.get("/login/acme")
    for _ in range(3):
        client.get(f"{CALLBACK}?{query}", headers={"Sec-Fetch-Site": "cross-site"})
    assert client.get("/login/acme", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 302
    assert {sent["error_description"] for sent in signals.of("oauth-error")} <= {
        "The provider refused, and did not say which login.",
        "No login begun here has this state.",
    }


def test_two_blueprints_of_one_name_are_refused() -> None:
    """Their logins and tokens would be mixed up, wherever they are nested."""
    app = make_app()
    one, other = Blueprint("one", "x"), Blueprint("other", "x")
    one.register_blueprint(make_blueprint(backend=MemoryBackend()))
    other.register_blueprint(make_blueprint(backend=MemoryBackend()))
    app.register_blueprint(one, url_prefix="/one")
    with pytest.raises(ConfigurationError, match="another OAuth blueprint"):
        app.register_blueprint(other, url_prefix="/other")


@pytest.mark.parametrize("way", ["delete", "revoke"])
def test_next_visitor_of_a_browser_gets_nothing_of_the_last(
    rotating: RotatingProvider, way: str
) -> None:
    """Promise 19: page, failure and unfinished logins go with the token."""
    rotating.approve()
    blueprint = blueprint_at(rotating, revocation_url=f"{rotating.url}/revoke")
    app = make_app(blueprint)
    app.add_url_rule("/hers", "hers", blueprint.session.authorization_required(lambda: "x"))

    def logout() -> str:
        if way == "revoke":
            blueprint.revoke()
        else:
            del blueprint.token
        return "bye"

    app.add_url_rule("/logout", "logout", logout)
    client = app.test_client()
    client.get("/hers")
    left = begun(client, "/login/acme?next=/private")
    client.get("/hers")
    client.get(f"{CALLBACK}?error=access_denied&state={begun(client)}")
    client.get("/logout")
    with client.session_transaction() as flask_session:
        assert not flask_session
    assert client.get(f"{CALLBACK}?code=CODE123&state={left}").status_code == 400
    state = begun(client)
    assert client.get(f"{CALLBACK}?code=CODE123&state={state}").location == "/"


@pytest.mark.parametrize("answer", [False, "mine"])
def test_success_forgets_an_earlier_failure(rotating: RotatingProvider, answer: Any) -> None:
    """A receiver that stores the token, or answers, has ended the dance well, too."""
    blueprint = blueprint_at(rotating)
    app = make_app(blueprint)
    client = app.test_client()
    click = {"Sec-Fetch-Site": "same-origin"}
    client.get(f"{CALLBACK}?error=access_denied&state={begun(client)}")
    rotating.approve()
    with receiving(
        oauth_authorized,
        blueprint,
        lambda: app.make_response(answer) if answer else answer,
    ):
        state = begun(client, headers=click)
        assert client.get(f"{CALLBACK}?code=CODE123&state={state}").status_code in (200, 302)
    assert client.get("/login/acme", headers=click).status_code == 302


@pytest.mark.parametrize(
    "content",
    [
        {"acme_oauth_ended": [10**400, "x", 1]},
        {"acme_oauth_ended": [-(10**400), "x", 1]},
        {"acme_oauth_next": [10**400, "/x", 1]},
        {"acme_oauth_ended": [1e308, "x", 10**400]},
        {"acme_oauth_state": "s", "acme_oauth_state_rest": [1.0, "//evil.example", None]},
        {"acme_oauth_state": "s", "acme_oauth_state_rest": [1.0, "/a\nb", None]},
        {"acme_oauth_state": "s", "acme_oauth_state_rest": [10**400, "/a", None]},
    ],
    ids=str,
)
def test_content_of_the_session_is_checked(rotating: RotatingProvider, content: Any) -> None:
    """Whoever has the key of the session may put anything there, and so may another version."""
    rotating.approve()
    client = make_app(blueprint_at(rotating)).test_client()
    with client.session_transaction() as flask_session:
        flask_session.update(content)
    assert client.get(f"{CALLBACK}?code=CODE123&state=s").location in ("/", "/a", None)
    assert client.get("/login/acme").status_code == 302


class OtherDelimiters(Flask):
    """An app with delimiters that leave those of Vue alone."""

    jinja_options = {"variable_start_string": "[[", "variable_end_string": "]]"}


def test_failure_page_depends_on_nothing_of_the_app() -> None:
    """Neither on its delimiters nor on what its loader can do."""
    for make in (OtherDelimiters, Flask):
        app = make("tests.app")
        app.secret_key = "for tests"
        app.jinja_loader = jinja2.FunctionLoader(lambda name: None)  # type: ignore[assignment] # a loader
        app.register_blueprint(make_blueprint())
        text = app.test_client().get("/acme/authorized").text
        assert "You are not signed in" in text
        assert "{{" not in text


def test_failure_page_of_the_app_has_its_context() -> None:
    """A template of the app's may use what its other templates do."""
    app = make_app(make_blueprint())
    app.jinja_loader = jinja2.DictLoader({"flask_dance_nosql/failed.html": "{{ who }} {{ error }}"})  # type: ignore[assignment] # a loader
    app.context_processor(lambda: {"who": "ann"})
    assert app.test_client().get(CALLBACK).text == "ann missing_state"


class FlaskDanceStorage:
    """What Flask-Dance's storages do for an anonymous visitor."""

    def get(self, blueprint: Any) -> Any:
        raise ValueError("Cannot get OAuth token without an associated user")

    set = delete = get


def test_storage_of_flask_dance_without_a_user() -> None:
    """Nobody is no error: the visitor is led to the login, and a stranger's link to a page."""
    blueprint = make_blueprint(backend=FlaskDanceStorage())
    app = make_app(blueprint)
    app.add_url_rule("/", "home", blueprint.session.authorization_required(lambda: "x"))
    client = app.test_client()
    assert client.get("/").location == "/login/acme"
    assert client.get(f"{CALLBACK}?code=x").status_code == 400


# Arguments.


@pytest.mark.parametrize(
    "arguments",
    [
        *({"redirect_uri": url} for url in ("//host/cb", "ftp://host/cb", "http://", "https:x")),
        *({"login_url": route} for route in ("/{bp.nam}", "/{", "/{0}", "/{bp.name!z}")),
        *({"code_challenge_method": name} for name in ("S265", "s256", "")),
    ],
    ids=str,
)
def test_odd_values_are_told_where_they_are_given(arguments: Any) -> None:
    """V6, V10: an error of the set-up, and no surprise in a view."""
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        make_blueprint(**arguments)


def test_rules_hold_for_assignments_and_configurations() -> None:
    """V6, V10: what the constructor refuses is refused wherever a value comes from."""
    blueprint = make_blueprint()
    for name, value in (("redirect_uri", "/x"), ("session_class", dict), ("base_url", 5)):
        with pytest.raises(ConfigurationError, match=name):
            setattr(blueprint, name, value)
    for name, value in (("scope", 5), ("base_url", 5), ("session_class", dict), ("client_id", [])):
        other = make_blueprint()
        other.from_config[name] = "KEY"
        app = make_app(other, KEY=value)
        with app.test_request_context(), pytest.raises(ConfigurationError, match="KEY"):
            _ = other.session.client_id


@pytest.mark.parametrize(
    "arguments",
    [
        *({"scope": scope} for scope in (5, b"a", [5], object())),
        *({name: "x"} for name in ("state", "url", "redirect_uri", "client_id", "code_challenge")),
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_odd_arguments_of_begin_are_told(arguments: Any) -> None:
    """V7: a typo in a view is an error that names it."""
    blueprint = make_blueprint()
    app = make_app(blueprint)
    with app.test_request_context(), pytest.raises(ConfigurationError, match=r"begin\(\)"):
        blueprint.begin(**arguments)


def test_scopes_of_begin_may_be_any_collection() -> None:
    """V7: also a generator."""
    blueprint = make_blueprint()
    with make_app(blueprint).test_request_context():
        answer = blueprint.begin(scope=(each for each in ("a", "b")))
    assert parse_qs(urlsplit(answer.location).query)["scope"] == ["a b"]


def test_blueprint_may_be_set_up_within_a_request() -> None:
    """V7: until it is registered, nobody else has it."""

    class Sub(OAuth2ConsumerBlueprint):
        tenants: Setting[tuple[str, ...]] = Setting(default=())
        label: str = argument(default="x")

        def __init__(self, **kwargs: Any) -> None:
            self.before = self.client_id
            super().__init__("sub", __name__, **kwargs)
            self.client_id = "assigned"

    app = make_app()
    with app.test_request_context():
        blueprint = Sub(tenants=("a", "b"))
    assert (blueprint.before, blueprint.client_id) == (None, "assigned")
    with pytest.raises(ConfigurationError, match="tenants"):
        Sub(tenants=("a", 5))


def test_state_that_is_no_text_is_told() -> None:
    """A login whose state can't come back would be lost."""
    app = make_app(make_blueprint(state=lambda: 5), PROPAGATE_EXCEPTIONS=True)
    with pytest.raises(ConfigurationError, match="state"):
        app.test_client().get("/login/acme")


def test_asking_twice_in_a_row_is_no_loop(rotating: RotatingProvider) -> None:
    """Who logs in again after a while, or by a click, is led to the provider."""
    rotating.approve()
    client = make_app(blueprint_at(rotating)).test_client()
    now = time.time()
    for number in range(5):
        with time_machine.travel(now + 11 * number):
            state = begun(client)
            client.get(f"{CALLBACK}?code=CODE123&state={state}")
    assert len(rotating.calls("/token")) == 5
