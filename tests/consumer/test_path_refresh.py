"""A refresh on the path of a token: P7, P8, P11, P21, P22, P23, P26, P27, P28."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pymongo.collection
import pytest
import redis
import time_machine
from flask import Response, stream_with_context
from oauthlib.oauth2 import TokenExpiredError
from redis.cluster import LoadBalancingStrategy

from flask_dance_nosql.consumer import token_refreshed, token_saved
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    SessionBackend,
    TokenCipher,
    TokenDocument,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.store.lease import Lease
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    TokenRefreshError,
    TokenRevoked,
    VersionConflict,
)

from ..rotating import RotatingProvider
from ..topologies import HOST, RedisClusterServers, wait_until
from .conftest import at_once
from .site import (
    BACKENDS,
    KEY,
    PLAIN,
    STORES,
    Lagging,
    RefusingStore,
    Site,
    Task,
    ThreeMethods,
    make_site,
    of_user,
    sign_of,
    soon,
    warnings_of,
)


class Conflicting(RefusingStore):
    """A store that lets others act after it was read, and after it has refused a write.

    Attributes:
        conflicts: How often it has refused a write for its version.
        after_conflict: Is called each time.
        after_read: Is called after each fresh read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0
        self.after_conflict: Callable[[], object] = lambda: None
        self.after_read: Callable[[], object] = lambda: None

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        document = super().load_fresh(key)
        self.after_read()
        return document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        try:
            return super().save(document, if_version)
        except VersionConflict:
            self.conflicts += 1
            self.after_conflict()
            raise


EVERYTHING = {"load", "load_fresh", "save", "delete", "acquire", "release"}


class TestConflictAtTheSave:
    """P7: somebody has added a note to the record while it was refreshed."""

    @pytest.mark.parametrize(
        "falls",
        [EVERYTHING, {"load", "load_fresh"}, {"save"}, {"load_fresh", "save", "release"}],
        ids=["all", "reads", "saves", "both"],
    )
    @pytest.mark.parametrize("cached", [False, True])
    @pytest.mark.parametrize("error", [BackendUnavailable, BackendError])
    def test_new_token_outlives_a_store_that_falls(
        self, rotating: RotatingProvider, falls: set[str], cached: bool, error: type[Exception]
    ) -> None:
        """P7: the store falls between the conflict and the next read: nothing is lost."""
        store = Conflicting()
        store.error = error
        site = make_site(rotating, of_user(store, **({"cache": LocalCache()} if cached else {})))
        browser = site.browser()
        old = rotating.grant()
        browser.connect(old)
        rotating.before_answer = lambda: browser_notes(site, old)
        store.after_conflict = lambda: store.refuses.update(falls)
        assert browser.call() == 200
        assert sign_of(rotating) == "Bearer at-ann-1"
        assert store.conflicts >= 1
        store.after_conflict = lambda: None
        store.refuses.clear()
        wait_until(lambda: stored(store) == ("rt-ann-1", "mine"), "token and note are stored")
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_new_token_outlives_a_plain_backend_that_falls(
        self, rotating: RotatingProvider
    ) -> None:
        """P7: so it is with a backend of three methods."""

        class Falling(ThreeMethods):
            falls_after_the_note = is_down = False

            def get(self, blueprint: Any) -> Any:
                if self.is_down:
                    raise OSError("the disk is gone")
                token = super().get(blueprint)
                self.is_down = self.falls_after_the_note and "note" in (token or {})
                return token

            def set(self, blueprint: Any, token: Any) -> None:
                if self.is_down:
                    raise OSError("the disk is gone")
                super().set(blueprint, token)

        backend = Falling()
        site = make_site(rotating, backend)
        browser = site.browser()
        old = rotating.grant()
        browser.connect(old)

        def add_note() -> None:
            backend.set(site.blueprint, {**old, "note": "mine"})
            backend.falls_after_the_note = True

        rotating.before_answer = add_note
        assert browser.call() == 200
        backend.falls_after_the_note = backend.is_down = False
        assert browser.call() == 200
        assert (browser.stored["refresh_token"], browser.stored["note"]) == ("rt-ann-1", "mine")
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_several_notes(self, rotating: RotatingProvider, times: int) -> None:
        """P7: notes that come between reads and writes are kept, and so is the token."""
        store = Conflicting()
        site = make_site(rotating, of_user(store))
        browser = site.browser()
        old = rotating.grant()
        browser.connect(old)
        notes = iter(range(1, times + 1))

        def again() -> None:
            number = next(notes, None)
            if number is not None:
                browser_notes(site, {**old, "number": number})

        def begin() -> None:
            again()
            store.after_read = again

        rotating.before_answer = begin
        assert browser.call() == 200
        wait_until(lambda: stored(store) == ("rt-ann-1", "mine"), "token and note are stored")
        assert browser.stored["number"] == times
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_notes_without_end(self, rotating: RotatingProvider) -> None:
        """P7, P8: where each write is refused for its version, the attempts are bounded."""
        store = Conflicting()
        site = make_site(rotating, of_user(store))
        browser = site.browser()
        old = rotating.grant()
        browser.connect(old)

        def again() -> None:
            assert store.conflicts < 300, "it is tried without end"
            browser_notes(site, {**old, "number": store.conflicts})

        def begin() -> None:
            again()
            store.after_read = again

        rotating.before_answer = begin
        assert browser.call() == 200
        assert sign_of(rotating) == "Bearer at-ann-1"
        assert 1 <= store.conflicts <= 20
        store.after_read = lambda: None
        wait_until(lambda: stored(store) == ("rt-ann-1", "mine"), "token and note are stored")
        assert (rotating.refreshes, rotating.spent) == (1, 0)


