"""The demo as a whole: a dance over HTTP for each backend."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import requests
from itsdangerous import URLSafeTimedSerializer

from examples.demo.app import create_app
from examples.demo.backends import Storage
from examples.demo.display import json_markup, masked, signing_key
from examples.demo.identity import KEYS_AHEAD
from examples.demo.provider import CLIENT_ID, CLIENT_SECRET, create_provider, provider_state
from examples.demo.serving import LocalServer
from tests.demo_process import DemoProcess, Visitor, running_demo

BACKENDS = ["mongo", "redis", "sqla", "file", "session"]
UNSHARED = ["mongo", "redis", "sqla", "session"]

Token = dict[str, Any] | None


@pytest.fixture(scope="module", params=BACKENDS)
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DemoProcess]:
    """The demo, running with each backend in turn."""
    with running_demo(request.param, tmp_path_factory.mktemp("demo")) as process:
        yield process


@pytest.fixture
def visit(demo: DemoProcess) -> Iterator[Callable[[], Visitor]]:
    """Bring new visitors to the demo; whom they connected is disconnected afterwards."""
    visitors: list[Visitor] = []

    def arrive() -> Visitor:
        visitors.append(Visitor(demo.address("App")))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.open(visitor.home)
        if visitor.offers("Disconnect"):
            visitor.press("Disconnect")
        visitor.close()


def stored_token(demo: DemoProcess, person: str, visitor: Visitor) -> Token:
    """Return the token that is really stored, asking the server, file or cookie itself."""
    place = demo.address("Store")
    if demo.backend == "session":
        return _session_token(visitor)
    ways = {
        "mongo": _mongo_token,
        "redis": _redis_token,
        "sqla": _sqla_token,
        "file": _file_token,
    }
    return ways[demo.backend](place, person)


def _mongo_token(url: str, person: str) -> Token:
    with pymongo.MongoClient(url) as client:
        found = list(client["demo"]["tokens"].find({"user_id": person}))
    assert len(found) <= 1
    if not found:
        return None
    assert found[0]["provider"] == "demo"
    return found[0]["token"]


def _redis_token(url: str, person: str) -> Token:
    with redis.Redis.from_url(url) as client:
        names = list(client.scan_iter(f"flask_dance:{{u:{person}}}:token:demo*"))
        assert len(names) <= 1
        if not names:
            return None
        document = json.loads(client.get(names[0]) or "")
    assert (document["provider"], document["user_id"]) == ("demo", person)
    return document["token"]


def _sqla_token(url: str, person: str) -> Token:
    rows = "SELECT token FROM flask_dance_oauth WHERE provider = 'demo' AND user_id = ?"
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        found = database.execute(rows, [person]).fetchall()
    assert len(found) <= 1
    return json.loads(found[0][0]) if found else None


def _file_token(path: str, person: str) -> Token:
    file = Path(path)
    return json.loads(file.read_text()) if file.exists() else None


def _session_token(visitor: Visitor) -> Token:
    cookie = visitor.cookies.get("demo_app")
    valid, content = URLSafeTimedSerializer("unknown").loads_unsafe(cookie)
    assert not valid
    return content.get("demo_oauth_token")


def test_dance_stores_the_token_of_the_right_user(
    demo: DemoProcess, visit: Callable[[], Visitor]
) -> None:
    """After the dance the token is in the store under the local user, and it opens the API."""
    ada = visit()
    assert stored_token(demo, "ada", ada) is None
    ada.connect("Ada", "Alice")
    assert "Connected. The token is stored." in ada.text
    assert "Who has logged in validated" in " ".join(ada.text.split())
    token = stored_token(demo, "ada", ada)
    assert token is not None
    assert set(token) >= {"access_token", "refresh_token", "id_token", "expires_at"}
    ada.follow("Call the API")
    assert '"sub": "alice"' in ada.text
    assert '"email": "alice@example.com"' in ada.text


def test_page_shows_the_stored_record_without_its_secrets(
    demo: DemoProcess, visit: Callable[[], Visitor]
) -> None:
    """The page shows what is stored, and of each secret the first characters only."""
    ada = visit()
    ada.connect("Ada", "Alice")
    token = stored_token(demo, "ada", ada)
    assert token is not None
    for name in ("access_token", "refresh_token", "id_token"):
        assert f'"{name}": "{token[name][:4]}…"' in ada.text
        assert token[name] not in ada.html
    assert f'"expires_at": {token["expires_at"]}' in ada.text


def test_disconnect_removes_the_token(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """Disconnecting deletes what was stored; the user can connect again."""
    ada = visit()
    ada.connect("Ada", "Alice")
    ada.press("Disconnect")
    assert "Disconnected: the provider has ended the grant" in ada.text
    assert "Nothing is stored here." in ada.text
    assert stored_token(demo, "ada", ada) is None
    ada.follow("Connect")
    ada.press("Allow")
    assert stored_token(demo, "ada", ada) is not None


@pytest.mark.parametrize("demo", UNSHARED, indirect=True)
def test_two_users_do_not_mix(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """Two people with two accounts each have their own token, and end it alone."""
    ada, grace = visit(), visit()
    ada.connect("Ada", "Alice")
    grace.press("Grace")
    assert grace.offers("Connect")
    grace.follow("Connect")
    grace.press("Bob")
    grace.press("Allow")
    for visitor, account in ((ada, "alice"), (grace, "bob"), (ada, "alice")):
        visitor.follow("Call the API")
        assert f'"sub": "{account}"' in visitor.text
    ada.press("Disconnect")
    assert stored_token(demo, "ada", ada) is None
    assert stored_token(demo, "grace", grace) is not None


@pytest.mark.parametrize("demo", UNSHARED, indirect=True)
def test_two_users_of_one_browser_do_not_mix(
    demo: DemoProcess, visit: Callable[[], Visitor]
) -> None:
    """Whoever signs in after somebody else in the same browser finds nothing of theirs."""
    visitor = visit()
    visitor.connect("Ada", "Alice")
    visitor.press("Sign out")
    visitor.press("Grace")
    assert visitor.offers("Connect")
    visitor.press("Sign out")
    visitor.press("Ada")
    assert visitor.offers("Disconnect") == (demo.backend != "session")


@pytest.mark.parametrize("demo", ["file"], indirect=True)
def test_file_backend_says_that_it_shares(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """With the file backend one person's token is everybody's, and the page says so."""
    ada, grace = visit(), visit()
    ada.connect("Ada", "Alice")
    grace.press("Grace")
    assert "ONE token for the whole app" in grace.text
    grace.follow("Call the API")
    assert '"sub": "alice"' in grace.text


def test_denied_consent_stores_nothing(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """A visitor who clicks "Deny" comes back unconnected, is told so, and may try again."""
    ada = visit()
    ada.connect("Ada", "Alice", answer="Deny")
    assert "You said no at the provider. Nothing is stored." in ada.text
    assert stored_token(demo, "ada", ada) is None
    ada.follow("Try again")
    ada.press("Deny")
    ada.follow("Connect")
    assert "You said no at the provider, the last time, too." in ada.text
    ada.follow("Try again")
    ada.press("Allow")
    assert stored_token(demo, "ada", ada) is not None


def test_token_that_was_ended_is_refreshed(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """One click ends the token in the store and shows it so; the next call gets a new one."""
    ada = visit()
    ada.connect("Ada", "Alice")
    before = stored_token(demo, "ada", ada)
    assert before is not None
    assert not ada.offers("Watch a refresh")
    ada.press("End this token now")
    ended = stored_token(demo, "ada", ada)
    assert ended is not None
    assert ended == {**before, "expires_at": ended["expires_at"]}
    assert ended["expires_at"] < before["expires_at"]
    ada.follow("Watch a refresh")
    assert '"sub": "alice"' in ada.text
    assert "The provider gave a new token for the old one." in ada.text
    fresh = stored_token(demo, "ada", ada)
    assert fresh is not None
    for name in ("access_token", "refresh_token", "id_token"):
        assert fresh[name] != before[name]
    assert not ada.offers("Watch a refresh")


def test_logout_at_the_provider(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """The token goes here, and the provider asks who comes next for an account."""
    ada = visit()
    ada.connect("Ada", "Alice")
    ada.press("Log out at the provider, too")
    assert ada.url.startswith(demo.address("Provider"))
    assert "Demo App has disconnected you." in ada.text
    ada.press("Log out")
    assert "Disconnected, and logged out at the provider, too." in ada.text
    assert stored_token(demo, "ada", ada) is None
    ada.follow("Connect")
    assert "Bob Brown" in ada.text


def test_forms_of_other_sites_are_refused(demo: DemoProcess, visit: Callable[[], Visitor]) -> None:
    """A form without this browser's form token changes nothing."""
    ada = visit()
    ada.connect("Ada", "Alice")
    for fields in ({}, {"form_token": "guessed"}, {"form_token": "é"}):
        ada.send("/disconnect", fields)
        assert ada.status == 400
        assert "out of date" in ada.text
    assert stored_token(demo, "ada", ada) is not None


