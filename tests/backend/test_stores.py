"""Every store keeps the promises of the suite that is shipped."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import fakeredis
import mongomock
import pymongo
import pytest
import redis
from sqlalchemy import JSON, BigInteger, DateTime, Engine, create_engine
from sqlalchemy import text as text_of_sql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from examples.demo.embedded import free_port
from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import LocalCache, TokenCipher, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.cache.base import CachedStore, TokenCache
from flask_dance_nosql.consumer.backend.cache.shared import SharedCache
from flask_dance_nosql.consumer.backend.cipher.sealed import SealedStore
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.client import open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthAccountMixin,
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_account,
    unique_per_user,
)
from flask_dance_nosql.consumer.backend.store.base import SCAN_BATCH
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.testing import (
    AccountConformance,
    CorruptRecords,
    ServerDown,
    StoreConformance,
    make_document,
)
from flask_dance_nosql.testing.documents import (
    KEY,
    hundred_account_pairs,
    hundred_pairs,
    thousand_tokens,
)

from ..topologies import Topology

SEALING_KEY = TokenCipher.generate_key()

Raw = Callable[[TokenKey, str], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each test of a class be with all that the class has around its store."""
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", metafunc.cls.ways, ids="-".join)


# Whether tokens are sealed, and the cache: none, the one in memory, or Flask-Caching's on Redis.
# What seals and what caches asks no store of which kind it is. So each is over each store once, and
# all of them together are over the quickest store.
EVERY_WAY = list(product(["plain", "sealed"], ["no cache", "LocalCache", "Flask-Caching"]))
ONCE_EACH = [("plain", "no cache"), ("sealed", "LocalCache"), ("plain", "Flask-Caching")]
WITH_ACCOUNTS = [("plain", "no cache"), ("sealed", "no cache")]


class Conformance(StoreConformance):
    """The suite over a store as it is, with its tokens sealed, and with each kind of cache."""

    ways = ONCE_EACH

    @pytest.fixture
    def bare(self) -> TokenStore:
        """Return the store as it is."""
        raise NotImplementedError

    @pytest.fixture
    def sealing(self, way: tuple[str, str]) -> bool:
        """Whether tokens are sealed."""
        return way[0] == "sealed"

    @pytest.fixture
    def cache(self, way: tuple[str, str], request: pytest.FixtureRequest) -> TokenCache | None:
        """The cache, if any."""
        if way[1] == "no cache":
            return None
        if way[1] == "LocalCache":
            return LocalCache()
        return SharedCache(request.getfixturevalue("flask_cache").cache)

    @pytest.fixture
    def store(self, bare: TokenStore, sealing: bool, cache: TokenCache | None) -> TokenStore:
        """Return the store with all that is around it."""
        cached = bare if cache is None else CachedStore(bare, cache, 300, 30)
        return SealedStore(cached, TokenCipher(SEALING_KEY)) if sealing else cached

    # What is around a store is the same for all of them: fewer rounds are enough for that.

    @pytest.fixture
    def is_bare(self, sealing: bool, cache: TokenCache | None) -> bool:
        """Whether it is the store as it is."""
        return not sealing and cache is None

    @pytest.fixture
    def some_tokens(self, is_bare: bool) -> list[dict[str, Any]]:
        """Return a thousand tokens, or fewer."""
        return thousand_tokens() if is_bare else thousand_tokens()[::20]

    @pytest.fixture
    def some_keys(self, is_bare: bool) -> list[tuple[TokenKey, TokenKey]]:
        """Return a hundred pairs of keys, or fewer."""
        return hundred_pairs() if is_bare else hundred_pairs()[::5]

    @pytest.fixture
    def writes_each(self, is_bare: bool) -> int:
        """Return how often each thread writes at once."""
        return 50 if is_bare else 10

    @pytest.fixture
    def many(self, is_bare: bool) -> int:
        """Return how many documents a scan goes over: more than a batch, or fewer."""
        return SCAN_BATCH + 51 if is_bare else 60


class Accounts(AccountConformance):
    """The suite with an account in the key; to be the first base of a class."""

    ways = WITH_ACCOUNTS

    @pytest.fixture
    def some_keys(self, is_bare: bool) -> list[tuple[TokenKey, TokenKey]]:
        """Return a hundred pairs of keys, or fewer."""
        return hundred_account_pairs() if is_bare else hundred_account_pairs()[::5]


class TestMemoryStore(Conformance):
    """The store in memory."""

    ways = EVERY_WAY

    @pytest.fixture
    def bare(self) -> TokenStore:
        return MemoryStore()


class MockableMongoStore(MongoStore):
    """A store on mongomock, which has no ``$$NOW`` and is not safe under threads."""

    def __init__(self, collection: Any) -> None:
        super().__init__(OneAtATime(collection))

    @property
    def _now(self) -> Any:  # type: ignore[override]
        return {"$literal": int(clock.timestamp() * 1000)}


