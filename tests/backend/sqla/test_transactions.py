"""Which connection and transaction an operation takes, and which database it is about."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Delete, Engine, StaticPool, Update, create_engine, make_url, select, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from flask_dance_nosql.consumer.backend import LocalCache, SQLAlchemyBackend, TokenKey
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    saving,
    unique_per_user,
)
from flask_dance_nosql.errors import BackendUnavailable, VersionConflict
from flask_dance_nosql.testing import at_once, make_document

from ..test_outages import drop_connection
from .models import ADA, NEW, OLD, Base, OAuth, Plain, User, engine_of, load, statements

# A save apart from the session's transaction.


@pytest.fixture(params=[OAuth, Plain])
def uncommitted(
    request: pytest.FixtureRequest, session: Session, monkeypatch: pytest.MonkeyPatch
) -> SQLAlchemyStore:
    """A store that leaves the commit to the session, with and without a constraint."""
    monkeypatch.setattr(saving, "_LOCK_TIMEOUT", 1)
    return SQLAlchemyStore(request.param, session, commit=False)


def committed(store: SQLAlchemyStore, engine: Engine) -> Any:
    """Return the token that others see."""
    model: Any = store._columns.mapper.class_
    with Session(engine) as other:
        found = SQLAlchemyStore(model, other).load(ADA)
    return None if found is None else found.token


@pytest.mark.parametrize("in_place", [True, False])
def test_save_apart_outlives_a_rollback(
    uncommitted: SQLAlchemyStore, session: Session, engine: Engine, in_place: bool
) -> None:
    """What a refresh has got stays, whatever becomes of the view, which has read the token."""
    version = 0
    if in_place:
        version = uncommitted.save(make_document(ADA, OLD)).version
        session.commit()
    seen = uncommitted.load_fresh(ADA)
    assert (0 if seen is None else seen.version) == version
    saved = uncommitted.save_apart(make_document(ADA, NEW), if_version=version)
    session.rollback()
    assert load(uncommitted).version == saved.version
    assert committed(uncommitted, engine) == NEW


def test_rows_of_the_session_are_read_anew(session: Session) -> None:
    """A row that the session has loaded in its transaction shows what was saved apart from it."""
    session.add(OAuth(provider="demo", user_id=1, token=OLD))
    session.commit()
    row = session.scalars(select(OAuth)).one()
    store = SQLAlchemyStore(OAuth, session, commit=False)
    assert store.save_apart(make_document(ADA, NEW)).version == row.version
    assert row.token == NEW


@pytest.mark.parametrize("kind", ["updated", "deleted", "updated by the store"])
def test_session_has_written_the_same_row(
    uncommitted: SQLAlchemyStore, session: Session, engine: Engine, kind: str
) -> None:
    """A row that the session has locked is written in its transaction, after seconds."""
    version = uncommitted.save(make_document(ADA, OLD)).version
    session.commit()
    row = session.scalars(select(uncommitted._columns.mapper.class_)).one()
    if kind == "updated by the store":
        version = uncommitted.save(make_document(ADA, {"n": 1})).version
    elif kind == "updated":
        row.token = {"n": 1}
        session.flush()
        version = load(uncommitted).version
    else:
        session.delete(row)
        session.flush()
        version = 0
    began = time.monotonic()
    uncommitted.save_apart(make_document(ADA, NEW), if_version=version)
    assert time.monotonic() - began < 30
    assert load(uncommitted).token == NEW
    assert committed(uncommitted, engine) == OLD
    session.commit()
    assert committed(uncommitted, engine) == NEW


@pytest.mark.parametrize("by_store", [True, False])
@pytest.mark.parametrize("compared", [True, False])
def test_session_has_inserted_the_row(
    uncommitted: SQLAlchemyStore, session: Session, engine: Engine, compared: bool, by_store: bool
) -> None:
    """A row that only the session sees is written in its transaction, and no second one is made."""
    if by_store:
        uncommitted.save(make_document(ADA, OLD))
    else:
        model = uncommitted._columns.mapper.class_
        session.add(model(provider="demo", user_id=1, token=OLD))
        session.flush()
    version = load(uncommitted).version if compared else None
    uncommitted.save_apart(make_document(ADA, NEW), if_version=version)
    assert committed(uncommitted, engine) is None
    session.commit()
    assert committed(uncommitted, engine) == NEW
    assert len(list(uncommitted.scan())) == 1


def test_save_apart_for_a_user_who_is_not_committed(session: Session, engine: Engine) -> None:
    """A token of a user whom only the session knows is saved with that user."""
    session.add(User(id=4, name="pending"))
    store = SQLAlchemyStore(OAuth, session, commit=False)
    key = TokenKey("demo", "4")
    store.save_apart(make_document(key, NEW))
    if engine.dialect.name == "postgresql":
        session.rollback()
        assert store.load(key) is None
        session.add(User(id=4, name="pending"))
        store.save_apart(make_document(key, NEW))
    session.commit()
    assert load(store, key).token == NEW


def test_save_apart_compares_versions(uncommitted: SQLAlchemyStore, session: Session) -> None:
    """A newer token is not replaced."""
    version = uncommitted.save(make_document(ADA, NEW)).version
    session.commit()
    for outdated in (0, version + 1):
        with pytest.raises(VersionConflict):
            uncommitted.save_apart(make_document(ADA, OLD), if_version=outdated)
    assert load(uncommitted).token == NEW


def test_waits_of_the_session_are_as_before(session: Session, engine: Engine) -> None:
    """The bound on waits ends with the save: the connection goes back as it was."""
    query = "SHOW lock_timeout" if engine.dialect.name == "postgresql" else "PRAGMA busy_timeout"
    engine.dispose()
    with engine.connect() as connection:
        before = connection.exec_driver_sql(query).scalar()
    SQLAlchemyStore(OAuth, session, commit=False).save_apart(make_document(ADA))
    with engine.connect() as connection:
        assert connection.exec_driver_sql(query).scalar() == before


@pytest.mark.parametrize("commit", [True, False])
def test_save_apart_on_the_only_connection(engine: Engine, commit: bool) -> None:
    """Where the session's connection is the only one, the session's transaction decides."""
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(connection) as session:
            store = SQLAlchemyStore(OAuth, session, commit=commit)
            saved = store.save_apart(make_document(ADA, NEW))
            assert load(store) == saved
        transaction.rollback()
    with Session(engine) as session:
        assert SQLAlchemyStore(OAuth, session).load(ADA) is None


def test_save_apart_in_memory() -> None:
    """An in-memory SQLite database has one connection, whose transaction the session ends."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        store = SQLAlchemyStore(OAuth, session, commit=False)
        store.save_apart(make_document(ADA, NEW))
        session.rollback()
        assert store.load(ADA) is None
    engine.dispose()


