"""Whose token it is, is asked once, and nobody is nobody: P1, P2, P3, P17, P29, P30, P31."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import responses
from flask import Flask, g
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, current_user, login_user
from werkzeug.local import LocalProxy

from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2Session,
    oauth_authorized,
    token_deleted,
    token_refreshed,
    token_saved,
)
from flask_dance_nosql.consumer.backend import LocalCache, MemoryBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError, UserRequired

from ..rotating import RotatingProvider
from .conftest import PROVIDER, make_app, make_refreshing
from .site import BACKENDS, Site, make_site, sign_of, soon


class Counted:
    """A function for the current user's id that counts how often it is asked.

    It gives the ids one after the other, and then the last one again and again. An id that is an
    error is raised.
    """

    def __init__(self, *ids: Any) -> None:
        self._ids = ids
        self.count = 0

    def __call__(self) -> Any:
        answer = self._ids[min(self.count, len(self._ids) - 1)]
        self.count += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


NAMED: dict[str, Callable[[Counted], dict[str, Any]]] = {
    "user_id": lambda asked: {"user_id": asked},
    "user": lambda asked: {"user": asked},
    "user proxy": lambda asked: {"user": LocalProxy(asked)},
    "user_id proxy": lambda asked: {"user_id": LocalProxy(asked)},
}
"""How a backend is told whose token is meant."""


def assign(site: Site) -> None:
    """Store a token of the current user."""
    site.blueprint.token = {"access_token": "at-ann-0", "token_type": "Bearer"}


def remove(site: Site) -> None:
    """Remove it."""
    del site.blueprint.token


def read_token(site: Site) -> None:
    """Read it."""
    assert site.blueprint.token["access_token"] == "at-ann-0"


def authorized(site: Site) -> None:
    """Ask whether there is one."""
    assert site.blueprint.session.authorized is True


def session_token(site: Site) -> None:
    """Read the session's."""
    assert site.blueprint.session.token["access_token"] == "at-ann-0"


def guarded(site: Site) -> None:
    """Enter a view that needs one."""
    view = site.blueprint.session.authorization_required(lambda: "seen")
    assert view() == "seen"


def call(site: Site) -> None:
    """Call the API with it."""
    assert site.blueprint.session.get("api").status_code == 200


def revoke(site: Site) -> None:
    """Revoke it."""
    assert site.blueprint.revoke() is True


OPERATIONS: dict[str, tuple[Callable[[Site], None], float, int]] = {
    "assign": (assign, 3600, 1),
    "delete": (remove, 3600, 1),
    "token": (read_token, 3600, 1),
    "session.token": (session_token, 3600, 1),
    "authorized": (authorized, 3600, 1),
    "authorization_required": (guarded, 3600, 1),
    "revoke": (revoke, 3600, 1),
    "revoke of a dead token": (revoke, -10, 1),
    "first call": (call, 3600, 2),
    "first call that refreshes": (call, -10, 3),
    "first call that refreshes early": (call, 30, 3),
}
"""What is done, how many seconds the token has left, and how often the owner may be asked."""


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_owner_is_asked_once(rotating: RotatingProvider, named: str, operation: str) -> None:
    """P1: one operation asks for its owner once, whatever way the backend is told of the owner."""
    work, left, most = OPERATIONS[operation]
    asked = Counted(1)
    backend = UserScopedBackend(MemoryStore(), cache=LocalCache(), **NAMED[named](asked))
    site = make_site(rotating, backend)
    backend.set(site.blueprint, rotating.grant(expires_at=soon(left)), user_id=1)
    asked.count = 0
    site.browser().do(lambda: work(site))
    assert 1 <= asked.count <= most


