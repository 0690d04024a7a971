"""Records that can't be read: sealed with a key that is no longer there, or no token at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fakeredis
import mongomock
from flask import session as flask_session
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer.backend import (
    FileBackend,
    LocalCache,
    SessionBackend,
    TokenCipher,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..backend.written import Base, Written
from .site import KEY, Browser, of_user

LOST, NEW = TokenCipher(TokenCipher.generate_key()), TokenCipher(TokenCipher.generate_key())

Damaged = tuple[Any, Callable[[Browser], object]]
"""A backend, and what damages the record that it has stored in a browser's request."""

Make = Callable[[Path], contextlib.AbstractContextManager[Damaged]]


def swapped(before: Any, after: Any) -> contextlib.AbstractContextManager[Damaged]:
    """Store by one backend, and then have the blueprint use the other."""

    def swap(browser: Browser) -> None:
        browser.site.blueprint.backend = after

    return contextlib.nullcontext((before, swap))


def sealed(**options: Any) -> contextlib.AbstractContextManager[Damaged]:
    """Seal with a key, and lose it."""
    store = MemoryStore()
    backends = [UserScopedBackend(store, cipher=each, **options) for each in (LOST, NEW)]
    return swapped(*backends)


def cached() -> contextlib.AbstractContextManager[Damaged]:
    """Seal with a key that is lost, where a cache has the record."""
    store, cache = MemoryStore(), LocalCache()
    return swapped(*(of_user(store, cipher=each, cache=cache) for each in (LOST, NEW)))


def unsealed() -> contextlib.AbstractContextManager[Damaged]:
    """Store what is not sealed, and ask for what is."""
    store = MemoryStore()
    return swapped(of_user(store), of_user(store, cipher=NEW))


def file_sealed(folder: Path) -> contextlib.AbstractContextManager[Damaged]:
    """Seal a file with a key that is lost."""
    return swapped(*(FileBackend(folder / "token", cipher=each) for each in (LOST, NEW)))


def file_garbage(text: str) -> Make:
    """Write something else into the file."""

    def make(folder: Path) -> contextlib.AbstractContextManager[Damaged]:
        path = folder / "token"
        return contextlib.nullcontext((FileBackend(path), lambda browser: path.write_text(text)))

    return make


def session_sealed(folder: Path) -> contextlib.AbstractContextManager[Damaged]:
    """Seal the cookie's token with a key that is lost."""
    return swapped(*(SessionBackend(cipher=each) for each in (LOST, NEW)))


def session_garbage(value: Any) -> Make:
    """Put something else in the place of the cookie's token."""

    def damage(browser: Browser) -> None:
        browser.do(lambda: flask_session.__setitem__("acme_oauth_token", value))

    return lambda folder: contextlib.nullcontext((SessionBackend(), damage))


def redis_garbage(change: Callable[[str], str]) -> Make:
    """Change the text that Redis has."""

    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Damaged]:
        with fakeredis.FakeRedis(decode_responses=True) as client:
            store = RedisStore(client)
            name = store.redis_key(KEY)
            yield of_user(store), lambda browser: client.set(name, change(client.get(name)))

    return make


def mongo_garbage(folder: Path) -> contextlib.AbstractContextManager[Damaged]:
    """Put a text in the place of the token that MongoDB has."""
    collection = mongomock.MongoClient()["tests"]["tokens"]
    store = MongoStore(collection, create_indexes=False)

    def damage(browser: Browser) -> None:
        change = {"$set": {"token": "garbage"}}
        assert collection.update_one({"_id": KEY.text}, change).matched_count == 1

    return contextlib.nullcontext((of_user(store), damage))


@contextlib.contextmanager
def sql_garbage(folder: Path) -> Iterator[Damaged]:
    """Put a text in the place of the token that a table has."""
    engine = create_engine(f"sqlite:///{folder}/tokens.db")
    Base.metadata.create_all(engine)

    def damage(browser: Browser) -> None:
        with engine.begin() as connection:
            changed = connection.execute(update(Written.__table__).values(token="garbage"))
            assert changed.rowcount == 1

    with Session(engine) as session:
        yield of_user(SQLAlchemyStore(Written, session)), damage
    engine.dispose()


def no_token(text: str) -> str:
    """Return a document whose token is a text."""
    return json.dumps({**json.loads(text), "token": "garbage"})


UNREADABLE: dict[str, Make] = {
    "sealed": lambda folder: sealed(user_id=1),
    "sealed, cached": lambda folder: cached(),
    "sealed, app": lambda folder: sealed(),
    "sealed, browser": lambda folder: sealed(scope="browser"),
    "not sealed": lambda folder: unsealed(),
    "file, sealed": file_sealed,
    "file, no JSON": file_garbage("{"),
    "file, no object": file_garbage('"garbage"'),
    "session, sealed": session_sealed,
    "session, text": session_garbage("garbage"),
    "session, list": session_garbage(["garbage"]),
    "redis, no JSON": redis_garbage(lambda text: "garbage"),
    "redis, no token": redis_garbage(no_token),
    "mongo, no token": mongo_garbage,
    "sql, no token": sql_garbage,
}
"""How a record of each kind comes to be unreadable, given a folder of the test's."""
