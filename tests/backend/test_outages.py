"""A server is down at the start, comes up, goes away, and is back: one store goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from examples.demo.embedded import HOST, MongoServer, RedisServer, Server, free_port
from flask_dance_nosql.consumer.backend import TokenStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.errors import BackendUnavailable
from flask_dance_nosql.testing import make_document
from flask_dance_nosql.testing.documents import KEY

from .written import Base, Written

Place = tuple[TokenStore, Callable[[], Server]]


@pytest.fixture(params=["mongo", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store whose server is not there yet, and what starts it."""
    port = free_port()
    if request.param == "mongo":
        url, options = f"mongodb://{HOST}:{port}", {"serverSelectionTimeoutMS": 1000}
        with pymongo.MongoClient[dict[str, Any]](url, **options) as client:
            yield MongoStore(client["tests"]["tokens"]), lambda: MongoServer(tmp_path, port)
    else:
        with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
            yield RedisStore(client), lambda: RedisServer(tmp_path, port)


def test_store_goes_on_with_its_server(place: Place) -> None:
    """While the server is away there is ``BackendUnavailable``; when it is there, all is well."""
    store, start = place
    for _ in range(2):
        with pytest.raises(BackendUnavailable):
            store.load(KEY)
        with pytest.raises(BackendUnavailable):
            store.save(make_document())
        with start():
            saved = store.save(make_document())
            assert store.load(KEY) == saved
            store.ping()
    with pytest.raises(BackendUnavailable):
        store.load(KEY)


def test_what_was_saved_outlives_the_server(tmp_path: Path) -> None:
    """A token that was stored in MongoDB is there after a restart."""
    with MongoServer(tmp_path) as server:
        port = server.port
        with pymongo.MongoClient[dict[str, Any]](server.url) as client:
            saved = MongoStore(client["tests"]["tokens"]).save(make_document())
    with (
        MongoServer(tmp_path, port) as server,
        pymongo.MongoClient[dict[str, Any]](server.url) as client,
    ):
        assert MongoStore(client["tests"]["tokens"]).load(KEY) == saved


def test_dropped_connections_of_a_pool(postgresql_engine: Engine, postgresql_url: str) -> None:
    """Connections that PostgreSQL has dropped are one error at most, and then replaced."""
    Base.metadata.create_all(postgresql_engine)
    with Session(postgresql_engine) as session:
        store = SQLAlchemyStore(Written, session)
        saved = store.save(make_document())
        for _ in range(2):
            drop_connection(postgresql_engine, postgresql_url)
            with pytest.raises(BackendUnavailable):
                store.load(KEY)
            assert store.load(KEY) == saved


def drop_connection(engine: Engine, url: str) -> None:
    """Let the server drop the connection that is in the engine's pool."""
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT pg_backend_pid()"))
    admin = create_engine(url)
    with admin.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": number})
    admin.dispose()