@pytest.mark.parametrize("field", ["user", "user_id"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_owner_in_config_is_asked_once(
    rotating: RotatingProvider, field: str, operation: str
) -> None:
    """P1: the same holds for an owner that the blueprint's ``config`` names."""
    work, left, most = OPERATIONS[operation]
    backend = UserScopedBackend(MemoryStore(), scope="user")
    site = make_site(rotating, backend)
    backend.set(site.blueprint, rotating.grant(expires_at=soon(left)), user_id=1)
    asked = site.blueprint.config[field] = Counted(1)
    site.browser().do(lambda: work(site))
    assert 1 <= asked.count <= most


@pytest.mark.parametrize("refresh_token", [True, False])
@pytest.mark.parametrize("named", NAMED)
def test_login_asks_for_its_owner_once(
    rotating: RotatingProvider, named: str, refresh_token: bool
) -> None:
    """P1: so does a whole callback, though it reads what is stored, writes, and tells receivers."""
    asked = Counted(1)
    backend = UserScopedBackend(MemoryStore(), **NAMED[named](asked))
    site = make_site(rotating, backend)
    backend.set(site.blueprint, rotating.grant(), user_id=1)
    rotating.approve(refresh_token=refresh_token)
    browser = site.browser()
    state = browser.begin()
    asked.count = 0
    assert browser.finish(state).status_code == 302
    assert asked.count == 1
    kept = backend.get(site.blueprint, user_id=1)
    assert kept["access_token"] == "at-new-0"
    assert kept["refresh_token"] == ("rt-new-0" if refresh_token else "rt-ann-0")


class TestOAuth1:
    """P1 and P3 for OAuth 1."""

    TOKEN = {"oauth_token": "t", "oauth_token_secret": "s"}

    def site(self, asked: Any, **options: Any) -> Site:
        """Make an app with an OAuth 1 blueprint whose user 1 has a token."""
        backend = UserScopedBackend(MemoryStore(), user_id=asked)
        blueprint = OAuth1ConsumerBlueprint(
            "acme",
            __name__,
            client_key="k",
            client_secret="s",
            base_url=f"{PROVIDER}/api/",
            request_token_url=f"{PROVIDER}/request",
            authorization_url=f"{PROVIDER}/authorize",
            access_token_url=f"{PROVIDER}/access",
            backend=backend,
        )
        backend.set(blueprint, self.TOKEN, user_id=1)
        return Site(blueprint)  # type: ignore[arg-type] # its parts that are used are the same

    @pytest.mark.parametrize(
        ("operation", "most"),
        [
            (lambda site: setattr(site.blueprint, "token", TestOAuth1.TOKEN), 1),
            (lambda site: site.blueprint.token, 1),
            (remove, 1),
            (authorized, 1),
            (guarded, 1),
            (call, 2),
        ],
        ids=["assign", "token", "delete", "authorized", "authorization_required", "call"],
    )
    def test_owner_is_asked_once(
        self, web: responses.RequestsMock, operation: Callable[[Site], Any], most: int
    ) -> None:
        """P1: an operation asks for its owner once."""
        web.get(f"{PROVIDER}/api/api", json={})
        asked = Counted(1)
        site = self.site(asked)
        site.browser().do(lambda: operation(site))
        assert 1 <= asked.count <= most

    def test_login_asks_once(self, web: responses.RequestsMock) -> None:
        """P1: a whole callback asks once."""
        web.post(f"{PROVIDER}/request", body="oauth_token=r&oauth_token_secret=rs")
        web.post(f"{PROVIDER}/access", body="oauth_token=new&oauth_token_secret=ns")
        asked = Counted(1)
        site = self.site(asked)
        browser = site.browser()
        browser.get("/login/acme")
        asked.count = 0
        browser.get("/login/acme/authorized?oauth_token=r&oauth_verifier=v")
        assert asked.count == 1
        assert site.blueprint.backend.get(site.blueprint, user_id=1)["oauth_token"] == "new"

    @pytest.mark.parametrize("operation", [authorized, guarded, session_token, call])
    def test_error_of_the_owner_function_arrives(self, operation: Callable[[Site], None]) -> None:
        """P3: an ``AttributeError`` of the owner function arrives as it was raised."""
        error = AttributeError("no user today")
        site = self.site(Counted(error))
        with pytest.raises(AttributeError) as caught:
            site.browser().do(lambda: operation(site))
        assert caught.value is error


@pytest.fixture
def sent() -> Iterator[list[tuple[str, Any]]]:
    """The signals about stored tokens, each with whose it says the token is."""
    record: list[tuple[str, Any]] = []

    def receiver(name: str) -> Callable[..., None]:
        return lambda sender, user_id, **more: record.append((name, user_id))

    signals = (token_saved, token_deleted, token_refreshed)
    receivers = [receiver(signal.name) for signal in signals]
    for signal, receive in zip(signals, receivers, strict=True):
        signal.connect(receive)
    yield record
    for signal, receive in zip(signals, receivers, strict=True):
        signal.disconnect(receive)


SECOND = {"another user": 2, "an error": LookupError("asked twice"), "nobody": None}
"""What the owner function answers when it is asked again within one operation."""


class TestChangingOwner:
    """P2: an owner function that answers otherwise the second time."""

    def site(self, rotating: RotatingProvider, asked: Counted) -> Site:
        """Make an app whose users 1 and 2 have tokens of their own, which have ended."""
        backend = UserScopedBackend(MemoryStore(), user_id=asked)
        site = make_site(rotating, backend)
        for number, name in ((1, "ann"), (2, "bob")):
            backend.set(site.blueprint, rotating.grant(name), user_id=number)
        return site

    def kept(self, site: Site) -> list[str | None]:
        """Return the access tokens of both users."""
        tokens = [site.blueprint.backend.get(site.blueprint, user_id=number) for number in (1, 2)]
        return [None if token is None else token["access_token"] for token in tokens]

    @pytest.mark.parametrize("second", SECOND)
    def test_assignment(self, rotating: RotatingProvider, sent: list[Any], second: str) -> None:
        """P2: what is assigned is stored for the first user, and the signal says so."""
        site = self.site(rotating, Counted(1, SECOND[second]))

        def work() -> None:
            site.blueprint.token = {"access_token": "mine"}

        site.browser().do(work)
        assert self.kept(site) == ["mine", "at-bob-0"]
        assert sent == [("token-saved", "1")]

    @pytest.mark.parametrize("second", SECOND)
    def test_removal(self, rotating: RotatingProvider, sent: list[Any], second: str) -> None:
        """P2: what is removed is the first user's token, and the signal says so."""
        site = self.site(rotating, Counted(1, SECOND[second]))
        site.browser().do(lambda: remove(site))
        assert self.kept(site) == [None, "at-bob-0"]
        assert sent == [("token-deleted", "1")]

    @pytest.mark.parametrize("second", SECOND)
    def test_revocation(self, rotating: RotatingProvider, sent: list[Any], second: str) -> None:
        """P2: what is revoked at the provider and removed here is the first user's token."""
        site = self.site(rotating, Counted(1, SECOND[second]))
        assert site.browser().do(site.blueprint.revoke) is True
        assert self.kept(site) == [None, "at-bob-0"]
        assert (rotating.live("ann"), rotating.live("bob")) == (False, True)
        assert sent == [("token-deleted", "1")]

    @pytest.mark.parametrize("second", SECOND)
    def test_login(self, rotating: RotatingProvider, sent: list[Any], second: str) -> None:
        """P2: a login joins and stores the first user's token, and the signal says so."""
        asked = Counted(1)
        site = self.site(rotating, asked)
        rotating.approve(refresh_token=False)
        browser = site.browser()
        state = browser.begin()
        asked.count, asked._ids = 0, (1, SECOND[second])
        browser.finish(state)
        assert self.kept(site) == ["at-new-0", "at-bob-0"]
        kept = site.blueprint.backend.get(site.blueprint, user_id=1)
        assert kept["refresh_token"] == "rt-ann-0"
        assert sent == [("token-saved", "1")]

    @pytest.mark.parametrize("order", list(itertools.product((1, 2), repeat=3)))
    def test_refresh(
        self, rotating: RotatingProvider, sent: list[Any], order: tuple[int, ...]
    ) -> None:
        """P2: a user's new token is stored as theirs, whoever is asked for when."""
        site = self.site(rotating, Counted(*order))
        site.browser().call()
        generations = [rotating.grants[name].generation for name in ("ann", "bob")]
        assert self.kept(site) == [f"at-ann-{generations[0]}", f"at-bob-{generations[1]}"]
        saved = sorted(user_id for name, user_id in sent if name == "token-saved")
        refreshed = sorted(user_id for name, user_id in sent if name == "token-refreshed")
        expected = [str(number) for number, times in enumerate(generations, 1) if times]
        assert saved == refreshed == expected
        assert rotating.spent == 0


def ask_session(name: str) -> Callable[[Site], None]:
    """Return what asks for an attribute of the session."""

    def ask(site: Site) -> None:
        getattr(site.blueprint.session, name)

    return ask


ASKING_SESSION: dict[str, Callable[[Site], None]] = {
    **{name: ask_session(name) for name in ("authorized", "token", "access_token", "token_status")},
    "get": call,
    "authorization_required": guarded,
    "load_token": lambda site: site.blueprint.session.load_token(),
}
"""What a session asks its owner for."""


class TestErrorOfTheOwner:
    """P3: what the owner function raises is the application's to see."""

    @pytest.mark.parametrize("operation", ASKING_SESSION)
    @pytest.mark.parametrize("named", NAMED)
    def test_own_error_arrives(
        self, rotating: RotatingProvider, named: str, operation: str
    ) -> None:
        """P3: an ``AttributeError`` arrives as it was raised, from whatever asks the session."""
        error = AttributeError("'Row' object has no attribute 'current'")
        asked = Counted(error)
        site = make_site(rotating, UserScopedBackend(MemoryStore(), **NAMED[named](asked)))
        with pytest.raises(AttributeError) as caught:
            site.browser().do(lambda: ASKING_SESSION[operation](site))
        assert caught.value is error

    @pytest.mark.parametrize("operation", ASKING_SESSION)
    @pytest.mark.parametrize(
        ("owner", "message"),
        [
            ({"user": lambda: g.user}, "user"),
            ({"user_id": lambda: g.user.id}, "user"),
            ({"user": current_user}, "login_manager"),
            ({"user": lambda: current_user.id}, "login_manager"),
        ],
        ids=["g.user", "g.user.id", "current_user", "current_user.id"],
    )
    def test_common_mistakes_are_told(
        self, rotating: RotatingProvider, owner: Any, message: str, operation: str
    ) -> None:
        """P3: a missing ``g.user`` or ``LoginManager`` is what the error says."""
        site = make_site(rotating, UserScopedBackend(MemoryStore(), **owner))
        with pytest.raises(AttributeError, match=message):
            site.browser().do(lambda: ASKING_SESSION[operation](site))

    def test_error_of_a_subclass_arrives(self, rotating: RotatingProvider) -> None:
        """P3: so does the error of a property of a session class of the application's own."""
        error = AttributeError("mine")

        class Mine(OAuth2Session):
            @property
            def account(self) -> str:
                raise error

        site = make_site(rotating, MemoryBackend(rotating.grant()), session_class=Mine)
        with pytest.raises(AttributeError) as caught:
            site.browser().do(lambda: site.blueprint.session.account)
        assert caught.value is error

    @pytest.mark.parametrize("operation", ASKING_SESSION)
    def test_error_of_a_backend_arrives(self, rotating: RotatingProvider, operation: str) -> None:
        """P3: so does an ``AttributeError`` of a backend's ``get``."""
        error = AttributeError("a typo in my backend")

        class Mine(MemoryBackend):
            def get(self, blueprint: Any) -> Any:
                raise error

        site = make_site(rotating, Mine())
        with pytest.raises(AttributeError) as caught:
            site.browser().do(lambda: ASKING_SESSION[operation](site))
        assert caught.value is error


class Anonymous(AnonymousUserMixin):
    """A visitor who has not signed in."""

    id = "anonymous"


NOBODY: dict[str, dict[str, Any]] = {
    "anonymous user": {"user": Anonymous()},
    "function of an anonymous user": {"user": Anonymous},
    "function that gives nobody": {"user": lambda: None},
    "function that gives no id": {"user_id": lambda: None},
    "proxy of nobody": {"user": LocalProxy(lambda: None)},
    "no user": {"user": None},
    "no id": {"user_id": None},
    "neither": {"user": None, "user_id": None},
}
"""How a call names somebody who turns out to be nobody."""

SCOPES: dict[str, dict[str, Any]] = {
    "user": {"user_id": 1},
    "user, optional": {"user_id": 1, "user_required": False},
    "app": {},
    "app named": {"scope": "app"},
    "browser": {"scope": "browser"},
}
"""The arguments of backends of each scope. Only of the first one a user is required."""


class TestNobody:
    """P17: a call that names nobody answers for nobody."""

    TOKEN = {"access_token": "somebody's", "refresh_token": "rt-somebody"}

    def do(
        self, rotating: RotatingProvider, scope: str, work: Callable[[Any, Any], Any]
    ) -> tuple[Any, Any]:
        """Do something where there is a token; return what came of it, and what is stored after."""
        backend = UserScopedBackend(MemoryStore(), **SCOPES[scope])
        site = make_site(rotating, backend)
        browser = site.browser()
        browser.connect(self.TOKEN)
        result = browser.do(lambda: outcome_of(lambda: work(backend, site.blueprint)))
        documents = [each.token for each in backend.store.scan()]
        assert browser.stored == self.TOKEN
        assert documents == [self.TOKEN]
        return result, browser

    @pytest.mark.parametrize("nobody", NOBODY)
    @pytest.mark.parametrize("scope", SCOPES)
    @pytest.mark.parametrize("operation", ["get", "delete"])
    def test_nobody_has_no_token(
        self, rotating: RotatingProvider, operation: str, scope: str, nobody: str
    ) -> None:
        """P17: ``get`` gives no token and ``delete`` removes none, or a user is required."""
        result, _ = self.do(
            rotating,
            scope,
            lambda backend, blueprint: getattr(backend, operation)(blueprint, **NOBODY[nobody]),
        )
        if scope == "user":
            assert isinstance(result, UserRequired)
        else:
            assert result is None

    @pytest.mark.parametrize("nobody", NOBODY)
    @pytest.mark.parametrize("scope", SCOPES)
    def test_nothing_is_stored_for_nobody(
        self, rotating: RotatingProvider, scope: str, nobody: str
    ) -> None:
        """P17: ``set`` raises ``UserRequired``, whatever the scope."""
        result, _ = self.do(
            rotating,
            scope,
            lambda backend, blueprint: backend.set(
                blueprint, {"access_token": "new"}, **NOBODY[nobody]
            ),
        )
        assert isinstance(result, UserRequired)

    @pytest.mark.parametrize("nobody", NOBODY)
    @pytest.mark.parametrize("scope", SCOPES)
    def test_slot_of_nobody_is_empty(
        self, rotating: RotatingProvider, scope: str, nobody: str
    ) -> None:
        """P17: the slot of nobody has no token, or a user is required."""
        result, _ = self.do(
            rotating,
            scope,
            lambda backend, blueprint: blueprint.slot(**NOBODY[nobody]).read().token,
        )
        if scope == "user":
            assert isinstance(result, UserRequired)
        else:
            assert result is None

    @pytest.mark.parametrize("nobody", NOBODY)
    @pytest.mark.parametrize("scope", SCOPES)
    def test_nothing_of_nobody_is_revoked(
        self, rotating: RotatingProvider, scope: str, nobody: str
    ) -> None:
        """P17: ``revoke`` for nobody revokes nothing at the provider and removes nothing here."""
        result, _ = self.do(
            rotating, scope, lambda backend, blueprint: blueprint.revoke(**NOBODY[nobody])
        )
        assert not isinstance(result, Exception) or isinstance(result, UserRequired)
        assert rotating.revoked == []

    @pytest.mark.parametrize("nobody", NOBODY)
    @pytest.mark.parametrize("scope", SCOPES)
    def test_session_of_nobody_is_not_authorized(
        self, rotating: RotatingProvider, scope: str, nobody: str
    ) -> None:
        """P17: the session of nobody never sends somebody's token."""

        def work(backend: Any, blueprint: Any) -> None:
            with (
                suppress(UserRequired),
                blueprint.user_session(**NOBODY[nobody]) as session,
            ):
                assert session.authorized is False
                session.get("api")

        result, _ = self.do(rotating, scope, work)
        assert result is None
        assert all("Authorization" not in each.headers for each in rotating.calls("/api"))

    @pytest.mark.parametrize("scope", ["app", "browser"])
    def test_somebody_is_somebody(self, rotating: RotatingProvider, scope: str) -> None:
        """P17: who names nobody at all means the backend's own, and a user means that user."""

        def work(backend: Any, blueprint: Any) -> Any:
            backend.set(blueprint, {"access_token": "seven's"}, user_id=7)
            mine, sevens = backend.get(blueprint), backend.get(blueprint, user_id=7)
            backend.delete(blueprint, user_id=7)
            return mine, sevens, backend.get(blueprint, user_id=7)

        result, _ = self.do(rotating, scope, work)
        assert result == (self.TOKEN, {"access_token": "seven's"}, None)

    @pytest.mark.parametrize("given", [{"user_id": 5}, {"user": 5}])
    def test_one_that_is_given_and_is_nobody_wins_over_the_backends_own(
        self, rotating: RotatingProvider, given: dict[str, Any]
    ) -> None:
        """P17: an explicit ``None`` beside a user leaves the user; alone it is never the caller."""
        backend = UserScopedBackend(MemoryStore(), user_id=1, user_required=False)
        site = make_site(rotating, backend)
        backend.set(site.blueprint, {"access_token": "five's"}, user_id=5)
        backend.set(site.blueprint, self.TOKEN)
        both = {"user": None, "user_id": None, **given}
        assert backend.get(site.blueprint, **both) == {"access_token": "five's"}


def outcome_of(work: Callable[[], Any]) -> Any:
    """Return what something returns, or the error that it raises."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error


class TestTokenUpdater:
    """P29: ``session.token_updater(token)`` stores a token, as in Flask-Dance."""

    @pytest.mark.parametrize("kind", BACKENDS)
    def test_it_stores(
        self, rotating: RotatingProvider, tmp_path: Any, sent: list[Any], kind: str
    ) -> None:
        """P29: what it is given is stored for the current owner, signalled, and used."""
        site = make_site(rotating, BACKENDS[kind](tmp_path))
        browser = site.browser()
        browser.connect(rotating.grant())
        new = rotating.grant("new")
        del new["expires_at"]

        def work() -> int:
            session = site.blueprint.session
            assert session.authorized
            session.token_updater(new)
            return int(session.get("api").status_code)

        assert browser.do(work) == 200
        stored = browser.stored
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-new-0")
        assert stored["expires_at"] > soon(3000)
        assert sign_of(rotating) == "Bearer at-new-0"
        user_id = "1" if kind in ("user", "cached") else None
        assert sent == [("token-saved", user_id)]

    def test_template_that_refreshes_by_itself(self, rotating: RotatingProvider) -> None:
        """P29: ``session.token_updater(session.refresh_token(url))`` loses no refresh token."""
        site = make_site(rotating, MemoryBackend(rotating.grant()), auto_refresh=False)
        url = f"{rotating.url}/token"

        def work() -> None:
            session = site.blueprint.session
            token = session.refresh_token(url, auth=("id", "client-secret"))
            session.token_updater(token)

        browser = site.browser()
        browser.do(work)
        assert browser.stored["refresh_token"] == "rt-ann-1"
        assert browser.call() == 200
        assert rotating.spent == 0

    def test_session_of_another_user(self, rotating: RotatingProvider, sent: list[Any]) -> None:
        """P29: that of a user's session stores for this user."""
        backend = UserScopedBackend(MemoryStore(), user_id=1)
        site = make_site(rotating, backend)
        backend.set(site.blueprint, {"access_token": "one's"})

        def work() -> None:
            with site.blueprint.user_session(user_id=2) as session:
                session.token_updater({"access_token": "two's"})

        site.browser().do(work)
        assert backend.get(site.blueprint) == {"access_token": "one's"}
        assert backend.get(site.blueprint, user_id=2) == {"access_token": "two's"}
        assert sent == [("token-saved", "2")]

    def test_one_of_the_applications_own_stays(self, rotating: RotatingProvider) -> None:
        """P29: an updater that the application gives the session class is the application's."""
        seen: list[Any] = []
        site = make_site(rotating, MemoryBackend(), token_updater=seen.append)
        site.browser().do(lambda: site.blueprint.session.token_updater({"access_token": "x"}))
        assert seen == [{"access_token": "x"}]


class TestAssignmentOutsideOfAContext:
    """P30: ``blueprint.session.token = ...`` where there is no request."""

    BLUEPRINTS: dict[str, Callable[[], Any]] = {
        "oauth2": lambda: make_refreshing_without_provider(MemoryBackend()),
        "oauth2 of a user": lambda: make_refreshing_without_provider(
            UserScopedBackend(MemoryStore(), user_id=lambda: 1)
        ),
        "oauth1": lambda: OAuth1ConsumerBlueprint(
            "acme", __name__, client_key="k", client_secret="s", backend=MemoryBackend()
        ),
    }

    @pytest.mark.parametrize("kind", BLUEPRINTS)
    def test_error_says_what_to_write(self, kind: str) -> None:
        """P30: it would be dropped, so it is an error that names what keeps a token."""
        blueprint = self.BLUEPRINTS[kind]()
        with pytest.raises(ConfigurationError) as caught:
            blueprint.session.token = {"access_token": "secret-at"}
        assert "blueprint.token = " in str(caught.value)
        assert "flask_dance_nosql.testing.connected" in str(caught.value)
        assert "secret-at" not in str(caught.value)

    @pytest.mark.parametrize("kind", BLUEPRINTS)
    @pytest.mark.parametrize("context", ["app_context", "test_request_context"])
    def test_within_a_context_it_holds(self, kind: str, context: str) -> None:
        """P30: within a request or an app context it is used by this session, and not stored."""
        blueprint = self.BLUEPRINTS[kind]()
        app = make_app(blueprint)
        token = {"access_token": "a", "oauth_token": "t", "oauth_token_secret": "s"}
        with getattr(app, context)():
            blueprint.session.token = token
            assert blueprint.session.token == token
            assert blueprint.session.authorized
        with getattr(app, context)():
            assert blueprint.token is None

    def test_sessions_of_ones_own_take_a_token(self) -> None:
        """P30: a session that the caller keeps takes a token anywhere."""
        blueprint = make_refreshing_without_provider(UserScopedBackend(MemoryStore()))
        own = OAuth2Session(token={"access_token": "a"})
        own.token = {"access_token": "b"}
        assert own.token == {"access_token": "b"}
        with blueprint.user_session(user_id=1) as session:
            session.token = {"access_token": "c"}
            assert session.token == {"access_token": "c"}


def make_refreshing_without_provider(backend: Any) -> Any:
    """Make a blueprint that calls nobody."""

    class Nowhere:
        url = "https://provider.example"

    return make_refreshing(Nowhere(), backend)  # type: ignore[arg-type] # its address will do


class Member(UserMixin):
    """A user of the application."""

    def __init__(self, id: str) -> None:
        self.id = id


def login_manager(app: Flask) -> None:
    """Give an app Flask-Login."""
    LoginManager(app).user_loader(Member)


class TestAnonymousVisitor:
    """P31: a view that needs a token, and a visitor who is nobody."""

    OWNERS: dict[str, dict[str, Any]] = {
        "current_user": {"user": current_user},
        "function of current_user": {"user": lambda: current_user},
        "user_id": {"user_id": lambda: None},
        "user": {"user": lambda: None},
        "scope": {"scope": "user"},
        "optional": {"user": current_user, "user_required": False},
        "cached": {"user": current_user, "cache": LocalCache()},
    }

    @pytest.mark.parametrize("owner", OWNERS)
    def test_view_leads_to_the_login(self, rotating: RotatingProvider, owner: str) -> None:
        """P31: an anonymous visitor of a view that needs a token goes to the login."""
        site = make_site(rotating, UserScopedBackend(MemoryStore(), **self.OWNERS[owner]))
        login_manager(site.app)
        answer = site.browser().get("/view")
        assert (answer.status_code, answer.location) == (302, "/login/acme")

    def test_view_of_oauth1_does_so_too(self) -> None:
        """P31: so does one of OAuth 1."""
        site = TestOAuth1().site(lambda: None)
        answer = site.browser().get("/view")
        assert (answer.status_code, answer.location) == (302, "/login/acme")

    def test_user_who_signs_in_sees_it(self, rotating: RotatingProvider) -> None:
        """P31: with the same view, a user who has a token sees the page."""
        backend = UserScopedBackend(MemoryStore(), user=current_user)
        site = make_site(rotating, backend)
        login_manager(site.app)
        backend.set(site.blueprint, rotating.grant(expires_at=soon()), user_id="ann")
        browser = site.browser()
        browser.do(lambda: login_user(Member("ann")))
        assert browser.get("/view").text == "seen"

    def test_error_of_the_view_is_the_views(self, rotating: RotatingProvider) -> None:
        """P31: a ``UserRequired`` that the view itself raises is passed on."""
        backend = UserScopedBackend(MemoryStore(), user_id=1)
        site = make_site(rotating, backend)
        backend.set(site.blueprint, rotating.grant(expires_at=soon()))
        error = UserRequired("get")

        def view() -> None:
            raise error

        guarded_view = site.blueprint.session.authorization_required(view)
        with pytest.raises(UserRequired) as caught:
            site.browser().do(guarded_view)
        assert caught.value is error


def test_receiver_that_signs_the_user_in_decides_whose_token_it_is(
    rotating: RotatingProvider, sent: list[Any]
) -> None:
    """P1: the owner of a login is asked for after the receivers, which may sign the user in."""
    backend = UserScopedBackend(MemoryStore(), user=current_user)
    site = make_site(rotating, backend)
    login_manager(site.app)
    rotating.approve()

    def sign_in(blueprint: Any, token: Any) -> None:
        login_user(Member("ann"))

    with oauth_authorized.connected_to(sign_in):
        assert site.browser().login().status_code == 302
    assert backend.get(site.blueprint, user_id="ann")["access_token"] == "at-new-0"
    assert sent == [("token-saved", "ann")]
