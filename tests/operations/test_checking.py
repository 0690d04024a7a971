"""Checks of stores: each planted fault is found, and a store that is right has no problem."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pymongo
import pytest
import sqlalchemy
import time_machine
from flask import Flask
from pymongo.collection import Collection
from pymongo.database import Database
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer.backend import (
    Finding,
    InvalidatedCache,
    MongoBackend,
    MovingBackend,
    RedisBackend,
    SQLAlchemyBackend,
    TenantCipher,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.cache.local import LocalCache
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.contrib.gitlab import make_gitlab_blueprint
from flask_dance_nosql.errors import BackendUnavailable
from flask_dance_nosql.operations import check_stores, prepare_stores
from tests.backend.places import document
from tests.backend.sqla.models import Base, OAuth, Plain, User
from tests.topologies import RedisClusterServers, RedisNode, RedisSentinelServers

ADA, BOB = TokenKey("github", "1"), TokenKey("github", "2")
SAFE = "--appendonly yes"
Documents = Collection[dict[str, Any]]


def found(backend: UserScopedBackend, **options: Any) -> dict[str, Finding]:
    """Return the findings that are not ok, by their names; each says what to do."""
    bad = {each.name: each for each in backend.check(**options) if each.status != "ok"}
    assert all(each.message and each.advice for each in bad.values())
    return bad


def problems(backend: UserScopedBackend, **options: Any) -> dict[str, Finding]:
    """Return the problems by their names."""
    bad = found(backend, **options)
    return {name: each for name, each in bad.items() if each.status == "problem"}


@pytest.fixture
def redis_safe(tmp_path: Path) -> Iterator[RedisNode]:
    """A Redis server that keeps what it is given."""
    with RedisNode(tmp_path, SAFE) as node:
        yield node


@pytest.fixture
def redis_backend(redis_safe: RedisNode) -> RedisBackend:
    """A backend on that server."""
    return RedisBackend(redis_safe.client, user_id="1")


@pytest.fixture
def mongo_backend(mongo_collection: Documents) -> MongoBackend:
    """A backend on a collection that is prepared."""
    backend = MongoBackend(mongo_collection, user_id="1")
    backend.store.prepare()
    return backend


@pytest.fixture(params=["sqlite_engine", "postgresql_engine"])
def engine(request: pytest.FixtureRequest) -> sqlalchemy.Engine:
    """An engine with the tables, and users 1 and 2."""
    engine: sqlalchemy.Engine = request.getfixturevalue(request.param)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([User(id=1), User(id=2)])
        session.commit()
    return engine


@pytest.fixture
def session(engine: sqlalchemy.Engine) -> Iterator[Session]:
    """A session on it."""
    with Session(engine) as session:
        yield session


@pytest.fixture(params=["mongo_backend", "redis_backend", "session", "memory"])
def any_backend(request: pytest.FixtureRequest) -> UserScopedBackend:
    """A backend on each kind of store, all of it as it should be."""
    if request.param == "memory":
        return UserScopedBackend(MemoryStore(), user_id="1")
    if request.param == "session":
        backend = SQLAlchemyBackend(OAuth, Session(request.getfixturevalue("sqlite_engine")))
        backend.store.prepare()
        return backend
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return] # a backend


def statuses(backend: UserScopedBackend, name: str) -> list[str]:
    """Return how often something was looked at, and how it was each time."""
    return [each.status for each in backend.check() if each.name == name]


class TestHealthy:
    def test_nothing_is_wrong_and_nothing_stays(
        self, request: pytest.FixtureRequest, any_backend: UserScopedBackend
    ) -> None:
        """A store of each kind that is right has no finding that is not ok, and stays empty."""
        assert found(any_backend) == {}
        assert list(any_backend.store.records()) == []

    def test_postgresql(self, engine: sqlalchemy.Engine, session: Session) -> None:
        """The model of the documentation is right on SQLite and on PostgreSQL."""
        backend = SQLAlchemyBackend(OAuth, session)
        backend.store.prepare()
        assert found(backend) == {}
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM flask_dance_oauth")) == 0

    def test_cluster_and_sentinels(
        self, redis_cluster: RedisClusterServers, redis_sentinel: RedisSentinelServers
    ) -> None:
        """Of a cluster each primary is looked at; the only fault is that the tests keep nothing."""
        backends = [RedisBackend(each.url) for each in (redis_cluster, redis_sentinel)]
        assert [problems(each).keys() for each in backends] == [{"persistence"}] * 2
        assert statuses(backends[0], "clock") == ["ok"] * 3
        assert statuses(backends[0], "cluster") == ["ok"]

    def test_probe_leaves_nothing(
        self,
        redis_backend: RedisBackend,
        redis_safe: RedisNode,
        mongo_backend: MongoBackend,
        mongo_collection: Documents,
    ) -> None:
        """The probe leaves nothing, neither a record nor an entry beside it."""
        redis_backend.check()
        mongo_backend.check()
        assert redis_safe.client.keys() == []
        assert list(mongo_collection.find()) == []

    @pytest.mark.parametrize("operation", ["load_fresh", "save"])
    def test_probe_that_fails_leaves_nothing(
        self, operation: str, redis_safe: RedisNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A probe that fails midway removes what it has written, and says how far it came."""
        backend = RedisBackend(redis_safe.client)
        do = getattr(backend.store, operation)

        def failing(*args: Any) -> None:
            do(*args)
            assert len(redis_safe.client.keys("*:token:*")) == 1
            raise RuntimeError("a secret")

        monkeypatch.setattr(backend.store, operation, failing)
        probe = problems(backend)["probe"]
        assert "RuntimeError" in probe.message
        assert "secret" not in probe.message
        assert redis_safe.client.keys() == []

    def test_check_makes_no_index(self, mongo_collection: Documents) -> None:
        """A check of an unprepared collection finds what is missing, again and again."""
        backend = MongoBackend(mongo_collection)
        for _ in range(2):
            bad = problems(backend)
            assert bad.keys() == {"index expires_at", "index user_id, provider"}
            assert "flask tokens prepare" in bad["index expires_at"].advice

    def test_records_of_a_probe_are_in_no_scan(self, redis_backend: RedisBackend) -> None:
        """While a probe is under way, nobody who lists tokens sees its record."""
        store: Any = redis_backend.store
        seen: list[Any] = []

        class Looking(RedisStore):
            def load_fresh(self, key: TokenKey) -> Any:
                seen.extend([*store.scan(), *store.records()])
                return super().load_fresh(key)

        backend = UserScopedBackend(Looking(store._client.get()))
        assert problems(backend) == {}
        assert seen == []

    def test_errors_are_findings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever a store raises, the check says it, without the text of the error."""
        store = MemoryStore()

        def broken(*_: object) -> Any:
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr(store, "ping", broken)
        [ping] = UserScopedBackend(store).check()
        assert (ping.name, ping.status) == ("ping", "problem")
        assert "secret" not in repr(ping)
        for operation in ("checks", "records"):
            store = MemoryStore()
            monkeypatch.setattr(store, operation, broken)
            told = UserScopedBackend(store).check()
            assert any("ZeroDivisionError" in each.message for each in told)

    def test_server_that_is_away(self, closed_port: int) -> None:
        """Of a server that does not answer there is one finding, without its address."""
        for backend in (
            RedisBackend(f"redis://:hush@127.0.0.1:{closed_port}"),
            SQLAlchemyBackend(OAuth, f"postgresql+psycopg://u:hush@127.0.0.1:{closed_port}/x"),
        ):
            [ping] = backend.check()
            assert ping.status == "problem"
            assert "hush" not in repr(ping)


class TestMongo:
    """Faults of MongoDB."""

    @pytest.mark.parametrize(
        ("name", "keys", "options", "told"),
        [
            ("index expires_at", "expires_at", {"expireAfterSeconds": 3600}, "3600 seconds"),
            ("index expires_at", "expires_at", {}, "does not remove"),
            ("index user_id, provider", ["user_id", "provider"], {"unique": True}, "unique"),
            ("index user_id, provider", ["user_id", "provider"], {"sparse": True}, "a part"),
            ("other indexes", "updated_at", {"expireAfterSeconds": 60}, "removes records"),
        ],
    )
    def test_index_of_other_options(
        self, mongo_collection: Documents, name: str, keys: Any, options: Any, told: str
    ) -> None:
        """An index with options that lose records or refuse them is found."""
        mongo_collection.create_index(keys, **options)
        backend = MongoBackend(mongo_collection)
        backend.store.prepare()
        bad = problems(backend)
        assert bad.keys() == {name}
        assert told in bad[name].message
        assert "Drop the index" in bad[name].advice

    def test_unique_index_in_the_way(
        self, mongo_backend: MongoBackend, mongo_collection: Documents
    ) -> None:
        """An index that keeps something else unique is told of."""
        mongo_collection.create_index("provider_user_id", unique=True)
        assert found(mongo_backend)["other indexes"].status == "warning"

    def test_write_concern_and_read_preference(self, mongo_collection: Documents) -> None:
        """Writes to one server, or that nobody acknowledges, and reads from replicas are told."""
        weak = mongo_collection.with_options(
            write_concern=pymongo.WriteConcern(1), read_preference=pymongo.ReadPreference.NEAREST
        )
        MongoBackend(weak).store.prepare()
        bad = found(MongoBackend(weak))
        assert {name: each.status for name, each in bad.items()} == {
            "write concern": "warning",
            "read preference": "warning",
        }
        blind = mongo_collection.with_options(write_concern=pymongo.WriteConcern(0))
        assert "write concern" in problems(MongoBackend(blind))

    @pytest.mark.parametrize(
        ("answer", "name"),
        [({"isWritablePrimary": False}, "replica"), ({"collation": {"locale": "de"}}, "collation")],
    )
    def test_what_no_server_here_can_show(
        self,
        mongo_backend: MongoBackend,
        monkeypatch: pytest.MonkeyPatch,
        answer: dict[str, Any],
        name: str,
    ) -> None:
        """A secondary, and a collection with a collation, are found; the answer is a stub's."""
        command = Database.command

        def answered(self: Any, what: Any, *args: Any, **options: Any) -> Any:
            real = command(self, what, *args, **options)
            return {**real, **answer} if what == "hello" else real

        monkeypatch.setattr(Database, "command", answered)
        monkeypatch.setattr(Collection, "options", lambda *_: answer)
        assert problems(mongo_backend).keys() == {name}