@pytest.mark.parametrize("demo", ["session"], indirect=True)
@pytest.mark.parametrize("name", ["App", "Provider"])
def test_errors_are_pages(demo: DemoProcess, name: str) -> None:
    """An address that leads nowhere, or may not be opened, is answered in the style of the rest."""
    with closing(Visitor(demo.address(name))) as visitor:
        for path, status, title in (("nothing", 404, "no such page"), ("sign-in", 405, "not work")):
            visitor.open(visitor.home + path)
            assert visitor.status == status
            assert title in visitor.text
            assert "demo.css" in visitor.html


@pytest.mark.parametrize("path", ["profile", "login/demo", "login/demo/authorized?code=x&state=y"])
def test_strangers_are_asked_to_sign_in(
    demo: DemoProcess, visit: Callable[[], Visitor], path: str
) -> None:
    """Neither the dance nor the API is open to somebody who has not signed in."""
    stranger = visit()
    stranger.open(stranger.home + path)
    assert "Sign in first." in stranger.text
    assert "Who are you?" in stranger.text


class OwnDemo:
    """An app and a provider in this process, with the token in a file.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        provider = create_provider(access_token_seconds=60)
        self.state = provider_state(provider)
        self.provider = LocalServer(provider)
        app = create_app(Storage("file", str(file)), self.provider.url, CLIENT_ID, CLIENT_SECRET)
        self.app = LocalServer(app)
        self.state.add_logout_uri(CLIENT_ID, f"{self.app.url}/logged-out")
        self.state.add_redirect_uri(CLIENT_ID, f"{self.app.url}/login/demo/authorized")

    def connect(self, visitor: Visitor) -> None:
        """Connect a visitor, and end the token."""
        visitor.connect("Ada", "Alice")
        visitor.press("End this token now")

    def stop(self) -> None:
        """End both; again is no error for the provider."""
        self.app.stop()
        self.provider.stop()


@pytest.fixture
def own_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OwnDemo]:
    """A demo in this process."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    demo = OwnDemo(tmp_path / "token.json")
    yield demo
    demo.stop()


