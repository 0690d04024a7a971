"""Real databases for the tests of operations, and tokens in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pymongo
import pytest
import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..backend.written import Base, Written

KINDS = ["mongo", "redis", "postgresql"]
EVERY_KIND = ["memory", *KINDS, "sqlite"]


@contextmanager
def store_of_kind(
    kind: str, request: pytest.FixtureRequest, name: str = "a"
) -> Iterator[TokenStore]:
    """Give an empty store of a kind of database, which no other name shares."""
    client: Any
    with ExitStack() as stack:
        if kind == "memory":
            yield MemoryStore()
        elif kind == "mongo":
            url = request.getfixturevalue("mongo_server").url
            client = stack.enter_context(pymongo.MongoClient[dict[str, Any]](url))
            client.drop_database(f"operations_{name}")
            yield MongoStore(client[f"operations_{name}"].tokens)
        elif kind == "redis":
            client = stack.enter_context(open_url(request.getfixturevalue("redis_server").url))
            for each in client.scan_iter(f"{name}:*"):
                client.delete(each)
            yield RedisStore(client, prefix=name)
        else:
            engine = request.getfixturevalue(f"{kind}_engine")
            Base.metadata.create_all(engine)
            session = scoped_session(sessionmaker(engine))
            stack.callback(Base.metadata.drop_all, engine)
            stack.callback(session.remove)
            yield SQLAlchemyStore(Written, session)


@contextmanager
def store_at(kind: str, address: str, name: str) -> Iterator[TokenStore]:
    """Open a store as several processes do, by its address, and leave what is there."""
    client: Any
    if kind == "mongo":
        with pymongo.MongoClient[dict[str, Any]](address) as client:
            yield MongoStore(client[f"operations_{name}"].tokens)
    elif kind == "redis":
        with open_url(address) as client:
            yield RedisStore(client, prefix=name)
    else:
        engine = create_engine(address, pool_size=20)
        session = scoped_session(sessionmaker(engine))
        try:
            yield SQLAlchemyStore(Written, session)
        finally:
            session.remove()
            engine.dispose()


def address_of(kind: str, request: pytest.FixtureRequest) -> str:
    """Return the address of a server, whose database is made ready."""
    if kind != "postgresql":
        url: str = request.getfixturevalue(f"{kind}_server").url
        return url
    engine = request.getfixturevalue("postgresql_engine")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        schema = connection.exec_driver_sql("SHOW search_path").scalar()
    full = engine.url.update_query_dict({"options": f"-c search_path={schema}"})
    return str(full.render_as_string(hide_password=False))


def put_quickly(kind: str, store: Any, documents: list[TokenDocument]) -> None:
    """Insert documents past the store, many at a time."""
    if kind == "mongo":
        rows = [{**msgspec.structs.asdict(each), "_id": each.key.text} for each in documents]
        for row in rows:
            del row["account"], row["refresh_failure"]
        store._at.primary.insert_many(rows)
    elif kind == "redis":
        pipeline = store._client.get().pipeline(transaction=False)
        for each in documents:
            pipeline.set(store.redis_key(each.key), msgspec.json.encode(each))
        pipeline.execute()
    else:
        names = ("provider", "user_id", "token", "version", "created_at", "updated_at")
        rows = [{name: getattr(each, name) for name in names} for each in documents]
        for row in rows:
            for name in ("created_at", "updated_at"):
                row[name] = row[name].replace(tzinfo=None)
        with store._transactions.write() as connection:
            connection.execute(sqlalchemy.insert(Written), rows)


def key_of(number: int) -> TokenKey:
    """Return the key of a user of a number."""
    return TokenKey(("github", "gitlab")[number % 2], str(number))
