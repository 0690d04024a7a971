"""Every place where tokens can be kept, behind one face for the tests that all must pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import fakeredis
import mongomock
import pymongo
import redis
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer.backend import (
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.mongo.source import COLLECTION
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from .written import Base, Written

MISSING = object()
"""In a change of a record: the field is taken away."""

Record = dict[str, Any]


class Place(Protocol):
    """A store, and a way past it to what it has really stored."""

    store: TokenStore

    def record(self, key: TokenKey) -> Any:
        """Return what lies under a key, or ``None``."""

    def change(self, key: TokenKey, changes: Record) -> None:
        """Change fields of the record under a key."""

    def copy(self, key: TokenKey, to: TokenKey) -> None:
        """Put what lies under a key under another one, too."""

    def count(self) -> int:
        """Return how many records there are."""


class MongoPlace:
    """A collection of a MongoDB server, or what acts like one."""

    def __init__(self, collection: Any) -> None:
        self.collection = collection
        self.store = MongoStore(collection, create_indexes=False)

    def record(self, key: TokenKey) -> Any:
        """Return the document under a key, or ``None``."""
        return self.collection.find_one({"_id": key.text})

    def change(self, key: TokenKey, changes: Record) -> None:
        """Change fields of the document under a key."""
        self._put(key, changed(self.record(key), changes))

    def copy(self, key: TokenKey, to: TokenKey) -> None:
        """Insert the document under a key under another one, too."""
        self._put(to, {**self.record(key), "_id": to.text})

    def count(self) -> int:
        """Return how many documents there are."""
        return int(self.collection.count_documents({}))

    def _put(self, key: TokenKey, record: Record) -> None:
        self.collection.replace_one({"_id": key.text}, record, upsert=True)


class RedisPlace:
    """A database of a Redis server, or what acts like one."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.store = RedisStore(client)

    def record(self, key: TokenKey) -> Any:
        """Return the text under a key, or ``None``."""
        return self.client.get(self.store.redis_key(key))

    def change(self, key: TokenKey, changes: Record) -> None:
        """Change fields of the JSON under a key, in the form in which the store writes it."""
        record = changed(json.loads(self.record(key)), changes)
        text = json.dumps(record, separators=(",", ":"))
        self.client.set(self.store.redis_key(key), text)

    def copy(self, key: TokenKey, to: TokenKey) -> None:
        """Put the text under a key under another one, too."""
        self.client.set(self.store.redis_key(to), self.record(key))

    def count(self) -> int:
        """Return how many tokens there are."""
        return sum(1 for _ in self.client.scan_iter("*:token:*"))


@contextmanager
def store_at(kind: str, address: str) -> Iterator[TokenStore]:
    """Open the store that other processes have opened by its address, and close it in the end."""
    with ExitStack() as stack:
        if kind == "mongo":
            client = stack.enter_context(pymongo.MongoClient[Record](address))
            yield MongoStore(client.get_default_database()[COLLECTION])
        elif kind == "redis":
            yield RedisStore(stack.enter_context(open_url(address)))
        else:
            engine = create_engine(address)
            stack.callback(engine.dispose)
            store = SQLAlchemyStore(Written, stack.enter_context(Session(engine)))
            store.prepare()
            stack.callback(Base.metadata.drop_all, engine)
            yield store


def changed(record: Record, changes: Record) -> Record:
    """Return a record with some fields changed, in the same order."""
    merged = {**record, **changes}
    return {name: value for name, value in merged.items() if value is not MISSING}


def document(key: TokenKey, token: Record | None = None, **fields: Any) -> TokenDocument:
    """Make a document as a backend does before it is saved."""
    moment = datetime(2031, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
    return TokenDocument(
        **{
            "provider": key.provider,
            "user_id": key.user_id,
            "account": key.account,
            "token": {"access_token": "at"} if token is None else token,
            "created_at": moment,
            "updated_at": moment,
            **fields,
        }
    )


@contextmanager
def mongomock_place(_: Callable[[str], Any]) -> Iterator[MongoPlace]:
    """MongoMock, which users test their applications with."""
    yield MongoPlace(mongomock.MongoClient()["tests"]["tokens"])


@contextmanager
def mongo_place(fixture: Callable[[str], Any]) -> Iterator[MongoPlace]:
    """A real server of MongoDB's protocol."""
    yield MongoPlace(fixture("mongo_collection"))


@contextmanager
def fake_place(decode: bool) -> Iterator[RedisPlace]:
    """FakeRedis, which users test their applications with."""
    with fakeredis.FakeRedis(decode_responses=decode) as client:
        yield RedisPlace(client)


@contextmanager
def redis_place(url: str, decode: bool) -> Iterator[RedisPlace]:
    """A real Redis server, emptied."""
    with redis.Redis.from_url(url, decode_responses=decode) as client:
        client.flushall()
        yield RedisPlace(client)
        client.flushall()


PLACES: dict[str, Callable[[Callable[[str], Any]], Any]] = {
    "mongomock": mongomock_place,
    "mongo": mongo_place,
    "fakeredis-bytes": lambda fixture: fake_place(False),
    "fakeredis-text": lambda fixture: fake_place(True),
    "redis6-bytes": lambda fixture: redis_place(fixture("redis_server").url, False),
    "redis6-text": lambda fixture: redis_place(fixture("redis_server").url, True),
    "redis8-bytes": lambda fixture: redis_place(fixture("redis8_server").url, False),
    "redis8-text": lambda fixture: redis_place(fixture("redis8_server").url, True),
}
"""How each place is made, given a function that returns a fixture by its name."""

REAL = ["mongo", "redis6-bytes", "redis8-bytes"]


class DictStore(MemoryStore):
    """A store in memory that also tells which operations were asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, TokenKey]] = []

    @property
    def documents(self) -> dict[TokenKey, TokenDocument]:
        """What is kept."""
        return self._documents

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, or ``None``."""
        self.calls.append(("load", key))
        return super().load(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Keep a document."""
        self.calls.append(("save", document.key))
        return super().save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Forget the document under a key."""
        self.calls.append(("delete", key))
        super().delete(key, if_version)


def scoped(store: TokenStore, **scoping: Any) -> UserScopedBackend:
    """Make a user-scoped backend on a store."""
    return UserScopedBackend(store, **scoping)


def new_mongo_client(url: str, **options: Any) -> Any:
    """Connect to a MongoDB server, with short patience."""
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=200, **options)
