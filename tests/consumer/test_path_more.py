"""Further ways on which a token could be lost, spent twice or shown to another."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import session as flask_session

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import SessionBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..rotating import RotatingProvider
from .conftest import at_once, make_app, make_refreshing
from .site import (
    BACKENDS,
    Pause,
    RefusingStore,
    Task,
    ThreeMethods,
    make_site,
    of_user,
    sign_of,
    soon,
)


def sent_twice(provider: RotatingProvider) -> dict[str, int]:
    """Return the refresh tokens that were sent more than once."""
    forms = [parse_qs(each.body.decode()) for each in provider.calls("/token")]
    sent = Counter(form["refresh_token"][0] for form in forms if "refresh_token" in form)
    return {token: count for token, count in sent.items() if count > 1}


class TestForcedRefresh:
    """The refresh that a 401 forces, and who has an older copy."""

    @pytest.mark.parametrize("kind", sorted(BACKENDS))
    def test_request_with_the_old_copy_takes_the_new_token(
        self, rotating: RotatingProvider, tmp_path: Path, kind: str
    ) -> None:
        """Another request has been quicker: the new token is there, and is not used."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        rotating.withdraw()
        pause, slow = Pause(), browser.copy()

        def work() -> int:
            session = site.blueprint.session
            assert session.authorized
            pause()
            return int(session.get("api").status_code)

        task = Task(lambda: slow.do(work))
        pause.wait()
        assert browser.copy().call() == 200
        pause.go()
        assert task.result == 200
        assert rotating.refreshes == 1

    def test_old_cookie_takes_the_new_token(self, rotating: RotatingProvider) -> None:
        """With permanent sessions the later answer puts the old token back: 401 until it ends."""
        site = make_site(rotating, SessionBackend())
        site.app.before_request(lambda: setattr(flask_session, "permanent", True))
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        rotating.withdraw()
        first, second = browser.copy(), browser.copy()
        assert first.call() == 200
        assert second.call() == 200

    @pytest.mark.parametrize("kind", ["store", "three"])
    def test_rescued_token_is_used(self, rotating: RotatingProvider, kind: str) -> None:
        """It waits in memory while its owner is given the withdrawn token, and 401."""
        store = RefusingStore()
        plain = Moody()
        site = make_site(rotating, of_user(store) if kind == "store" else plain)
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        rotating.withdraw()
        store.refuses, plain.refuses = {"save"}, True
        assert [browser.call() for _ in range(3)] == [200, 200, 200]

    def test_rescued_token_is_saved(self, rotating: RotatingProvider) -> None:
        """A backend of three methods answers again, and is never given the token."""
        backend = Moody()
        browser = make_site(rotating, backend).browser()
        browser.connect(rotating.grant(expires_at=soon()))
        rotating.withdraw()
        backend.refuses = True
        assert browser.call() == 200
        backend.refuses = False
        browser.call()
        assert browser.stored["refresh_token"] == "rt-ann-1"

    def test_call_that_does_not_carry_the_token_spends_none(
        self, rotating: RotatingProvider
    ) -> None:
        """With ``auth=`` the API refuses that, and not the token."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        auth = ("user", "password")
        browser.do(lambda: site.blueprint.session.get("api", auth=auth).status_code)
        assert str(sign_of(rotating)).startswith("Basic ")
        assert rotating.refreshes == 0

    def test_another_host_spends_no_token(self, rotating: RotatingProvider) -> None:
        """Any host that answers 401 makes us rotate the token, and is sent the new one, too."""
        site = make_site(rotating, of_user())
        browser = site.browser()
        browser.connect(rotating.grant(expires_at=soon()))
        with RotatingProvider() as other:
            url = other.url.replace("127.0.0.1", "localhost")
            browser.do(lambda: site.blueprint.session.get(f"{url}/api").status_code)
            assert len(other.asked) == 1
        assert rotating.refreshes == 0


class Moody(ThreeMethods):
    """A backend of three methods that may refuse to store."""

    refuses = False

    def set(self, blueprint: Any, token: Any) -> None:
        if self.refuses:
            raise OSError("the disk is full")
        super().set(blueprint, token)


class TestSpentOnce:
    """P14: a refresh token is sent once by a process, whoever asks, with whatever old copy."""

    @pytest.mark.parametrize("kind", ["memory", "file", "three"])
    def test_two_apps_with_the_same_backend(
        self, rotating: RotatingProvider, tmp_path: Path, kind: str
    ) -> None:
        """An application factory that is called twice, as for tests or for mounted apps."""
        backend = BACKENDS[kind](tmp_path)
        blueprints = [make_refreshing(rotating, backend) for _ in range(2)]
        self._call_at_once(rotating, backend, blueprints, [make_app(each) for each in blueprints])

    @pytest.mark.parametrize("kind", ["memory", "file"])
    def test_two_blueprints_with_the_same_file(
        self, rotating: RotatingProvider, tmp_path: Path, kind: str
    ) -> None:
        """FileBackend: "every blueprint that use the same file have the same token"."""
        backend = BACKENDS[kind](tmp_path)
        blueprints = [make_refreshing(rotating, backend, name=name) for name in ("one", "two")]
        self._call_at_once(rotating, backend, blueprints, [make_app(*blueprints)] * 2)

    def _call_at_once(
        self,
        rotating: RotatingProvider,
        backend: Any,
        blueprints: list[OAuth2ConsumerBlueprint],
        apps: list[Any],
    ) -> None:
        with apps[0].test_request_context():
            backend.set(blueprints[0], rotating.grant())
            if isinstance(backend, ThreeMethods):
                backend.set(blueprints[1], backend.get(blueprints[0]))
        rotating.when_asked = lambda: time.sleep(0.2)
        turns = iter([0, 1, 0, 1])

        def call() -> int:
            turn = next(turns)
            with apps[turn].test_request_context():
                return int(blueprints[turn].session.get("api").status_code)

        assert at_once(4, call) == [200] * 4
        assert sent_twice(rotating) == {}

    def test_two_providers_with_the_same_refresh_token(self, rotating: RotatingProvider) -> None:
        """One after the other, in one store: a token that was copied to a blueprint's new name."""
        backend = UserScopedBackend(MemoryStore(), user_id=1)
        blueprints = [make_refreshing(rotating, backend, name=name) for name in ("old", "new")]
        app, token = make_app(*blueprints), rotating.grant()
        with app.app_context():
            for blueprint in blueprints:
                backend.set(blueprint, token)
        results = []
        for blueprint in blueprints:
            with app.test_request_context():
                results.append(blueprint.session.get("api").status_code)
        assert results == [200, 200]
        assert sent_twice(rotating) == {}

    def test_old_cookie_after_the_refreshes_of_many_others(
        self, rotating: RotatingProvider
    ) -> None:
        """What has been spent is forgotten after some 1,000 others: the visitor loses the grant."""
        site = make_site(rotating, SessionBackend())
        first = site.browser()
        first.connect(rotating.grant("first"))
        old = first.copy()
        first.call()
        for number in range(1100):
            browser = site.browser()
            browser.connect(rotating.grant(f"g{number}"))
            browser.call()
        assert old.call() == 200
        assert sent_twice(rotating) == {}