class TestRedis:
    """Faults of Redis."""

    def test_eviction(self, redis_backend: RedisBackend, redis_safe: RedisNode) -> None:
        """A policy that drops tokens is found, and one that may drop some."""
        for policy, status in (("allkeys-lru", "problem"), ("volatile-ttl", "warning")):
            redis_safe.client.config_set("maxmemory-policy", policy)
            eviction = found(redis_backend)["eviction"]
            assert (eviction.status, policy in eviction.message) == (status, True)
            assert "noeviction" in eviction.advice

    def test_persistence(self, redis_backend: RedisBackend, redis_safe: RedisNode) -> None:
        """A server that keeps nothing is found, and one that has snapshots only."""
        redis_safe.client.config_set("appendonly", "no")
        assert "appendonly" in problems(redis_backend)["persistence"].advice
        redis_safe.client.config_set("save", "60 1")
        assert found(redis_backend)["persistence"].status == "warning"

    def test_memory(self, redis_backend: RedisBackend, redis_safe: RedisNode) -> None:
        """A server that is almost full is found."""
        used = int(redis_safe.client.info("memory")["used_memory"])
        redis_safe.client.config_set("maxmemory", used + used // 100)
        assert "memory" in problems(redis_backend)

    def test_replica(self, redis_sentinel: RedisSentinelServers) -> None:
        """A replica in place of the primary is found, by its role and by the probe."""
        bad = problems(RedisBackend(redis_sentinel.replica.client))
        assert {"replica", "probe"} <= bad.keys()
        assert "primary" in bad["replica"].advice

    def test_client_of_one_server_at_a_cluster(self, redis_cluster: RedisClusterServers) -> None:
        """A client for a single server that talks to a node of a cluster is found."""
        bad = problems(RedisBackend(redis_cluster.nodes[0].client))
        assert "redis+cluster://" in bad["cluster"].advice

    def test_no_write_permission(self, redis_safe: RedisNode) -> None:
        """A user of the database who may only read is found."""
        _allow(redis_safe, "reader on >pw ~* +@read +ping +info +time +config|get")
        url = f"redis://reader:pw@127.0.0.1:{redis_safe.port}"
        bad = problems(RedisBackend(url))
        assert bad.keys() == {"probe", "locks"}
        assert "write" in bad["probe"].advice

    def test_commands_that_are_not_allowed(self, redis_safe: RedisNode) -> None:
        """What a hosted service forbids to ask is no problem, but something not told."""
        _allow(redis_safe, "app on >pw ~* +@all -info -config")
        backend = RedisBackend(f"redis://app:pw@127.0.0.1:{redis_safe.port}")
        assert problems(backend) == {}
        bad = found(backend)
        assert {"eviction", "persistence", "memory", "replica"} <= bad.keys()
        assert all("could not be told" in each.message for each in bad.values())


class TestSQL:
    """Faults of relational databases."""

    def test_no_table(self, engine: sqlalchemy.Engine, session: Session) -> None:
        """Tables that are missing are found, and made by a preparation."""
        Base.metadata.drop_all(engine, tables=[Base.metadata.tables["flask_dance_oauth"]])
        backend = SQLAlchemyBackend(OAuth, session)
        assert problems(backend).keys() >= {"table flask_dance_oauth"}
        backend.store.prepare()

    def test_no_column_and_no_index(self, engine: sqlalchemy.Engine, session: Session) -> None:
        """A table that lacks a column of the model, or an index, is found."""
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX ix_flask_dance_oauth_expires_at")
        assert "index expires_at" in found(SQLAlchemyBackend(OAuth, session))
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE flask_dance_oauth DROP COLUMN refresh_failure")
        bad = problems(SQLAlchemyBackend(OAuth, session))
        assert "refresh_failure" in bad["table flask_dance_oauth"].message

    def test_constraint_that_the_database_lacks(self, sqlite_engine: sqlalchemy.Engine) -> None:
        """A constraint of the model that its table lacks is found, and rows that are double."""
        _without_constraint(sqlite_engine)
        with Session(sqlite_engine) as session:
            backend = SQLAlchemyBackend(OAuth, session)
            assert problems(backend).keys() == {"unique"}
            session.add_all([OAuth(provider="github", user_id=1, token={}) for _ in range(3)])
            session.add_all([OAuth(provider="github", user_id=None, token={}) for _ in range(2)])
            session.commit()
            bad = problems(backend)
        assert bad["duplicate rows"].message.startswith("2 owners")
        assert "Delete" in bad["duplicate rows"].advice

    def test_duplicates_of_a_model_that_allows_them(self, session: Session) -> None:
        """A model that is not unique per user is told of; rows that are double are a problem."""
        backend = SQLAlchemyBackend(Plain, session)
        assert "unique_per_user" in found(backend)["unique"].advice
        assert "OAuthTokenMixin" in found(backend)["model"].advice
        assert problems(backend) == {}
        session.add_all([Plain(provider="github", user_id=1, token={}) for _ in range(2)])
        session.commit()
        assert problems(backend).keys() == {"duplicate rows"}

    def test_constraint_in_the_way(self, engine: sqlalchemy.Engine, session: Session) -> None:
        """An index that lets only one user have a provider is found."""
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE UNIQUE INDEX one ON flask_dance_oauth (provider)")
        assert "provider unique" in problems(SQLAlchemyBackend(OAuth, session))["unique"].message

    @pytest.mark.parametrize(
        ("given", "status"),
        [(1_000, "ok"), (1_500_000_000, "warning"), (2_100_000_000, "problem")],
        ids=["few", "many", "nearly all"],
    )
    def test_row_numbers(
        self, postgresql_engine: sqlalchemy.Engine, given: int, status: str
    ) -> None:
        """Numbers of 32 bits that come to their end are found, and the advice mends it."""
        table = "flask_dance_oauth"
        Base.metadata.create_all(postgresql_engine)
        with postgresql_engine.begin() as connection:
            # As Flask-Dance's model has it.
            connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN id TYPE integer")
            sequence = f"{table}_id_seq"
            connection.exec_driver_sql(f"ALTER SEQUENCE {sequence} AS integer")
            connection.exec_driver_sql(f"SELECT setval('{sequence}', {given})")
        with Session(postgresql_engine) as session:
            backend = SQLAlchemyBackend(OAuth, session)
            (number,) = (each for each in backend.check() if each.name == "row numbers")
            assert number.status == status
            if status == "ok":
                return
            with postgresql_engine.begin() as connection:
                connection.exec_driver_sql(number.advice.removeprefix("Run: "))
            assert "row numbers" not in found(backend)

    def test_no_write_permission(
        self, postgresql_engine: sqlalchemy.Engine, postgresql_url: str
    ) -> None:
        """A role of PostgreSQL that may only read is found, and nothing is written."""
        Base.metadata.create_all(postgresql_engine)
        role = f"reader_{uuid.uuid4().hex}"
        with postgresql_engine.begin() as connection:
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
            connection.exec_driver_sql(f"CREATE ROLE {role}")
            connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        options = {"options": f"-c search_path={schema} -c role={role}"}
        reader = sqlalchemy.create_engine(postgresql_url, connect_args=options)
        try:
            with Session(reader) as session:
                bad = problems(SQLAlchemyBackend(OAuth, session))
            assert bad.keys() == {"probe", "locks"}
            assert "InsufficientPrivilege" in bad["probe"].message
        finally:
            reader.dispose()
            with postgresql_engine.begin() as connection:
                connection.exec_driver_sql(f"DROP OWNED BY {role}")
                connection.exec_driver_sql(f"DROP ROLE {role}")

    def test_no_permission_for_locks(
        self, postgresql_engine: sqlalchemy.Engine, postgresql_url: str
    ) -> None:
        """A role that may do all with tokens, and nothing with locks, can't refresh."""
        Base.metadata.create_all(postgresql_engine)
        role = f"tokens_{uuid.uuid4().hex}"
        SQLAlchemyBackend(OAuth, Session(postgresql_engine)).store.prepare()
        with postgresql_engine.begin() as connection:
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
            connection.exec_driver_sql(f"CREATE ROLE {role}")
            connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
            connection.exec_driver_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
            connection.exec_driver_sql(f"REVOKE ALL ON flask_dance_locks FROM {role}")
        options = {"options": f"-c search_path={schema} -c role={role}"}
        limited = sqlalchemy.create_engine(postgresql_url, connect_args=options)
        try:
            with Session(limited) as session:
                assert problems(SQLAlchemyBackend(OAuth, session)).keys() == {"locks"}
        finally:
            limited.dispose()
            with postgresql_engine.begin() as connection:
                connection.exec_driver_sql(f"DROP OWNED BY {role}")
                connection.exec_driver_sql(f"DROP ROLE {role}")

    def test_read_only(self, postgresql_engine: sqlalchemy.Engine, postgresql_url: str) -> None:
        """A database whose transactions only read, as a replica's do, is found."""
        Base.metadata.create_all(postgresql_engine)
        with postgresql_engine.connect() as connection:
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
        limits = f"-c search_path={schema} -c default_transaction_read_only=on"
        reader = sqlalchemy.create_engine(postgresql_url, connect_args={"options": limits})
        with Session(reader) as session:
            assert problems(SQLAlchemyBackend(OAuth, session)).keys() == {
                "probe",
                "locks",
                "replica",
            }
        reader.dispose()

    def test_read_only_file(self, sqlite_engine: sqlalchemy.Engine) -> None:
        """An SQLite database that takes no writes is found."""
        Base.metadata.create_all(sqlite_engine)
        url = f"sqlite:///file:{sqlite_engine.url.database}?mode=ro&uri=true"
        reader = sqlalchemy.create_engine(url)
        with Session(reader) as session:
            assert problems(SQLAlchemyBackend(OAuth, session)).keys() == {"probe", "locks"}
        reader.dispose()

    def test_no_commit_and_no_other_connection(self) -> None:
        """With the session's own connection only, what the session has not committed stays."""
        engine = sqlalchemy.create_engine("sqlite://")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(User(id=7))
            session.flush()
            assert problems(SQLAlchemyBackend(OAuth, session, commit=False)) == {}
            assert session.get(User, 7) is not None
            session.rollback()
            assert session.get(User, 7) is None
        engine.dispose()


def _allow(node: RedisNode, rules: str) -> None:
    client: Any = node.client
    client.execute_command("ACL", "SETUSER", *rules.split())


def _without_constraint(engine: sqlalchemy.Engine) -> None:
    """Create the table of the model as an application's migration may have, without constraints."""
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE flask_dance_oauth")
        columns = ", ".join(
            f"{column.name} {column.type.compile(engine.dialect)}"
            f"{' PRIMARY KEY' if column.primary_key else ''}"
            for column in OAuth.__table__.columns
        )
        connection.exec_driver_sql(f"CREATE TABLE flask_dance_oauth ({columns})")
        connection.exec_driver_sql("CREATE INDEX expiry ON flask_dance_oauth (expires_at)")


@pytest.mark.parametrize("kind", ["mongo_backend", "redis_backend", "sqlite", "postgresql"])
def test_clock_that_is_off(request: pytest.FixtureRequest, kind: str) -> None:
    """A clock that is 5 minutes off the server's is found, whichever is ahead."""
    if kind.endswith("_backend"):
        backend = request.getfixturevalue(kind)
    else:
        engine = request.getfixturevalue(f"{kind}_engine")
        Base.metadata.create_all(engine)
        backend = SQLAlchemyBackend(OAuth, Session(engine))
    for off in (300, -300):
        with time_machine.travel(time.time() + off):
            clock = problems(backend)["clock"]
        assert any(f"{seconds}." in clock.message for seconds in (299, 300, 301))
        assert "NTP" in clock.advice


class TestRecords:
    """What is stored, and under which key."""

    @pytest.fixture(params=["mongo_collection", "redis_safe", "memory"])
    def store(self, request: pytest.FixtureRequest) -> Any:
        """A store of each kind that is right."""
        if request.param == "memory":
            return MemoryStore()
        place = request.getfixturevalue(request.param)
        if request.param == "redis_safe":
            return RedisStore(place.client)
        store = MongoStore(place)
        store.prepare()
        return store

    def test_keys(self, store: Any) -> None:
        """A key that is not here is a problem; a fallback is told of, if it is used, and if not."""
        old, new, other, unused = (TokenCipher.generate_key() for _ in range(4))
        ids = dict(
            zip(
                "onxu",
                (TokenCipher(k).key_ids()[0] for k in (old, new, other, unused)),
                strict=True,
            )
        )
        for number, key in enumerate((old, new, new, other)):
            sealing = UserScopedBackend(store, user_id=number, cipher=TokenCipher(key))
            sealing.store.save(document(TokenKey("github", str(number))))
        backend = UserScopedBackend(store, cipher=TokenCipher(new, [old, unused]))
        bad = found(backend)
        assert ids["x"] in bad["missing key"].message
        assert "fallbacks" in bad["missing key"].advice
        told = {each.message: each for each in backend.check() if each.name == "fallback key"}
        [used, idle] = told.values()
        assert ids["o"] in used.message
        assert "reseal" in used.advice
        assert ids["u"] in idle.message
        assert "Take it away" in idle.advice
        assert problems(backend).keys() == {"missing key"}
        keys = (old, new, other, unused)
        assert not any(key in repr(backend.check()) for key in keys)

    def test_wrong_key_and_no_cipher(self, store: Any) -> None:
        """Tokens under another key, and encrypted tokens without any cipher, are problems."""
        key = TokenCipher.generate_key()
        UserScopedBackend(store, cipher=TokenCipher(key)).store.save(document(ADA))
        wrong = UserScopedBackend(store, cipher=TokenCipher(TokenCipher.generate_key()))
        assert problems(wrong).keys() == {"missing key"}
        message = problems(UserScopedBackend(store))["cipher"].message
        assert message == "1 token is encrypted; there is no cipher."

    def test_damaged(self, store: Any) -> None:
        """A sealed token in another's record is found."""
        cipher = TokenCipher(TokenCipher.generate_key())
        store.save(document(BOB, cipher.seal(ADA, {"access_token": "at"})))
        assert problems(UserScopedBackend(store, cipher=cipher)).keys() == {"damaged tokens"}

    def test_plain_tokens(self, store: Any) -> None:
        """Plain tokens under a cipher are found; where it takes them, it is told of."""
        key = TokenCipher.generate_key()
        store.save(document(ADA))
        strict = UserScopedBackend(store, cipher=TokenCipher(key))
        lenient = UserScopedBackend(store, cipher=TokenCipher(key, allow_plaintext=True))
        assert "allow_plaintext" in problems(strict)["plain tokens"].advice
        assert "reseal" in found(lenient)["plain tokens"].advice
        assert problems(lenient) == {}
        lenient.store.save(document(ADA))
        assert found(strict) == {}
        assert "Take" in found(lenient)["plain tokens"].advice

    def test_key_that_is_missing(self, store: Any) -> None:
        """Without a key in the configuration the check says so, and not that tokens are broken."""
        cipher = TokenCipher(TokenCipher.generate_key())
        UserScopedBackend(store, cipher=cipher).store.save(document(ADA))
        with Flask(__name__).app_context():
            bad = problems(UserScopedBackend(store, cipher=TokenCipher()))
        assert bad.keys() == {"cipher"}
        assert "FLASK_DANCE_TOKEN_KEY" in bad["cipher"].advice

    def test_keys_of_tenants(self, store: Any) -> None:
        """Where each tenant has keys, it is told which tokens are not under their tenant's own."""
        keys = {str(number): [TokenCipher.generate_key()] for number in range(5)}

        def keys_for(key: TokenKey) -> list[str]:
            return keys[str(key.user_id)]

        cipher = TenantCipher(keys_for, seconds=0)
        backend = UserScopedBackend(store, cipher=cipher)
        for number in range(5):
            backend.store.save(document(TokenKey("github", str(number))))
        assert found(backend) == {}
        keys["1"] = [TokenCipher.generate_key(), *keys["1"]]
        keys["2"] = [TokenCipher.generate_key()]
        del keys["3"]
        damaged = cipher.seal(TokenKey("github", "0"), {"access_token": "at"})
        keys["4"] = keys["0"]
        store.save(document(TokenKey("github", "4"), damaged))
        bad = found(backend)
        assert bad.keys() == {"fallback key", "missing key", "keys of tenants", "damaged tokens"}
        assert bad["fallback key"].message.startswith("1 token ")
        assert "reseal" in bad["fallback key"].advice
        assert bad["missing key"].message.startswith("1 token ")
        assert "1 token could not be had: there are none" in bad["keys of tenants"].message
        assert problems(backend).keys() == bad.keys() - {"fallback key"}

    @pytest.mark.parametrize(
        ("error", "questions"),
        [(BackendUnavailable("open", "key service"), 1), (ValueError("a secret"), 3)],
    )
    def test_key_service_that_is_down(self, store: Any, error: Exception, questions: int) -> None:
        """It is asked once in a walk, and a function that fails for a tenant once for each."""
        cipher = TenantCipher(lambda _: TokenCipher.generate_key())
        backend = UserScopedBackend(store, cipher=cipher)
        for number in range(9):
            backend.store.save(document(TokenKey("github", str(number))))
        asked = []

        def keys_for(key: TokenKey) -> str:
            asked.append(key)
            raise error

        def tenant_of(key: TokenKey) -> int:
            return int(key.user_id or 0) % 3

        bad = problems(UserScopedBackend(store, cipher=TenantCipher(keys_for, tenant_of)))
        assert bad["keys of tenants"].message.startswith("The keys for 9 tokens could not be had")
        assert len(asked) == questions

    def test_two_that_move(self, store: Any) -> None:
        """Of two backends both are checked, each with its key; findings say of which they are."""
        key, other = TokenCipher.generate_key(), TokenCipher.generate_key()
        old = UserScopedBackend(MemoryStore(), cipher=TokenCipher(key))
        new = UserScopedBackend(store, cipher=TokenCipher(other, [key]))
        old.store.save(document(ADA))
        store.save(document(BOB))
        backend = MovingBackend(new, old)
        assert found(backend).keys() == {"plain tokens (new)", "fallback key (new)"}
        names = {each.name for each in backend.check()}
        assert {"ping (new)", "ping (old)", "key (old)", "records (old)"} <= names

    def test_sample(self, store: Any) -> None:
        """A sample looks at so many records, and draws no conclusion from those it has not seen."""
        key, unused = TokenCipher.generate_key(), TokenCipher.generate_key()
        backend = UserScopedBackend(store, cipher=TokenCipher(key, [unused]))
        for number in range(5):
            backend.store.save(document(TokenKey("github", str(number))))
        assert found(backend).keys() == {"fallback key"}
        assert found(backend, sample=5).keys() == {"fallback key"}
        assert found(backend, sample=3) == {}
        [records] = [each for each in backend.check(sample=3) if each.name == "records"]
        assert records.message.startswith("3 records were read, and there are more")

    def test_unreadable(
        self,
        redis_backend: RedisBackend,
        redis_safe: RedisNode,
        mongo_backend: MongoBackend,
        mongo_collection: Documents,
        sqlite_engine: sqlalchemy.Engine,
    ) -> None:
        """A record that can't be read is found in each store."""
        redis_backend.store.save(document(ADA))
        redis_safe.client.set(redis_backend.store.redis_key(ADA), "{")  # type: ignore[attr-defined]
        mongo_collection.insert_one({"_id": BOB.text, "provider": "github", "token": 7})
        Base.metadata.create_all(sqlite_engine)
        with sqlite_engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO flask_dance_oauth (provider, created_at, token, version, updated_at)"
                " VALUES ('github', '2031-02-03 04:05:06', '[', 1, '2031-02-03 04:05:06')"
            )
        with Session(sqlite_engine) as session:
            backends = (redis_backend, mongo_backend, SQLAlchemyBackend(OAuth, session))
            for backend in backends:
                bad = problems(backend)
                assert bad.keys() == {"unreadable records"}
                assert bad["unreadable records"].message.startswith("1 record ")
                assert "log" in bad["unreadable records"].advice

    def test_records_are_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that is asked about records takes one walk over them."""
        store = MemoryStore()
        walks: list[int] = []
        records = store.records

        def walk(*args: Any) -> Any:
            walks.append(1)
            return records(*args)

        monkeypatch.setattr(store, "records", walk)
        cipher = TokenCipher(TokenCipher.generate_key())
        UserScopedBackend(store, cipher=cipher, cache=LocalCache()).check()
        assert walks == [1]

    def test_cache(self, redis_safe: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cache that keeps nothing is told of; the check leaves nothing in one that does."""
        cache = LocalCache()
        backend = UserScopedBackend(MemoryStore(), cache=cache)
        assert statuses(backend, "cache") == ["ok"]
        other = InvalidatedCache(redis_safe.client)
        backend = UserScopedBackend(MemoryStore(), cache=other)
        assert statuses(backend, "cache") == ["ok"]
        other.close()
        assert statuses(backend, "cache") == ["warning"]
        backend = UserScopedBackend(MemoryStore(), cache=cache)
        monkeypatch.setattr(cache, "fill", lambda *_: None)
        assert found(backend)["cache"].status == "warning"