def browser_notes(site: Site, token: dict[str, Any]) -> None:
    """Store a token with a note, as an application does in the midst of a refresh."""
    site.blueprint.backend.set(site.blueprint, {**token, "note": "mine"})


def stored(store: MemoryStore, key: TokenKey = KEY) -> tuple[Any, Any]:
    """Return the refresh token and the note that a store has, though it refuses to tell."""
    document = MemoryStore.load(store, key)
    token = {} if document is None else document.token
    return token.get("refresh_token"), token.get("note")


class Restless(ThreeMethods):
    """A backend whose ``get`` never gives the same twice."""

    def __init__(self, change: Callable[[dict[str, Any], int], dict[str, Any]]) -> None:
        super().__init__()
        self.gets = 0
        self._change = change

    def get(self, blueprint: Any) -> Any:
        self.gets += 1
        assert self.gets <= 300, "it is read without end"
        token = super().get(blueprint)
        return None if token is None else self._change(dict(token), self.gets)


RESTLESS: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "counter": lambda token, count: {**token, "read": count},
    "clock": lambda token, count: {**token, "read_at": time.perf_counter()},
    "expires_in": lambda token, count: {**token, "expires_in": 3600 - count},
    "object": lambda token, count: {**token, "extra": object()},
    "order": lambda token, count: dict(sorted(token.items(), reverse=bool(count % 2))),
    "lost field": lambda token, count: {
        name: value for name, value in token.items() if name != "scope" or count % 2
    },
    "types": lambda token, count: {**token, "expires_at": int(token.get("expires_at") or 0)},
}
"""What such a backend does to a token that it gives."""


@pytest.mark.parametrize("change", RESTLESS)
class TestRestlessBackend:
    """P8: a backend of three methods whose ``get`` is never twice the same."""

    def test_it_refreshes(self, rotating: RotatingProvider, change: str) -> None:
        """P8: the token is refreshed once and stored, with few reads."""
        backend = Restless(RESTLESS[change])
        site = make_site(rotating, backend)
        browser = site.browser()
        browser.connect({**rotating.grant(), "scope": "all"})
        assert browser.call() == 200
        assert backend.gets <= 20
        assert browser.stored["refresh_token"] == "rt-ann-1"
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_threads_refresh_once(self, rotating: RotatingProvider, change: str) -> None:
        """P8: so it is among threads."""
        site = make_site(rotating, Restless(RESTLESS[change]))
        site.browser().connect({**rotating.grant(), "scope": "all"})
        assert at_once(8, lambda: site.browser().call()) == [200] * 8
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_login_meanwhile_stands(self, rotating: RotatingProvider, change: str) -> None:
        """P8: what is compared is what was issued: a login in mid refresh is noticed."""
        backend = Restless(RESTLESS[change])
        site = make_site(rotating, backend)
        browser = site.browser()
        browser.connect(rotating.grant())
        login = rotating.grant("new", expires_at=soon())
        rotating.before_answer = lambda: backend.set(site.blueprint, login)
        assert browser.call() == 200
        assert browser.stored["refresh_token"] == "rt-new-0"
        assert sign_of(rotating) == "Bearer at-new-0"

    def test_ended_grant_is_dropped(self, rotating: RotatingProvider, change: str) -> None:
        """P8: a grant that has ended is removed, and told as such."""
        site = make_site(rotating, Restless(RESTLESS[change]))
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.grants["ann"].has_ended = True
        with pytest.raises(TokenRevoked):
            browser.call()
        assert browser.stored is None