class TestNeverDropped:
    """P15: what a provider has issued is stored, or kept and tried again, or revoked."""

    @pytest.mark.parametrize("operation", ["acquire", "load_fresh", "save"])
    def test_login_while_the_store_is_down(
        self, rotating: RotatingProvider, operation: str
    ) -> None:
        """The visitor gets an error page, and the grant lives on at the provider."""
        store = RefusingStore()
        site = make_site(rotating, of_user(store))
        site.app.testing = False
        browser = site.browser()
        rotating.approve("new")
        store.refuses = {operation}
        browser.login()
        store.refuses = set()
        deadline = time.monotonic() + 30
        while rotating.live("new") and browser.stored is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert browser.stored is not None or not rotating.live("new")

    def test_login_of_nobody(self, rotating: RotatingProvider) -> None:
        """The callback finds nobody signed in: ``token_not_stored``, and the grant lives on."""
        site = make_site(rotating, UserScopedBackend(MemoryStore(), user_id=lambda: None))
        rotating.approve("new")
        site.browser().login()
        assert not rotating.live("new")


class TestCookies:
    """P9, P19: the provider's cookies when the user changes within a request."""

    def test_jar_is_the_current_users(self, rotating: RotatingProvider) -> None:
        """The other user's cookies are seen, and what is set goes out with the other's calls."""
        site = make_site(
            rotating,
            UserScopedBackend(MemoryStore(), user_id=lambda: flask_session["user"]),
        )
        blueprint = site.blueprint
        with site.app.app_context():
            for name in ("ann", "bob"):
                token = rotating.grant(name, soon())
                blueprint.backend.set(blueprint, token, user_id=name)

        def work() -> Any:
            flask_session["user"] = "ann"
            blueprint.session.get("cookie")
            flask_session["user"] = "bob"
            seen = dict(blueprint.session.cookies)
            blueprint.session.cookies.set("mine", "bob")
            of_bob = blueprint.session.get("api").json()["cookie"]
            flask_session["user"] = "ann"
            return seen, of_bob, blueprint.session.get("api").json()["cookie"]

        assert site.browser().do(work) == ({}, "mine=bob", "visitor=at-ann-0")