class TestApplication:
    """All stores of an application."""

    @pytest.mark.parametrize("setting", ["several_accounts", "exclusive_accounts"])
    def test_accounts_that_the_model_can_not_keep(
        self, sqlite_engine: sqlalchemy.Engine, setting: str
    ) -> None:
        """What a blueprint wants of the accounts, and the store can't do, is a problem."""
        Base.metadata.create_all(sqlite_engine)
        with Session(sqlite_engine) as session:
            backends = (SQLAlchemyBackend(Plain, session), UserScopedBackend(MemoryStore()))
            app = _app(*backends)
            for blueprint in app.blueprints.values():
                setattr(blueprint, setting, True)
            with app.app_context():
                told = [
                    (each.name, each.status)
                    for report in check_stores()
                    for each in report.findings
                    if each.name.startswith("accounts")
                ]
        assert told == [("accounts of github", "problem"), ("accounts of gitlab", "ok")]

    def test_place_of_several_backends(self) -> None:
        """Backends with a place in common look at their own records, each with its own cipher."""
        store = MemoryStore()
        cipher = TokenCipher(TokenCipher.generate_key())
        app = _app(
            UserScopedBackend(store, user_id="1", cipher=cipher),
            UserScopedBackend(store, user_id="1"),
        )
        with app.app_context():
            sealed, plain = (each.backend for each in app.extensions["flask_dance_nosql"])
            sealed.store.save(document(ADA))
            plain.store.save(document(TokenKey("gitlab", "1")))
            reports = check_stores()
        assert [report.blueprints for report in reports] == [["github"], ["gitlab"]]
        assert not any(report.has_problem for report in reports)
        store.save(document(TokenKey("gone", "1")))
        with app.app_context():
            assert [report.has_problem for report in check_stores()] == [True, False]

    def test_reports_are_json(self) -> None:
        """A report can be written as JSON."""
        app = _app(UserScopedBackend(MemoryStore(), user_id="1"))
        with app.app_context():
            text = msgspec.json.encode(check_stores())
        assert [each["status"] for each in json.loads(text)[0]["findings"]] == ["ok"] * 5

    def test_prepare(self, mongo_collection: Documents, sqlite_engine: sqlalchemy.Engine) -> None:
        """A preparation says what it has made, and what it has left as it was."""
        with Session(sqlite_engine) as session:
            app = _app(
                MongoBackend(mongo_collection, user_id="1"), SQLAlchemyBackend(OAuth, session)
            )
            with app.app_context():
                first, second = prepare_stores()
                assert first.made == ["index expires_at", "index user_id, provider"]
                assert second.made == ["table flask_dance_oauth", "table flask_dance_locks"]
                assert [each.made for each in prepare_stores()] == [[], []]
                mongo_collection.drop_index("expires_at_1")
                mongo_collection.create_index("expires_at")
                [left] = prepare_stores()[0].left
        assert left.name == "index expires_at"


def _app(*backends: UserScopedBackend) -> Flask:
    app = Flask(__name__)
    app.secret_key = "s"
    makers: list[Callable[..., Any]] = [make_github_blueprint, make_gitlab_blueprint]
    for make, backend in zip(makers, backends, strict=False):
        app.register_blueprint(make("id", "secret", backend=backend), url_prefix="/login")
    return app
