"""A scan takes ids as a key does, in every store, and nothing that it meets ends it."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from examples.sqlite_store import SQLiteStore
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
)
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.cipher.sealed import SealedStore
from flask_dance_nosql.consumer.backend.mongo import MongoStore
from flask_dance_nosql.consumer.backend.redis import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.wrapper import StoreWrapper
from flask_dance_nosql.errors import BackendUnavailable, CorruptToken
from flask_dance_nosql.testing import make_document

from .written import Base, Written

UUID_TEXT = "12345678-1234-5678-1234-567812345678"
Fixture = Callable[[str], Any]


class Provider(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    """The providers of an application."""

    DEMO = "demo"


class OfAUser(MemoryStore):
    """A store that somebody else has written, with a driver's errors and a scan of its own."""

    driver_errors = (OSError,)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield the documents that the other class finds."""
        yield from super().scan(provider, user_id)


class Scans:
    """A scan that is no part of a store."""

    def scan(self: Any, provider: Any = None, user_id: Any = None) -> Iterator[TokenDocument]:
        """Yield what is kept, whatever is asked for."""
        for key in list(self._documents):
            if provider in (None, key.provider) and user_id in (None, key.user_id):
                yield self.load(key)


class Mixed(Scans, MemoryStore):
    """A store whose scan comes from elsewhere."""


def sqlite_store(fixture: Fixture) -> TokenStore:
    """The store that the documentation shows."""
    path: Path = fixture("tmp_path")
    store = SQLiteStore(str(path / "tokens.db"))
    store.prepare()
    return store


def sqlalchemy_store(fixture: Fixture) -> TokenStore:
    """A store on a table of SQLite."""
    engine = fixture("sqlite_engine")
    Base.metadata.create_all(engine)
    return SQLAlchemyStore(Written, Session(engine))


STORES: dict[str, Callable[[Fixture], TokenStore]] = {
    "memory": lambda _: MemoryStore(),
    "of a user": lambda _: OfAUser(),
    "mixed": lambda _: Mixed(),
    "documented": sqlite_store,
    "mongo": lambda fixture: MongoStore(fixture("mongo_collection")),
    "redis": lambda fixture: RedisStore(fixture("redis_client")),
    "sqlalchemy": sqlalchemy_store,
    "wrapped": lambda _: StoreWrapper(OfAUser()),
    "cached": lambda _: CachedStore(MemoryStore(), LocalCache(), 60, 60),
    "sealed": lambda _: SealedStore(MemoryStore(), TokenCipher(TokenCipher.generate_key())),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> TokenStore:
    """Each store, empty."""
    made: TokenStore = STORES[request.param](request.getfixturevalue)
    return made


SAME: list[tuple[dict[str, Any], str]] = [
    ({"user_id": 42}, "42"),
    ({"user_id": UUID(UUID_TEXT)}, UUID_TEXT),
    ({"provider": Provider.DEMO, "user_id": "42"}, "42"),
    ({"provider": "demo", "user_id": 0}, "0"),
]


@pytest.mark.parametrize(("wanted", "user_id"), SAME)
def test_ids_are_those_of_a_key(store: TokenStore, wanted: Any, user_id: str) -> None:
    """What a key takes for a user or a provider, a scan finds."""
    for each in ("0", "42", UUID_TEXT):
        store.save(make_document(TokenKey("demo", each)))
    assert [found.user_id for found in store.scan(**wanted)] == [user_id]
    by_position = (wanted.get("provider"), wanted.get("user_id"))
    assert [found.user_id for found in store.scan(*by_position)] == [user_id]


REFUSED: list[tuple[Any, type[Exception]]] = [
    ({"$ne": None}, TypeError),
    ({}, TypeError),
    (["42"], TypeError),
    (True, TypeError),
    (False, TypeError),
    (b"42", TypeError),
    (4.2, TypeError),
    (object(), TypeError),
    ("", ValueError),
    ("4\0002", ValueError),
    ("\ud800", ValueError),
]


@pytest.mark.parametrize("argument", ["provider", "user_id"])
def test_what_is_no_id_is_refused(store: TokenStore, argument: str) -> None:
    """What a key refuses, a scan refuses when it is called, and lists nobody."""
    store.save(make_document(TokenKey("demo", "42")))
    for value, error in REFUSED:
        with pytest.raises(error):
            store.scan(**{argument: value})


def test_a_document_has_the_ids_of_its_key(store: TokenStore) -> None:
    """A document that was made with a number is saved under its text, and one of a dict is not."""
    fields: Any = {"provider": Provider.DEMO, "user_id": 42}
    saved = store.save(replace(make_document(), **fields))
    assert (saved.provider, saved.user_id) == ("demo", "42")
    assert store.load(TokenKey("demo", "42")) == saved
    store.save_apart(replace(saved, **fields), if_version=saved.version)
    assert [found.user_id for found in store.scan(user_id=42)] == ["42"]  # type: ignore[arg-type] # as documented
    with pytest.raises(TypeError):
        store.save(replace(make_document(), user_id={"$ne": None}))  # type: ignore[arg-type] # tested


def test_a_provider_is_no_number(store: TokenStore) -> None:
    """Only a user may be a number."""
    with pytest.raises(TypeError, match="provider is a str"):
        store.scan(provider=5)  # type: ignore[arg-type] # that is what is tested


def test_no_driver_is_asked(closed_port: int) -> None:
    """An argument that is refused costs no look at the server, and one that is right does."""
    store = RedisStore(f"redis://127.0.0.1:{closed_port}")
    with pytest.raises(TypeError):
        store.scan(user_id={"$ne": None})  # type: ignore[arg-type] # that is what is tested
    with pytest.raises(BackendUnavailable):
        list(store.scan(user_id="42"))


# What is no document.


def odd_row(store: Any, provider: Any, user_id: Any, token: str = "{}") -> None:
    """Put a row into the table of the store that the documentation shows."""
    with closing(sqlite3.connect(store.path)) as database, database:
        row = (f"{provider}{user_id}", provider, user_id, token)
        database.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", row)


def odd_model(engine: Engine, provider: Any, user_id: Any, token: str = "{}") -> None:
    """Put a row into the table of a model."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO flask_dance_written (provider, user_id, token, version, created_at, "
            "updated_at) VALUES (?, ?, ?, 1, '2031-01-01 00:00:00', '2031-01-01 00:00:00')",
            (provider, user_id, token),
        )


