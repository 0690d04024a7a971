"""Whether a load costs the same among a thousand tokens and among a million.

``python -m benchmarks.million [COUNT [STORE ...]]`` fills each store twice and measures in turns.
It takes some minutes and a few gigabytes.
"""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from pymongo import MongoClient
from redis import Redis
from sqlalchemy import String, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from examples.demo.embedded import MongoServer, RedisServer
from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)

from .rounds import compare
from .stores import TOKEN

FEW, MANY = 1_000, 1_000_000
BATCH = 5_000

Fill = Callable[[Iterable[TokenDocument]], None]


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthTokenMixin, Base):
    """A table of tokens, as the documentation advises it."""

    __table_args__ = unique_per_user()

    user_id: Mapped[str | None] = mapped_column(String(50))


def documents(count: int) -> Iterator[list[TokenDocument]]:
    """Yield documents of as many users, in batches."""
    now = clock.now()
    one = TokenDocument(
        provider="provider", user_id="0", token=TOKEN, created_at=now, updated_at=now, version=1
    )
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        yield [msgspec.structs.replace(one, user_id=str(number)) for number in numbers]


def mongo_store(stack: ExitStack, folder: Path, count: int) -> TokenStore:
    """Fill a collection of MongoDB."""
    client: Any = stack.enter_context(MongoClient(stack.enter_context(MongoServer(folder)).url))
    store = MongoStore(client["bench"]["tokens"])
    store.prepare()
    for batch in documents(count):
        rows = [{"_id": d.key.text, **msgspec.structs.asdict(d)} for d in batch]
        client["bench"]["tokens"].insert_many(rows, ordered=False)
    return store


def redis_store(stack: ExitStack, folder: Path, count: int) -> TokenStore:
    """Fill a Redis database."""
    client = stack.enter_context(Redis.from_url(stack.enter_context(RedisServer(folder)).url))
    store = RedisStore(client)
    for batch in documents(count):
        with client.pipeline(transaction=False) as pipeline:
            for document in batch:
                pipeline.set(store.redis_key(document.key), msgspec.json.encode(document))
            pipeline.execute()
    return store


def sqlite_store(stack: ExitStack, folder: Path, count: int) -> TokenStore:
    """Fill a table of SQLite."""
    engine = create_engine(f"sqlite:///{folder}/tokens.db")
    stack.callback(engine.dispose)
    store = SQLAlchemyStore(OAuth, stack.enter_context(Session(engine)))
    store.prepare()
    for batch in documents(count):
        rows = [
            {
                **msgspec.structs.asdict(document),
                "created_at": document.created_at.replace(tzinfo=None),
                "updated_at": document.updated_at.replace(tzinfo=None),
            }
            for document in batch
        ]
        for row in rows:
            del row["format"]
        with engine.begin() as connection:
            connection.execute(insert(OAuth), rows)
    return store


def loader(store: TokenStore, count: int) -> Callable[[], object]:
    """Return what loads the token of a user by chance."""
    chance = random.Random(7)

    def load() -> object:
        document = store.load(TokenKey("provider", str(chance.randrange(count))))
        if document is None:
            raise LookupError("there should be one")
        return document

    return load


def peak_bytes(load: Callable[[], object]) -> int:
    """Return the most memory that one load takes in this process, as the median of 101."""
    load()
    peaks = []
    tracemalloc.start()
    for _ in range(101):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        load()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return sorted(peaks)[50]


STORES = {"mongo": mongo_store, "redis": redis_store, "sqlite": sqlite_store}


def main(count: str = str(MANY), *names: str) -> None:
    """Measure each store, or only those that are named, and print the ratios."""
    many = int(count)
    print(f"a load among {many:,} tokens, as a multiple of one among {FEW:,}")
    for name in names or STORES:
        make = STORES[name]
        with ExitStack() as stack:
            loads = []
            for tokens in (many, FEW):
                folder = Path(stack.enter_context(TemporaryDirectory()))
                loads.append(loader(make(stack, folder, tokens), tokens))
            row = compare("", loads[0], "", loads[1])
            low, middle, high = row.quartiles
            memory = peak_bytes(loads[0]) / peak_bytes(loads[1])
            print(f"{name:8} time {middle:.2f} ({low:.2f} to {high:.2f})  memory {memory:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
