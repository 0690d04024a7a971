"""Sessions that are kept on the server, and providers of OpenID Connect, when somebody signs in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from flask import Flask, Request, Response
from flask import session as flask_session
from flask.sessions import SessionInterface, SessionMixin

from flask_dance_nosql.accounts import SignIn, current_user_id
from flask_dance_nosql.accounts.profile import profile_in
from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.contrib.twitter import make_twitter_blueprint
from flask_dance_nosql.errors import AccountUnknown

from ..consumer.conftest import make_app
from ..consumer.oidc.provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider
from ..consumer.site import Site
from ..rotating import RotatingProvider
from .members import Members


class Kept(dict[str, Any], SessionMixin):
    """A session with an id."""

    def __init__(self, sid: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.sid = sid


class ServerSide(SessionInterface):
    """Keeps sessions on the server, and takes any id that a cookie brings."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def open_session(self, app: Flask, request: Request) -> Kept:
        """Return the session that the cookie names."""
        sid = request.cookies.get("session") or secrets.token_hex(8)
        return Kept(sid, self.kept.get(sid, {}))

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Keep the session."""
        self.kept[session.sid] = dict(session)
        response.set_cookie("session", session.sid)


class Regenerating(ServerSide):
    """Renews ids as Flask-Session does: not of a session that is empty."""

    def regenerate(self, session: Kept) -> None:
        """Give a session another id."""
        if session:
            self.kept.pop(session.sid, None)
            session.sid = secrets.token_hex(8)


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


@pytest.mark.parametrize("has_flask_login", [False, True])
@pytest.mark.parametrize("values", [{}, {"cart": ["a book"]}])
def test_a_planted_session_gets_another_id(
    rotating: RotatingProvider, has_flask_login: bool, values: dict[str, Any]
) -> None:
    """Who has planted an id in a browser has nothing of the session of who signs in there."""
    members = Members(rotating, has_flask_login=has_flask_login)
    interface = members.site.app.session_interface = Regenerating()
    interface.kept["planted"] = values
    browser = members.site.browser()
    browser.cookie = "planted"
    assert members.login(browser).status_code == 302
    assert browser.cookie != "planted"
    assert members.user_of(browser) == "1"
    assert browser.do(lambda: flask_session.get("cart")) == values.get("cart")
    browser.cookie = "planted"
    assert members.user_of(browser) is None


def test_an_application_renews_by_itself(rotating: RotatingProvider) -> None:
    """``renew_session`` takes the place of Flask-Session, when the session is the user's."""
    seen = []
    renew = {"renew_session": lambda: seen.append(current_user_id())}
    members = Members(rotating, steps=renew)
    members.site.app.session_interface = ServerSide()
    browser = members.arrived()
    assert seen == ["1"]
    members.login(browser, "B")
    # Nobody has signed in.
    assert seen == ["1"]
    browser.do(members.sign_in.log_out)
    assert seen == ["1", None]


@pytest.fixture
def openid(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenIDProvider]:
    """An OpenID provider."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with OpenIDProvider() as provider:
        yield provider


def test_openid_connect(openid: OpenIDProvider) -> None:
    """The profile is that of the validated ID token, and the userinfo for what that has not."""
    users: dict[str, Any] = {}
    blueprint = make_oidc_blueprint(
        issuer=openid.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        name="acme",
        backend=UserScopedBackend(MemoryStore(), user_id=current_user_id),
    )

    def create_user(profile: Any) -> str:
        users[profile.key] = profile
        return "7"

    SignIn(blueprint, load_user=lambda user_id: user_id, create_user=create_user)
    site = Site(blueprint)
    openid.user = {"sub": "ann", "email": "ann@example.test", "email_verified": True}
    browser = site.browser()
    begun = browser.get("/login/acme").location
    answer = browser.get(openid.authorize(begun).partition("localhost")[2])
    assert (answer.status_code, browser.do(current_user_id)) == (302, "7")
    [(key, profile)] = users.items()
    assert (key, profile.email, profile.email_verified) == ("acme:ann", "ann@example.test", True)
    token = browser.do(lambda: blueprint.token)
    assert profile_in("acme", token or {}) == profile


def test_oauth_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider of OAuth 1 signs visitors in, too."""
    backend = UserScopedBackend(MemoryStore(), user_id=current_user_id)
    blueprint = make_twitter_blueprint("key", "secret", backend=backend)
    made: list[str] = []

    def create_user(profile: Any) -> str:
        made.append(profile.key)
        return "7"

    SignIn(blueprint, load_user=lambda user_id: user_id, create_user=create_user)
    client = make_app(blueprint).test_client()
    with responses.RequestsMock() as web:
        url = "https://api.twitter.com/oauth"
        web.post(f"{url}/request_token", body="oauth_token=T&oauth_token_secret=S")
        client.get("/login/twitter")
        access = "oauth_token=AT&oauth_token_secret=AS&user_id=42&screen_name=ann"
        web.post(f"{url}/access_token", body=access)
        account = {"id_str": "42", "name": "Ann"}
        web.get("https://api.twitter.com/1.1/account/verify_credentials.json", json=account)
        answer = client.get("/login/twitter/authorized?oauth_token=T&oauth_verifier=V")
    assert answer.location == "/"
    assert made == ["twitter:42"]
    with client.session_transaction() as session:
        assert session["flask_dance_user_id"] == "7"


def test_what_names_no_account_can_not_be_assigned(rotating: RotatingProvider) -> None:
    """A token that the application assigns is linked by its profile, too, or refused."""
    members = Members(rotating)
    browser = members.arrived()

    def assign(**more: Any) -> None:
        members.blueprint.token = {"access_token": "mine", **more}

    browser.do(lambda: assign(who={"id": "B"}))
    assert members.owners() == {"B": "1"}
    with pytest.raises(AccountUnknown):
        browser.do(assign)
