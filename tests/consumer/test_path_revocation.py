"""A revocation on the path of a token, and a logout during a refresh: P4, P5, P6, P14."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_dance_nosql.consumer import token_deleted
from flask_dance_nosql.consumer.backend import (
    FileBackend,
    LocalCache,
    MemoryBackend,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendError, BackendUnavailable, TokenRevoked

from ..rotating import RotatingProvider
from ..topologies import wait_until
from .site import (
    BACKENDS,
    COOKIES,
    KEY,
    Browser,
    Impatient,
    Lagging,
    Pause,
    RefusingStore,
    Task,
    ThreeMethods,
    make_site,
    of_user,
    soon,
)

SHARED = [kind for kind in BACKENDS if kind not in COOKIES]


def revoke(browser: Browser) -> bool:
    """Revoke the browser's grant."""
    return bool(browser.do(browser.site.blueprint.revoke))


def log_out(browser: Browser) -> None:
    """Remove the browser's token."""
    browser.do(lambda: delattr(browser.site.blueprint, "token"))


class TestRefreshInFlight:
    """P4: the provider has issued rt-1, and it is not saved yet."""

    @pytest.mark.parametrize("left", [-10, 30])
    @pytest.mark.parametrize("kind", BACKENDS)
    def test_revocation_leaves_nothing_alive(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, left: float
    ) -> None:
        """P4: a revocation that says yes leaves no live grant, nor does one in the end."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon(left)))
        rotating.before_answer = issued = Pause()
        refreshing = Task(browser.copy().call)
        issued.wait()
        revoking = Task(lambda: revoke(browser))
        if not revoking.waits():
            assert not (revoking.result and rotating.live())
        issued.go()
        assert isinstance(revoking.result, bool)
        # Its own call may come after the revocation.
        assert refreshing.result in (200, 401) or isinstance(refreshing.result, TokenRevoked)
        assert not rotating.live()
        assert browser.stored is None
        assert rotating.spent == 0

    @pytest.mark.parametrize("kind", BACKENDS)
    def test_it_is_confirmed_where_it_could_wait(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P4: in the process of the refresh it waits, revokes what that got, and says yes."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.before_answer = issued = Pause()
        refreshing = Task(browser.copy().call)
        issued.wait()
        revoking = Task(lambda: revoke(browser))
        assert revoking.waits()
        assert rotating.revoked == []
        issued.go()
        assert revoking.result is True
        # Its own call may come after the revocation.
        assert refreshing.result in (200, 401) or isinstance(refreshing.result, TokenRevoked)
        assert [form["token"] for form in rotating.revoked] == ["rt-ann-1", "at-ann-1"]
        assert not rotating.live()

    @pytest.mark.parametrize("cached", [False, True])
    def test_one_that_can_not_wait_says_no(self, rotating: RotatingProvider, cached: bool) -> None:
        """P4: it removes the record; the refresh finds it gone, and revokes what it has got."""
        store = Impatient()
        options = [{"cache": LocalCache()} if cached else {} for _ in range(2)]
        here, there = (make_site(rotating, of_user(store, **each)) for each in options)
        here.blueprint.timeout = 1
        here.browser().connect(rotating.grant())
        rotating.before_answer = issued = Pause()
        refreshing = Task(there.browser().call)
        issued.wait()
        assert revoke(here.browser()) is False
        assert store.refused.is_set()
        assert store.load(KEY) is None
        assert rotating.live()
        issued.go()
        # Its own call may come after the revocation.
        assert refreshing.result in (200, 401) or isinstance(refreshing.result, TokenRevoked)
        assert not rotating.live()
        assert store.load(KEY) is None
        assert here.browser().do(lambda: here.blueprint.session.authorized) is False

    def test_one_of_another_process_waits(self, rotating: RotatingProvider) -> None:
        """P4: processes that share a store wait for each other by its lock."""
        store = MemoryStore()
        here, there = (make_site(rotating, of_user(store)) for _ in range(2))
        here.browser().connect(rotating.grant())
        rotating.before_answer = issued = Pause()
        refreshing = Task(there.browser().call)
        issued.wait()
        revoking = Task(lambda: revoke(here.browser()))
        assert revoking.waits()
        issued.go()
        assert (refreshing.result, revoking.result) == (200, True)
        assert not rotating.live()
        assert store.load(KEY) is None

    def test_a_refresh_waits_for_a_revocation(self, rotating: RotatingProvider) -> None:
        """P4: a refresh that begins while a revocation is under way finds no token."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())
        began = Pause()
        original = rotating.revoke

        def slowly(token: str) -> Any:
            began()
            return original(token)

        rotating.revoke = slowly  # type: ignore[method-assign] # the provider takes its time
        revoking = Task(lambda: revoke(browser))
        began.wait()
        calling = Task(site.browser().call)
        calling.waits()
        began.go()
        assert revoking.result is True
        assert isinstance(calling.result, TokenRevoked)
        assert rotating.refreshes == rotating.spent == 0
        assert not rotating.live()
        assert browser.stored is None

    @pytest.mark.parametrize("named", [{"user_id": 2}, {"user": lambda: 2}])
    def test_that_of_another_user_waits_for_theirs_alone(
        self, rotating: RotatingProvider, named: dict[str, Any]
    ) -> None:
        """P4: while one user's refresh hangs, another's grant is revoked at once."""
        site = make_site(rotating, of_user())
        backend = site.blueprint.backend
        site.browser().connect(rotating.grant())
        backend.set(site.blueprint, rotating.grant("bob"), user_id=2)
        rotating.before_answer = issued = Pause()
        refreshing = Task(site.browser().call)
        issued.wait()
        assert site.browser().do(lambda: site.blueprint.revoke(**named)) is True
        assert not rotating.live("bob")
        issued.go()
        assert refreshing.result == 200
        assert rotating.live("ann")
        assert site.browser().stored["refresh_token"] == "rt-ann-1"


