"""The API answers 401 for a token that should work: one refresh, and one more try."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from oauthlib.oauth2 import WebApplicationClient

from flask_dance_nosql.consumer import token_deleted, token_refresh_failed
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MemoryBackend,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import TokenRevoked

from ..rotating import Asked, RotatingProvider
from .conftest import at_once
from .site import (
    BACKENDS,
    KEY,
    Browser,
    Pause,
    RefusingStore,
    Site,
    Task,
    make_site,
    of_user,
    sign_of,
    soon,
)


def connected(
    rotating: RotatingProvider, backend: Any, *, has_end: bool = True, **options: Any
) -> Browser:
    """Return a browser with a token that says it works, and which the provider has withdrawn."""
    browser = make_site(rotating, backend, **options).browser()
    token = rotating.grant(expires_at=soon())
    if not has_end:
        del token["expires_at"]
    browser.connect(token)
    rotating.withdraw()
    return browser


@pytest.mark.parametrize("kind", BACKENDS)
class TestEachBackend:
    """What holds wherever the token is kept."""

    def test_call_is_tried_again_with_a_new_token(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """One forced refresh and one more call; the new token is stored and used from then on."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        assert browser.call() == 200
        tried = [each.headers["Authorization"] for each in rotating.calls("/api")]
        assert tried == ["Bearer at-ann-0", "Bearer at-ann-1"]
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        assert browser.stored["refresh_token"] == "rt-ann-1"
        assert browser.call() == 200
        assert len(rotating.calls("/api")) == 3
        assert rotating.refreshes == 1

    def test_api_that_always_says_so_costs_one_refresh(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """A token is forced once, and the token that is got by it is not forced again."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        assert [browser.call("closed") for _ in range(3)] == [401] * 3
        assert len(rotating.calls("/closed")) == 4
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        assert browser.call() == 200
        assert rotating.refreshes == 1

    def test_threads_make_one_refresh(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """16 threads that are all answered 401 before any of them goes on: one refresh."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        all_asked = threading.Barrier(16)

        def together(asked: Asked) -> None:
            if asked.headers.get("Authorization") == "Bearer at-ann-0":
                all_asked.wait(60)

        rotating.when_called = together
        assert at_once(16, lambda: browser.copy().call()) == [200] * 16
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        assert len(rotating.calls("/token")) == 1
        assert len(rotating.calls("/api")) == 32

    def test_answer_that_comes_late_takes_the_new_token(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """A call that is answered 401 when another has refreshed is tried with what that got."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        late = browser.copy()
        asking = Pause()

        def hold(asked: Asked) -> None:
            if asked.path == "/late" and asked.headers["Authorization"] == "Bearer at-ann-0":
                asking()

        rotating.when_called = hold
        waiting = Task(lambda: late.call("late"))
        asking.wait()
        assert browser.call() == 200
        asking.go()
        assert waiting.result == 200
        assert [each.headers["Authorization"] for each in rotating.calls("/late")] == [
            "Bearer at-ann-0",
            "Bearer at-ann-1",
        ]
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_threads_of_one_request_make_one_refresh(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """So do those of one request, which share its session."""
        from flask import copy_current_request_context

        browser = connected(rotating, BACKENDS[kind](tmp_path))
        all_asked = threading.Barrier(4)

        def together(asked: Asked) -> None:
            if asked.headers.get("Authorization") == "Bearer at-ann-0":
                all_asked.wait(60)

        def call() -> int:
            return int(browser.site.blueprint.session.get("api").status_code)

        def work() -> list[Any]:
            tasks = [Task(copy_current_request_context(call)) for _ in range(4)]
            return [each.result for each in tasks]

        rotating.when_called = together
        assert browser.do(work) == [200] * 4
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_grant_that_has_ended_is_told(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str
    ) -> None:
        """A grant that turns out to have ended is dropped, and a ``TokenRevoked``."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        rotating.grants["ann"].has_ended = True
        deleted: list[Any] = []

        def receive(sender: Any, **arguments: Any) -> None:
            deleted.append(arguments)

        with token_deleted.connected_to(receive), pytest.raises(TokenRevoked):
            browser.call()
        assert browser.stored is None
        assert len(deleted) == 1
        assert len(rotating.calls("/token")) == 1

    @pytest.mark.parametrize(
        "failing",
        [(503, "down"), (401, {"error": "invalid_client"}), (200, "<html>"), (429, {})],
    )
    def test_refresh_that_fails_leaves_the_answer(
        self, rotating: RotatingProvider, tmp_path: Any, kind: str, failing: Any
    ) -> None:
        """The caller gets the 401 of the API, the token stays, and the provider is not asked on."""
        browser = connected(rotating, BACKENDS[kind](tmp_path))
        rotating.failing = failing
        told: list[Any] = []

        def receive(sender: Any, **arguments: Any) -> None:
            told.append(arguments["error"])

        with token_refresh_failed.connected_to(receive):
            assert browser.call() == 401
        assert len(told) == 1
        assert len(rotating.calls("/api")) == len(rotating.calls("/token")) == 1
        assert browser.stored["refresh_token"] == "rt-ann-0"


def file_at_its_start(folder: Any) -> Any:
    """Return an open file."""
    (folder / "upload").write_bytes(b"content")
    return (folder / "upload").open("rb")


AGAIN: dict[str, tuple[Callable[[Any], dict[str, Any]], bytes]] = {
    "nothing": (lambda folder: {}, b""),
    "none": (lambda folder: {"data": None}, b""),
    "bytes": (lambda folder: {"data": b"content"}, b"content"),
    "text": (lambda folder: {"data": "content"}, b"content"),
    "form": (lambda folder: {"data": {"a": "1", "b": "2"}}, b"a=1&b=2"),
    "pairs": (lambda folder: {"data": [("a", "1"), ("a", "2")]}, b"a=1&a=2"),
    "tuple of pairs": (lambda folder: {"data": (("a", "1"), ("b", "2"))}, b"a=1&b=2"),
    "json": (lambda folder: {"json": {"a": 1}}, b'{"a": 1}'),
    "json list": (lambda folder: {"json": [1, 2]}, b"[1, 2]"),
    "bytes in memory": (lambda folder: {"data": io.BytesIO(b"content")}, b"content"),
    "file": (lambda folder: {"data": file_at_its_start(folder)}, b"content"),
}
"""Bodies that can be sent again, as arguments of a call, and what arrives."""


class Unseekable(io.BytesIO):
    """A stream that can be read once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def generated() -> Iterator[bytes]:
    """Yield a body."""
    yield b"con"
    yield b"tent"


def in_its_middle() -> io.BytesIO:
    """Return a stream of which something was read."""
    stream = io.BytesIO(b"more content")
    stream.read(5)
    return stream


ONCE: dict[str, Callable[[], Any]] = {
    "generator": generated,
    "iterator": lambda: iter([b"con", b"tent"]),
    "file in its middle": in_its_middle,
    "stream": lambda: Unseekable(b"content"),
}
"""Bodies that can be sent once only."""


class TestBody:
    """What a call sends is sent again as it was, or not at all."""

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("body", AGAIN)
    def test_it_is_sent_again_as_it_was(
        self, rotating: RotatingProvider, tmp_path: Any, body: str, method: str
    ) -> None:
        """Both times the same body, headers and parameters arrive."""
        browser = connected(rotating, of_user())
        make, content = AGAIN[body]
        arguments = make(tmp_path)

        def work() -> int:
            session = browser.site.blueprint.session
            answer = session.request(
                method, "api", headers={"X-Mine": "1"}, params={"q": "x"}, **arguments
            )
            return int(answer.status_code)

        assert browser.do(work) == 200
        if hasattr(arguments.get("data"), "close"):
            arguments["data"].close()
        first, second = rotating.calls("/api")
        assert first.body == second.body == content
        for each in (first, second):
            assert (each.method, each.path, each.headers["X-Mine"]) == (method, "/api?q=x", "1")
        assert first.headers.get("Content-Type") == second.headers.get("Content-Type")
        assert first.headers["Authorization"] == "Bearer at-ann-0"
        assert second.headers["Authorization"] == "Bearer at-ann-1"
        assert rotating.refreshes == 1

    @pytest.mark.parametrize("body", ONCE)
    def test_it_is_not_sent_half(self, rotating: RotatingProvider, body: str) -> None:
        """A body that can be sent once only is not sent again: the caller gets the 401."""
        browser = connected(rotating, of_user())

        def work() -> int:
            session = browser.site.blueprint.session
            return int(session.post("api", data=ONCE[body]()).status_code)

        assert browser.do(work) == 401
        assert [each.body for each in rotating.calls("/api")] == [b"content"]
        assert rotating.refreshes <= 1
        assert rotating.spent == 0
        assert browser.call() == 200

    def test_arguments_of_the_caller_stay(self, rotating: RotatingProvider) -> None:
        """What the caller has given is not changed by the second try."""
        browser = connected(rotating, of_user())
        headers, data, params = {"X-Mine": "1"}, {"a": "1"}, {"q": "x"}

        def work() -> Any:
            session = browser.site.blueprint.session
            return session.post("api", headers=headers, data=data, params=params).status_code

        assert browser.do(work) == 200
        assert (headers, data, params) == ({"X-Mine": "1"}, {"a": "1"}, {"q": "x"})


class TestSwitch:
    """``refresh_on_401`` of the blueprint."""

    def test_it_is_on(self, rotating: RotatingProvider) -> None:
        """It is on unless it is switched off."""
        assert make_site(rotating, of_user()).blueprint.refresh_on_401 is True

    def test_off_leaves_the_answer(self, rotating: RotatingProvider) -> None:
        """Switched off, a 401 is the caller's, and nothing is refreshed."""
        browser = connected(rotating, of_user(), refresh_on_401=False)
        assert browser.call() == 401
        assert len(rotating.calls("/api")) == 1
        assert rotating.calls("/token") == []

    @pytest.mark.parametrize("switched", [False, True])
    def test_app_may_say_so(self, rotating: RotatingProvider, switched: bool) -> None:
        """An app's configuration may switch it, as it may any setting."""
        browser = connected(rotating, of_user(), refresh_on_401=not switched)
        browser.site.blueprint.from_config["refresh_on_401"] = "ACME_REFRESH"
        browser.site.app.config["ACME_REFRESH"] = switched
        assert browser.call() == (200 if switched else 401)
        assert rotating.refreshes == int(switched)


class TestNothingToForce:
    """A 401 that says nothing of a token that could be refreshed."""

    def check(self, rotating: RotatingProvider, status: Any, expected: int = 401) -> None:
        """Check that a call was answered, once, and nothing was refreshed."""
        assert status == expected
        assert len(rotating.calls("/api")) + len(rotating.calls("/closed")) == 1
        assert rotating.calls("/token") == []

    def test_no_refresh_token(self, rotating: RotatingProvider) -> None:
        """Without a refresh token there is nothing to be had."""
        browser = make_site(rotating, of_user()).browser()
        browser.connect({"access_token": "unknown", "token_type": "Bearer"})
        self.check(rotating, browser.call())

    def test_no_endpoint(self, rotating: RotatingProvider) -> None:
        """Nor where nothing says that tokens are refreshed."""
        browser = connected(rotating, of_user(), auto_refresh=False)
        self.check(rotating, browser.call())

    def test_no_token(self, rotating: RotatingProvider) -> None:
        """A visitor without a token is answered as they are."""
        self.check(rotating, make_site(rotating, of_user()).browser().call())

    def test_assigned_token(self, rotating: RotatingProvider) -> None:
        """A token that was assigned to the session is not stored, and not forced."""
        site = make_site(rotating, of_user())
        token = rotating.grant(expires_at=soon())
        rotating.withdraw()

        def work() -> int:
            site.blueprint.session.token = token
            return int(site.blueprint.session.get("api").status_code)

        self.check(rotating, site.browser().do(work))

    def test_withheld_token(self, rotating: RotatingProvider) -> None:
        """A call without the token says nothing of it."""
        browser = connected(rotating, of_user())

        def work() -> int:
            session = browser.site.blueprint.session
            return int(session.get("api", withhold_token=True).status_code)

        self.check(rotating, browser.do(work))

    @pytest.mark.parametrize("status", [400, 403, 404, 500])
    def test_other_statuses(self, rotating: RotatingProvider, status: int) -> None:
        """Only a 401 says that the token does not work."""
        browser = connected(rotating, of_user())
        answer = rotating.answer

        def refusing(asked: Asked) -> Any:
            code, body = answer(asked)
            return (status if code == 401 else code), body

        rotating.answer = refusing  # type: ignore[method-assign] # the API says something else
        self.check(rotating, browser.call(), status)


class TestOwners:
    """Whose token is forced."""

    def test_session_of_a_user(self, rotating: RotatingProvider) -> None:
        """That of the user whose session it is, and of no other."""
        backend = UserScopedBackend(MemoryStore(), user_id="zoe")
        site = make_site(rotating, backend)
        for name in ("ann", "zoe"):
            backend.set(site.blueprint, rotating.grant(name, expires_at=soon()), user_id=name)
        rotating.withdraw("ann")

        def work() -> int:
            with site.blueprint.user_session(user_id="ann") as session:
                return int(session.get("api").status_code)

        assert site.browser().do(work) == 200
        assert sign_of(rotating) == "Bearer at-ann-1"
        kept = {each.user_id: each.token["access_token"] for each in backend.store.scan()}
        assert kept == {"ann": "at-ann-1", "zoe": "at-zoe-0"}

    def test_user_who_changes_meanwhile(self, rotating: RotatingProvider) -> None:
        """That of the user who made the call, though another is there when it is answered."""
        current = ["ann"]
        backend = UserScopedBackend(MemoryStore(), user_id=lambda: current[0])
        site = make_site(rotating, backend)
        for name in ("ann", "bob"):
            backend.set(site.blueprint, rotating.grant(name, expires_at=soon()), user_id=name)
        rotating.withdraw("ann")

        def change(asked: Asked) -> None:
            current[0] = "bob"

        rotating.when_called = change
        site.browser().call()
        kept = {each.user_id: each.token["access_token"] for each in backend.store.scan()}
        assert kept == {"ann": "at-ann-1", "bob": "at-bob-0"}
        assert "Bearer at-bob-0" not in [
            each.headers["Authorization"] for each in rotating.calls("/api")
        ]

    def test_token_that_another_process_has_got(self, rotating: RotatingProvider) -> None:
        """One that is in the store by now is used; the provider is not asked for a further one."""
        store = MemoryStore()
        here, there = (make_site(rotating, of_user(store, cache=LocalCache())) for _ in range(2))
        here.browser().connect(rotating.grant(expires_at=soon()))
        assert here.browser().stored["access_token"] == "at-ann-0"
        rotating.withdraw()
        assert there.browser().call() == 200
        assert rotating.refreshes == 1
        assert here.browser().stored["access_token"] == "at-ann-0"
        assert here.browser().call() == 200
        assert sign_of(rotating) == "Bearer at-ann-1"
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_token_without_an_end(self, rotating: RotatingProvider) -> None:
        """A token that does not say when it ends is one that should work."""
        browser = connected(rotating, of_user(), has_end=False)
        assert browser.call() == 200
        assert rotating.refreshes == 1


class TestForcedOnce:
    """Never more than one forced refresh for one token."""

    def test_token_that_is_withdrawn_later_is_forced(self, rotating: RotatingProvider) -> None:
        """A token of a login, or of a refresh when it was due, may be forced as the first one."""
        browser = connected(rotating, of_user())
        assert browser.call() == 200
        rotating.approve()
        browser.login()
        rotating.withdraw("new")
        assert browser.call() == 200
        assert sign_of(rotating) == "Bearer at-new-1"
        assert (rotating.refreshes, rotating.spent) == (2, 0)

    def test_within_one_request(self, rotating: RotatingProvider) -> None:
        """So it is for several calls of one request."""
        browser = connected(rotating, of_user())

        def work() -> list[int]:
            session = browser.site.blueprint.session
            return [session.get(path).status_code for path in ("closed", "closed", "api", "closed")]

        assert browser.do(work) == [401, 401, 200, 401]
        assert len(rotating.calls("/closed")) == 4
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_token_that_was_just_refreshed_is_not_forced_at_once(
        self, rotating: RotatingProvider
    ) -> None:
        """A call whose token was refreshed just before it costs at most one refresh more."""
        browser = make_site(rotating, of_user()).browser()
        browser.connect(rotating.grant())
        assert browser.call("closed") == 401
        assert rotating.refreshes <= 2
        refreshes = rotating.refreshes
        assert [browser.call("closed") for _ in range(3)] == [401] * 3
        assert rotating.refreshes <= max(refreshes, 2)
        assert rotating.spent == 0

    def test_store_that_refuses_the_new_token(self, rotating: RotatingProvider) -> None:
        """A new token that can't be stored is used all the same, and is not lost."""
        store = RefusingStore()
        browser = connected(rotating, of_user(store))
        store.refuses = {"save"}
        assert [browser.call(), browser.call()] == [200, 200]
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    @pytest.mark.parametrize("operation", ["acquire", "load_fresh"])
    def test_store_that_falls_leaves_the_answer(
        self, rotating: RotatingProvider, operation: str
    ) -> None:
        """Where the store does not let us refresh, the caller gets the 401."""
        store = RefusingStore()
        browser = connected(rotating, of_user(store))
        store.refuses = {operation}
        assert browser.call() == 401
        assert rotating.calls("/token") == []


class TestAnswer:
    """What the caller sees of it."""

    def test_view_of_an_ended_grant_leads_to_the_login(self, rotating: RotatingProvider) -> None:
        """``authorization_required`` turns the end of a grant into a login."""
        browser = connected(rotating, of_user())
        rotating.grants["ann"].has_ended = True
        site: Site = browser.site
        view = site.blueprint.session.authorization_required(
            lambda: site.blueprint.session.get("api").text
        )
        answer = browser.do(view)
        assert (answer.status_code, answer.location) == (302, "/login/acme")
        left = MemoryStore.load(site.blueprint.backend.store, KEY)
        assert left is not None
        assert left.grant_ended

    def test_streamed_answer_is_whole(self, rotating: RotatingProvider) -> None:
        """A streamed answer is the second one's, and the first one's connection is free again."""
        browser = connected(rotating, of_user(), pool_maxsize=1)

        def work() -> Any:
            session = browser.site.blueprint.session
            with session.get("api", stream=True) as answer:
                return answer.status_code, answer.json()

        assert browser.do(work) == (200, {"cookie": None})
        assert [urlsplit(each.path).path for each in rotating.asked] == ["/api", "/token", "/api"]

    def test_hooks_of_the_session_sign_both(self, rotating: RotatingProvider) -> None:
        """A compliance hook is asked for each of the two calls, on what the caller gave."""
        browser = connected(rotating, of_user())
        seen: list[Any] = []

        def hook(url: Any, headers: Any, data: Any) -> Any:
            seen.append((url, dict(headers)))
            return f"{url}?signed=1", {**headers, "X-Signed": "1"}, data

        def work() -> int:
            session = browser.site.blueprint.session
            session.register_compliance_hook("protected_request", hook)
            return int(session.get("api", headers={"X-Mine": "1"}).status_code)

        assert browser.do(work) == 200
        assert [each.path for each in rotating.calls("/api")] == ["/api?signed=1"] * 2
        assert seen == [(f"{rotating.url}/api", {"X-Mine": "1"})] * 2

    def test_nothing_secret_is_logged(
        self, rotating: RotatingProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is logged of it shows no token."""
        browser = connected(rotating, MemoryBackend())
        with caplog.at_level("DEBUG"):
            assert browser.call() == 200
            assert browser.call("closed") == 401
        assert "rt-ann" not in caplog.text
        assert "at-ann" not in caplog.text


@pytest.mark.parametrize("place", ["auth_header", "query", "body"])
def test_token_that_is_escaped_is_known(rotating: RotatingProvider, place: str) -> None:
    """A token that went out escaped, in the query or in a form, is the one that was refused."""
    client = WebApplicationClient("id", default_token_placement=place)
    browser = make_site(rotating, of_user(), client=client).browser()
    token = {**rotating.grant(expires_at=soon()), "access_token": "at+/=&x"}
    browser.connect(token)

    def call() -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        browser.site.blueprint.session.post("api", data="a=b", headers=form)

    browser.do(call)
    assert rotating.refreshes == 1