class TestSharedTokens:
    """P11: two users' records hold the same pair of tokens, each with a private field."""

    def site(self, rotating: RotatingProvider, store: Any, **options: Any) -> Site:
        """Make an app where users 1 and 2 have the same dead token."""
        site = make_site(rotating, UserScopedBackend(store), **options)
        pair = rotating.grant()
        for number in (1, 2):
            token = {**pair, "note": f"private to {number}"}
            site.blueprint.backend.set(site.blueprint, token, user_id=number)
        return site

    def call(self, site: Site, number: int) -> tuple[int, Any]:
        """Call as a user; return the status, and the token that the session has then."""

        def work() -> tuple[int, Any]:
            with site.blueprint.user_session(user_id=number) as session:
                return session.get("api").status_code, dict(session.token)

        return site.browser().do(work)

    def assert_private(self, token: Any, number: int) -> None:
        """Check that a token is the new one, with no other user's field."""
        assert (token["access_token"], token["refresh_token"]) == ("at-ann-1", "rt-ann-1")
        assert token.get("note") in (None, f"private to {number}")

    @pytest.mark.parametrize("cached", [False, True])
    def test_second_user_gets_what_was_issued(
        self, rotating: RotatingProvider, cached: bool
    ) -> None:
        """P11: the refresh token is spent once; both go on with the new one, and their own note."""
        store = MemoryStore()
        site = self.site(rotating, store)
        if cached:
            site.blueprint.backend = UserScopedBackend(store, cache=LocalCache())
        for number in (1, 2, 1):
            status, token = self.call(site, number)
            assert status == 200
            self.assert_private(token, number)
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        for number in (1, 2):
            kept = stored(store, TokenKey("acme", str(number)))
            assert kept == ("rt-ann-1", f"private to {number}")

    def test_so_it_is_where_the_store_refuses(self, rotating: RotatingProvider) -> None:
        """P11: so it is while nothing can be saved, and all is saved later."""
        store = RefusingStore()
        site = self.site(rotating, store)
        store.refuses = {"save"}
        for number in (1, 2, 1, 2):
            status, token = self.call(site, number)
            assert status == 200
            self.assert_private(token, number)
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        store.refuses = set()
        for number in (1, 2):
            key = TokenKey("acme", str(number))
            wait_until(
                lambda key=key, number=number: (
                    stored(store, key) == ("rt-ann-1", f"private to {number}")
                ),
                "it is stored with its own note",
                10,
            )

    def test_both_at_once(self, rotating: RotatingProvider) -> None:
        """P11, P14: the second one waits for the first, though it is another owner."""
        site = self.site(rotating, MemoryStore())
        rotating.gate.clear()
        tasks = [Task(lambda: self.call(site, 1))]
        assert rotating.at_the_gate.wait(60)
        rotating.at_the_gate.clear()
        tasks.append(Task(lambda: self.call(site, 2)))
        assert not rotating.at_the_gate.wait(0.5), "a second one is on its way to the provider"
        rotating.gate.set()
        for number, task in enumerate(tasks, 1):
            status, token = task.result
            assert status == 200
            self.assert_private(token, number)
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_storm_of_two_owners(self, rotating: RotatingProvider) -> None:
        """P11, P14: 16 threads of two owners make one refresh."""
        site = self.site(rotating, MemoryStore())
        numbers = [1, 2] * 8

        def work() -> int:
            return self.call(site, numbers.pop())[0]

        assert at_once(16, work) == [200] * 16
        assert len(rotating.calls("/token")) == 1
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_failure_is_shared_and_ends(self, rotating: RotatingProvider) -> None:
        """P11: a provider that is down for the first one is asked again for the second."""
        site = self.site(rotating, MemoryStore())
        rotating.failing = (503, "down")
        for number in (1, 2):
            with pytest.raises(TokenRefreshError):
                self.call(site, number)
        rotating.failing = None
        assert self.call(site, 2)[0] == 200
        assert self.call(site, 1)[0] == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("cipher", [None, TokenCipher(TokenCipher.generate_key())])
    def test_cookies_with_the_same_pair(
        self, rotating: RotatingProvider, cipher: TokenCipher | None
    ) -> None:
        """P11: two browsers whose cookies have the same pair keep their own fields."""
        site = make_site(rotating, SessionBackend(cipher=cipher))
        pair = rotating.grant()
        browsers = [site.browser(), site.browser()]
        for number, browser in enumerate(browsers, 1):
            browser.connect({**pair, "note": f"private to {number}"})
        for number, browser in enumerate(browsers, 1):
            assert browser.call() == 200
            self.assert_private(browser.stored, number)
        assert (rotating.refreshes, rotating.spent) == (1, 0)