class TestLogoutDuringARefresh:
    """P4: the record is removed while a refresh is in flight."""

    @pytest.mark.parametrize("kind", SHARED)
    def test_what_comes_too_late_is_revoked(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P4: a refresh that finds the slot empty revokes what it has got, and stores nothing."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.before_answer = lambda: site.blueprint.backend.delete(site.blueprint)
        with pytest.raises(TokenRevoked, match="removed"):
            browser.call()
        assert browser.stored is None
        assert not rotating.live()
        assert "rt-ann-1" in [form["token"] for form in rotating.revoked]

    @pytest.mark.parametrize("kind", SHARED)
    def test_without_an_endpoint_it_is_dropped(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P4: without a ``revocation_url`` the logout stands all the same."""
        site = make_site(rotating, BACKENDS[kind](tmp_path), revokes=False)
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.before_answer = lambda: site.blueprint.backend.delete(site.blueprint)
        with pytest.raises(TokenRevoked, match="removed"):
            browser.call()
        assert browser.stored is None
        assert rotating.revoked == []

    @pytest.mark.parametrize("failing", [(503, "down"), (400, {"error": "invalid_client"})])
    def test_provider_that_refuses_does_no_harm(
        self, rotating: RotatingProvider, failing: Any
    ) -> None:
        """P4: a revocation that fails is no error of the call in whose name it is done."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())

        def leave() -> None:
            site.blueprint.backend.delete(site.blueprint)
            rotating.revoke = lambda token: failing  # type: ignore[method-assign] # it is down

        rotating.before_answer = leave
        with pytest.raises(TokenRevoked, match="removed"):
            browser.call()
        assert browser.stored is None

    @pytest.mark.parametrize("kind", BACKENDS)
    def test_logout_stands(self, rotating: RotatingProvider, tmp_path: Any, kind: str) -> None:
        """P4: ``del blueprint.token`` in the midst of a refresh leaves no token here."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.before_answer = issued = Pause()
        refreshing = Task(browser.copy().call)
        issued.wait()
        leaving = Task(lambda: log_out(browser))
        leaving.waits()
        issued.go()
        # Its own call may come after the revocation.
        assert refreshing.result in (200, 401) or isinstance(refreshing.result, TokenRevoked)
        assert leaving.result is None
        assert browser.stored is None

    def test_login_that_lands_is_not_revoked(self, rotating: RotatingProvider) -> None:
        """P4: where a login has landed meanwhile, it stands, and nothing of it is revoked."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant())
        login = rotating.grant("new", expires_at=soon())
        rotating.before_answer = lambda: site.blueprint.backend.set(site.blueprint, login)
        assert browser.call() == 200
        assert browser.stored == login
        assert rotating.live("new")


class TestStaleReader:
    """P5: what is revoked is what the store has, and not what a cache or a replica has."""

    @pytest.mark.parametrize("named", [{}, {"user_id": 1}, {"user": lambda: 1}])
    @pytest.mark.parametrize("kind", ["cache", "replica"])
    def test_newest_token_is_revoked(
        self, rotating: RotatingProvider, kind: str, named: dict[str, Any]
    ) -> None:
        """P5: a process that has the old token at hand revokes the one that another has got."""
        store = Lagging()
        options = [{"cache": LocalCache()} if kind == "cache" else {} for _ in range(2)]
        here, there = (make_site(rotating, of_user(store, **each)) for each in options)
        here.browser().connect(rotating.grant(expires_at=soon(30)))
        assert here.browser().stored["refresh_token"] == "rt-ann-0"
        if kind == "replica":
            store.stop_replication()
        assert there.browser().call() == 200
        assert here.browser().stored["refresh_token"] == "rt-ann-0"
        assert here.browser().do(lambda: here.blueprint.revoke(**named)) is True
        assert [form["token"] for form in rotating.revoked] == ["rt-ann-1", "at-ann-1"]
        assert not rotating.live()
        assert store.load_fresh(KEY) is None

    def test_token_that_only_the_store_has_is_revoked(self, rotating: RotatingProvider) -> None:
        """P5: a process that remembers that there was none revokes what is there now."""
        store = MemoryStore()
        caches = LocalCache(), LocalCache()
        here, there = (make_site(rotating, of_user(store, cache=cache)) for cache in caches)
        assert here.browser().stored is None
        there.browser().connect(rotating.grant())
        assert revoke(here.browser()) is True
        assert not rotating.live()

    @pytest.mark.parametrize("scope", ["app", "browser"])
    def test_other_scopes(self, rotating: RotatingProvider, scope: Any) -> None:
        """P5: so it is for the app's token, and for a browser's."""
        store = MemoryStore()
        here, there = (
            make_site(rotating, UserScopedBackend(store, scope=scope, cache=LocalCache()))
            for _ in range(2)
        )
        browser = here.browser()
        browser.connect(rotating.grant(expires_at=soon(30)))
        assert browser.stored["refresh_token"] == "rt-ann-0"
        assert Browser(there, browser.cookie).call() == 200
        assert browser.stored["refresh_token"] == "rt-ann-0"
        assert revoke(browser) is True
        assert not rotating.live()

    def test_store_that_does_not_answer_is_told(self, rotating: RotatingProvider) -> None:
        """P5: where the store can't be read nor written, that is the error, cache or not."""
        store = RefusingStore()
        site = make_site(rotating, of_user(store, cache=LocalCache()))
        browser = site.browser()
        browser.connect(rotating.grant())
        assert browser.stored
        store.refuses = {"load", "load_fresh", "acquire", "release", "save", "delete"}
        with pytest.raises(BackendUnavailable):
            revoke(browser)
        store.refuses = set()
        assert browser.stored is not None


class RefusingMemory(MemoryBackend):
    """A backend of three methods that can refuse to store."""

    refuses: Any = frozenset()

    def set(self, blueprint: Any, token: Any) -> None:
        if self.refuses:
            raise BackendUnavailable("set", type(self).__name__)
        super().set(blueprint, token)


class RefusingThree(ThreeMethods):
    """Another one, whose error is not one of this package's."""

    refuses: Any = frozenset()

    def set(self, blueprint: Any, token: Any) -> None:
        if self.refuses:
            raise OSError("disk full")
        super().set(blueprint, token)


class RefusingFile(FileBackend):
    """A file on a disk that can be full."""

    refuses: Any = frozenset()

    def set(self, blueprint: Any, token: Any) -> None:
        if self.refuses:
            raise BackendError("set", type(self).__name__, "disk full")
        super().set(blueprint, token)


def refusing(**options: Any) -> tuple[Any, Any]:
    """Make a backend whose store can refuse, and return both."""
    store = RefusingStore()
    return UserScopedBackend(store, **options), store


def itself(backend: Any) -> tuple[Any, Any]:
    """Return a backend that refuses by itself, twice."""
    return backend, backend


REFUSING: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "user": lambda folder: refusing(user_id=1),
    "cached": lambda folder: refusing(user_id=1, cache=LocalCache()),
    "app": lambda folder: refusing(),
    "browser": lambda folder: refusing(scope="browser"),
    "memory": lambda folder: itself(RefusingMemory()),
    "three": lambda folder: itself(RefusingThree()),
    "file": lambda folder: itself(RefusingFile(folder / "token")),
}
"""How a backend is made that can refuse to save, with what has its ``refuses``."""


def waiting(rotating: RotatingProvider, folder: Any, kind: str) -> tuple[Browser, Any]:
    """Return a browser whose new token waits to be stored, and what refuses it."""
    backend, refuser = REFUSING[kind](folder)
    browser = make_site(rotating, backend).browser()
    browser.connect(rotating.grant())
    refuser.refuses = {"save"}
    assert browser.call() == 200
    assert browser.stored["refresh_token"] == "rt-ann-0"
    return browser, refuser


@pytest.mark.parametrize("kind", REFUSING)
class TestTokenThatWaitsToBeStored:
    """P6: a refresh has got rt-1, which the backend has refused."""

    def test_it_is_revoked(self, rotating: RotatingProvider, tmp_path: Any, kind: str) -> None:
        """P6: a revocation revokes it, and not the spent one, and says yes."""
        browser, _ = waiting(rotating, tmp_path, kind)
        assert revoke(browser) is True
        assert [form["token"] for form in rotating.revoked][:2] == ["rt-ann-1", "at-ann-1"]
        assert not rotating.live()

    def test_it_does_not_come_back(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P6: once the backend takes tokens again, there is none to take."""
        browser, refuser = waiting(rotating, tmp_path, kind)
        old = browser.copy()
        revoke(browser)
        refuser.refuses = set()
        for each in (browser, old):
            assert each.call() == 401
            assert each.stored is None
        assert rotating.refreshes == 1

    def test_provider_that_refuses_is_told(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P6: where the provider does not confirm it, the answer is no, and the record goes."""
        browser, _ = waiting(rotating, tmp_path, kind)
        rotating.failing = (503, "down")
        assert revoke(browser) is False
        assert browser.stored is None
        assert rotating.revoked[0]["token"] == "rt-ann-1"


@pytest.mark.parametrize("kind", ["user", "cached", "app", "browser"])
def test_token_that_waits_is_revoked_when_its_owner_has_left(
    rotating: RotatingProvider, tmp_path: Any, kind: str
) -> None:
    """P4, P6: after a logout, what waits for a store is not stored but revoked, by itself."""
    browser, refuser = waiting(rotating, tmp_path, kind)
    log_out(browser)
    refuser.refuses = set()
    assert browser.stored is None
    wait_until(lambda: not rotating.live(), "the token that waited was revoked", 10)
    assert browser.stored is None


class TestUnreadable:
    """P14: what else a revocation can meet."""

    def test_signal_is_sent_for_a_record_that_goes(self, rotating: RotatingProvider) -> None:
        """P14: a record that could not be read is told as removed, for its user."""
        store = RefusingStore(error=BackendError)
        site = make_site(rotating, of_user(store))
        browser = site.browser()
        browser.connect(rotating.grant())
        told: list[Any] = []

        def corrupt(key: TokenKey) -> Any:
            raise store.corrupt("load", key, "it is not a token document")

        store.load = store.load_fresh = corrupt  # type: ignore[method-assign] # it is damaged

        def receive(sender: Any, **arguments: Any) -> None:
            told.append(arguments)

        with token_deleted.connected_to(receive):
            assert revoke(browser) is False
        assert told == [{"user_id": "1"}]
        assert KEY not in store._documents
        assert rotating.revoked == []


@pytest.mark.timeout(30)
def test_hook_of_a_refresh_that_revokes_waits_for_nobody(rotating: RotatingProvider) -> None:
    """P4, P26: a revocation amid the refresh of its own thread is told, and leaves nothing."""
    backend = UserScopedBackend(MemoryStore(), user_id=1)
    site = make_site(rotating, backend)
    answers: list[bool] = []

    def hook(response: Any) -> Any:
        answers.append(site.blueprint.revoke())
        return response

    def work() -> int:
        site.blueprint.session.register_compliance_hook("refresh_token_response", hook)
        return int(site.blueprint.session.get("api").status_code)

    browser = site.browser()
    browser.connect(rotating.grant())
    with pytest.raises(TokenRevoked, match="removed"):
        browser.do(work)
    assert answers == [False]
    assert browser.stored is None
    assert not rotating.live()
