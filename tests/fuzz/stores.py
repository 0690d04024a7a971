"""The stores of each kind, empty, and ways past them to what they keep."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import bson
import fakeredis
import mongomock
from sqlalchemy import Engine, NullPool, create_engine, delete, event, text
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer.backend import (
    FileBackend,
    MemoryBackend,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..backend.written import Base, Written
from .parts import as_json, with_changes
from .site import current_user

CIPHER = TokenCipher(TokenCipher.generate_key())
ALICE, BOB = TokenKey("acme", "alice"), TokenKey("acme", "bob")


class Kept(ABC):
    """Where tokens are kept, each under a user's key unless it is one for everybody.

    Attributes:
        backend: What the blueprint has.
        store: What is below it, if anything is.
        names: The fields of a record.
    """

    backend: Any
    store: Any = None
    names: tuple[str, ...] = (
        *("provider", "user_id", "token", "version", "format"),
        *("created_at", "updated_at", "expires_at", "provider_user_id", "refresh_failure"),
    )

    def use(self, store: Any, *, is_sealed: bool) -> None:
        """Put a backend on a store."""
        self.store = store
        cipher = CIPHER if is_sealed else None
        self.backend = UserScopedBackend(store, user_id=current_user, cipher=cipher)

    @abstractmethod
    def change(self, changed: dict[str, Any]) -> None:
        """Change fields of the first user's record."""

    def replace(self, raw: bytes) -> None:
        """Put something else in the place of the first user's record, or of its token."""
        self.change({"token": raw.decode("latin1")})

    def confuse(self, is_sealed: bool) -> None:  # noqa: B027 - some have one token for everybody
        """Put the other user's record, or only its sealed token, in the place of the first's."""

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Close what is open."""


class UnlockedStore(MongoStore):
    """One whose locks are always free: MongoMock knows no updates by pipelines, which they need."""

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        return True

    def release(self, key: TokenKey, holder: str) -> None:
        """Nothing."""


class MongoKept(Kept):
    """In MongoDB, as MongoMock plays it."""

    def __init__(self, is_sealed: bool) -> None:
        self._collection: Any = mongomock.MongoClient()["tests"]["tokens"]
        self.use(UnlockedStore(self._collection, create_indexes=False), is_sealed=is_sealed)

    def change(self, changed: dict[str, Any]) -> None:
        record = self._collection.find_one({"_id": ALICE.text})
        self._put({**with_changes(record, changed), "_id": ALICE.text})

    def confuse(self, is_sealed: bool) -> None:
        record = self._collection.find_one({"_id": BOB.text})
        if is_sealed:
            self.change({"token": record["token"]})
        else:
            self._put({**record, "_id": ALICE.text})

    def _put(self, record: dict[str, Any]) -> None:
        try:
            # What a real server would not take can't be there.
            possible = bson.decode(bson.encode(record))
            self._collection.replace_one({"_id": ALICE.text}, possible)
        except (bson.errors.BSONError, OverflowError, ValueError, TypeError):
            return


class RedisKept(Kept):
    """In Redis, as FakeRedis plays it."""

    def __init__(self, is_sealed: bool) -> None:
        self._client = fakeredis.FakeRedis()
        self.use(RedisStore(self._client), is_sealed=is_sealed)

    def change(self, changed: dict[str, Any]) -> None:
        record = json.loads(self._client.get(self.store.redis_key(ALICE)))
        self.replace(as_json(with_changes(record, changed)))

    def replace(self, raw: bytes) -> None:
        name = self.store.redis_key(ALICE)
        if raw == b"list":
            self._client.delete(name)
            self._client.rpush(name, "1")
        else:
            self._client.set(name, raw)

    def confuse(self, is_sealed: bool) -> None:
        raw = self._client.get(self.store.redis_key(BOB))
        if is_sealed:
            self.change({"token": json.loads(raw)["token"]})
        else:
            self.replace(raw)


class SqlKept(Kept):
    """In a table of SQLite, which takes any value in any column."""

    names = (
        *("token", "version", "created_at", "updated_at", "expires_at"),
        *("provider_user_id", "refresh_failure"),
    )

    def __init__(self, is_sealed: bool) -> None:
        self._session = Session(_engine())
        self._session.execute(delete(Written))
        self._session.commit()
        self.use(SQLAlchemyStore(Written, self._session), is_sealed=is_sealed)

    def close(self) -> None:
        self._session.close()

    def change(self, changed: dict[str, Any]) -> None:
        columns = {column.name for column in Written.__table__.columns}
        for name, value in changed.items():
            if name in columns and not isinstance(value, dict | list):
                self._set(name, None if value is ... else value)
            elif name in columns:
                self._set(name, as_json(value).decode())

    def replace(self, raw: bytes) -> None:
        self._set("token", raw)

    def confuse(self, is_sealed: bool) -> None:
        if is_sealed:
            query = text(f"SELECT token FROM {Written.__tablename__} WHERE user_id = 'bob'")
            self._set("token", self._session.execute(query).scalar_one())

    def _set(self, column: str, value: Any) -> None:
        update = text(f"UPDATE {Written.__tablename__} SET {column} = :v WHERE user_id = 'alice'")
        try:
            self._session.execute(update, {"v": value})
            self._session.commit()
        except Exception:  # noqa: BLE001 - what the database does not take can't be there
            self._session.rollback()


class MemoryKept(Kept):
    """In memory, one token for everybody."""

    def __init__(self, is_sealed: bool) -> None:
        self.backend = MemoryBackend()

    def change(self, changed: dict[str, Any]) -> None:
        self.backend.token = with_changes(self.backend.token, changed)


class FileKept(Kept):
    """In a file, one token for everybody."""

    def __init__(self, is_sealed: bool) -> None:
        self._path = Path(_folder().name, "token")
        self.backend = FileBackend(self._path, cipher=CIPHER if is_sealed else None)

    def change(self, changed: dict[str, Any]) -> None:
        self.replace(as_json(with_changes(json.loads(self._path.read_bytes()), changed)))

    def replace(self, raw: bytes) -> None:
        self._path.write_bytes(raw)


KINDS: dict[str, type[Kept]] = {
    "mongo": MongoKept,
    "redis": RedisKept,
    "sql": SqlKept,
    "memory": MemoryKept,
    "file": FileKept,
}
"""Where a blueprint may have its tokens."""


@contextmanager
def kept_in(kind: str, is_sealed: bool = False) -> Iterator[Kept]:
    """Give what is empty, with or without a cipher."""
    kept = KINDS[kind](is_sealed)  # type: ignore[call-arg] # each of them takes it
    try:
        yield kept
    finally:
        kept.close()


@contextmanager
def empty_store(kind: str) -> Iterator[Any]:
    """Give an empty store of one of the databases, or one in memory."""
    if kind == "memory":
        yield MemoryStore()
    else:
        with kept_in(kind) as kept:
            yield kept.store


@cache
def _engine() -> Engine:
    # A file, since a lock is taken on a connection of its own; it need not survive anything.
    engine = create_engine(f"sqlite:///{_folder().name}/tokens.db", poolclass=NullPool)
    event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
    Base.metadata.create_all(engine)
    return engine


@cache
def _folder() -> Any:
    # It is removed when the process ends.
    return tempfile.TemporaryDirectory(prefix="fuzz-")