def test_expired_token_is_refreshed_and_stored(own_demo: OwnDemo) -> None:
    """A call with an expired token refreshes it once, stores the new one, and the page tells."""
    with closing(Visitor(own_demo.app.url)) as ada:
        own_demo.connect(ada)
        assert "expired" in ada.text
        expired = json.loads(own_demo.file.read_text())
        ada.follow("Watch a refresh")
        assert '"sub": "alice"' in ada.text
        assert "active" in ada.text
        assert "The provider gave a new token for the old one." in ada.text
        assert ada.text.count("The token was stored.") == 2
    fresh = json.loads(own_demo.file.read_text())
    assert fresh["refresh_token"] != expired["refresh_token"]
    assert expired["access_token"] not in ada.html
    counters = own_demo.state.counters
    assert (counters.refreshes, counters.spent_tokens_reused) == (1, 0)


def test_token_that_was_ended_is_worthless_at_the_provider(own_demo: OwnDemo) -> None:
    """It ends there, too, so that a client that knows nothing of it is refused."""
    with closing(Visitor(own_demo.app.url)) as ada:
        own_demo.connect(ada)
    token = json.loads(own_demo.file.read_text())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{own_demo.provider.url}/userinfo", headers=headers, timeout=30)
    assert answer.status_code == 401


def test_nothing_is_ended_where_nothing_is(own_demo: OwnDemo) -> None:
    """A page that is out of date may still have the buttons."""
    with closing(Visitor(own_demo.app.url)) as ada:
        ada.connect("Ada", "Alice")
        page = ada.html
        ada.press("Disconnect")
        ada.send("/end-token", {"form_token": form_token(page)})
        assert (ada.status, ada.url) == (200, f"{own_demo.app.url}/")
        assert "has ended" not in ada.text
    assert not own_demo.file.exists()