class TestTokenThatDiesMeanwhile:
    """P21: the token has a second left when the refresh begins, and none when it fails."""

    @pytest.fixture
    def clock(self) -> Iterator[time_machine.Traveller]:
        """A clock that goes on, and can be moved."""
        with time_machine.travel(time.time()) as traveller:
            yield traveller

    @pytest.mark.parametrize("kind", BACKENDS)
    @pytest.mark.parametrize(
        "failing", [(503, "down"), (400, {"error": "invalid_client"}), (200, "<html>")]
    )
    def test_provider_that_fails(
        self,
        rotating: RotatingProvider,
        tmp_path: Any,
        clock: time_machine.Traveller,
        kind: str,
        failing: Any,
    ) -> None:
        """P21: the provider fails after two seconds: that is the error, and the token stays."""
        browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
        browser.connect(rotating.grant(expires_at=soon(1)))
        rotating.failing = failing
        rotating.when_asked = lambda: clock.shift(2)
        with pytest.raises(TokenRefreshError) as caught:
            browser.call()
        assert not isinstance(caught.value, TokenRevoked)
        assert browser.stored["refresh_token"] == "rt-ann-0"
        assert rotating.calls("/api") == []

    @pytest.mark.parametrize("operation", ["acquire", "load_fresh"])
    @pytest.mark.parametrize("error", [BackendUnavailable, BackendError])
    def test_store_that_fails(
        self,
        rotating: RotatingProvider,
        clock: time_machine.Traveller,
        operation: str,
        error: type[Exception],
    ) -> None:
        """P21: the store fails after two seconds: its own error is the one that is raised."""

        class Slow(RefusingStore):
            def _check_allowed(self, asked: str) -> None:
                if asked in self.refuses:
                    clock.shift(2)
                super()._check_allowed(asked)

        store = Slow(error=error)
        browser = make_site(rotating, of_user(store, cache=LocalCache())).browser()
        browser.connect(rotating.grant(expires_at=soon(1)))
        assert browser.stored
        store.refuses = {operation}
        with pytest.raises(error) as caught:
            browser.call()
        assert caught.value.operation == operation  # type: ignore[attr-defined] # of a BackendError
        assert rotating.calls("/token") == rotating.calls("/api") == []

    def test_one_that_still_works_is_used(
        self,
        rotating: RotatingProvider,
        clock: time_machine.Traveller,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """P21: judged at that moment, a token with two seconds left is used, with a warning."""
        browser = make_site(rotating, of_user()).browser()
        browser.connect(rotating.grant(expires_at=soon(4)))
        rotating.failing = (503, "down")
        rotating.when_asked = lambda: clock.shift(2)
        assert browser.call() == 200
        assert "could not be refreshed" in warnings_of(caplog)

    def test_one_that_dies_while_another_refreshes_waits(
        self, rotating: RotatingProvider, clock: time_machine.Traveller
    ) -> None:
        """P21: who comes when it has died waits for the refresh that began before."""
        site = make_site(rotating, of_user())
        site.browser().connect(rotating.grant(expires_at=soon(1)))
        rotating.gate.clear()
        first = Task(site.browser().call)
        assert rotating.at_the_gate.wait(60)
        clock.shift(2)
        second = Task(site.browser().call)
        assert second.waits()
        rotating.gate.set()
        assert (first.result, second.result) == (200, 200)
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("left", [1, -1])
    def test_view_does_not_lead_to_the_login(
        self, rotating: RotatingProvider, clock: time_machine.Traveller, left: float
    ) -> None:
        """P21: a provider that is down is no reason to log in: the error is passed on."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon(left)))
        rotating.failing = (503, "down")
        rotating.when_asked = lambda: clock.shift(2)
        session = site.blueprint.session
        view = session.authorization_required(lambda: site.blueprint.session.get("api").text)
        with pytest.raises(TokenRefreshError):
            browser.do(view)


class TestStoreThatRefuses:
    """P22: the store refuses with an error that is not "it does not answer"."""

    @pytest.mark.parametrize("error", [BackendError, BackendUnavailable])
    @pytest.mark.parametrize("operations", [{"acquire"}, {"load_fresh"}, {"acquire", "load_fresh"}])
    def test_working_token_is_used(
        self,
        rotating: RotatingProvider,
        caplog: pytest.LogCaptureFixture,
        operations: set[str],
        error: type[Exception],
    ) -> None:
        """P22: a token that is good for 30 s is used, with a warning; the provider is not asked."""
        store = RefusingStore(error=error)
        browser = make_site(rotating, of_user(store)).browser()
        browser.connect(rotating.grant(expires_at=soon(30)))
        store.refuses = operations
        with caplog.at_level(logging.WARNING):
            assert browser.call() == 200
        assert rotating.calls("/token") == []
        assert "acme" in warnings_of(caplog)
        assert "at-ann" not in caplog.text
        store.refuses = set()
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("error", [BackendError, BackendUnavailable])
    @pytest.mark.parametrize("operation", ["acquire", "load_fresh"])
    def test_dead_token_is_the_stores_error(
        self, rotating: RotatingProvider, operation: str, error: type[Exception]
    ) -> None:
        """P22: with a dead one the call fails with the store's error, and nothing is spent."""
        store = RefusingStore(error=error)
        browser = make_site(rotating, of_user(store)).browser()
        browser.connect(rotating.grant())
        store.refuses = {operation}
        with pytest.raises(error):
            browser.call()
        assert rotating.calls("/token") == []

    @pytest.mark.parametrize("error", [BackendError, BackendUnavailable])
    @pytest.mark.parametrize("left", [-10, 30])
    @pytest.mark.parametrize("operations", [{"save"}, {"release"}, {"save", "release"}])
    def test_what_was_issued_is_used(
        self,
        rotating: RotatingProvider,
        operations: set[str],
        left: float,
        error: type[Exception],
    ) -> None:
        """P22: refused after the exchange, the new token is used, and stored in the end."""
        store = RefusingStore(error=error)
        browser = make_site(rotating, of_user(store)).browser()
        browser.connect(rotating.grant(expires_at=soon(left)))
        rotating.before_answer = lambda: store.refuses.update(operations)
        assert browser.call() == 200
        assert sign_of(rotating) == "Bearer at-ann-1"
        store.refuses.clear()
        wait_until(lambda: stored(store)[0] == "rt-ann-1", "it is stored")
        assert (rotating.refreshes, rotating.spent) == (1, 0)


class TestReplica:
    """P23: reads are answered by a replica that is behind; a refresh asks the primary."""

    def test_refresh_reads_the_primary(self, rotating: RotatingProvider) -> None:
        """P23: a token that another process has refreshed is adopted, whatever the replica says."""
        store = Lagging()
        here, there = (make_site(rotating, of_user(store)) for _ in range(2))
        here.browser().connect(rotating.grant())
        store.stop_replication()
        assert there.browser().call() == 200
        for _ in range(4):
            assert here.browser().call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("preference", ["SECONDARY_PREFERRED", "NEAREST"])
    def test_mongo_store_reads_the_primary(
        self,
        mongo_collection: Any,
        monkeypatch: pytest.MonkeyPatch,
        preference: str,
    ) -> None:
        """P23: with a collection that prefers secondaries, a fresh read asks the primary."""
        preferred = getattr(pymongo.ReadPreference, preference)
        store = MongoStore(mongo_collection.with_options(read_preference=preferred))
        asked: list[Any] = []
        for name in ("find", "aggregate"):
            original = getattr(pymongo.collection.Collection, name)

            def spying(collection: Any, *args: Any, _original: Any = original, **kw: Any) -> Any:
                asked.append(collection.read_preference)
                return _original(collection, *args, **kw)

            monkeypatch.setattr(pymongo.collection.Collection, name, spying)
        assert store.load(KEY) is None
        assert asked == [preferred]
        assert store.load_fresh(KEY) is None
        assert asked[1:] == [pymongo.ReadPreference.PRIMARY]

    @pytest.fixture
    def cluster_client(
        self, redis_cluster: RedisClusterServers, redis_cluster_client: redis.RedisCluster
    ) -> Iterator[redis.RedisCluster]:
        """A client of the cluster whose reads go to replicas, which are joined again after."""
        with redis.RedisCluster(
            host=HOST,
            port=redis_cluster.nodes[0].port,
            load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN_REPLICAS,
        ) as client:
            yield client
        for node in redis_cluster.replicas:
            node.client.config_set("masterauth", "")
        wait_until(lambda: in_step(redis_cluster), "the replicas follow again")

    def test_redis_store_reads_the_primary(
        self,
        rotating: RotatingProvider,
        redis_cluster: RedisClusterServers,
        cluster_client: redis.RedisCluster,
    ) -> None:
        """P23: with a client that reads from replicas, refresh, login and revocation do not."""
        backend = UserScopedBackend(RedisStore(cluster_client), user_id=1)
        here, there = (make_site(rotating, backend) for _ in range(2))
        browser = here.browser()
        browser.connect(rotating.grant())
        wait_until(lambda: browser.stored is not None, "the replica has it")
        for node in redis_cluster.replicas:
            # The password that it does not want keeps it from coming back.
            node.client.config_set("masterauth", "none is wanted")
            node.client.client_kill_filter(_type="master")
        wait_until(lambda: cut_off(redis_cluster), "the replicas are cut off")
        assert there.browser().call() == 200
        assert browser.stored["refresh_token"] == "rt-ann-0"
        for _ in range(4):
            assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        rotating.approve(refresh_token=False)
        assert browser.login().status_code == 302
        assert backend.store.load_fresh(KEY).token["refresh_token"] == "rt-ann-1"
        assert browser.do(here.blueprint.revoke) is True
        assert not rotating.live("ann")


def in_step(cluster: RedisClusterServers) -> bool:
    """Whether all replicas follow their primaries."""
    return set(links(cluster)) == {"up"}


def cut_off(cluster: RedisClusterServers) -> bool:
    """Whether none does."""
    return set(links(cluster)) == {"down"}


def links(cluster: RedisClusterServers) -> list[str]:
    """Return what each replica says of the link to its primary."""
    return [node.client.info("replication")["master_link_status"] for node in cluster.replicas]


class Watched(MemoryStore):
    """A store that knows for how long its locks are waited for, while somebody else has them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def lock(self, key: TokenKey, *, lease: float = 60.0, wait: float = 0.0) -> Lease | None:
        if wait and key in self._locks:
            self.waits.append(wait)
        return super().lock(key, lease=lease, wait=min(wait, 0.05))


TOLD = (int, TokenRefreshError, TokenExpiredError)
"""What a call with a token that is dead at once may come to: an answer, or one of these."""


class TestTokenThatIsDeadAtOnce:
    """P26: the provider gives a token that has ended when it comes."""

    @pytest.mark.parametrize("signal", [token_saved, token_refreshed])
    @pytest.mark.parametrize("lifetime", [0, -10])
    @pytest.mark.parametrize("kind", [*PLAIN, "store"])
    def test_receiver_does_not_wait_for_itself(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, lifetime: int, signal: Any
    ) -> None:
        """P26: a receiver that calls the API in the midst of a refresh is answered at once."""
        store = Watched()
        backend = of_user(store) if kind == "store" else BACKENDS[kind](tmp_path)
        site = make_site(rotating, backend)
        browser = site.browser()
        browser.connect(rotating.grant())
        rotating.lifetime = lifetime
        outcomes: list[Any] = []

        def receive(sender: Any, **arguments: Any) -> None:
            if len(outcomes) < 5:
                outcomes.append(None)
                outcomes[-1] = attempt(lambda: site.blueprint.session.get("inner").status_code)

        began = time.monotonic()
        with signal.connected_to(receive):
            outer = attempt(browser.call)
        assert time.monotonic() - began < 30
        assert store.waits == []
        assert 1 <= len(outcomes) < 5
        assert all(isinstance(each, TOLD) for each in (outer, *outcomes))
        assert rotating.spent == 0

    @pytest.mark.parametrize("lifetime", [0, -10])
    def test_next_request_refreshes_it_again(
        self, rotating: RotatingProvider, lifetime: int
    ) -> None:
        """P26: each request refreshes once, and none spends a token twice."""
        browser = make_site(rotating, of_user()).browser()
        browser.connect(rotating.grant())
        rotating.lifetime = lifetime
        outcomes = [attempt(browser.call) for _ in range(3)]
        assert all(isinstance(each, TOLD) for each in outcomes)
        assert 1 <= rotating.refreshes <= 3
        assert rotating.spent == 0
        rotating.lifetime = 3600
        assert browser.call() == 200


def attempt(work: Callable[[], Any]) -> Any:
    """Return what something returns, or the error that it raises."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error


class TestStreamedAnswer:
    """P27: a token in a cookie is refreshed when the answer's headers have gone out."""

    def streaming(self, site: Site, *, looks: bool = False) -> None:
        """Add a page that calls the API while it is streamed, and may look at the token before."""

        def page() -> Response:
            if looks:
                assert site.blueprint.session.authorized

            def parts() -> Iterator[str]:
                yield "begun "
                yield str(site.blueprint.session.get("api").status_code)

            return Response(stream_with_context(parts()))

        site.app.add_url_rule("/stream", "stream", page)

    @pytest.mark.parametrize("looks", [False, True], ids=["untouched", "looks"])
    @pytest.mark.parametrize("cipher", [None, TokenCipher(TokenCipher.generate_key())])
    def test_owner_is_served_afterwards(
        self,
        rotating: RotatingProvider,
        monkeypatch: pytest.MonkeyPatch,
        cipher: TokenCipher | None,
        looks: bool,
    ) -> None:
        """P27: the process remembers the new token for the cookie that has the old one."""
        site = make_site(rotating, SessionBackend(cipher=cipher))
        self.streaming(site, looks=looks)
        browser = site.browser()
        browser.connect(rotating.grant())
        assert browser.get("/stream").text == "begun 200"
        assert browser.stored["refresh_token"] == "rt-ann-0"
        # Minutes later, too.
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + 300)
        with time_machine.travel(time.time() + 300):
            assert browser.call() == 200
            assert browser.stored["refresh_token"] == "rt-ann-1"
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("looks", [False, True], ids=["untouched", "looks"])
    def test_it_is_told(
        self, rotating: RotatingProvider, caplog: pytest.LogCaptureFixture, looks: bool
    ) -> None:
        """P27: a warning says that the session could not be saved, whether or not it was read."""
        site = make_site(rotating, SessionBackend())
        self.streaming(site, looks=looks)
        browser = site.browser()
        browser.connect(rotating.grant())
        with caplog.at_level(logging.WARNING):
            assert browser.get("/stream").text == "begun 200"
        told = warnings_of(caplog)
        assert "acme" in told
        assert "session" in told
        assert "rt-ann" not in caplog.text
        assert "at-ann" not in caplog.text

    def test_second_stream_goes_on(self, rotating: RotatingProvider) -> None:
        """P27: pages that are streamed again and again refresh no more than is due."""
        site = make_site(rotating, SessionBackend())
        self.streaming(site)
        browser = site.browser()
        browser.connect(rotating.grant())
        for _ in range(3):
            assert browser.get("/stream").text == "begun 200"
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        with time_machine.travel(time.time() + 7200):
            assert browser.get("/stream").text == "begun 200"
            assert browser.call() == 200
            assert browser.stored["refresh_token"] == "rt-ann-2"
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    def test_refreshed_before_the_stream_begins(
        self, rotating: RotatingProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        """P27: what is refreshed before the headers go out is in the cookie, without a word."""
        site = make_site(rotating, SessionBackend())

        def page() -> Response:
            site.blueprint.session.get("api")

            def parts() -> Iterator[str]:
                yield str(site.blueprint.session.get("api").status_code)

            return Response(stream_with_context(parts()))

        site.app.add_url_rule("/stream", "stream", page)
        browser = site.browser()
        browser.connect(rotating.grant())
        assert browser.get("/stream").text == "200"
        assert browser.stored["refresh_token"] == "rt-ann-1"
        assert warnings_of(caplog) == ""

    @pytest.mark.parametrize("kind", ["user", "browser", "memory"])
    def test_other_backends_say_nothing(
        self,
        rotating: RotatingProvider,
        tmp_path: Any,
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        """P27: a backend on the server stores it, and there is nothing to warn of."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        self.streaming(site)
        browser = site.browser()
        browser.connect(rotating.grant())
        assert browser.get("/stream").text == "begun 200"
        assert browser.stored["refresh_token"] == "rt-ann-1"
        assert warnings_of(caplog) == ""


class TestRescueWithoutAThread:
    """P28: the system has no thread to give when a token is to be tried again."""

    @pytest.fixture
    def failures(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How often a thread of the rescue could not be started; it fails once."""
        failed: list[int] = []
        original = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            is_rescue = any("rescue" in each.filename for each in traceback.extract_stack())
            if is_rescue and not failed:
                failed.append(1)
                raise RuntimeError("can't start new thread")
            original(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        return failed

    def refused(self, rotating: RotatingProvider) -> tuple[Site, RefusingStore]:
        """Make an app whose users 1 and 2 have dead tokens, in a store that refuses to save."""
        store = RefusingStore()
        site = make_site(rotating, UserScopedBackend(store))
        for number, name in ((1, "ann"), (2, "bob")):
            site.blueprint.backend.set(site.blueprint, rotating.grant(name), user_id=number)
        store.refuses = {"save"}
        return site, store

    def call(self, site: Site, number: int) -> int:
        """Call as a user."""

        def work() -> int:
            with site.blueprint.user_session(user_id=number) as session:
                return int(session.get("api").status_code)

        return site.browser().do(work)

    def test_call_succeeds(self, rotating: RotatingProvider, failures: list[int]) -> None:
        """P28: that is no failure of the call whose token it is."""
        site, _ = self.refused(rotating)
        assert self.call(site, 1) == 200
        assert failures == [1]
        assert self.call(site, 1) == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_next_refused_token_begins_it(
        self, rotating: RotatingProvider, failures: list[int]
    ) -> None:
        """P28: the next token that is refused starts the thread, which stores both."""
        site, store = self.refused(rotating)
        assert self.call(site, 1) == 200
        assert self.call(site, 2) == 200
        assert failures == [1]
        store.refuses = set()
        for number, name in ((1, "ann"), (2, "bob")):
            key = TokenKey("acme", str(number))
            wait_until(
                lambda key=key, name=name: stored(store, key)[0] == f"rt-{name}-1", "stored", 10
            )
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    def test_next_call_of_its_owner_stores_it(
        self, rotating: RotatingProvider, failures: list[int]
    ) -> None:
        """P28: so does the owner's next call, once the store takes it."""
        site, store = self.refused(rotating)
        assert self.call(site, 1) == 200
        store.refuses = set()
        assert self.call(site, 1) == 200
        wait_until(lambda: stored(store)[0] == "rt-ann-1", "it is stored", 10)
        assert (rotating.refreshes, rotating.spent) == (1, 0)


@pytest.mark.parametrize("kind", [*PLAIN, *STORES, "browser"])
def test_refresh_token_that_nobody_knows_is_asked_for_once(
    rotating: RotatingProvider, tmp_path: Any, kind: str
) -> None:
    """P10: a token that the provider does not know ends its record, and is asked for once."""
    site = make_site(rotating, BACKENDS[kind](tmp_path))
    browser = site.browser()
    browser.connect({**rotating.grant(), "refresh_token": "rt-ann-strange"})
    rotating.grants["ann"].has_ended = True
    copies = [browser.copy() for _ in range(3)]
    with pytest.raises(TokenRevoked):
        browser.call()
    assert browser.stored is None
    assert [each.call() for each in copies] == [401] * 3
    assert len(rotating.calls("/token")) == 1