class OneAtATime:
    """A mocked collection whose methods run one at a time."""

    _mutex = threading.RLock()

    def __init__(self, collection: Any) -> None:
        self._mocked = collection

    def find_one_and_update(self, *args: Any, **kwargs: Any) -> Any:
        with self._mutex:
            return self._mocked.find_one_and_update(*args, **kwargs)

    def find_one(self, *args: Any, **kwargs: Any) -> Any:
        with self._mutex:
            return self._mocked.find_one(*args, **kwargs)

    def delete_one(self, *args: Any, **kwargs: Any) -> Any:
        with self._mutex:
            return self._mocked.delete_one(*args, **kwargs)

    def with_options(self, **kwargs: Any) -> Any:
        return OneAtATime(self._mocked.with_options(**kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mocked, name)


class MongoConformance(Conformance, CorruptRecords):
    """What differs for MongoDB: how a corrupt record is written."""

    @pytest.fixture
    def raw(self, collection: Any) -> Raw:
        def write(key: TokenKey, text: str) -> None:
            try:
                fields = json.loads(text)
            except ValueError:
                fields = {"token": text}
            fields = fields if isinstance(fields, dict) else {"token": fields}
            collection.replace_one({"_id": key.text}, fields, upsert=True)

        return write


class TestMongomock(MongoConformance):
    """The MongoDB store on a mock."""

    @pytest.fixture
    def collection(self) -> Any:
        return mongomock.MongoClient().tests.tokens

    @pytest.fixture
    def bare(self, collection: Any) -> TokenStore:
        return MockableMongoStore(collection)


class TestMongoServer(MongoConformance, ServerDown):
    """The MongoDB store on a server."""

    @pytest.fixture
    def collection(self, mongo_collection: Any) -> Any:
        return mongo_collection

    @pytest.fixture
    def bare(self, collection: Any) -> TokenStore:
        return MongoStore(collection)

    @pytest.fixture
    def unreachable_store(self) -> Iterator[TokenStore]:
        url = f"mongodb://127.0.0.1:{free_port()}"
        options: Any = {"serverSelectionTimeoutMS": 50, "connect": False}
        with pymongo.MongoClient[dict[str, Any]](url, **options) as client:
            yield MongoStore(client["tests"]["tokens"])


class Base(DeclarativeBase):
    """The base of the models."""


class OAuth(OAuthTokenMixin, Base):
    """A model whose users are texts, and which takes broken rows, too."""

    __table_args__ = unique_per_user()

    user_id: Mapped[str | None]
    token: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime | None] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)
    version: Mapped[int | None] = mapped_column(BigInteger)


class OAuthAccount(OAuthAccountMixin, Base):
    """The same, with several accounts for each user."""

    __table_args__ = unique_per_account()

    user_id: Mapped[str | None]
    token: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime | None] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)
    version: Mapped[int | None] = mapped_column(BigInteger)


class SQLAlchemyConformance(Conformance, CorruptRecords, ServerDown):
    """What differs for SQLAlchemy: how a corrupt record is written."""

    @pytest.fixture
    def model(self) -> type[Any]:
        """The model of the tokens."""
        return OAuth

    @pytest.fixture
    def bare(self, engine: Engine, model: type[Any]) -> Iterator[TokenStore]:
        with Session(engine) as session:
            store = SQLAlchemyStore(model, session)
            store.prepare()
            yield store

    @pytest.fixture
    def raw(self, engine: Engine, model: type[Any], as_json: Callable[[str], Any]) -> Raw:
        def write(key: TokenKey, text: str) -> None:
            try:
                fields = json.loads(text)
            except ValueError:
                fields = {"token": text}
            fields = fields if isinstance(fields, dict) else {"token": fields}
            token = as_json(fields["token"]) if "token" in fields else None
            owner = {"provider": key.provider, "user_id": key.user_id}
            row = {**owner, "token": token, "version": fields.get("version")}
            row |= {} if key.account is None else {"account": key.account}
            values = ", ".join(f":{name}" for name in row)
            insert = f"INSERT INTO {model.__tablename__} ({', '.join(row)}) VALUES ({values})"
            with engine.begin() as connection:
                connection.execute(text_of_sql(insert), row)

        return write

    @pytest.fixture
    def as_json(self) -> Callable[[str], Any]:
        """How a corrupt token is put into the column."""
        return json.dumps