def test_logins_go_on_after_the_keys_were_rotated(
    own_demo: OwnDemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next keys are known before they sign, and others once the app may ask for them again."""
    offset = 0.0
    monkeypatch.setattr("flask_dance_nosql.clock.monotonic", lambda: time.monotonic() + offset)
    with closing(Visitor(own_demo.app.url)) as ada:
        own_demo.connect(ada)
        seen = {signing_key(json.loads(own_demo.file.read_text())["id_token"])}
        for rotations in (1, KEYS_AHEAD + 1):
            for _ in range(rotations):
                ada.open(own_demo.provider.url)
                ada.press("Rotate the keys")
                assert "Logins go on." in ada.text
            offset += 61
            ada.follow("Go to the app")
            ada.press("Disconnect")
            ada.follow("Connect")
            ada.press("Allow")
            assert "Connected. The token is stored." in ada.text
            key = signing_key(json.loads(own_demo.file.read_text())["id_token"])
            assert key in ada.text
            assert key not in seen
            seen.add(key)


def test_whoever_stays_logged_in_at_the_provider(own_demo: OwnDemo) -> None:
    """The token is gone here, but the provider knows the visitor when they connect again."""
    with closing(Visitor(own_demo.app.url)) as ada:
        ada.connect("Ada", "Alice")
        ada.press("Log out at the provider, too")
        ada.press("Stay")
        assert not own_demo.file.exists()
        ada.follow("Go to the app")
        ada.follow("Connect")
        assert ada.offers("Allow")


def test_provider_that_does_not_answer(own_demo: OwnDemo) -> None:
    """A call that fails is told, and costs nobody the token."""
    with closing(Visitor(own_demo.app.url)) as ada:
        ada.connect("Ada", "Alice")
        own_demo.provider.stop()
        ada.follow("Call the API")
        assert "The call failed (ConnectionError)." in ada.text
    assert own_demo.file.exists()


def test_disconnecting_ends_the_grant(own_demo: OwnDemo) -> None:
    """The provider is told, both tokens are ended there, and the file is gone."""
    with closing(Visitor(own_demo.app.url)) as ada:
        ada.connect("Ada", "Alice")
        ada.press("Disconnect")
        assert "the provider has ended the grant" in ada.text
        assert "The token was removed." in ada.text
    assert own_demo.state.counters.revocations > 0
    assert not own_demo.file.exists()


def test_disconnecting_without_the_provider(own_demo: OwnDemo) -> None:
    """The token goes here all the same, and the page says that the provider did not confirm."""
    with closing(Visitor(own_demo.app.url)) as ada:
        ada.connect("Ada", "Alice")
        own_demo.state.clients[CLIENT_ID].client_secret = "another by now"
        ada.press("Disconnect")
        assert "The provider did not confirm." in ada.text
    assert not own_demo.file.exists()


def test_ended_grant_leads_to_the_login(own_demo: OwnDemo) -> None:
    """A call with a token whose grant has ended sends the visitor to the provider."""
    with closing(Visitor(own_demo.app.url)) as ada:
        own_demo.connect(ada)
        token = json.loads(own_demo.file.read_text())
        own_demo.file.write_text(json.dumps({**token, "refresh_token": "ended"}))
        ada.follow("Watch a refresh")
        assert "wants to" in ada.text
    assert not own_demo.file.exists()


def form_token(html: str) -> str:
    """Return the form token on a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', html)
    assert found
    return found[1]


def test_masked_hides_tokens_wherever_they_are() -> None:
    """Secrets are masked at any depth, and nothing else is changed."""
    document = {
        "id": 1,
        "tokens": [{"access_token": "abcdefgh", "scope": ["a"]}],
        "id_token": "xyz",
    }
    expected = {"id": 1, "tokens": [{"access_token": "abcd…", "scope": ["a"]}], "id_token": "xyz…"}
    assert masked(document) == expected


def test_json_markup_escapes_and_colours() -> None:
    """What is stored can't become markup of the page."""
    html = json_markup({"<b>": '</span>"<script>', "n": -1.5e3})
    assert "<script>" not in html
    assert "<b>" not in html
    assert '<span class="name">&#34;&lt;b&gt;&#34;</span>' in html
    assert '<span class="number">-1500.0</span>' in html


def test_json_markup_keeps_short_lists_on_one_line() -> None:
    """A list of plain values takes one line, and its texts stay as they are."""
    html = json_markup({"scope": ["a  b", 1], "none": [], "deep": [{"x": [2]}]})
    lines = [line.strip() for line in re.sub(r"<[^>]*>", "", unescape(html)).splitlines()]
    expected = [
        "{",
        '"scope": ["a  b", 1],',
        '"none": [],',
        '"deep": [',
        "{",
        '"x": [2]',
        "}",
        "]",
        "}",
    ]
    assert lines == expected
