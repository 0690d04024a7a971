"""Stores, each on a real server, and all that is really in their databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import redis
import sqlalchemy
from msgspec.structs import replace
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer.backend import TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthAccountMixin,
    SQLAlchemyStore,
    unique_per_account,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthAccountMixin, Base):
    """Tokens, with accounts, of users whose ids are texts."""

    __table_args__ = unique_per_account()
    user_id: Mapped[str | None] = mapped_column(sqlalchemy.String(100))


class Kept:
    """A store, and all that is really in its database.

    Attributes:
        store: The store.
        text: Returns everything in the database as text.
        spoil: Makes the record of a key one that can't be read.
    """

    def __init__(
        self, store: TokenStore, text: Callable[[], str], spoil: Callable[[TokenKey], object]
    ) -> None:
        self.store = store
        self.text = text
        self.spoil = spoil


def of_mongo(fixture: Callable[[str], Any]) -> Iterator[Kept]:
    """MongoDB."""
    collection = fixture("mongo_collection")
    store = MongoStore(collection)
    store.prepare()
    yield Kept(
        store,
        lambda: repr(list(collection.find())),
        lambda key: collection.update_one({"_id": key.text}, {"$set": {"token": 5}}),
    )


def redis_text(client: Any, targets: dict[str, Any]) -> str:
    """Return the names and values of all keys of a server or a cluster."""
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
    }
    names = list(client.scan_iter(**targets))
    return repr([(name, read[client.type(name)](name)) for name in names])


def of_redis(fixture: Callable[[str], Any]) -> Iterator[Kept]:
    """Redis."""
    client = fixture("redis_client")
    store = RedisStore(client)
    yield Kept(
        store,
        lambda: redis_text(client, {}),
        lambda key: client.set(store.redis_key(key), "at-secret-odd"),
    )


def of_cluster(fixture: Callable[[str], Any]) -> Iterator[Kept]:
    """Redis Cluster."""
    client = fixture("redis_cluster_client")
    store = RedisStore(client)
    yield Kept(
        store,
        lambda: redis_text(client, {"target_nodes": redis.RedisCluster.PRIMARIES}),
        lambda key: client.set(store.redis_key(key), "at-secret-odd"),
    )


def of_sql(engine: sqlalchemy.Engine) -> Iterator[Kept]:
    """A database of SQLAlchemy."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        store.prepare()

        def text() -> str:
            with engine.connect() as connection:
                tables = [OAuth.__table__, Base.metadata.tables["flask_dance_locks"]]
                return repr([connection.execute(sqlalchemy.select(t)).all() for t in tables])

        def spoil(key: TokenKey) -> None:
            row = (OAuth.user_id == key.user_id) & (OAuth.provider == key.provider)
            with engine.begin() as connection:
                connection.execute(sqlalchemy.update(OAuth).where(row).values(token="odd"))

        yield Kept(store, text, spoil)
    Base.metadata.drop_all(engine)


def of_memory(_: Callable[[str], Any]) -> Iterator[Kept]:
    """The process's memory."""
    store = MemoryStore()

    def spoil(key: TokenKey) -> None:
        store.save(replace(store._documents[key], token={"sealed": "odd"}))

    yield Kept(
        store,
        lambda: repr([(k, d.token, d.provider_user_id) for k, d in store._documents.items()]),
        spoil,
    )


KEPT: dict[str, Callable[[Callable[[str], Any]], Iterator[Kept]]] = {
    "mongo": of_mongo,
    "redis": of_redis,
    "cluster": of_cluster,
    "postgresql": lambda fixture: of_sql(fixture("postgresql_engine")),
    "sqlite": lambda fixture: of_sql(fixture("sqlite_engine")),
    "memory": of_memory,
}
