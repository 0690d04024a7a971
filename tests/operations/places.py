"""Real databases for the tests of operations, and tokens in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pymongo
import pytest
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_dance_nosql.consumer.backend import TokenKey, TokenStore
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


def key_of(number: int) -> TokenKey:
    """Return the key of a user of a number."""
    return TokenKey(("github", "gitlab")[number % 2], str(number))
