"""Records as they were written before there were accounts are read, and stay as they are."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import cachelib
import pytest
import redis
from sqlalchemy import Engine, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer.backend import TokenCipher, TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.cache.shared import SharedCache
from flask_dance_nosql.consumer.backend.cipher.sealed import SealedStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthAccountMixin,
    OAuthTokenMixin,
    SQLAlchemyStore,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

KEY = TokenKey("acme", "user 42")
TOKEN = {"access_token": "at-old", "scope": ["a b"]}
VERSION = 1795677722629571
MOMENT = datetime(2026, 11, 1, 12, 0, 0, 250000, tzinfo=UTC)
DOCUMENT = TokenDocument(
    provider="acme",
    user_id="user 42",
    token=TOKEN,
    version=VERSION,
    created_at=MOMENT,
    updated_at=MOMENT,
)
JSON = (
    '{"version":1795677722629571,"created_at":"2026-11-01T12:00:00.250000Z",'
    '"updated_at":"2026-11-01T12:00:00.250000Z","expires_at":null,"provider":"acme",'
    '"user_id":"user 42","provider_user_id":null,'
    '"token":{"access_token":"at-old","scope":["a b"]},"format":1}'
)
SEALED = (
    "ASJwPbbs1U2YhkdObqtbb6_rOe4-ubbK6gyXjskbfUWiQFtucX5JTlaheyl58TZ8p0dVZYDmgQ47xjEpPhXWYI3_2BCY"
    "cDMluErPX3zA"
)
ROW = (
    "VALUES ('user 42', 1795677722629571, '2026-11-01 12:00:00.250000', NULL, NULL, 1, 'acme', "
    '\'2026-11-01 12:00:00.250000\', \'{"access_token": "at-old", "scope": ["a b"]}\')'
)


def check(store: Any) -> None:
    """Check that the old record is found, and is the one that is replaced."""
    assert store.load(KEY) == store.load_fresh(KEY) == DOCUMENT
    assert list(store.scan(user_id="user 42")) == list(store.scan("acme")) == [DOCUMENT]
    assert store.keys(None, "user 42") == store.keys("acme", "user 42") == [KEY]
    saved = store.save(DOCUMENT, if_version=VERSION)
    assert (saved.version, saved.created_at) == (VERSION + 1, MOMENT)


def test_mongodb(mongo_collection: Any) -> None:
    """A document without a field for the account, which a write does not add."""
    record = {
        "_id": "acme:u:user%2042",
        "version": VERSION,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "expires_at": None,
        "provider": "acme",
        "user_id": "user 42",
        "provider_user_id": None,
        "token": TOKEN,
        "format": 1,
    }
    mongo_collection.insert_one(record)
    check(MongoStore(mongo_collection))
    [found] = mongo_collection.find()
    assert found.keys() == record.keys()


def test_redis(redis_client: redis.Redis) -> None:
    """A string and an index; a write leaves a string of the same form."""
    redis_client.set("flask_dance:{u:user%2042}:token:acme", JSON)
    redis_client.zadd("flask_dance:{u:user%2042}:tokens", {"acme": float("inf")})
    check(RedisStore(redis_client))
    stored: Any = redis_client.get("flask_dance:{u:user%2042}:token:acme")
    assert stored.decode() == JSON.replace(str(VERSION), str(VERSION + 1))
    assert len(list(redis_client.scan_iter())) == 2


class Base(DeclarativeBase):
    """The base of the model of before."""


class OAuth(OAuthTokenMixin, Base):
    """A model without a column for the account."""

    __tablename__ = "old_tokens"
    user_id: Mapped[str | None] = mapped_column(String(50))


class NewBase(DeclarativeBase):
    """The base of the model of now."""


class OAuthWithAccount(OAuthAccountMixin, NewBase):
    """A model of the same table, which has got one."""

    __tablename__ = "old_tokens"
    user_id: Mapped[str | None] = mapped_column(String(50))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each database, with a table that has an old row."""
    made: Engine = request.getfixturevalue(f"{request.param}_engine")
    Base.metadata.create_all(made)
    columns = "user_id, version, updated_at, expires_at, provider_user_id, id, provider, created_at"
    with made.begin() as connection:
        connection.execute(text(f"INSERT INTO old_tokens ({columns}, token) {ROW}"))
    yield made
    Base.metadata.drop_all(made)


@pytest.mark.parametrize("model", [OAuth, OAuthWithAccount])
def test_sql(engine: Engine, model: type[Any]) -> None:
    """A row, also after the column for the account was added to its table."""
    if model is OAuthWithAccount:
        added = "ALTER TABLE old_tokens ADD COLUMN account VARCHAR(255) NOT NULL DEFAULT ''"
        with engine.begin() as connection:
            connection.execute(text(added))
    with Session(engine) as session:
        check(SQLAlchemyStore(model, session))


def test_sealed_tokens() -> None:
    """What is sealed for a user opens for that user, and for no account of theirs."""
    cipher = TokenCipher(base64.urlsafe_b64encode(bytes([1]) * 32).decode())
    store = MemoryStore()
    store._documents[KEY] = TokenDocument(
        **{
            **{name: getattr(DOCUMENT, name) for name in DOCUMENT.__struct_fields__},
            "token": {"sealed": SEALED},
        }
    )
    check(SealedStore(store, cipher))
    with pytest.raises(Exception, match="corrupt"):
        cipher.open(TokenKey("acme", "user 42", "A"), {"sealed": SEALED})


def test_a_shared_cache() -> None:
    """What another version has put into the cache is used."""
    cache, store = cachelib.SimpleCache(), Placed()
    stem = "flask_dance:{here:acme:u:user%2042}"
    cache.set(f"{stem}:turn", "3ClNhnaJGAEE7r8V")
    entry = f'{{"turn":"3ClNhnaJGAEE7r8V","of":"here:acme:u:user%2042","document":{JSON}}}'
    cache.set(f"{stem}:token", entry)
    assert CachedStore(store, SharedCache(cache), 300, 30).load(KEY) == DOCUMENT


class Placed(MemoryStore):
    """A store with a place that can be named."""

    @property
    def place(self) -> str:
        return "here"


def test_digests() -> None:
    """Names of locks, and whatever else is made of a key, are the same."""
    digest = "0d4c48a95780a434252c893757f6e186394e4fc5ebacd031b8b0e35051fd12b8"
    assert KEY.digest == digest
