"""What operators are told of the records of an application."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.orm import Mapped, Session

from flask_dance_nosql import clock
from flask_dance_nosql.accounts.erasure import export_user
from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MovingBackend,
    SQLAlchemyBackend,
    TenantCipher,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import OAuthConsumerMixin
from flask_dance_nosql.consumer.backend.store.base import Record
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.shard import Shard
from flask_dance_nosql.operations import (
    LogMetrics,
    access_token_end,
    check_stores,
    keep_fresh,
    observe,
    purge,
    record_details,
    revoke_tokens,
    state_of,
    statistics,
    stored_records,
)
from flask_dance_nosql.testing import make_document

from ..backend.sqla.test_models import Credential, Family, OldToken, Secret, Token
from ..consumer.conftest import make_app
from ..fleet import DAY, Fleet, blueprint_of, failed, fleet, kept, rotating, small_fleet

__all__ = ["fleet", "kept", "rotating", "small_fleet"]
HOUR = 3600.0


@pytest.mark.parametrize(
    ("token", "fields", "wanted"),
    [
        ({"access_token": "at"}, {}, "working"),
        ({"access_token": "at", "expires_at": 8 * DAY}, {}, "working"),
        ({"access_token": "at", "expires_at": 6 * DAY}, {}, "expiring"),
        ({"access_token": "at", "expires_at": 0.8 * HOUR, "expires_in": HOUR}, {}, "working"),
        ({"access_token": "at", "expires_at": 0.2 * HOUR, "expires_in": HOUR}, {}, "expiring"),
        ({"access_token": "at", "expires_at": -1.0}, {}, "expired"),
        ({"access_token": "at", "expires_at": -1.0, "refresh_token": "rt"}, {}, "working"),
        ({"refresh_token": "rt"}, {}, "working"),
        ({"access_token": "at", "expires_at": -1.0, "refresh_token": ""}, {}, "expired"),
        ({}, {}, "expired"),
        ({"oauth_token": "t", "oauth_token_secret": "s"}, {}, "working"),
        ({"oauth_token": None}, {}, "expired"),
        ({"access_token": "at"}, {"refresh_failure": failed()}, "failing"),
        ({}, {"refresh_failure": failed(needs_login=True)}, "needs-login"),
        ({"access_token": "at"}, {"refresh_failure": failed(needs_login=True)}, "needs-login"),
        ({"access_token": "at"}, {"expires_at": clock.now()}, "ended"),
        ({}, {"refresh_failure": failed(), "expires_at": clock.now()}, "ended"),
        ({"access_token": "at", "expires_at": "soon"}, {}, "working"),
    ],
)
def test_state(token: dict[str, Any], fields: dict[str, Any], wanted: str) -> None:
    """A record stands as its token, its failure and its end say."""
    if isinstance(token.get("expires_at"), float):
        token = {**token, "expires_at": clock.timestamp() + token["expires_at"]}
    document = replace(make_document(TokenKey("acme", "1"), token), **fields)
    assert state_of(document) == wanted


def test_state_without_refreshes() -> None:
    """Where nobody refreshes, a refresh token is of no use."""
    token = {"access_token": "at", "refresh_token": "rt", "expires_at": 5.0}
    document = make_document(TokenKey("acme", "1"), token)
    assert state_of(document, refreshes=False) == "expired"


@pytest.mark.parametrize("end", [9e15, "never", float("inf"), -9e15])
def test_an_end_that_is_no_date(end: Any) -> None:
    """It is not told, or as the one that it means."""
    document = make_document(TokenKey("acme", "1"), {"access_token": "at", "expires_at": end})
    assert access_token_end(document) is None or end == 9e15


def test_each_record_is_told(fleet: Fleet) -> None:
    """Of each store, plain and sealed: those that ended or can't be read too, and each once."""
    with fleet.app.app_context():
        found = list(stored_records())
        states = {(each.provider, each.user_id, each.account): each.state for each in found}
        assert states == fleet.states
        assert len(found) == len(states)
        key = None if fleet.cipher is None else fleet.cipher.key_ids()[0]
        assert {each.sealed_by for each in found if each.state != "unreadable"} == {key}
        parts = [set(stored_records(shard=Shard(n, 3))) for n in (1, 2, 3)]
        assert sorted(map(len, parts)) != [0, 0, len(found)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == len(found)
        assert {each.provider for each in stored_records("plain")} == {"plain"}
        assert {each.user_id for each in stored_records(user_id="bob")} == {"bob"}


def test_statistics(fleet: Fleet) -> None:
    """They count each record once, by provider, by state and by key."""
    with fleet.app.app_context():
        found = statistics()
        assert found.total.records == len(fleet.states)
        wanted: dict[str, int] = dict.fromkeys(found.total.states, 0)
        for state in fleet.states.values():
            wanted[state] += 1
        assert found.total.states == wanted
        assert list(found.providers) == ["acme", "gone", "plain"]
        assert found.providers["plain"].states["expired"] == 1
        assert statistics(within=timedelta(hours=1)).total.states["expiring"] == 0
        assert statistics("gone").total.records == 1
        known = len(fleet.states) - 1
        if fleet.cipher is None:
            assert found.total.sealed_by == {"plain": known, "unknown": 1}
            assert found.keys == {}
        else:
            current, old = fleet.cipher.key_ids()
            assert found.total.sealed_by == {current: known, "unknown": 1}
            assert found.keys == {current: "current", old: "fallback"}


def test_each_key_is_counted() -> None:
    """Tokens of an old key, of one that is lost, and plain ones are told apart."""
    store = MemoryStore()
    keys = [TokenCipher.generate_key() for _ in range(3)]
    ids = [TokenCipher(key).key_ids()[0] for key in keys]
    for number, key in enumerate(keys):
        for count in range(number + 1):
            sealing = UserScopedBackend(store, user_id="x", cipher=TokenCipher(key))
            sealing.store.save(make_document(TokenKey("acme", f"{number}-{count}")))
    store.save(make_document(TokenKey("acme", "plain")))
    cipher = TokenCipher(keys[0], [keys[1]], allow_plaintext=True)
    backend = UserScopedBackend(store, user_id="x", cipher=cipher)
    with make_app(blueprint_of("acme", backend, "http://acme.test")).app_context():
        found = statistics()
    assert found.total.sealed_by == {ids[0]: 1, ids[1]: 2, ids[2]: 3, "plain": 1}
    assert found.total.states["unreadable"] == 3
    assert found.keys == {ids[0]: "current", ids[1]: "fallback"}


def test_a_sealed_token_without_a_cipher_is_unreadable() -> None:
    """Who takes the cipher away is told so, and of no token whose fields are those of a seal."""
    store = MemoryStore()
    sealing = UserScopedBackend(store, user_id="x", cipher=TokenCipher(TokenCipher.generate_key()))
    sealing.store.save(make_document(TokenKey("acme", "1")))
    backend = UserScopedBackend(store, user_id="x")
    with make_app(blueprint_of("acme", backend, "http://acme.test")).app_context():
        [found] = record_details("1")
    assert found.state == "unreadable"
    assert "has no cipher" in str(found.reason)
    assert found.fields == {}


def test_several_backends_with_one_store() -> None:
    """Each record is told once, as the backend of its own blueprint reads it."""
    store = MemoryStore()
    blueprints = []
    for name in ("one", "two"):
        cipher = TokenCipher(TokenCipher.generate_key())
        backend = UserScopedBackend(store, user_id="1", cipher=cipher)
        blueprints.append(blueprint_of(name, backend, "http://acme.test"))
        backend.set(blueprints[-1], {"access_token": "at"})
    with make_app(*blueprints).app_context():
        states = {each.provider: each.state for each in stored_records()}
        assert states == {"one": "working", "two": "working"}
        assert statistics().total.records == 2
        assert set(statistics().keys.values()) == {"current"}


def test_details_tell_no_secret(fleet: Fleet) -> None:
    """A user's records are shown with all their fields, and no value of any."""
    with fleet.app.app_context():
        found = record_details("ann")
        assert [(each.provider, each.account) for each in found] == [
            *(("acme", "A1"), ("acme", "A2"), ("gone", None), ("plain", None))
        ]
        one = found[0]
        assert one.scopes == ["read", "write"]
        assert one.fields["access_token"] == f"text, {len('at-acme-ann-A1-0')} characters"
        assert one.fields["expires_at"] == "number"
        assert one.refreshable
        assert one.version
        assert one.version > 1
        assert [each.failures for each in record_details("bob", "acme")] == [3]
        [bad] = record_details("dan")
        assert (bad.state, bad.fields) == ("unreadable", {})
        assert bad.reason
        assert [each.account for each in record_details("ann", account="A2")] == ["A2"]
        text = msgspec.json.encode([record_details(user) for user in ("ann", "bob", "dan")])
    for secret in fleet.secrets:
        assert secret not in text.decode()


def test_odd_fields_are_told_by_their_number(small_fleet: Fleet) -> None:
    """What a provider has sent in place of a field's name may be anything, and long."""
    token = {"access_token": "at", "x" * 500: {"a": 1}, "a\nb": [1], "none": None, "yes": True}
    small_fleet.save("plain", "odd", None, token)
    with small_fleet.app.app_context():
        [found] = record_details("odd")
    assert found.fields == {
        "access_token": "text, 2 characters",
        "field 2": "object, 1 fields",
        "field 3": "list, 1 elements",
        "none": "nothing",
        "yes": "yes or no",
    }


class Endless(MemoryStore):
    """A store with as many records as anybody reads."""

    def records(self, *_: Any, **__: Any) -> Iterator[Record]:
        """Yield documents without end."""
        number = 0
        while True:
            number += 1
            yield make_document(TokenKey("acme", str(number)))


def test_any_number_takes_the_same_memory() -> None:
    """Records are told while they are read, and none is kept."""
    backend = UserScopedBackend(Endless(), user_id="1")
    with make_app(blueprint_of("acme", backend, "http://acme.test")).app_context():
        records = stored_records()
        next(records)
        tracemalloc.start()
        sum(1 for _ in islice(records, 1000))
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        sum(1 for _ in islice(records, 5000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak - before < 100_000


@pytest.mark.parametrize("leads", ["old", "new"])
def test_records_of_two_that_move(leads: Any) -> None:
    """Of a backend that moves, keys are told, and what was not moved yet is among the records."""
    first, second = TokenCipher.generate_key(), TokenCipher.generate_key()
    old = UserScopedBackend(MemoryStore(), cipher=TokenCipher(first))
    new = UserScopedBackend(MemoryStore(), cipher=TokenCipher(second))
    falls = leads == "new"
    backend = MovingBackend(new, old, leads=leads, fall_through=falls)
    app = make_app(blueprint_of("acme", backend, "https://provider.example"))
    token = {"access_token": "at"}
    for user in ("1", "2"):
        old.store.save(make_document(TokenKey("acme", user), token))
    if falls:
        new.store.save(make_document(TokenKey("acme", "1"), token))
    one, two = TokenCipher(first).key_ids()[0], TokenCipher(second).key_ids()[0]
    with app.app_context():
        sealed_by = {each.user_id: each.sealed_by for each in stored_records()}
        assert sealed_by == {"1": two if falls else one, "2": one}
        assert [each.reason for each in stored_records()] == [None, None]
        told = statistics()
    assert told.keys == {one: "current", two: "current"}
    assert told.total.states["working"] == 2


def test_records_of_what_is_measured() -> None:
    """That operations are timed hides no key."""
    key = TokenCipher.generate_key()
    backend = UserScopedBackend(MemoryStore(), cache=LocalCache(), cipher=TokenCipher(key))
    app = make_app(blueprint_of("acme", backend, "https://provider.example"))
    observe(app, LogMetrics())
    backend.store.save(make_document(TokenKey("acme", "1"), {"access_token": "at"}))
    with app.app_context():
        (record,) = stored_records()
    assert record.sealed_by == TokenCipher(key).key_ids()[0]


@pytest.mark.parametrize("models", [(Token, Secret), (Secret, Credential), (OldToken, Token)])
def test_models_that_share_a_table(sqlite_engine: Engine, models: tuple[Any, Any]) -> None:
    """Records of each model are told, and each once, though one may have the rows of another."""
    Family.metadata.create_all(sqlite_engine)
    with Session(sqlite_engine) as session:
        backends = [SQLAlchemyBackend(model, session, user_id=lambda: 1) for model in models]
        blueprints = [
            blueprint_of(name, backend, "http://127.0.0.1:1")
            for name, backend in zip(("acme", "other"), backends, strict=True)
        ]
        for name, backend in zip(("acme", "other"), backends, strict=True):
            backend.store.save(make_document(TokenKey(name, "1")))
        assert backends[0].store.place != backends[1].store.place
        with make_app(*blueprints).app_context():
            assert sorted(each.provider for each in stored_records()) == ["acme", "other"]
            assert statistics().total.records == 2
            assert len(list(revoke_tokens(user_id="1", dry_run=True))) == 2
            for report in check_stores():
                [told] = [each.message for each in report.findings if each.name == "records"]
                assert told == "1 record was read."


class Dateless(OAuthConsumerMixin, Family):
    """A model as those of Flask-Dance are: without a date of the last write."""

    __tablename__ = "dateless"
    user_id: Mapped[int | None]


def test_a_date_that_is_not_kept(sqlite_engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The date of the first write is not taken for that of the last."""
    Family.metadata.create_all(sqlite_engine)
    with Session(sqlite_engine) as session:
        backend = SQLAlchemyBackend(Dateless, session, user_id=lambda: 1)
        blueprint = blueprint_of("acme", backend, "http://127.0.0.1:1", auto_refresh=True)
        then = clock.now() - timedelta(days=300)
        for user_id, more in (("1", {"refresh_token": "rt"}), ("2", {})):
            token = {"access_token": "at", "expires_at": 5.0, **more}
            backend.store.save(
                replace(make_document(TokenKey("acme", user_id), token), created_at=then)
            )
        with make_app(blueprint).app_context():
            assert [(each.created_at, each.updated_at) for each in stored_records()] == [
                (then, None),
                (then, None),
            ]
            assert [each["updated_at"] for each in export_user("1")["accounts"]] == [None]
            assert keep_fresh(dry_run=True)["acme"].due == 0
            assert "does not keep when tokens were written" in caplog.text
            dead: dict[str, Any] = {"dead_for": timedelta(days=1), "dry_run": True}
            assert purge(**dead, older_than=timedelta(days=30)).removed == {"dead": 0}
            assert purge(**dead).removed == {"dead": 1}


def test_keys_of_tenants() -> None:
    """They are counted by what they are to their tenants: there may be many of them."""
    store, first, second = MemoryStore(), TokenCipher.generate_key(), TokenCipher.generate_key()
    keys = {"1": [second, first], "2": [first], "4": [second]}
    for user_id in ("1", "2", "3", "4"):
        sealing = UserScopedBackend(store, cipher=TokenCipher(first))
        sealing.store.save(make_document(TokenKey("acme", user_id)))
    cipher = TenantCipher(lambda key: keys.get(key.user_id or ""), allow_plaintext=True)
    backend = UserScopedBackend(store, cipher=cipher)
    backend.store.save(make_document(TokenKey("acme", "1", "A1")))
    store.save(make_document(TokenKey("acme", "5")))
    app = make_app(blueprint_of("acme", backend, "http://acme.test"))
    wanted = {"current": 2, "fallback": 1, "missing": 2, "plain": 1}
    with app.app_context():
        found = statistics()
    assert (found.total.sealed_by, found.keys) == (wanted, {})
    printed = app.test_cli_runner().invoke(tokens, ["stats"]).stdout
    rows = [line.split(maxsplit=2) for line in printed.splitlines()[-4:]]
    assert rows == [
        ["current", "2", "of its tenant"],
        ["fallback", "1", "of its tenant"],
        ["missing", "2", "not at hand"],
        ["plain", "1", "-"],
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_key_that_one_backend_still_seals_with(order: int) -> None:
    """It is a current one, though it is a fallback of another backend, whichever comes first."""
    old, new = (TokenCipher.generate_key() for _ in range(2))
    ciphers = [TokenCipher(new, [old]), TokenCipher(old)][::order]
    blueprints = [
        OAuth2ConsumerBlueprint(
            name,
            __name__,
            client_id="id",
            backend=UserScopedBackend(MemoryStore(), user_id=1, cipher=cipher),
        )
        for name, cipher in zip(("acme", "globex"), ciphers, strict=True)
    ]
    with make_app(*blueprints).app_context():
        found = statistics().keys
    assert found == {TokenCipher(key).key_ids()[0]: "current" for key in (old, new)}
