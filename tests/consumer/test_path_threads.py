"""Several threads, several users and old copies on the path of a token: P10, P18, P19, P20."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import time_machine
from flask import copy_current_request_context
from flask import session as flask_session
from oauthlib.oauth2 import WebApplicationClient

from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2Session,
    token_refreshed,
    token_saved,
)
from flask_dance_nosql.consumer.backend import LocalCache, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..rotating import RotatingProvider
from .conftest import at_once
from .site import (
    BACKENDS,
    PLAIN,
    STORES,
    Browser,
    Pause,
    Site,
    Task,
    make_site,
    sign_of,
    soon,
)

COPIED = ("session", *PLAIN, *STORES)
"""The backends of which a request can have an old copy of the token, and another a newer one."""


def holding(browser: Browser, stop: Callable[[], object]) -> int:
    """Read the token in a request, stop, and then call the API with what was read."""

    def work() -> int:
        session = browser.site.blueprint.session
        assert session.authorized
        stop()
        return int(session.get("api").status_code)

    return browser.do(work)


class TestOldCopies:
    """P10: of two requests one has an older generation of the token, and both tokens are dead."""

    @pytest.mark.parametrize("first", ["old", "new"])
    @pytest.mark.parametrize("kind", COPIED)
    def test_newest_token_is_spent_once(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, first: str
    ) -> None:
        """P10: a long request with generation 0, and a new one with generation 1: one refresh."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        stop = Pause()
        old_copy, new_copy = browser.copy(), browser
        old = Task(lambda: holding(old_copy, stop))
        stop.wait()
        assert new_copy.call() == 200
        assert rotating.refreshes == 1
        with time_machine.travel(time.time() + 7200):
            rotating.gate.clear()
            rotating.at_the_gate.clear()
            new: Task | None = None
            if first == "new":
                new = Task(new_copy.call)
            else:
                stop.go()
            assert rotating.at_the_gate.wait(60)
            rotating.at_the_gate.clear()
            if first == "new":
                stop.go()
            else:
                new = Task(new_copy.call)
            assert not rotating.at_the_gate.wait(0.5), "a second one is on its way to the provider"
            rotating.gate.set()
            assert new is not None
            assert (old.result, new.result) == (200, 200)
            assert new_copy.stored["refresh_token"] == "rt-ann-2"
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    @pytest.mark.parametrize("kind", COPIED)
    def test_copy_that_is_two_generations_old(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """P10: who comes after two refreshes with the first token is given the newest."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        stop = Pause()
        old_copy = browser.copy()
        old = Task(lambda: holding(old_copy, stop))
        stop.wait()
        assert browser.call() == 200
        with time_machine.travel(time.time() + 7200):
            assert browser.call() == 200
            stop.go()
            assert old.result == 200
        assert sign_of(rotating) == "Bearer at-ann-2"
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    @pytest.mark.parametrize("kind", COPIED)
    def test_storm(self, rotating: RotatingProvider, tmp_path: Any, kind: str) -> None:
        """P10: 16 threads, half of them with an older token: one refresh, and all are answered."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        barrier, ready = threading.Barrier(16), threading.Semaphore(0)

        def stop() -> None:
            ready.release()
            barrier.wait(60)

        def begin() -> list[Task]:
            copies = [browser.copy() for _ in range(8)]
            return [Task(lambda each=each: holding(each, stop)) for each in copies]

        old = begin()
        for _ in old:
            assert ready.acquire(timeout=60)
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        with time_machine.travel(time.time() + 7200):
            new = begin()
            assert [each.result for each in (*old, *new)] == [200] * 16
        assert (rotating.refreshes, rotating.spent) == (2, 0)
        assert len(rotating.calls("/token")) == 2
        assert {each.headers["Authorization"] for each in rotating.calls("/api")[1:]} == {
            "Bearer at-ann-2"
        }


class Names:
    """The name of the current user of each thread."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.default: str | None = None

    def __call__(self) -> str | None:
        return getattr(self._local, "name", self.default)

    def acting_as(self, name: str, work: Callable[[], Any]) -> Callable[[], Any]:
        """Return what does something as a user, in a thread of the current request."""

        @copy_current_request_context
        def run() -> Any:
            self._local.name = name
            return work()

        return run


@pytest.fixture
def names() -> Names:
    """Who acts."""
    return Names()


@pytest.fixture(params=["plain", "cached"])
def site(request: pytest.FixtureRequest, rotating: RotatingProvider, names: Names) -> Site:
    """An app whose users ann and bob have tokens that work."""
    options = {"cache": LocalCache()} if request.param == "cached" else {}
    return with_users(rotating, names, **options)


def with_users(rotating: RotatingProvider, names: Any, **options: Any) -> Site:
    """Make an app whose users ann and bob have tokens that work."""
    site = make_site(rotating, UserScopedBackend(MemoryStore(), user_id=names, **options))
    for name in ("ann", "bob"):
        give(site, rotating.grant(name, expires_at=soon()), name)
    return site


def give(site: Site, token: dict[str, Any], name: str) -> None:
    """Store a token for a user."""
    site.blueprint.backend.set(site.blueprint, token, user_id=name)


def kept(site: Site) -> dict[str, str]:
    """Return the refresh token of each user."""
    documents = site.blueprint.backend.store.scan()
    return {each.user_id: each.token["refresh_token"] for each in documents if each.token}


def stop_in_hook(site: Site, names: Names, stop: Callable[[], None]) -> None:
    """Stop who refreshes as ann when the provider has answered, in a hook of the session."""

    def hook(response: Any) -> Any:
        if names() == "ann":
            stop()
        return response

    session_class = site.blueprint.session_class

    def make(*args: Any, **kwargs: Any) -> Any:
        session = session_class(*args, **kwargs)
        session.register_compliance_hook("refresh_token_response", hook)
        return session

    site.blueprint.session_class = make


def stop_in_subclass(site: Site, names: Names, stop: Callable[[], None]) -> None:
    """Stop them when a method that a subclass may override has read the answer."""

    class Stopping(OAuth2Session):
        def refresh_token(self, *args: Any, **kwargs: Any) -> Any:
            token = super().refresh_token(*args, **kwargs)
            if names() == "ann":
                stop()
            return token

    site.blueprint.session_class = Stopping


STOPS = {"hook": stop_in_hook, "subclass": stop_in_subclass}
"""How a refresh is stopped in its midst. A refresh need not reach the second place."""


class TestThreadsOfOneRequest:
    """P18: threads of one request share its session."""

    def call(self, site: Site, path: str) -> int:
        """Call the API."""
        return int(site.blueprint.session.get(path).status_code)

    def test_call_goes_out_with_its_own_users_token(
        self, site: Site, names: Names, rotating: RotatingProvider
    ) -> None:
        """P18: while ann's call is being signed, bob's goes out; each has its user's token."""
        signing = Pause()

        def hook(url: Any, headers: Any, data: Any) -> Any:
            if names() == "ann":
                signing()
            return url, headers, data

        def work() -> list[int]:
            site.blueprint.session.register_compliance_hook("protected_request", hook)
            ann = Task(names.acting_as("ann", lambda: self.call(site, "ann")))
            signing.wait()
            bob = Task(names.acting_as("bob", lambda: self.call(site, "bob")))
            bob.waits()
            signing.go()
            return [ann.result, bob.result]

        assert site.browser().do(work) == [200, 200]
        assert sign_of(rotating, path="/ann") == "Bearer at-ann-0"
        assert sign_of(rotating, path="/bob") == "Bearer at-bob-0"

    @pytest.mark.parametrize("other", ["ann", "bob"])
    def test_token_is_whole_when_a_call_is_signed(
        self, names: Names, rotating: RotatingProvider, other: str
    ) -> None:
        """P18: a call that is being signed is not disturbed by one that begins."""
        loading, signing = Pause(), Pause()
        beginning = threading.local()

        class Client(WebApplicationClient):
            def populate_token_attributes(self, response: Any) -> None:
                if getattr(beginning, "is_here", False):
                    loading()
                super().populate_token_attributes(response)

        def hook(url: Any, headers: Any, data: Any) -> Any:
            if not getattr(beginning, "is_here", False):
                signing()
            return url, headers, data

        site = with_users(rotating, names)
        site.blueprint.client = Client("id")

        def begin() -> int:
            beginning.is_here = True
            return self.call(site, "second")

        def work() -> list[int]:
            site.blueprint.session.register_compliance_hook("protected_request", hook)
            first = Task(names.acting_as("ann", lambda: self.call(site, "first")))
            signing.wait()
            second = Task(names.acting_as(other, begin))
            loading.reached.wait(1)
            signing.go()
            result = first.result
            loading.go()
            return [result, second.result]

        assert site.browser().do(work) == [200, 200]
        assert sign_of(rotating, path="/first") == "Bearer at-ann-0"
        assert sign_of(rotating, path="/second") == f"Bearer at-{other}-0"

    @pytest.mark.parametrize("stop", STOPS)
    def test_call_during_a_refresh_early(
        self, site: Site, names: Names, rotating: RotatingProvider, stop: str
    ) -> None:
        """P18: while one thread refreshes a token that works, the others go on with it."""
        give(site, rotating.grant("ann", expires_at=soon(30)), "ann")
        rotating.keeps_old = True
        answered = Pause()
        STOPS[stop](site, names, answered)

        def look() -> tuple[Any, ...]:
            session = site.blueprint.session
            return (
                session.authorized,
                session.access_token,
                session._is_assigned,
                self.call(site, "during"),
            )

        def work() -> list[Any]:
            refreshing = Task(names.acting_as("ann", lambda: self.call(site, "refreshing")))
            answered.reached.wait(1)
            during = Task(names.acting_as("ann", look))
            result = during.result
            answered.go()
            outcome = refreshing.result
            after = Task(names.acting_as("ann", lambda: self.call(site, "after"))).result
            return [result, outcome, after]

        (authorized, access_token, is_assigned, during), *others = site.browser().do(work)
        assert (authorized, is_assigned, during, others) == (True, False, 200, [200, 200])
        assert access_token in ("at-ann-0", "at-ann-1")
        assert sign_of(rotating, path="/during") == f"Bearer {access_token}"
        assert sign_of(rotating, path="/after") == "Bearer at-ann-1"
        assert kept(site)["ann"] == "rt-ann-1"
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("stop", STOPS)
    def test_call_during_a_refresh_of_a_dead_token(
        self, site: Site, names: Names, rotating: RotatingProvider, stop: str
    ) -> None:
        """P18: while one thread refreshes a token that is dead, the others wait for it."""
        give(site, rotating.grant("ann"), "ann")
        answered = Pause()
        STOPS[stop](site, names, answered)

        def work() -> list[Any]:
            ann = [names.acting_as("ann", lambda: self.call(site, "api")) for _ in range(4)]
            tasks = [Task(ann[0])]
            is_stopped = answered.reached.wait(1)
            tasks += [Task(each) for each in ann[1:]]
            assert all(each.waits() for each in tasks) or not is_stopped
            answered.go()
            return [each.result for each in tasks]

        assert site.browser().do(work) == [200] * 4
        assert {each.headers["Authorization"] for each in rotating.calls("/api")} == {
            "Bearer at-ann-1"
        }
        assert kept(site) == {"ann": "rt-ann-1", "bob": "rt-bob-0"}
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("stop", STOPS)
    def test_refreshes_of_two_users(
        self, site: Site, names: Names, rotating: RotatingProvider, stop: str
    ) -> None:
        """P18: what two threads refresh for two users is stored and sent for each."""
        for name in ("ann", "bob"):
            give(site, rotating.grant(name), name)
        answered = Pause()
        STOPS[stop](site, names, answered)

        def work() -> list[Any]:
            ann = Task(names.acting_as("ann", lambda: self.call(site, "ann")))
            answered.reached.wait(1)
            bob = Task(names.acting_as("bob", lambda: self.call(site, "bob")))
            bob.waits()
            answered.go()
            return [ann.result, bob.result]

        assert site.browser().do(work) == [200, 200]
        assert sign_of(rotating, path="/ann") == "Bearer at-ann-1"
        assert sign_of(rotating, path="/bob") == "Bearer at-bob-1"
        assert kept(site) == {"ann": "rt-ann-1", "bob": "rt-bob-1"}
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    @pytest.mark.parametrize("left", [-10, 30])
    def test_many_threads(
        self, site: Site, names: Names, rotating: RotatingProvider, left: float
    ) -> None:
        """P18: 16 threads of one request, of two users: a refresh each, and all are answered."""
        rotating.keeps_old = True
        for name in ("ann", "bob"):
            give(site, rotating.grant(name, expires_at=soon(left)), name)

        def work() -> list[Any]:
            jobs = [
                names.acting_as(name, lambda name=name: self.call(site, name))
                for name in ("ann", "bob") * 8
            ]

            def job() -> Any:
                return jobs.pop()()

            return at_once(16, job)

        assert site.browser().do(work) == [200] * 16
        for name in ("ann", "bob"):
            calls = rotating.calls(f"/{name}")
            assert len(calls) == 8
            assert all(
                each.headers["Authorization"].startswith(f"Bearer at-{name}-") for each in calls
            )
        assert kept(site) == {"ann": "rt-ann-1", "bob": "rt-bob-1"}
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    @pytest.mark.parametrize("change", ["removed", "replaced"])
    def test_token_that_changes_while_a_call_is_signed(
        self, site: Site, names: Names, rotating: RotatingProvider, change: str
    ) -> None:
        """P18: a call that is being signed goes out with the token that it began with."""
        signing = Pause()
        token = rotating.grant("ann", expires_at=soon())
        other = rotating.grant("other", expires_at=soon())
        give(site, token, "ann")

        def hook(url: Any, headers: Any, data: Any) -> Any:
            signing()
            return url, headers, data

        def act() -> None:
            if change == "removed":
                del site.blueprint.token
            else:
                site.blueprint.token = other
            assert site.blueprint.session.authorized is (change == "replaced")

        def work() -> Any:
            site.blueprint.session.register_compliance_hook("protected_request", hook)
            call = Task(names.acting_as("ann", lambda: self.call(site, "api")))
            signing.wait()
            changing = Task(names.acting_as("ann", act))
            changing.waits()
            signing.go()
            assert changing.result is None
            return call.result

        assert site.browser().do(work) == 200
        assert sign_of(rotating) == "Bearer at-ann-0"

    def test_session_of_a_user_serves_several_threads(
        self, site: Site, rotating: RotatingProvider
    ) -> None:
        """P18: so does the session of one user that a job shares among its threads."""
        give(site, rotating.grant("ann"), "ann")

        def work() -> list[Any]:
            with site.blueprint.user_session(user_id="ann") as session:
                return at_once(8, lambda: session.get("api").status_code)

        assert site.browser().do(work) == [200] * 8
        assert kept(site)["ann"] == "rt-ann-1"
        assert (rotating.refreshes, rotating.spent) == (1, 0)


class PausingParameters(Mapping[str, str]):
    """Parameters of a call that stop who reads them, as late as a call can be stopped."""

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause

    def __getitem__(self, name: str) -> str:
        return {"q": "1"}[name]

    def __iter__(self) -> Iterator[str]:
        self._pause()
        return iter(["q"])

    def __len__(self) -> int:
        return 1


def test_oauth1_call_goes_out_with_its_own_users_token(
    names: Names, rotating: RotatingProvider
) -> None:
    """P18: while ann's call of OAuth 1 is prepared, bob's goes out; each has its user's token."""
    blueprint = OAuth1ConsumerBlueprint(
        "acme",
        __name__,
        client_key="k",
        client_secret="s",
        base_url=f"{rotating.url}/",
        backend=UserScopedBackend(MemoryStore(), user_id=names),
    )
    site = Site(blueprint)  # type: ignore[arg-type] # its parts that are used are the same
    for name in ("ann", "bob"):
        give(site, {"oauth_token": f"t-{name}", "oauth_token_secret": "s"}, name)
    preparing = Pause()

    def work() -> list[Any]:
        session = blueprint.session
        parameters = PausingParameters(preparing)
        ann = Task(names.acting_as("ann", lambda: session.get("ann", params=parameters)))
        preparing.wait()
        bob = Task(names.acting_as("bob", lambda: session.get("bob")))
        bob.waits()
        preparing.go()
        return [ann.result.status_code, bob.result.status_code]

    assert site.browser().do(work) == [401, 401]
    assert 'oauth_token="t-ann"' in str(sign_of(rotating, path="/ann"))
    assert 'oauth_token="t-bob"' in str(sign_of(rotating, path="/bob"))


class TestCookiesOfTheProvider:
    """P19: a cookie that the provider has set goes with the owner."""

    def cookies(self, rotating: RotatingProvider) -> list[str | None]:
        """Return the cookies that came with the calls, in order."""
        return [each.headers.get("Cookie") for each in rotating.calls("/api")]

    def test_users_have_their_own(self, rotating: RotatingProvider) -> None:
        """P19: when the user changes within a request, the next call has not the last one's."""
        current = ["ann"]
        site = with_users(rotating, lambda: current[0])

        def work() -> None:
            session = site.blueprint.session
            session.get("cookie")
            for name in ("ann", "bob", "ann"):
                current[0] = name
                session.get("api")
            current[0] = "bob"
            session.get("cookie")
            session.get("api")

        site.browser().do(work)
        anns, bobs = "visitor=at-ann-0", "visitor=at-bob-0"
        cookies = self.cookies(rotating)
        assert cookies[:2] == [anns, None]
        assert cookies[2] in (None, anns)
        assert cookies[3] == bobs

    def test_nobody_has_none(self, rotating: RotatingProvider) -> None:
        """P19: nor has a visitor without a user."""
        current: list[str | None] = ["ann"]
        site = with_users(rotating, lambda: current[0], user_required=False)

        def work() -> None:
            site.blueprint.session.get("cookie")
            current[0] = None
            site.blueprint.session.get("api")

        site.browser().do(work)
        assert self.cookies(rotating) == [None]
        assert sign_of(rotating) is None

    @pytest.mark.parametrize("change", ["assign", "logout", "logout, assign"])
    @pytest.mark.parametrize("kind", ["session", "browser"])
    def test_next_visitor_has_not_the_last_ones(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, change: str
    ) -> None:
        """P19: a login or a logout within a request begins without cookies."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        new = rotating.grant("bob", expires_at=soon())

        def work() -> None:
            blueprint = site.blueprint
            blueprint.session.get("cookie")
            if "logout" in change:
                del blueprint.token
            if "assign" in change:
                blueprint.token = new
            blueprint.session.get("api")

        browser.do(work)
        assert self.cookies(rotating) == [None]

    def test_cleared_session_has_none(self, rotating: RotatingProvider, tmp_path: Any) -> None:
        """P19: nor does who has cleared the Flask session go on with what was there."""
        site = make_site(rotating, BACKENDS["session"](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))

        def work() -> None:
            site.blueprint.session.get("cookie")
            flask_session.clear()
            site.blueprint.session.get("api")

        browser.do(work)
        assert self.cookies(rotating) == [None]

    @pytest.mark.parametrize("kind", BACKENDS)
    def test_refresh_keeps_them(self, rotating: RotatingProvider, tmp_path: Any, kind: str) -> None:
        """P19: one owner's cookies stay, in a request, though the token is refreshed."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))

        def work() -> int:
            session = site.blueprint.session
            session.get("cookie")
            with time_machine.travel(time.time() + 7200):
                return int(session.get("api").status_code)

        assert browser.do(work) == 200
        assert self.cookies(rotating) == ["visitor=at-ann-0"]
        assert sign_of(rotating) == "Bearer at-ann-1"

    def test_oauth1_users_have_their_own(self, rotating: RotatingProvider) -> None:
        """P19: so it is with OAuth 1."""
        current = ["ann"]
        blueprint = OAuth1ConsumerBlueprint(
            "acme",
            __name__,
            client_key="k",
            client_secret="s",
            base_url=f"{rotating.url}/",
            backend=UserScopedBackend(MemoryStore(), user_id=lambda: current[0]),
        )
        site = Site(blueprint)  # type: ignore[arg-type] # its parts that are used are the same
        for name in ("ann", "bob"):
            give(site, {"oauth_token": f"t-{name}", "oauth_token_secret": "s"}, name)

        def work() -> None:
            blueprint.session.get("cookie")
            current[0] = "bob"
            blueprint.session.get("api")

        site.browser().do(work)
        assert self.cookies(rotating) == [None]


class TestUserWhoChangesInMidRefresh:
    """P20: a compliance hook, or a receiver, changes the current user in mid refresh."""

    @pytest.mark.parametrize("hook", ["refresh_token_request", "refresh_token_response"])
    @pytest.mark.parametrize("left", [-10, 30])
    def test_new_token_is_its_users(
        self, rotating: RotatingProvider, hook: str, left: float
    ) -> None:
        """P20: ann's new token is stored as hers, told as hers, and never kept as bob's."""
        current = ["ann"]
        site = with_users(rotating, lambda: current[0])
        give(site, rotating.grant("ann", expires_at=soon(left)), "ann")
        rotating.keeps_old = True
        told: list[Any] = []

        def change(*arguments: Any) -> Any:
            current[0] = "bob"
            return arguments if len(arguments) > 1 else arguments[0]

        def receive(sender: Any, user_id: Any) -> None:
            told.append(user_id)

        def work() -> list[Any]:
            session = site.blueprint.session
            session.register_compliance_hook(hook, change)
            answers: list[Any] = [session.get("first").status_code]
            answers.append(session.access_token)
            answers.append(session.get("second").status_code)
            current[0] = "ann"
            answers.append(session.access_token)
            return answers

        with token_saved.connected_to(receive), token_refreshed.connected_to(receive):
            answers = site.browser().do(work)
        assert answers == [200, "at-bob-0", 200, "at-ann-1"]
        assert sign_of(rotating, path="/first") in ("Bearer at-ann-1", "Bearer at-bob-0")
        assert sign_of(rotating, path="/second") == "Bearer at-bob-0"
        assert kept(site) == {"ann": "rt-ann-1", "bob": "rt-bob-0"}
        assert told == ["ann", "ann"]
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("signal", [token_saved, token_refreshed])
    def test_receiver_that_changes_the_user(self, rotating: RotatingProvider, signal: Any) -> None:
        """P20: so it is where a receiver of a signal changes the user."""
        current = ["ann"]
        site = with_users(rotating, lambda: current[0])
        give(site, rotating.grant("ann"), "ann")

        def change(sender: Any, **arguments: Any) -> None:
            current[0] = "bob"

        def work() -> list[Any]:
            session = site.blueprint.session
            return [session.get("first").status_code, session.access_token]

        with signal.connected_to(change):
            assert site.browser().do(work) == [200, "at-bob-0"]
        assert kept(site) == {"ann": "rt-ann-1", "bob": "rt-bob-0"}

    def test_grant_that_has_ended(self, rotating: RotatingProvider) -> None:
        """P20: a grant that turns out to have ended is dropped for its user, and for no other."""
        current = ["ann"]
        site = with_users(rotating, lambda: current[0])
        give(site, rotating.grant("ann"), "ann")
        rotating.grants["ann"].has_ended = True

        def change(response: Any) -> Any:
            current[0] = "bob"
            return response

        def work() -> list[Any]:
            session = site.blueprint.session
            session.register_compliance_hook("refresh_token_response", change)
            with pytest.raises(Exception, match="invalid_grant"):
                session.get("first")
            return [session.authorized, session.access_token]

        assert site.browser().do(work) == [True, "at-bob-0"]
        assert kept(site) == {"bob": "rt-bob-0"}
