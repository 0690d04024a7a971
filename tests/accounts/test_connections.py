"""The page of a user's connections: what it shows, and what it lets nobody else do."""

from __future__ import annotations

import re
import time
from collections import UserString
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from flask import Flask
from flask_login import LoginManager, UserMixin
from jinja2 import DictLoader, StrictUndefined
from msgspec.structs import replace

from flask_dance_nosql.accounts import AccountProfile, Connections, read_profile, with_profile
from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2ConsumerBlueprint,
    oauth_authorized,
)
from flask_dance_nosql.consumer.backend import (
    SessionBackend,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.document import RefreshFailure
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.testing.documents import make_document

from ..demo_process import ShownPage

SECRETS = ("at-secret", "rt-secret", "hidden-secret")
TOKEN = {
    "access_token": "at-secret",
    "refresh_token": "rt-secret",
    "token_type": "Bearer",
    "scope": "repo email",
}
REVOKE = "https://acme.test/revoke"
GITHUB_REVOKE = "https://api.github.com/applications/id/grant"
NOW = "Nothing was changed"
LONG = sha512(b"a name that can't be compressed").hexdigest()[:70]


class Failing(MemoryStore):
    """A store that does not answer what is in ``fails``."""

    fails: tuple[str, ...] = ()

    def load(self, key: TokenKey) -> Any:
        self._check_answers("load", key)
        return super().load(key)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self._check_answers("delete", key)
        super().delete(key, if_version)

    def _check_answers(self, operation: str, key: TokenKey) -> None:
        if operation in self.fails and not key.provider.startswith("."):
            raise BackendUnavailable(operation, "Failing")


class Later(UserString):
    """A text like those of ``lazy_gettext``, which are no ``str``."""


class Site:
    """An app with GitHub, one account each, and with Acme, of which a user may have several.

    Attributes:
        now: The id of the current user, or ``None``.
    """

    def __init__(self, **options: Any) -> None:
        self.now: Any = "ann"
        self.store = Failing()
        self.cipher = TokenCipher(TokenCipher.generate_key())
        self.github = make_github_blueprint("id", "hidden-secret", backend=self.backend())
        self.acme = OAuth2ConsumerBlueprint(
            "acme",
            __name__,
            client_id="id",
            client_secret="hidden-secret",
            authorization_url="https://acme.test/authorize",
            token_url="https://acme.test/token",
            revocation_url=REVOKE,
            auto_refresh=True,
            several_accounts=True,
            another_account={"prompt": "select_account"},
            backend=self.backend(),
        )
        self.app = Flask(__name__)
        self.app.config.update(SECRET_KEY="for tests", TESTING=True)
        for each in (self.github, self.acme, *options.pop("further", ())):
            self.app.register_blueprint(each, url_prefix="/login")
        self.connections = Connections(**options)
        self.app.register_blueprint(self.connections)
        self.client = self.app.test_client()

    def backend(self, **options: Any) -> UserScopedBackend:
        """Return a backend with the one store."""
        cipher = getattr(self, "cipher", None)
        return UserScopedBackend(
            self.store, **{"user_id": lambda: self.now, "cipher": cipher, **options}
        )

    def connect(
        self, provider: str, account: str | None = None, *, user: str = "ann", **token: Any
    ) -> None:
        """Store a token."""
        key = TokenKey(provider, user, account)
        document = make_document(key, {**TOKEN, **token})
        self.acme.backend.store.save(document)  # type: ignore[attr-defined] # the store's

    def break_record(self, provider: str, account: str | None = None) -> None:
        """Store what can't be opened any more."""
        other = self.backend(cipher=TokenCipher(TokenCipher.generate_key()))
        other.store.save(make_document(TokenKey(provider, "ann", account), TOKEN))

    def end_grant(self, provider: str, account: str | None = None, **token: Any) -> None:
        """Store what is left of a grant that its provider has ended."""
        now = datetime.now(UTC)
        failure = RefreshFailure(count=1, since=now, next_try=now, reason="no", needs_login=True)
        document = make_document(TokenKey(provider, "ann", account), token)
        self.acme.backend.store.save(  # type: ignore[attr-defined] # the store's
            replace(document, refresh_failure=failure)
        )

    def accounts(self) -> set[tuple[str, str | None, str | None]]:
        """Return whose accounts are stored."""
        return {(each.provider, each.user_id, each.account) for each in self.store.scan()}

    def open(self, status: int = 200, path: str = "/connections/") -> str:
        """Open the page, and return its text."""
        return self.seen(self.client.get(path), status)

    def seen(self, answer: Any, status: int = 200) -> str:
        """Return the text of a page that is no secret, and kept nowhere."""
        self.html = answer.text
        assert answer.status_code == status, self.html
        assert answer.headers["Cache-Control"] == "no-store"
        for secret in SECRETS:
            assert secret not in self.html
            assert secret not in str(answer.headers)
        assert not re.search(r"<script|\bstyle=|<style|\bon[a-z]+=", self.html)
        return " ".join(ShownPage(self.html).text.split())

    def form(self, label: str) -> tuple[str, dict[str, str]]:
        """Return where the form with a button goes, and its fields."""
        for each in ShownPage(self.html).forms:
            if any(label in text for text, _ in each.buttons):
                return each.action, each.fields
        raise AssertionError(f"There is no button {label!r}: {self.html}")

    def press(self, label: str) -> str:
        """Press a button, and return the text of the page that follows."""
        action, fields = self.form(label)
        answer = self.client.post(action, data=fields)
        assert (answer.status_code, answer.location) == (303, "/connections/")
        assert answer.headers["Cache-Control"] == "no-store"
        return self.open()

    def link(self, label: str) -> dict[str, list[str]]:
        """Return the query of a link, with its path."""
        parts = urlsplit(ShownPage(self.html).links[label])
        return {"path": [parts.path], **parse_qs(parts.query, keep_blank_values=True)}


@pytest.fixture
def site() -> Site:
    """Return the site."""
    return Site()


@pytest.fixture(autouse=True)
def web() -> Iterator[responses.RequestsMock]:
    """Answer in the place of the two providers, both of which revoke."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.post(REVOKE)
        mocked.delete(GITHUB_REVOKE, status=204)
        yield mocked


class TestShown:
    """What the page tells of each account."""

    def test_nothing_is_connected(self, site: Site) -> None:
        """Each provider by its own name, with a link that leads back here."""
        text = site.open()
        assert "GitHub Not connected." in text
        assert site.link("Connect GitHub") == {
            "path": ["/login/github"],
            "next": ["/connections/"],
            "retry": [""],
        }
        assert "Disconnect" not in text

    def test_an_account(self, site: Site) -> None:
        """Its name, picture, state, scopes in words, and the dates."""
        profile = AccountProfile("github", "1", "Ann Example", picture="https://pics.test/1")
        site.connect("github", **with_profile({}, profile))
        text = site.open()
        today = datetime.now(UTC).date().isoformat()
        assert "Ann Example Connected Since" in text
        assert today in text
        assert "This site may repo See your e-mail address" in text
        assert "<code>repo</code>" in site.html
        assert 'src="https://pics.test/1" alt=""' in site.html
        assert 'referrerpolicy="no-referrer"' in site.html
        assert "Last renewed" not in text

    def test_words_are_yours(self) -> None:
        """Names of providers, and of scopes for all providers or for one."""
        site = Site(
            titles={"acme": "Acme Corp."},
            scope_texts={
                "repo": "Any repository",
                "github": {"repo": "Your <b>code"},
                "acme": "A scope with the name of a provider",
            },
            pictures=False,
        )
        profile = AccountProfile("github", "1", "<i>Ann", picture="https://pics.test/1")
        site.connect("github", **with_profile({}, profile))
        site.connect("acme", "A")
        text = site.open()
        assert "<i>Ann" in text
        assert "Your <b>code" in text
        assert "Acme Corp. A A Connected" in text
        assert "Any repository" in text
        assert "<img" not in site.html

    @pytest.mark.parametrize(
        ("token", "state"),
        [
            ({"expires_at": 1}, "Connected"),
            ({"expires_at": 1, "refresh_token": None}, "Needs a new login"),
            ({"access_token": None, "refresh_token": None}, "Needs a new login"),
            ({"expires_at": time.time() + 3600, "refresh_token": None}, "Ends soon"),
            ({"expires_at": time.time() + 1e6, "refresh_token": None}, "Connected"),
            ({"scope": ["a", 1, {"b": 2}]}, "Connected"),
            ({"scope": "x" * 9999, "account_profile": ["odd"]}, "Connected"),
        ],
    )
    def test_states(self, site: Site, token: dict[str, Any], state: str) -> None:
        """What can be refreshed is connected, whatever the access token's end."""
        site.connect("acme", "A", **token)
        text = site.open()
        assert f"A {state}" in text
        assert ("Connect again" in text) == (state != "Connected")

    @pytest.mark.parametrize(
        ("left", "state"), [(-5, "Needs a new login"), (3600, "Ends soon")], ids=["over", "works"]
    )
    def test_a_refresh_that_another_process_was_refused(
        self, site: Site, left: float, state: str
    ) -> None:
        """A token that is never refreshed again counts by the end of its access token."""
        site.end_grant("acme", "A", **{**TOKEN, "expires_at": time.time() + left})
        assert f"A {state}" in site.open()

    def test_a_grant_that_its_provider_has_ended(self, site: Site) -> None:
        """It needs a new login, which is a click away; there is no token to be used."""
        site.connect("acme", "B")
        site.end_grant("github")
        site.end_grant("acme", "A")
        text = site.open()
        assert "GitHub Needs a new login" in text
        assert "A Needs a new login" in text
        assert "B In use Connected" in text
        assert site.link("Connect again GitHub") == {
            "path": ["/login/github"],
            "next": ["/connections/"],
            "retry": [""],
        }
        assert site.link("Connect again acme, A")["another"] == [""]
        assert "Use this one acme, B" not in text
        assert "Use this one acme, A" not in text
        site.press("Disconnect acme, A")
        site.press("Disconnect GitHub")
        assert site.accounts() == {("acme", "ann", "B")}

    def test_renewed(self, site: Site) -> None:
        """When it was written last, if that was later than at first."""
        site.connect("acme", "A")
        key = TokenKey("acme", "ann", "A")
        document = site.store._documents[key]
        earlier = datetime(2025, 1, 2, tzinfo=UTC)
        site.store._documents[key] = replace(
            document, created_at=earlier, updated_at=earlier + timedelta(days=1)
        )
        assert "Since 2025-01-02 Last renewed 2025-01-03" in site.open()

    def test_names_without_openid_connect(self, site: Site, web: responses.RequestsMock) -> None:
        """A receiver keeps the profile of an account with its token."""
        web.post("https://github.com/login/oauth/access_token", json=TOKEN)
        user = {"id": 7, "login": "octo", "avatar_url": "https://pics.test/7"}
        web.get("https://api.github.com/user", json=user)

        def keep_profile(blueprint: Any, token: dict[str, Any]) -> None:
            token.update(with_profile(token, read_profile(blueprint, token)))

        with oauth_authorized.connected_to(keep_profile, sender=site.github):
            begun = site.client.get("/login/github?next=/connections/").location
            state = parse_qs(urlsplit(begun).query)["state"][0]
            ended = site.client.get(f"/login/github/authorized?code=1&state={state}")
        assert ended.location == "/connections/"
        assert "octo Connected" in site.open()
        assert 'src="https://pics.test/7"' in site.html

    def test_oauth_1(self) -> None:
        """Such a token has no end, and can't be revoked."""
        site = Site()
        old = OAuth1ConsumerBlueprint("old", __name__, backend=site.backend())
        site.app = Flask(__name__)
        site.app.secret_key = "for tests"
        site.app.register_blueprint(old, url_prefix="/login")
        site.app.register_blueprint(Connections())
        site.client = site.app.test_client()
        site.connect("old", access_token=None, oauth_token="at-secret", oauth_token_secret="s")
        assert "old O old Connected" in site.open()
        assert "old Disconnected here." in site.press("Disconnect old")
        assert site.accounts() == set()

    def test_a_record_that_cannot_be_read(self, site: Site) -> None:
        """Of each kind of blueprint it is shown, and can be disconnected and connected."""
        site.connect("acme", "A")
        site.break_record("acme", "B")
        site.break_record("github")
        text = site.open()
        assert "GitHub G GitHub Cannot be read" in text
        assert "B Cannot be read" in text
        assert "Use this one" not in text
        assert site.link("Connect again GitHub")["path"] == ["/login/github"]
        assert "GitHub Disconnected here." in site.press("Disconnect GitHub")
        assert "acme, B Disconnected here." in site.press("Disconnect acme, B")
        assert site.accounts() == {("acme", "ann", "A")}

    def test_a_store_that_does_not_answer(self, site: Site) -> None:
        """It is not said that nothing is connected."""
        site.connect("github")
        site.open()
        action, fields = site.form("Disconnect GitHub")
        site.store.fails = ("load",)
        text = site.open()
        assert "GitHub The storage does not answer. Your connections are not lost" in text
        assert site.client.post(action, data=fields).status_code == 303
        site.store.fails = ()
        text = site.open()
        assert "GitHub This could not be done, since the storage does not answer." in text
        assert "G GitHub Connected" in text

    def test_others_see_theirs(self, site: Site) -> None:
        """Two users of one browser, and of two."""
        site.connect("acme", "A")
        site.connect("acme", "B", user="bob")
        assert "A Connected" in site.open()
        site.now = "bob"
        text = site.open()
        assert "B Connected" in text
        assert "A Connected" not in text

    def test_only_what_belongs_to_users(self) -> None:
        """A token of the browser or of the whole app is nobody's connection."""
        every = {
            name: OAuth2ConsumerBlueprint(name, __name__, backend=backend)
            for name, backend in {
                "browser": UserScopedBackend(MemoryStore(), scope="browser"),
                "shared": UserScopedBackend(MemoryStore()),
                "cookie": SessionBackend(),
            }.items()
        }
        site = Site(further=every.values())
        text = site.open()
        assert not any(name in text for name in every)
        for name in ("cookie", "browser"):
            for chosen in ([every[name]], [site.acme, every[name]]):
                with pytest.raises(ConfigurationError, match=f"Of others it has: '{name}'"):
                    Site(blueprints=chosen).open()
        with pytest.raises(ConfigurationError, match="Of others it has: none"):
            Site(blueprints=[]).open()

    def test_only_those_that_were_given(self) -> None:
        """The blueprints can be chosen, and the page be another one."""
        site = Site(url_prefix="/me/accounts", name="mine")
        site.connections._chosen = [site.acme]
        text = site.open(path="/me/accounts/")
        assert "GitHub" not in text
        assert site.link("Connect acme")["next"] == ["/me/accounts/"]


class TestChanges:
    """What a user does."""

    def test_use_another(self, site: Site) -> None:
        """The newest is in use, until another one is chosen."""
        site.connect("acme", "A")
        site.connect("acme", "B")
        assert "B In use" in site.open()
        text = site.press("Use this one")
        assert "acme, A In use from now on." in text
        assert "A In use Connected" in text
        assert "from now on" not in site.open()

    def test_connect_another(self, site: Site) -> None:
        """The provider is asked to let the visitor choose, where that is known to be possible."""
        site.connect("acme", "A")
        site.connect("github")
        site.open()
        assert site.link("Connect another account acme")["another"] == [""]
        assert "Connect another account GitHub" not in ShownPage(site.html).links
        for path, prompt in (("acme?another=", ["select_account"]), ("acme?retry=", None)):
            begun = site.client.get(f"/login/{path}").location
            assert parse_qs(urlsplit(begun).query).get("prompt") == prompt

    def test_disconnect(self, site: Site, web: responses.RequestsMock) -> None:
        """The grant is ended at the provider, and the other account stays."""
        site.connect("acme", "A")
        site.connect("acme", "B")
        site.open()
        assert "acme, A Disconnected, and ended at the provider." in site.press(
            "Disconnect acme, A"
        )
        assert site.accounts() == {("acme", "ann", "B")}
        assert {"rt-secret", "at-secret"} == {
            parse_qs(str(call.request.body))["token"][0] for call in web.calls
        }

    def test_a_provider_that_is_down(self, site: Site, web: responses.RequestsMock) -> None:
        """The token goes all the same, and the page says where to remove the app."""
        web.replace(responses.DELETE, GITHUB_REVOKE, body=ConnectionError("at-secret"))
        site.connect("github")
        site.open()
        text = site.press("Disconnect GitHub")
        assert "GitHub Disconnected here. The provider has not confirmed it: remove" in text
        assert 'href="https://github.com/settings/applications"' in site.html
        assert site.accounts() == set()

    def test_a_store_that_is_down(self, site: Site) -> None:
        """Nothing is said to be over that is not."""
        site.connect("github")
        site.open()
        site.store.fails = ("delete",)
        assert "This could not be done, since the storage" in site.press("Disconnect GitHub")
        assert site.accounts() == {("github", "ann", None)}

    def test_a_store_that_goes_down_meanwhile(
        self, site: Site, web: responses.RequestsMock
    ) -> None:
        """What is over is said to be over, and what is not, not."""
        site.connect("acme", "A")
        site.connect("acme", "B")
        site.connect("github")
        site.open()

        def end(request: Any) -> tuple[int, dict[str, str], str]:
            site.store.fails = ("delete",)
            return 204, {}, ""

        web.remove(responses.DELETE, GITHUB_REVOKE)
        web.add_callback(responses.DELETE, GITHUB_REVOKE, end)
        action, fields = site.form("Disconnect everything now")
        site.client.post(action, data=fields)
        text = site.open()
        assert "acme This could not be done" in text
        assert "GitHub This could not be done" in text
        site.store.fails = ()
        site.client.post(action, data=fields)
        assert site.accounts() == set()

    def test_disconnect_everything(self, site: Site) -> None:
        """All providers and accounts, unreadable ones too, and nobody else's."""
        site.connect("acme", "A")
        site.connect("acme", "B")
        site.break_record("acme", "C")
        site.connect("github")
        site.connect("github", user="bob")
        site.open()
        text = site.press("Disconnect everything now")
        assert text.count("Disconnected, and ended") == 2
        assert text.count("Disconnected here.") == 1
        assert site.accounts() == {("github", "bob", None)}

    def test_what_is_told_is_for_one_user(self, site: Site) -> None:
        """Who signs in next in the same browser does not read it."""
        site.connect("acme", "A")
        site.open()
        action, fields = site.form("Disconnect acme, A")
        site.client.post(action, data=fields)
        site.now = "bob"
        assert "Disconnected" not in site.open()
        site.now = "ann"
        assert "Disconnected" not in site.open()

    @pytest.mark.parametrize(
        ("room", "told"), [(300, f"acme, {LONG} Disc"), (100, "you. Disc"), (20, "you. GitHub")]
    )
    def test_a_cookie_that_is_full(self, site: Site, room: int, told: str) -> None:
        """What there is to tell costs nobody the session: it is told in short, or not."""
        site.connect("acme", LONG)
        limit = len(site.client.get("/connections/").headers["Set-Cookie"]) + room
        site.open()
        action, fields = site.form("Disconnect acme")
        site.app.config["MAX_COOKIE_SIZE"] = limit
        answer = site.client.post(action, data=fields)
        assert len(answer.headers.get("Set-Cookie", "")) <= limit
        assert site.accounts() == set()
        assert told in site.open()

    def test_what_is_gone_already(self, site: Site) -> None:
        """A button that is pressed twice, or for a provider that is unknown."""
        site.connect("acme", "A")
        site.connect("acme", "B")
        site.connect("github")
        site.open()
        action, fields = site.form("Disconnect acme, A")
        only = {name: fields[name] for name in fields if name != "account"}
        site.client.post("/connections/use", data={**only, "provider": "github"})
        assert NOW in site.open()
        for changed in ({}, {}, {"provider": "other"}, {"account": "\0"}):
            site.client.post(action, data={**fields, **changed})
        site.client.post("/connections/use", data={**fields, "provider": "github"})
        assert f"{NOW}: there is no such connection any more." in site.open()
        assert site.accounts() == {("acme", "ann", "B"), ("github", "ann", None)}


class TestForged:
    """What nobody else can do in a user's name."""

    @pytest.fixture
    def action(self, site: Site) -> str:
        """Connect two accounts, and one of somebody else, and open the page."""
        site.connect("acme", "A")
        site.connect("github")
        site.connect("acme", "B", user="bob")
        site.open()
        self.before = site.accounts()
        self.fields = site.form("Disconnect acme, A")[1]
        return "/connections/disconnect"

    @pytest.mark.parametrize("token", [None, "", "wrong", "é", "0" * 64])
    @pytest.mark.parametrize("path", ["use", "disconnect", "disconnect-everything"])
    def test_without_the_right_token(
        self, site: Site, action: str, token: str | None, path: str
    ) -> None:
        """The page says so, and nothing is changed."""
        fields = {**self.fields, "connections_token": token}
        answer = site.client.post(
            f"/connections/{path}", data={k: v for k, v in fields.items() if v is not None}
        )
        assert NOW in site.seen(answer, 400)
        assert site.accounts() == self.before

    def test_by_get(self, site: Site, action: str) -> None:
        """Not even with the right token."""
        for path in ("use", "disconnect", "disconnect-everything"):
            answer = site.client.get(f"/connections/{path}", query_string=self.fields)
            assert answer.status_code == 405
        assert site.accounts() == self.before

    @pytest.mark.parametrize(
        ("headers", "is_ours"),
        [
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
            ({"Origin": "https://evil.test"}, False),
            ({"Origin": "https://evil.test/http://localhost"}, False),
            ({"Sec-Fetch-Site": "same-origin"}, True),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
            ({"Origin": "http://localhost"}, True),
            ({"Origin": "null"}, True),
        ],
    )
    def test_from_another_site(
        self, site: Site, action: str, headers: dict[str, str], is_ours: bool
    ) -> None:
        """A browser that says where a form comes from is believed."""
        answer = site.client.post(action, data=self.fields, headers=headers)
        assert answer.status_code == (303 if is_ours else 400)
        assert (site.accounts() != self.before) is is_ours

    def test_of_another_user(self, site: Site, action: str) -> None:
        """Another's account is not there, and another's form is not ours."""
        site.client.post(action, data={**self.fields, "account": "B"})
        assert site.accounts() == self.before
        assert NOW in site.open()
        site.now = "bob"
        answer = site.client.post(action, data={**self.fields, "account": "B"})
        assert answer.status_code == 400
        assert site.accounts() == self.before

    def test_of_another_browser(self, site: Site, action: str) -> None:
        """A form of this user in another browser, as an attacker with the same account has it."""
        other = site.app.test_client()
        assert other.post(action, data=self.fields).status_code == 400
        other.get("/connections/")
        assert other.post(action, data=self.fields).status_code == 400
        assert site.accounts() == self.before

    def test_of_nobody(self, site: Site, action: str) -> None:
        """Who has signed out in the meantime is asked to sign in."""
        site.now = None
        answer = site.client.post(action, data=self.fields)
        assert answer.status_code == 401
        site.now = "ann"
        assert site.accounts() == self.before

    def test_beside_flask_wtf(self, site: Site) -> None:
        """Its token goes with each form, if the app has it."""
        site.app.jinja_env.globals["csrf_token"] = lambda: "of-wtf"
        site.connect("acme", "A")
        site.connect("acme", "B")
        site.open()
        forms = ShownPage(site.html).forms
        assert len(forms) == 4
        assert all(form.fields["csrf_token"] == "of-wtf" for form in forms)

    def test_beside_a_token_that_is_a_text(self, site: Site) -> None:
        """Some applications give their templates the token itself under this name."""
        site.app.context_processor(lambda: {"csrf_token": "of-app"})
        site.connect("acme", "A")
        site.open()
        assert site.form("Disconnect acme")[1]["csrf_token"] == "of-app"

    @pytest.mark.parametrize("kept", [5, "text", [], ["text"], {"a": 1}, [1, 2, 3], True])
    def test_beside_what_the_app_keeps_in_the_session(self, site: Site, kept: Any) -> None:
        """It may have used the same names."""
        site.connect("acme", "A")
        with site.client.session_transaction() as session:
            session.update(dict.fromkeys(("connections_notices", "connections_form_secret"), kept))
        site.open()
        assert "Disconnected" in site.press("Disconnect acme")

    def test_in_a_frame(self, site: Site) -> None:
        """No other site shows it, unless the app wants that."""
        assert site.client.get("/connections/").headers["X-Frame-Options"] == "DENY"


class TestStrangers:
    """Who has not signed in is sent to where that is done."""

    def test_a_page_says_so(self, site: Site) -> None:
        """Where nothing else is known."""
        site.now = None
        assert "Sign in to see your connections." in site.open(401)
        assert "hidden" not in site.html

    def test_a_login_view(self) -> None:
        """It is told where to go then."""
        site = Site(login_view="sign_in")
        site.app.add_url_rule("/sign-in", "sign_in", lambda: "")
        site.now = None
        for answer in (site.client.get("/connections/"), site.client.post("/connections/use")):
            assert answer.status_code == 303
            assert answer.location == "/sign-in?next=/connections/"
            assert answer.headers["Cache-Control"] == "no-store"

    def test_flask_login(self, site: Site) -> None:
        """It knows the app's login view, if there is one."""
        site.now = None
        manager = LoginManager(site.app)
        manager.user_loader(lambda user_id: None)
        site.app.add_url_rule("/sign-in", "sign_in", lambda: "")
        assert "Sign in" in site.open(401)
        manager.login_view = "sign_in"
        assert site.client.get("/connections/").location == "/sign-in?next=%2Fconnections%2F"
        # Where a form leads, the browser can't go on after the sign-in.
        answer = site.client.post("/connections/disconnect")
        assert (answer.status_code, answer.location) == (303, "/connections/")

    def test_who_has_no_tokens_is_not_sent_round(self, site: Site) -> None:
        """A login view sends those back who are signed in, such as staff without tokens."""
        site.now = None
        manager = LoginManager(site.app)
        manager.login_view = "sign_in"
        manager.user_loader(lambda user_id: None)
        manager.request_loader(lambda request: UserMixin())
        assert "Sign in" in site.open(401)

    def test_nor_by_a_login_view_of_the_page(self) -> None:
        """However the application signs people in."""
        site = Site(login_view="sign_in")
        site.now = None
        with site.client.session_transaction() as session:
            session["flask_dance_user_id"] = "7"
        assert "Sign in" in site.open(401)


class TestTemplates:
    """The page is the application's to change."""

    def test_a_layout_of_the_app(self, site: Site) -> None:
        """With the app's own page around it."""
        layout = "<title>Ours</title>{% block connections %}{% endblock %}"
        name = "flask_dance_nosql/connections_layout.html"
        site.app.jinja_loader = DictLoader({name: layout})
        text = site.open()
        assert text.startswith("Ours Connections")

    def test_names_of_the_app(self, site: Site) -> None:
        """A layout may need names of the app's, which the page does not take."""
        layout = "{{ date() }} {{ form_token() }} {% block connections %}{% endblock %}"
        name = "flask_dance_nosql/connections_layout.html"
        site.app.jinja_loader = DictLoader({name: layout})
        site.app.jinja_env.globals["form_token"] = lambda: "of the app"
        site.app.context_processor(lambda: {"date": lambda: "today"})
        assert site.open().startswith("today of the app Connections")

    def test_a_page_of_the_app(self, site: Site) -> None:
        """It has the connections as data."""
        each = "{{ p.title }}={{ p.connections|length }} "
        page = f"{{% for p in connections.providers %}}{each}{{% endfor %}}"
        site.app.jinja_loader = DictLoader({"flask_dance_nosql/connections.html": page})
        site.connect("acme", "A")
        assert site.open() == "GitHub=0 acme=1"

    def test_other_delimiters(self, site: Site) -> None:
        """They are those of the app's own templates, and undefined names may be errors there."""
        site.app.jinja_options = {
            "variable_start_string": "[[",
            "variable_end_string": "]]",
            "undefined": StrictUndefined,
        }
        site.connect("acme", "A")
        assert "A A Connected" in site.open()
        assert "acme, A Disconnected" in site.press("Disconnect acme, A")

    def test_translations(self, site: Site) -> None:
        """Every text goes through the gettext of the app's templates, and dates by its filter."""
        env = site.app.jinja_env
        env.add_extension("jinja2.ext.i18n")
        asked: set[str] = set()

        def translate(text: str) -> str:
            asked.add(text)
            return f"«{text}»"

        env.install_gettext_callables(translate, lambda *_: "", newstyle=True)  # type: ignore[attr-defined] # of the extension
        env.filters["dateformat"] = lambda moment: "heute"
        site.connect("acme", "A")
        site.break_record("github")
        site.open()
        text = site.press("«Disconnect» GitHub")
        assert "«Disconnected here. The provider has not confirmed it" in text
        assert "heute" in text
        shown = re.sub(r"«[^»]*»", "", text)
        assert set(shown.split()) <= {
            "GitHub",
            "acme",
            "A",
            "acme,",
            "repo",
            "heute",
            "GitHub,",
        } | {"https://github.com/settings/applications"}

    @pytest.mark.parametrize("newstyle", [True, False])
    def test_words_of_scopes(self, newstyle: bool) -> None:
        """They may hold percent signs and markup, or be texts that are translated when shown."""
        site = Site(
            scope_texts={
                "repo": "Use 100 % & <b>more</b>",
                "email": Later("E-Mail & %(x)s lesen"),
                "acme": {"gist": Later("Gists lesen")},
            },
            titles={"acme": Later("Acme 50 %")},
        )
        env = site.app.jinja_env
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(str, lambda *_: "", newstyle=newstyle)  # type: ignore[attr-defined] # of the extension
        site.connect("acme", "A %(x)s", scope="repo email gist")
        text = site.open()
        assert "This site may Use 100 % & <b>more</b> E-Mail & %(x)s lesen Gists lesen" in text
        assert "Acme 50 %, A %(x)s Disconnected" in site.press("Disconnect Acme")

    def test_the_files_are_packaged(self) -> None:
        """A wheel has the templates and the stylesheet."""
        from configparser import ConfigParser

        metadata = ConfigParser()
        metadata.read(Path(__file__).parents[2] / "setup.cfg")
        patterns = metadata["options.package_data"]["flask_dance_nosql.accounts"].split()
        folder = Path(__file__).parents[2] / "flask_dance_nosql" / "accounts"
        packaged = {path for pattern in patterns for path in folder.glob(pattern)}
        data = {path for path in folder.rglob("*") if path.suffix in (".css", ".html")}
        assert packaged == data
        assert len(data) == 4

    def test_the_stylesheet(self, site: Site) -> None:
        """It is served by the blueprint, needs nothing else, and may be kept."""
        answer = site.client.get("/connections/static/connections.css")
        text = answer.text
        answer.close()
        assert answer.status_code == 200
        assert "url(" not in text
        assert "@import" not in text
        assert answer.headers["Cache-Control"] != "no-store"