def test_save_apart_with_commit_is_a_save(session: Session, engine: Engine) -> None:
    """Where a save commits anyway, it is the same, and costs the same."""
    store = SQLAlchemyStore(OAuth, session)
    with statements(engine) as seen:
        store.save_apart(make_document(ADA, NEW))
    assert len(seen) == 1
    assert committed(store, engine) == NEW


def test_user_is_inserted_before_the_token(session: Session) -> None:
    """With ``commit=False`` a user who is pending in the session is flushed before a token."""
    session.add(User(id=4, name="pending"))
    store = SQLAlchemyStore(OAuth, session, commit=False)
    store.save(make_document(TokenKey("demo", "4"), NEW))
    session.commit()
    assert load(store, TokenKey("demo", "4")).token == NEW


# Where reads and writes go.


class Routed(Session):
    """A session that reads from a follower, as SQLAlchemy's documentation has it."""

    leader: Engine
    follower: Engine

    def get_bind(self, mapper: Any = None, clause: Any = None, **_: Any) -> Engine:  # type: ignore[override]
        """Return the leader for what writes."""
        return self.leader if isinstance(clause, Update | Delete) else self.follower


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[type[Routed]]:
    """Sessions of a leader and a follower that lags behind: it never gets anything."""

    class Here(Routed):
        leader = create_engine(f"sqlite:///{tmp_path}/leader.db")
        follower = create_engine(f"sqlite:///{tmp_path}/follower.db")

    for engine in (Here.leader, Here.follower):
        Base.metadata.create_all(engine)
    yield Here
    for engine in (Here.leader, Here.follower):
        engine.dispose()


