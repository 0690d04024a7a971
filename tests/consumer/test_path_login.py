"""A login on the path of a token: P9, P13, P14, P15, P16, P24, P25."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from flask import redirect
from flask import session as flask_session

from flask_dance_nosql.consumer import oauth_authorized, token_saved
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    SessionBackend,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import CorruptToken, UserRequired

from ..rotating import RotatingProvider
from ..topologies import wait_until
from .conftest import Signals
from .site import (
    BACKENDS,
    KEY,
    PLAIN,
    Browser,
    Impatient,
    Lagging,
    Pause,
    RefusingStore,
    Site,
    Task,
    make_site,
    of_user,
    sign_of,
    soon,
    warnings_of,
)
from .unreadable import UNREADABLE

PERSONS = (*PLAIN, "user", "cached")
"""The backends whose token is always the same person's."""


class TestLoginWithoutRefreshToken:
    """P9: the answer of a login has no refresh token, as Google's has none but for the first."""

    @pytest.mark.parametrize("kind", PERSONS)
    def test_it_joins_what_a_refresh_in_flight_gets(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P9: a login that lands during a refresh keeps the refresh token that is got by it."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.approve(refresh_token=False)
        rotating.before_answer = issued = Pause()
        refreshing = Task(site.browser().call)
        issued.wait()
        login = Task(site.browser().login)
        login.waits()
        issued.go()
        assert refreshing.result == 200
        assert login.result.status_code == 302
        stored = browser.stored
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-ann-1")
        browser.connect({**stored, "expires_at": 1})
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    @pytest.mark.parametrize("kind", ["app", "browser", "session"])
    def test_it_joins_nothing_where_nobody_is_a_person(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P9, P15: where the token may be another person's, the login's stays as it came."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.approve(refresh_token=False)
        rotating.before_answer = issued = Pause()
        refreshing = Task(browser.copy().call)
        issued.wait()
        login = Task(browser.login)
        login.waits()
        issued.go()
        assert not isinstance(refreshing.result, Exception)
        assert login.result.status_code == 302
        stored = browser.stored
        assert stored["access_token"] == "at-new-0"
        assert "refresh_token" not in stored
        assert rotating.spent == 0

    @pytest.mark.parametrize("kind", ["cache", "replica"])
    def test_it_reads_past_what_is_stale(self, rotating: RotatingProvider, kind: str) -> None:
        """P9, P23: a cache or a replica that has the spent refresh token is not asked."""
        store = Lagging()
        options = [{"cache": LocalCache()} if kind == "cache" else {} for _ in range(2)]
        here, there = (make_site(rotating, of_user(store, **each)) for each in options)
        here.browser().connect(rotating.grant(expires_at=soon(30)))
        assert here.browser().stored["refresh_token"] == "rt-ann-0"
        if kind == "replica":
            store.stop_replication()
        assert there.browser().call() == 200
        assert rotating.refreshes == 1
        assert here.browser().stored["refresh_token"] == "rt-ann-0"
        rotating.approve(refresh_token=False)
        assert here.browser().login().status_code == 302
        kept = store.load_fresh(KEY)
        assert kept is not None
        assert kept.token["access_token"] == "at-new-0"
        assert kept.token["refresh_token"] == "rt-ann-1"

    def test_it_joins_what_waits_to_be_stored(self, rotating: RotatingProvider) -> None:
        """P9: a refresh token that the store has refused is kept by the login that it takes."""
        store = RefusingStore()
        site = make_site(rotating, of_user(store))
        browser = site.browser()
        browser.connect(rotating.grant())
        store.refuses = {"save"}
        assert browser.call() == 200
        store.refuses = set()
        rotating.approve(refresh_token=False)
        assert browser.login().status_code == 302
        stored = browser.stored
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-ann-1")

    def test_it_is_stored_though_somebody_keeps_the_lease(self, rotating: RotatingProvider) -> None:
        """P9: a lease that another process never gives up keeps nobody from logging in."""
        store = Impatient()
        site = make_site(rotating, of_user(store))
        browser = site.browser()
        browser.connect(rotating.grant())
        lock = store.lock(KEY)
        assert lock is not None
        rotating.approve(refresh_token=False)
        assert browser.login().status_code == 302
        assert browser.stored["access_token"] == "at-new-0"
        lock.release()


@contextmanager
def unreadable(
    rotating: RotatingProvider, folder: Any, kind: str, token: dict[str, Any] | None = None
) -> Iterator[Browser]:
    """Give a browser whose record can't be read."""
    with UNREADABLE[kind](folder) as (backend, damage):
        browser = make_site(rotating, backend).browser()
        browser.connect(rotating.grant() if token is None else token)
        damage(browser)
        yield browser


def log_in(browser: Browser) -> None:
    """Log in, and come back."""
    assert browser.login().status_code == 302


def assign(browser: Browser) -> None:
    """Store a token by assigning it."""
    token = {"access_token": "at-new-0", "token_type": "Bearer"}
    browser.do(lambda: setattr(browser.site.blueprint, "token", token))


@pytest.mark.parametrize("kind", UNREADABLE)
class TestUnreadableRecord:
    """P13, P14: a record that can't be read locks nobody out."""

    @pytest.mark.parametrize("refresh_token", [True, False])
    def test_login_replaces_it(
        self,
        rotating: RotatingProvider,
        tmp_path: Any,
        caplog: pytest.LogCaptureFixture,
        kind: str,
        refresh_token: bool,
    ) -> None:
        """P13: a login, whatever its answer has, stores its token, and a warning says so."""
        rotating.approve(refresh_token=refresh_token)
        with unreadable(rotating, tmp_path, kind) as browser:
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert browser.login().status_code == 302
            stored = browser.stored
            assert stored["access_token"] == "at-new-0"
            assert stored.get("refresh_token") == ("rt-new-0" if refresh_token else None)
            # With a refresh token of its own it need not look at what it replaces.
            assert refresh_token or "acme" in warnings_of(caplog)
            assert browser.call() == 200
            assert sign_of(rotating) == "Bearer at-new-0"
        for secret in ("at-new", "rt-new", "at-ann", "rt-ann", "garbage", "CODE123"):
            assert secret not in caplog.text

    def test_login_succeeds_each_time(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P13: the second login after it is one as any other."""
        rotating.approve(refresh_token=False)
        with unreadable(rotating, tmp_path, kind) as browser:
            assert browser.login().status_code == 302
            assert browser.login().status_code == 302
            assert browser.stored["access_token"] == "at-new-0"

    def test_assignment_replaces_it(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P13: so does a token that the application assigns."""
        with unreadable(rotating, tmp_path, kind) as browser:
            assign(browser)
            assert browser.stored["access_token"] == "at-new-0"

    def test_removal_removes_it(self, rotating: RotatingProvider, tmp_path: Any, kind: str) -> None:
        """P14: ``del blueprint.token`` removes it."""
        with unreadable(rotating, tmp_path, kind) as browser:
            browser.do(lambda: delattr(browser.site.blueprint, "token"))
            assert browser.stored is None

    def test_revocation_removes_it(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P14: ``revoke`` removes it, and says that nothing was revoked."""
        with unreadable(rotating, tmp_path, kind) as browser:
            assert browser.do(browser.site.blueprint.revoke) is False
            assert browser.stored is None
        assert rotating.revoked == []

    def test_nobody_is_authorized_by_it(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P13: ``session.authorized`` is no."""
        with unreadable(rotating, tmp_path, kind) as browser:
            assert browser.do(lambda: browser.site.blueprint.session.authorized) is False

    def test_view_leads_to_the_login(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P13: a view under ``authorization_required`` leads to the login, which mends it."""
        rotating.approve(refresh_token=False)
        with unreadable(rotating, tmp_path, kind) as browser:
            answer = browser.get("/view")
            assert (answer.status_code, answer.location) == (302, "/login/acme")
            log_in(browser)
            assert browser.get("/view").text == "seen"


# What the default backend says of other data under its key is open.
@pytest.mark.parametrize("kind", sorted(UNREADABLE.keys() - {"session, text", "session, list"}))
def test_backend_tells_of_an_unreadable_record(
    rotating: RotatingProvider, tmp_path: Any, kind: str
) -> None:
    """P13: ``backend.get`` raises what it is, and the record stays."""
    with unreadable(rotating, tmp_path, kind) as browser:
        for _ in range(2):
            with pytest.raises(CorruptToken):
                _ = browser.stored


NO_PERSON: dict[str, Callable[[], Any]] = {
    "session": SessionBackend,
    "session, sealed": lambda: SessionBackend(cipher=TokenCipher(TokenCipher.generate_key())),
    "browser": lambda: UserScopedBackend(MemoryStore(), scope="browser"),
    "browser, cached": lambda: UserScopedBackend(
        MemoryStore(), scope="browser", cache=LocalCache()
    ),
    "app": lambda: UserScopedBackend(MemoryStore()),
}
"""Backends where the next login may be another person's."""


@pytest.mark.parametrize("kind", NO_PERSON)
@pytest.mark.parametrize("between", ["nothing", "expiry", "refresh"])
def test_login_in_the_same_browser_takes_nothing_over(
    rotating: RotatingProvider, kind: str, between: str
) -> None:
    """P15: Bob, who logs in where Alice was, is not given Alice's refresh token."""
    site = make_site(rotating, NO_PERSON[kind]())
    browser = site.browser()
    rotating.approve("alice", "OF-ALICE")
    rotating.approve("bob", "OF-BOB", refresh_token=False)
    browser.login("OF-ALICE")
    assert browser.stored["refresh_token"] == "rt-alice-0"
    if between != "nothing":
        browser.connect({**browser.stored, "expires_at": 1})
    if between == "refresh":
        assert browser.call() == 200
    browser.login("OF-BOB")
    stored = browser.stored
    assert stored["access_token"] == "at-bob-0"
    assert "refresh_token" not in stored


@pytest.mark.parametrize("kind", NO_PERSON)
def test_receiver_that_assigns_takes_nothing_over(rotating: RotatingProvider, kind: str) -> None:
    """P15, P24: nor is he where a receiver of the application's stores the token."""
    site = make_site(rotating, NO_PERSON[kind]())
    browser = site.browser()
    rotating.approve("alice", "OF-ALICE")
    rotating.approve("bob", "OF-BOB", refresh_token=False)
    browser.login("OF-ALICE")
    with oauth_authorized.connected_to(RECEIVERS["redirects"]):
        browser.login("OF-BOB")
    assert browser.stored["access_token"] == "at-bob-0"
    assert "refresh_token" not in browser.stored


def browser_id(browser: Browser, provider: str = "acme") -> Any:
    """Return the random id that the browser's cookie holds for a provider."""
    return browser.do(lambda: flask_session.get(f"flask_dance_browser_id:{provider}"))


ARRIVALS: dict[str, Callable[[Browser], None]] = {"login": log_in, "assign": assign}


def without_answer(browser: Browser) -> None:
    """Revoke where the provider does not answer."""
    browser.site.blueprint.revocation_url = "http://127.0.0.1:1/revoke"
    assert browser.do(browser.site.blueprint.revoke) is False


DEPARTURES: dict[str, Callable[[Browser], object]] = {
    "del": lambda browser: browser.do(lambda: delattr(browser.site.blueprint, "token")),
    "revoke": lambda browser: browser.do(browser.site.blueprint.revoke),
    "revoke without an answer": without_answer,
}


class TestBrowserId:
    """P16: who has an old copy of a cookie reads nobody's token."""

    @pytest.fixture(params=[False, True], ids=["plain", "cached"])
    def site(self, request: pytest.FixtureRequest, rotating: RotatingProvider) -> Site:
        """An app whose visitors have a token each."""
        options = {"cache": LocalCache()} if request.param else {}
        rotating.approve()
        return make_site(rotating, UserScopedBackend(MemoryStore(), scope="browser", **options))

    def documents(self, site: Site) -> list[str]:
        """Return the access tokens of all records."""
        return [each.token["access_token"] for each in site.blueprint.backend.store.scan()]

    def assert_reads_nothing(self, old: Browser, rotating: RotatingProvider) -> None:
        """Check that an old cookie gives no token, whatever is asked."""
        assert old.stored is None
        assert old.do(lambda: old.site.blueprint.session.authorized) is False
        assert old.call() == 401
        assert sign_of(rotating) is None

    @pytest.mark.parametrize("arrival", ARRIVALS)
    def test_login_gives_a_new_id(
        self, site: Site, rotating: RotatingProvider, arrival: str
    ) -> None:
        """P16: a login, or an assigned token, has a new id, and the old record is removed."""
        browser = site.browser()
        rotating.approve("alice", "OF-ALICE")
        browser.login("OF-ALICE")
        old, first = browser.copy(), browser_id(browser)
        assert first
        assert old.stored["access_token"] == "at-alice-0"
        ARRIVALS[arrival](browser)
        assert browser_id(browser)
        assert browser_id(browser) != first
        assert self.documents(site) == ["at-new-0"]
        self.assert_reads_nothing(old, rotating)

    @pytest.mark.parametrize("arrival", ARRIVALS)
    @pytest.mark.parametrize("departure", DEPARTURES)
    def test_logout_ends_the_id(
        self, site: Site, rotating: RotatingProvider, departure: str, arrival: str
    ) -> None:
        """P16: after a logout, and after the next person's login, an old cookie gives nothing."""
        browser = site.browser()
        rotating.approve("alice", "OF-ALICE")
        browser.login("OF-ALICE")
        old, first = browser.copy(), browser_id(browser)
        DEPARTURES[departure](browser)
        left = browser.copy()
        assert browser_id(browser) != first
        assert self.documents(site) == []
        self.assert_reads_nothing(old, rotating)
        ARRIVALS[arrival](browser)
        assert browser.stored["access_token"] == "at-new-0"
        assert browser_id(browser) not in (None, first)
        self.assert_reads_nothing(old, rotating)
        self.assert_reads_nothing(left, rotating)

    def test_old_cookie_disturbs_nobody(self, site: Site, rotating: RotatingProvider) -> None:
        """P16: who logs out or in with an old cookie leaves the present visitor's token alone."""
        browser = site.browser()
        rotating.approve("alice", "OF-ALICE")
        browser.login("OF-ALICE")
        old = browser.copy()
        log_in(browser)
        old.copy().do(lambda: delattr(site.blueprint, "token"))
        assert browser.stored["access_token"] == "at-new-0"
        old.login("OF-ALICE")
        assert browser.stored["access_token"] == "at-new-0"
        assert sorted(self.documents(site)) == ["at-alice-0", "at-new-0"]

    def test_cookie_of_before_the_login_gives_nothing(
        self, site: Site, rotating: RotatingProvider
    ) -> None:
        """P16: a cookie that was planted before the login does not lead to its token."""
        browser = site.browser()
        log_in(browser)
        browser.do(lambda: delattr(site.blueprint, "token"))
        planted = browser.copy()
        state = browser.begin()
        planted_later = browser.copy()
        browser.finish(state)
        for each in (planted, planted_later):
            self.assert_reads_nothing(each, rotating)

    def test_refresh_keeps_the_id(self, site: Site, rotating: RotatingProvider) -> None:
        """P16: a refresh is no login: the id stays, and so does every copy of the cookie."""
        browser = site.browser()
        browser.connect(rotating.grant())
        copy, first = browser.copy(), browser_id(browser)
        assert first
        assert browser.call() == 200
        assert browser_id(browser) == first
        assert copy.stored["access_token"] == "at-ann-1"

    def test_refresh_in_flight_brings_no_record_back(
        self, site: Site, rotating: RotatingProvider
    ) -> None:
        """P16: what a refresh gets for a visitor who has left is revoked, and not stored."""
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.before_answer = issued = Pause()
        refreshing = Task(browser.copy().call)
        issued.wait()
        login = Task(browser.login)
        login.waits()
        issued.go()
        assert not isinstance(refreshing.result, Exception)
        assert login.result.status_code == 302
        wait_until(lambda: self.documents(site) == ["at-new-0"], "the old record is gone")
        assert browser.stored["access_token"] == "at-new-0"

    def test_ids_are_per_provider(self, site: Site, rotating: RotatingProvider) -> None:
        """P16: a login or logout at one provider leaves what the browser has at another."""
        from .conftest import make_refreshing

        other = make_refreshing(rotating, site.blueprint.backend, name="other")
        site.app.register_blueprint(other, url_prefix="/login")
        browser = site.browser()
        log_in(browser)
        browser.do(lambda: setattr(other, "token", {"access_token": "others"}))
        ids = browser_id(browser), browser_id(browser, "other")
        assert all(ids)
        assert len(set(ids)) == 2
        browser.do(lambda: setattr(other, "token", {"access_token": "others 2"}))
        assert browser.stored["access_token"] == "at-new-0"
        log_in(browser)
        assert browser.do(lambda: other.token)["access_token"] == "others 2"
        browser.do(lambda: delattr(site.blueprint, "token"))
        assert browser.do(lambda: other.token)["access_token"] == "others 2"
        assert [each.key.provider for each in site.blueprint.backend.store.scan()] == ["other"]

    def test_ids_can_not_be_guessed(self, site: Site) -> None:
        """P16: each id is random, and what it is stored under is made of it alone."""
        ids = []
        for _ in range(3):
            browser = site.browser()
            log_in(browser)
            ids.append(browser_id(browser))
        assert len(set(ids)) == 3
        assert all(isinstance(each, str) and len(each) >= 32 for each in ids)


def test_login_that_is_not_stored_changes_nothing(rotating: RotatingProvider) -> None:
    """P16: where the store refuses the new record, the old one and its id stay."""
    store = RefusingStore()
    site = make_site(rotating, UserScopedBackend(store, scope="browser"))
    browser = site.browser()
    rotating.approve("alice", "OF-ALICE")
    rotating.approve()
    browser.login("OF-ALICE")
    first = browser_id(browser)
    store.refuses = {"save"}
    with suppress(Exception):
        browser.login()
    with pytest.raises(Exception, match="save"):
        assign(browser)
    store.refuses = set()
    assert browser_id(browser) == first
    assert browser.stored["access_token"] == "at-alice-0"


def redirects(blueprint: Any, token: Any) -> Any:
    """Store the token, and choose the page to go to."""
    blueprint.token = token
    return redirect("/mine")


def says_stored(blueprint: Any, token: Any) -> Any:
    """Store the token, and say so."""
    blueprint.token = token
    return False


def adds_and_says_stored(blueprint: Any, token: Any) -> Any:
    """Store the token with a field of the application's."""
    blueprint.token = {**token, "note": "mine"}
    return False


def leaves_the_rest(blueprint: Any, token: Any) -> Any:
    """Store the token, and let the blueprint store it again."""
    blueprint.token = token


RECEIVERS: dict[str, Callable[[Any, Any], Any]] = {
    "redirects": redirects,
    "returns False": says_stored,
    "adds a field": adds_and_says_stored,
    "returns nothing": leaves_the_rest,
}
"""Receivers of ``oauth_authorized`` that store the token themselves, as applications write them."""


class TestReceiverThatAssigns:
    """P24: a receiver of ``oauth_authorized`` that does ``blueprint.token = token``."""

    @pytest.mark.parametrize("receiver", RECEIVERS)
    @pytest.mark.parametrize("kind", PERSONS)
    def test_stored_refresh_token_stays(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, receiver: str
    ) -> None:
        """P24: a token that comes without a refresh token is joined as in a login."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.approve(refresh_token=False)
        with oauth_authorized.connected_to(RECEIVERS[receiver]):
            answer = browser.login()
        assert answer.location == ("/mine" if receiver == "redirects" else "/")
        stored = browser.stored
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-ann-0")
        assert stored.get("note") == ("mine" if receiver == "adds a field" else None)

    @pytest.mark.parametrize("receiver", RECEIVERS)
    def test_new_refresh_token_wins(self, rotating: RotatingProvider, receiver: str) -> None:
        """P24: a refresh token that the provider sends takes the stored one's place."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.approve()
        with oauth_authorized.connected_to(RECEIVERS[receiver]):
            browser.login()
        assert browser.stored["refresh_token"] == "rt-new-0"

    @pytest.mark.parametrize("receiver", RECEIVERS)
    def test_another_account_takes_nothing_over(
        self, rotating: RotatingProvider, receiver: str
    ) -> None:
        """P24: the refresh token of another account of the same user is not taken over."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect({**rotating.grant(), "sub": "first"})
        rotating.approve(refresh_token=False, sub="second")
        with oauth_authorized.connected_to(RECEIVERS[receiver]):
            browser.login()
        assert browser.stored["access_token"] == "at-new-0"
        assert "refresh_token" not in browser.stored

    @pytest.mark.parametrize("receiver", RECEIVERS)
    def test_it_waits_for_a_refresh(self, rotating: RotatingProvider, receiver: str) -> None:
        """P9, P24: it joins what a refresh in flight gets, and does not bring the old one back."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.approve(refresh_token=False)
        rotating.before_answer = issued = Pause()
        refreshing = Task(site.browser().call)
        issued.wait()
        with oauth_authorized.connected_to(RECEIVERS[receiver]):
            login = Task(browser.login)
            login.waits()
            issued.go()
            assert refreshing.result == 200
            assert login.result.status_code == 302
        stored = browser.stored
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-ann-1")

    def test_an_assignment_anywhere_else_is_what_it_says(self, rotating: RotatingProvider) -> None:
        """P24: outside of a login, what is assigned is what is stored."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())
        assign(browser)
        assert browser.stored == {"access_token": "at-new-0", "token_type": "Bearer"}

    def test_an_assignment_for_another_owner_joins_with_theirs(
        self, rotating: RotatingProvider
    ) -> None:
        """P24: a receiver that stores for somebody else takes nothing from the current user."""
        site = make_site(rotating, of_user())
        site.browser().connect(rotating.grant())
        rotating.approve(refresh_token=False)

        def give_away(blueprint: Any, token: Any) -> Any:
            blueprint.backend.set(blueprint, token, user_id=2)
            return False

        with oauth_authorized.connected_to(give_away):
            site.browser().login()
        kept = site.blueprint.backend.store.load(TokenKey("acme", "2"))
        assert "refresh_token" not in kept.token
        assert site.browser().stored["access_token"] == "at-ann-0"


class TestReceiverThatFails:
    """P25: a receiver of ``token_saved`` raises in the callback."""

    ERRORS: tuple[Exception, ...] = (
        ValueError("my own"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "my own"),
        UserRequired("get"),
        TypeError("my own"),
        LookupError("my own"),
    )

    @pytest.mark.parametrize("kind", ["user", "memory", "browser", "session"])
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_its_error_is_its_own(
        self,
        rotating: RotatingProvider,
        tmp_path: Any,
        signals: Signals,
        kind: str,
        error: Exception,
    ) -> None:
        """P25: its error arrives, the token is stored, and no failed login is told."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        rotating.approve()
        stored: list[Any] = []

        def receive(sender: Any, **arguments: Any) -> None:
            stored.append(sender.backend.get(sender)["access_token"])
            raise error

        browser = site.browser()
        with token_saved.connected_to(receive), pytest.raises(type(error)) as caught:
            browser.login()
        assert caught.value is error
        assert stored == ["at-new-0"]
        assert signals.of("oauth-error") == []

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_so_is_that_of_an_assignment(
        self, rotating: RotatingProvider, error: Exception
    ) -> None:
        """P25: the same holds for a token that the application assigns."""
        site = make_site(rotating, of_user())

        def receive(sender: Any, **arguments: Any) -> None:
            raise error

        with token_saved.connected_to(receive), pytest.raises(type(error)) as caught:
            assign(site.browser())
        assert caught.value is error
        assert site.browser().stored["access_token"] == "at-new-0"

    def test_backend_that_refuses_is_told_as_before(
        self, rotating: RotatingProvider, signals: Signals
    ) -> None:
        """P25: a backend's ``ValueError`` is a failed login, with a receiver or without."""
        site = make_site(rotating, UserScopedBackend(MemoryStore(), user_id=lambda: None))
        rotating.approve()
        assert site.browser().login().status_code == 302
        [told] = signals.of("oauth-error")
        assert told["error"] == "token_not_stored"