class TestSQLite(SQLAlchemyConformance):
    """The SQLAlchemy store on SQLite, which takes text that is not JSON."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def as_json(self) -> Callable[[str], Any]:
        return lambda token: token if isinstance(token, str) else json.dumps(token)

    @pytest.fixture
    def unreachable_store(self, tmp_path: Path, model: type[Any]) -> Iterator[TokenStore]:
        engine = create_engine(f"sqlite:///{tmp_path}/no/such/folder/tokens.db")
        with Session(engine) as session:
            yield SQLAlchemyStore(model, session)
        engine.dispose()


class TestPostgreSQL(SQLAlchemyConformance):
    """The SQLAlchemy store on PostgreSQL."""

    @pytest.fixture
    def engine(self, postgresql_engine: Engine) -> Engine:
        return postgresql_engine

    @pytest.fixture
    def unreachable_store(self, model: type[Any]) -> Iterator[TokenStore]:
        engine = create_engine(f"postgresql+psycopg://u:p@127.0.0.1:{free_port()}/tokens")
        with Session(engine) as session:
            yield SQLAlchemyStore(model, session)
        engine.dispose()


class RedisConformance(Conformance, CorruptRecords):
    """What differs for Redis: how a corrupt record is written."""

    @pytest.fixture
    def bare(self, client: redis.Redis) -> TokenStore:
        return RedisStore(client)

    @pytest.fixture
    def raw(self, bare: TokenStore, client: redis.Redis) -> Raw:
        assert isinstance(bare, RedisStore)

        def write(key: TokenKey, text: str) -> None:
            client.set(bare.redis_key(key), text)

        return write


class TestFakeredis(RedisConformance):
    """The Redis store on a fake."""

    @pytest.fixture
    def client(self) -> redis.Redis:
        return fakeredis.FakeRedis()


class TestRedisServer(RedisConformance, ServerDown):
    """The Redis store on a server."""

    @pytest.fixture
    def client(self, redis_client: redis.Redis) -> redis.Redis:
        return redis_client

    @pytest.fixture
    def unreachable_store(self) -> TokenStore:
        return RedisStore(f"redis://127.0.0.1:{free_port()}")


class TestRedis8Server(RedisConformance):
    """The Redis store on a server of version 8, by RESP3 and with decoded responses."""

    @pytest.fixture
    def client(self, redis8_client: redis.Redis, redis8_server: Any) -> Iterator[redis.Redis]:
        options: Any = {"protocol": 3, "decode_responses": True}
        with redis.Redis.from_url(redis8_server.url, **options) as client:
            yield client


class TestRedisCluster(RedisConformance, ServerDown):
    """The Redis store on a cluster."""

    @pytest.fixture
    def client(self, redis_cluster_client: redis.RedisCluster) -> redis.RedisCluster:
        return redis_cluster_client

    @pytest.fixture
    def unreachable_store(self) -> TokenStore:
        return RedisStore(f"redis+cluster://127.0.0.1:{free_port()}")


class TestRedisSentinel(RedisConformance, ServerDown):
    """The Redis store on a master with a replica, which Sentinels name."""

    @pytest.fixture
    def client(self, sentinel_client: redis.Redis) -> redis.Redis:
        return sentinel_client

    @pytest.fixture
    def unreachable_store(self) -> TokenStore:
        return RedisStore(f"redis+sentinel://127.0.0.1:{free_port()}/tokens")


class TestMemoryStoreAccounts(Accounts, TestMemoryStore):
    """The store in memory, with accounts."""

    ways = EVERY_WAY


class TestMongomockAccounts(Accounts, TestMongomock):
    """The MongoDB store on a mock, with accounts."""


class TestMongoServerAccounts(Accounts, TestMongoServer):
    """The MongoDB store on a server, with accounts."""


class AccountModel:
    """Has the model with accounts in place of the other."""

    @pytest.fixture
    def model(self) -> type[Any]:
        """The model of the tokens."""
        return OAuthAccount


class TestSQLiteAccounts(AccountModel, Accounts, TestSQLite):
    """The SQLAlchemy store on SQLite, with accounts."""


class TestPostgreSQLAccounts(AccountModel, Accounts, TestPostgreSQL):
    """The SQLAlchemy store on PostgreSQL, with accounts."""


class TestSQLiteAccountModel(AccountModel, TestSQLite):
    """The model with accounts on SQLite, for keys without one."""

    ways = WITH_ACCOUNTS


class TestFakeredisAccounts(Accounts, TestFakeredis):
    """The Redis store on a fake, with accounts."""


class TestRedisServerAccounts(Accounts, TestRedisServer):
    """The Redis store on a server, with accounts."""


class TestRedisClusterAccounts(Accounts, TestRedisCluster):
    """The Redis store on a cluster, with accounts."""


class TestRedis8ServerAccounts(Accounts, TestRedis8Server):
    """The Redis store on Redis 8, with accounts."""


class TestRedisSentinelAccounts(Accounts, TestRedisSentinel):
    """The Redis store on a master with a replica, with accounts."""


@pytest.mark.parametrize("topology", ["redis_cluster", "redis_sentinel"])
def test_topologies_by_url(topology: str, request: pytest.FixtureRequest) -> None:
    """A URL of a cluster, or of Sentinels, is all that a store needs."""
    servers: Topology = request.getfixturevalue(topology)
    with open_url(servers.url) as client:
        store = RedisStore(client)
        saved = store.save(make_document())
        assert store.load(KEY) == saved
        assert [document.key for document in store.scan(user_id=KEY.user_id)] == [KEY]
        store.delete(KEY)
        assert store.load(KEY) is None
