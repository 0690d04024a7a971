"""Where owner and store come together: the browser's scope, dates, and what is left alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask import Flask, request
from flask import session as flask_session

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    MongoBackend,
    RedisBackend,
    TokenCipher,
    TokenDocument,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.errors import CorruptToken

from .places import DictStore, Place, scoped

pytestmark = pytest.mark.usefixtures("versions_from_one")

TOKEN = {"access_token": "at-secret"}


@pytest.fixture
def browser_app(blueprint: OAuth2ConsumerBlueprint) -> tuple[Flask, DictStore]:
    """An app whose visitors each have a token of their own, and views for the three operations."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    store = DictStore()
    backend = scoped(store, scope="browser")

    @app.route("/token", methods=["GET", "PUT", "DELETE"])
    def token() -> Any:
        if request.method == "PUT":
            backend.set(blueprint, {"access_token": request.get_data(as_text=True)})
        elif request.method == "DELETE":
            backend.delete(blueprint)
        return {"token": backend.get(blueprint)}

    return app, store


def test_visitors_do_not_share(browser_app: tuple[Flask, DictStore]) -> None:
    """Two browsers have a token each; one's replacing and deleting is not the other's."""
    app, store = browser_app
    one, two = app.test_client(), app.test_client()
    one.put("/token", data="1")
    two.put("/token", data="2")
    one.put("/token", data="1 again")
    assert one.get("/token").json == {"token": {"access_token": "1 again"}}
    assert two.get("/token").json == {"token": {"access_token": "2"}}
    assert len(store.documents) == 2
    one.delete("/token")
    assert one.get("/token").json == {"token": None}
    assert two.get("/token").json == {"token": {"access_token": "2"}}


def test_a_visitor_who_reads_gets_no_cookie(browser_app: tuple[Flask, DictStore]) -> None:
    """Reading makes neither a session nor a record, and asks the store nothing."""
    app, store = browser_app
    answer = app.test_client().get("/token")
    assert answer.json == {"token": None}
    assert "Set-Cookie" not in answer.headers
    assert store.calls == []


def test_a_visitor_without_a_token_deletes_nothing(browser_app: tuple[Flask, DictStore]) -> None:
    """Deleting by a visitor who never had a token touches nobody's, and makes no session."""
    app, store = browser_app
    app.test_client().put("/token", data="1")
    before = list(store.calls)
    answer = app.test_client().delete("/token")
    assert answer.json == {"token": None}
    assert "Set-Cookie" not in answer.headers
    assert store.calls == before
    assert len(store.documents) == 1


def test_a_visitors_id_cannot_be_guessed(browser_app: tuple[Flask, DictStore]) -> None:
    """The id is random, and the token is not in the cookie."""
    app, store = browser_app
    ids, name = set(), "flask_dance_browser_id:demo"
    for _ in range(20):
        client = app.test_client()
        client.put("/token", data="at-secret")
        with client.session_transaction() as flask_session:
            assert list(flask_session) == [name]
            ids.add(flask_session[name])
    assert len(ids) == 20
    assert all(len(browser_id) >= 43 for browser_id in ids)
    assert {key.user_id for key in store.documents} == {f"browser:{found}" for found in ids}


@pytest.mark.parametrize("odd", ["\0", "", "\ud800", "a\nb", 7, ["a"], {"a": 1}, True, None])
def test_odd_id_in_a_session(browser_app: tuple[Flask, DictStore], odd: object) -> None:
    """It is nobody's: the visitor has no token, and gets an id with the next one."""
    app, store = browser_app
    backend, name = scoped(store, scope="browser"), "flask_dance_browser_id:demo"
    blueprint = OAuth2ConsumerBlueprint("demo", __name__)
    with app.test_request_context():
        flask_session[name] = odd
        assert backend.get(blueprint) is None
        backend.delete(blueprint)
        backend.set(blueprint, {"access_token": "at"})
        assert backend.get(blueprint) == {"access_token": "at"}
        assert len(flask_session[name]) >= 43


def test_one_visitors_providers_are_apart(browser_app: tuple[Flask, DictStore]) -> None:
    """Within one session, each provider has its token, under an id of its own."""
    app, store = browser_app
    backend = scoped(store, scope="browser")
    blueprints = [OAuth2ConsumerBlueprint(name, __name__) for name in ("a", "b")]
    with app.test_request_context():
        assert [backend.owner(each) for each in blueprints] == [None, None]
        for each in blueprints:
            backend.set(each, {"access_token": each.name})
        assert [backend.get(each) for each in blueprints] == [
            {"access_token": "a"},
            {"access_token": "b"},
        ]
        owners = [backend.owner(each) for each in blueprints]
    assert len({owner.user_id for owner in owners if owner}) == 2