@pytest.mark.parametrize("commit", [True, False])
def test_routing_session(routed: type[Routed], commit: bool) -> None:
    """Writes, locks and fresh reads go to the leader, and other reads to the follower."""
    with Session(routed.follower) as session:
        SQLAlchemyStore(Plain, session).save(make_document(ADA, {"of": "follower"}))
    with statements(routed.follower) as seen, routed() as session:
        store = SQLAlchemyStore(Plain, session, commit=commit)
        store.prepare()
        saved = store.save(make_document(ADA, OLD), if_version=0)
        assert (store.load_fresh(ADA) or pytest.fail("none")).token == OLD
        session.commit()
        store.save_apart(make_document(ADA, NEW), if_version=saved.version)
        with store.lock(ADA) or pytest.fail("the lock is taken"):
            assert (store.load_fresh(ADA) or pytest.fail("none")).token == NEW
        assert seen == []
        assert load(store).token == {"of": "follower"}
        assert [document.token for document in store.scan()] == [{"of": "follower"}]
        store.ping()
        assert len(seen) == 3
        store.delete(ADA)
        assert store.load_fresh(ADA) is None


def test_fresh_read_sees_what_the_session_has_written(
    uncommitted: SQLAlchemyStore, session: Session
) -> None:
    """With ``commit=False`` a fresh read is one of the session's transaction."""
    saved = uncommitted.save(make_document(ADA, NEW))
    assert uncommitted.load_fresh(ADA) == saved
    session.rollback()
    assert uncommitted.load_fresh(ADA) is None


# Databases are told apart.


def place(bind: Any, model: Any = OAuth) -> str:
    """Return the place of a store whose session is bound to this."""
    with Session(bind) as session:
        return SQLAlchemyStore(model, session).place


def place_of_url(url: str) -> str:
    """Return the place of a store with a database's URL, which is not connected to."""
    return SQLAlchemyStore(OAuth, url).place