ODD_ROWS: list[tuple[Any, ...]] = [
    ("", "1"),
    ("demo", ""),
    ("de\0mo", "1"),
    ("demo", "1\0"),
    (b"demo", "1"),
    ("demo", "1", "no JSON"),
    ("demo", "2", "[]"),
]


@pytest.mark.parametrize("kind", ["documented", "sqlalchemy"])
def test_odd_rows_are_counted(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that is no document, or whose owner is no key, is left out, counted, and no end."""
    store = STORES[kind](request.getfixturevalue)
    saved = [store.save(make_document(TokenKey(name, "42"))) for name in ("a", "z")]
    for row in ODD_ROWS:
        if kind == "documented":
            odd_row(store, *row)
        else:
            odd_model(request.getfixturevalue("sqlite_engine"), *row)
    assert sorted(store.scan(), key=lambda found: found.provider) == saved
    assert f"left {len(ODD_ROWS)} records out" in caplog.text
    caplog.clear()
    assert list(store.scan(user_id="42")) != []
    assert "records out" not in caplog.text


def test_a_scan_that_meets_nothing_odd_says_nothing(
    store: TokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no word in the log of a scan of documents only."""
    store.save(make_document(TokenKey("demo", "42")))
    assert len(list(store.scan())) == 1
    assert caplog.records == []


@pytest.mark.parametrize("column", ["provider", "user_id", "token", "provider_user_id"])
def test_text_of_a_database_that_is_none(request: pytest.FixtureRequest, column: str) -> None:
    """A row with broken text in SQLite is no end of a scan, and a login replaces it."""
    store = STORES["sqlalchemy"](request.getfixturevalue)
    engine: Engine = request.getfixturevalue("sqlite_engine")
    saved = [store.save(make_document(TokenKey(name, "42"))) for name in ("a", "z")]
    odd_model(engine, "demo", "1", '{"access_token": "at"}')
    broken = f"UPDATE flask_dance_written SET {column} = CAST(x'7b2261223a22fffe227d' AS TEXT)"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{broken} WHERE provider = 'demo'")
    found = sorted(store.scan(), key=lambda document: document.provider)
    assert [document for document in found if document.provider != "demo"] == saved
    key = TokenKey("demo", "1")
    if column == "token":
        with pytest.raises(CorruptToken):
            store.load(key)
    elif column == "provider_user_id":
        assert store.load(key) is not None
    else:
        assert store.load(key) is None
    new = store.save(make_document(key, {"access_token": "new"}))
    assert store.load(key) == new
    new = store.save(make_document(key), if_version=new.version)
    store.delete(key)
    assert store.load(key) is None