def test_a_user_named_by_the_call_is_not_the_visitor(
    browser_app: tuple[Flask, DictStore], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """Under ``scope="browser"``, a call may still name a user, and then needs no session."""
    _, store = browser_app
    scoped(store, scope="browser").set(blueprint, TOKEN, user_id=42)
    assert list(store.documents) == [TokenKey("demo", "42")]


def test_dates_are_the_clocks(place: Place, blueprint: OAuth2ConsumerBlueprint) -> None:
    """A record says, as aware UTC in whole milliseconds, when it was first and last written."""
    backend = scoped(place.store, user_id=1)
    first = datetime(2031, 2, 3, 4, 5, 6, 789_999, tzinfo=UTC)
    second = datetime(2031, 2, 4, tzinfo=UTC)
    for moment in (first, second):
        with time_machine.travel(moment, tick=False):
            backend.set(blueprint, TOKEN)
    found = place.store.load(TokenKey("demo", "1"))
    assert found is not None
    assert (found.created_at, found.updated_at) == (first.replace(microsecond=789_000), second)


def test_a_token_is_copied_before_it_is_stored(blueprint: OAuth2ConsumerBlueprint) -> None:
    """Changing a token after it was set changes nothing, even where a store keeps the object."""
    backend = scoped(DictStore())
    token = {"access_token": "at", "scope": ["a"]}
    backend.set(blueprint, token)
    token["scope"].append("b")  # type: ignore[attr-defined] # a list, which mypy can't know
    assert backend.get(blueprint) == {"access_token": "at", "scope": ["a"]}


def test_a_rejected_token_makes_no_session(browser_app: tuple[Flask, DictStore]) -> None:
    """The token is looked at first: a visitor whose token is refused gets no id either."""
    app, store = browser_app
    backend = scoped(store, scope="browser")
    with app.test_client() as client, client.session_transaction() as flask_session:
        before = dict(flask_session)
    with app.test_request_context() as context:
        with pytest.raises(TypeError):
            backend.set(OAuth2ConsumerBlueprint("demo", __name__), {"scope": {"a"}})
        assert dict(context.session or {}) == before == {}
    assert store.calls == []


@pytest.mark.parametrize("backend_class", [MongoBackend, RedisBackend])
def test_backends_are_scoped_backends(backend_class: Any) -> None:
    """MongoBackend and RedisBackend only choose the store: scoping is the same for each."""
    assert issubclass(backend_class, UserScopedBackend)
    assert issubclass(backend_class, BaseBackend)
    own = {name for name in vars(backend_class) if not name.startswith("__")}
    assert own <= {"_abc_impl"}


def test_nothing_of_a_user_stays_on_a_backend(place: Place, blueprint: Any) -> None:
    """After use by many users, no object that a backend or blueprint leads to holds a token."""
    backend = scoped(place.store)
    for number in range(5):
        backend.set(blueprint, {"access_token": f"at-secret-{number}"}, user_id=number)
        backend.get(blueprint, user_id=number)
    held = [value for root in (backend, blueprint) for value in reachable(root, depth=4)]
    assert not [text for text in held if isinstance(text, str) and "at-secret" in text]


def reachable(root: Any, depth: int) -> Iterator[Any]:
    """Yield the values that the attributes and containers of an object lead to."""
    yield root
    if depth:
        own = list(vars(root).values()) if hasattr(root, "__dict__") else []
        inside = gc.get_referents(root) if isinstance(root, dict | list | tuple | set) else []
        for value in own + inside:
            if not isinstance(value, type) and not callable(value):
                yield from reachable(value, depth - 1)


def test_backends_show_no_secret(place: Place, blueprint: OAuth2ConsumerBlueprint) -> None:
    """Neither a backend nor its store shows a token or a connection's password in its repr."""
    backend = scoped(place.store, user_id=1)
    backend.set(blueprint, TOKEN)
    for shown in (backend, place.store):
        assert "at-secret" not in f"{shown} {shown!r}"


class TestEntriesOfAccounts:
    """Whatever removes a token removes the entry that names its owner, too."""

    def test_a_deletion(self, blueprint: Any) -> None:
        """Of a token whose account was linked by ``set``."""
        store = DictStore()
        backend = scoped(store, user_id=42)
        backend.set(blueprint, {"access_token": "at"}, provider_user_id="A")
        assert len(store.documents) == 2
        backend.delete(blueprint)
        assert store.documents == {}

    def test_a_record_that_cannot_be_read(self, blueprint: Any) -> None:
        """Of one that another key has sealed, the account can be read all the same."""
        store = DictStore()
        keys = [TokenCipher.generate_key() for _ in range(2)]
        old, new = (scoped(store, user_id=42, cipher=TokenCipher(key)) for key in keys)
        old.set(blueprint, {"access_token": "at"}, provider_user_id="A")
        new.links = True
        new.delete(blueprint)
        assert store.documents == {}

    def test_a_corrupt_record_of_an_account(self, blueprint: Any) -> None:
        """Of one that is no document, the key may have the account."""
        store = Unreadable()
        backend = scoped(store, user_id=42)
        backend.set(blueprint, {"access_token": "at"}, account="A", provider_user_id="A")
        store.is_corrupt = True
        backend.delete(blueprint, account="A")
        assert store.documents == {}

    def test_a_token_that_replaces_another(self, blueprint: Any) -> None:
        """The account stays linked, and what is found under it is the new token."""
        store = DictStore()
        backend = scoped(store, user_id=42)
        backend.set(blueprint, {"access_token": "at"}, provider_user_id="A")
        backend.set(blueprint, {"access_token": "new"})
        found = backend.find_account(blueprint, "A")
        assert found is not None
        assert found.token == {"access_token": "new"}


class Unreadable(DictStore):
    """A store whose documents are corrupt from some time on."""

    is_corrupt = False

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load, or fail."""
        is_there = key in self.documents and not key.provider.startswith(".")
        if self.is_corrupt and is_there:
            raise CorruptToken("load_fresh", "Unreadable", key.provider, key.user_id, "it is odd")
        return super().load_fresh(key)