PG = "postgresql+psycopg://"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"{PG}a:b@h/d", f"{PG}c:d@h/d", True),
        (f"{PG}h/d?x=1&y=2", f"{PG}h/d?y=2&x=1", True),
        (f"{PG}h/d", f"{PG}h2/d", False),
        (f"{PG}h/d", f"{PG}h/d2", False),
        (f"{PG}h:1/d", f"{PG}h:2/d", False),
        (f"{PG}/d?host=/a", f"{PG}/d?host=/b", False),
        (PG, PG, False),
        ("sqlite:///a.db", f"sqlite:///{Path.cwd()}/a.db", True),
        ("sqlite:///a.db", "sqlite:///b.db", False),
        ("sqlite://", "sqlite://", False),
        ("sqlite:///:memory:", "sqlite:///:memory:", False),
        ("sqlite:///file::memory:?uri=true", "sqlite:///file::memory:?uri=true", False),
    ],
)
def test_places_of_urls(one: str, other: str, same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server and database make the place, and neither user nor password."""
    # As if a connection had been made.
    monkeypatch.setattr(PGDialect_psycopg, "default_schema_name", "public")
    assert (place_of_url(one) == place_of_url(other)) is same


def test_place_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place goes into keys of caches, where no password belongs."""
    monkeypatch.setattr(PGDialect_psycopg, "default_schema_name", "public")
    shown = place_of_url(f"{PG}ada:pw-secret@h/d?sslpassword=pw-secret")
    assert "secret" not in shown
    assert "ada" not in shown


def test_place_of_one_database() -> None:
    """Sessions on one engine have one place, in memory, too; each schema and table its own."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    a = engine.execution_options(schema_translate_map={None: "a"})
    b = engine.execution_options(schema_translate_map={None: "b"})
    assert place(engine) == place(engine)
    assert len({place(engine), place(a), place(b), place(engine, Plain)}) == 4
    with engine.connect() as connection:
        assert place(connection) == place(engine)
        connection.execution_options(schema_translate_map={None: "a"})
        assert place(connection) == place(a)
    engine.dispose()


def test_place_follows_what_changes_on_an_engine() -> None:
    """Options of an engine may be changed in place, and its pool be another one from then on."""
    engine = create_engine("sqlite://")
    places = [place(engine)]
    for schema in ("a", "b"):
        engine.update_execution_options(schema_translate_map={None: schema})
        places.append(place(engine))
    engine.dispose()
    places.append(place(engine))
    assert len(set(places)) == 4
    assert place(engine) == places[-1]
    engine.dispose()


def test_place_is_of_the_bind_that_a_scoped_session_chooses() -> None:
    """A subclass of ``scoped_session`` that has a ``get_bind`` of its own is asked for it."""
    engines = [create_engine("sqlite://", poolclass=StaticPool) for _ in range(2)]

    class ByTenant(scoped_session[Session]):
        tenant = 0

        def get_bind(self, *args: Any, **kwargs: Any) -> Any:
            return engines[self.tenant]

    session = ByTenant(sessionmaker(engines[0]))
    store = SQLAlchemyStore(OAuth, session)
    places = [store.place]
    session.tenant = 1
    places.append(store.place)
    assert places == [place(engine) for engine in engines]
    for engine in engines:
        engine.dispose()


def test_place_of_a_server_that_is_down(closed_port: int) -> None:
    """It is nobody's, since the schema is not known yet, and an engine is not held for it."""
    engine = create_engine(f"{PG}h@127.0.0.1:{closed_port}/d")
    assert place(engine) != place(engine)
    known = ref(engine.pool)
    del engine
    gc.collect()
    assert known() is None


def test_place_is_known_by_the_first_connection(postgresql_engine: Engine) -> None:
    """It takes no statement besides those with which SQLAlchemy begins."""
    engine = create_engine(postgresql_engine.url)
    with statements(engine) as seen:
        first = place(engine)
    assert not [each for each in seen if "current_schema" not in each and "pg_catalog" not in each]
    with statements(engine) as seen:
        assert place(engine) == first
    assert seen == []
    engine.dispose()


@pytest.mark.parametrize("by", ["role", "option"])
def test_schemas_that_no_url_tells(postgresql_url: str, by: str) -> None:
    """Engines that differ by their role, or by an option, share no cached token."""
    names = [f"t{uuid.uuid4().hex}" for _ in range(2)]
    url = make_url(postgresql_url)
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    cache = LocalCache()
    with admin.connect() as connection, ExitStack() as stack:
        engines = []
        for name in names:
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
            connection.exec_driver_sql(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
            stack.callback(connection.exec_driver_sql, f"DROP ROLE {name}")
            stack.callback(connection.exec_driver_sql, f"DROP SCHEMA {name} CASCADE")
            if by == "role":
                engine = create_engine(url.set(username=name))
            else:
                options = {"options": f"-c search_path={name}"}
                engine = create_engine(url, connect_args=options)
            OAuth.metadata.create_all(engine)
            engines.append(engine)
        stores = []
        for engine in engines:
            session = stack.enter_context(Session(engine))
            session.add(User(id=1, name="Ada"))
            session.commit()
            stores.append(SQLAlchemyBackend(OAuth, session, cache=cache).store)
        stores[0].save(make_document(ADA, NEW))
        assert load(stores[0]).token == NEW
        assert stores[1].load(ADA) is None
        assert stores[0].place != stores[1].place
        for engine in engines:
            engine.dispose()
    admin.dispose()


def test_place_is_of_the_session_that_is_used_now(tmp_path: Path) -> None:
    """A function may return another session each time."""
    engines = [create_engine(f"sqlite:///{tmp_path}/{number}.db") for number in range(2)]
    sessions = [Session(engine) for engine in engines]
    chosen = iter([*sessions, *sessions])
    store = SQLAlchemyStore(OAuth, lambda: next(chosen))
    places = [store.place for _ in range(4)]
    assert places[:2] == places[2:]
    assert places[0] != places[1]
    for session, engine in zip(sessions, engines, strict=True):
        session.close()
        engine.dispose()


def test_one_flask_sqlalchemy_on_two_apps(tmp_path: Path, blueprint: Any) -> None:
    """Two apps that share a ``db`` and a cache have databases, and tokens, of their own."""
    db = SQLAlchemy()

    class Token(OAuthTokenMixin, db.Model):  # type: ignore[name-defined,misc] # Flask-SQLAlchemy's
        __table_args__ = unique_per_user()
        user_id = mapped_column(db.Integer)

    backend = SQLAlchemyBackend(Token, db.session, user_id=1, cache=LocalCache())
    apps = [Flask("a"), Flask("b")]
    for app in apps:
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/{app.name}.db"
        db.init_app(app)
        with app.app_context():
            db.create_all()
    with apps[0].app_context():
        backend.set(blueprint, OLD)
        assert backend.get(blueprint) == OLD
    with apps[1].app_context():
        assert backend.get(blueprint) is None
        backend.set(blueprint, NEW)
        db.engine.dispose()
    with apps[0].app_context():
        assert backend.get(blueprint) == OLD
        db.engine.dispose()


# Engines that are made from a URL, and tables.


def url_of(engine: Engine) -> str:
    """Return a URL that leads to the database of an engine, and to the same schema."""
    url = engine.url.render_as_string(hide_password=False)
    if engine.dialect.name == "sqlite":
        return url
    with engine.connect() as connection:
        return f"{url}&options=-csearch_path%3D{connection.scalar(text('SELECT current_schema()'))}"


def test_connections_of_a_url_are_checked(postgresql_engine: Engine, postgresql_url: str) -> None:
    """A connection that the server has dropped is replaced before it is used."""
    Base.metadata.create_all(postgresql_engine)
    store, key = SQLAlchemyStore(Plain, url_of(postgresql_engine)), TokenKey("demo")
    version = store.save(make_document(key, NEW)).version
    drop_connection(engine_of(store), postgresql_url)
    assert load(store, key).version == version
    engine_of(store).dispose()


def test_silent_server_of_a_url_is_told_in_seconds(silent_port: int) -> None:
    """A server that takes connections and says nothing costs seconds, or what the URL says."""
    for query, seconds in (("", 5), ("?connect_timeout=2", 2)):
        store = SQLAlchemyStore(OAuth, f"postgresql+psycopg://u:p@127.0.0.1:{silent_port}/d{query}")
        began = time.monotonic()
        with pytest.raises(BackendUnavailable):
            store.load(ADA)
        assert time.monotonic() - began < seconds + 3


@pytest.mark.parametrize("whole", [True, False], ids=["prepare", "lock"])
def test_tables_are_created_at_once(engine: Engine, whole: bool) -> None:
    """Six workers that create the tables at the same moment all succeed."""

    class Worker(DeclarativeBase):
        pass

    class Token(OAuthTokenMixin, Worker):
        __table_args__ = unique_per_user()
        user_id: Mapped[int | None]

    url = url_of(engine)
    stores = [SQLAlchemyStore(Token, url) for _ in range(6)]

    def create(number: int) -> bool:
        if whole:
            stores[number].prepare()
        return stores[number].acquire(TokenKey("demo", str(number)), "holder", 60)

    for _ in range(5):
        Worker.metadata.drop_all(engine)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS flask_dance_locks"))
        for store in stores:
            store._locks.made_at.clear()
            store.ping()
        assert at_once(6, create) == [True] * 6
    for store in stores:
        engine_of(store).dispose()
