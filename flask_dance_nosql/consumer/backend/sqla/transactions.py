"""Connections and transactions: those of the store's own, and the session's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Dialect, Engine, Pool, create_engine, select
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import AssertionPool, SingletonThreadPool, StaticPool

from ..store.driver import DriverSource
from .columns import Columns

AnySession = Session | scoped_session[Session]

_WANTED = (
    "SQLAlchemyBackend takes a synchronous session, such as Flask-SQLAlchemy's db.session, a "
    "database's URL, or a function or proxy that returns a session."
)
_ONE_CONNECTION = (StaticPool, SingletonThreadPool, AssertionPool)

# By pool, which the engines of Engine.execution_options() share.
_servers: WeakKeyDictionary[Pool, str] = WeakKeyDictionary()


class Transactions:
    """Lends connections: the engine's, or with ``commit=False`` or no other one the session's."""

    def __init__(self, session: object, columns: Columns, *, commit: bool) -> None:
        self._session: DriverSource[AnySession] = DriverSource(
            session,
            lambda value: isinstance(value, Session | scoped_session),
            _WANTED,
            lambda ready: ready,
            lambda url: scoped_session(sessionmaker(create_engine(url, pool_pre_ping=True))),
        )
        self._mapper = columns.mapper
        self._table = columns.table
        # A session that routes reads to a replica does so by the kind of the clause.
        self._reading, self._writing = select(columns.table), columns.table.update()
        self._commit = commit

    @property
    def place(self) -> str:
        """The server, database and schema that the session writes to now, and the table."""
        session = self._session.get()
        # Its proxies take as long as all else here, and a subclass may have its own get_bind().
        session = session.registry() if type(session) is scoped_session else session
        bind = session.get_bind(self._mapper, clause=self._writing)
        pool = bind.engine.pool
        server = _servers.get(pool) or _servers.setdefault(pool, _server(bind.engine.url))
        # The options of an engine, too, may change at any time.
        schemas = bind.get_execution_options().get("schema_translate_map") or {}
        schema = schemas.get(self._table.schema, self._table.schema)
        return f"sql:{server}:{schema!r}.{self._table.name!r}"

    def dialect(self) -> Dialect:
        """Return the dialect of the database that the session writes to now."""
        return self._session.get().get_bind(self._mapper, clause=self._writing).dialect

    @contextmanager
    def read(self, *, fresh: bool = False) -> Iterator[Connection]:
        """Lend a connection that sees what is committed; a ``fresh`` one is to where writes go."""
        session = self._session.get()
        bind = session.get_bind(self._mapper, clause=self._writing if fresh else self._reading)
        engine = _own_engine(bind) if self._commit else None
        if engine is None:
            yield session.connection(bind_arguments={"bind": bind})
            return
        with engine.connect() as connection:
            if engine.dialect.name != "sqlite":
                # SQLite reads so by itself, and the option would cost two statements there.
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextmanager
    def write(self, apart: bool = False, timeout: int | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction, and commit it; ``timeout`` bounds waits, in seconds.

        With ``apart`` it is the session's only if there is no other, and is then not committed.
        """
        session = self._session.get()
        bind = session.get_bind(self._mapper, clause=self._writing)
        engine = _own_engine(bind) if self._commit or apart else None
        if engine is None:
            if not apart:
                # The row may refer to one that the session has not inserted yet.
                session.flush()
            yield session.connection(bind_arguments={"bind": bind})
            if self._commit and not apart:
                session.commit()
            return
        with engine.connect() as connection:
            connection.execution_options(flask_dance_own=True)
            if engine.dialect.name != "sqlite":
                # After a wait for a row's lock, what its last holder left has to be seen.
                connection.execution_options(isolation_level="READ COMMITTED")
            with nullcontext() if timeout is None else _waits(connection, timeout):
                yield connection
                connection.commit()

    def is_own(self, connection: Connection) -> bool:
        """Whether a connection is one of the store's own."""
        return "flask_dance_own" in connection.get_execution_options()

    def attempt(self, connection: Connection) -> AbstractContextManager[Any]:
        """Return a savepoint where an error must not end the transaction: in the session's."""
        return nullcontext() if self.is_own(connection) else connection.begin_nested()

    def expire(self, identity: tuple[Any, ...], columns: Iterable[Any]) -> None:
        """Let the session read columns of a row anew, should it have loaded the row."""
        session = self._session.get()
        known = session.identity_map.get(self._mapper.identity_key_from_primary_key(identity))
        if known is not None:
            names = [self._mapper.get_property_by_column(column).key for column in columns]
            session.expire(known, names)


@contextmanager
def _waits(connection: Connection, seconds: int) -> Iterator[None]:
    """Bound the waits for locks in the transaction that begins on a connection."""
    run, undo = connection.exec_driver_sql, ""
    if connection.dialect.name == "postgresql":
        run(f"SET LOCAL lock_timeout = '{seconds}s'")
    elif connection.dialect.name == "sqlite":
        undo = f"PRAGMA busy_timeout = {run('PRAGMA busy_timeout').scalar()}"
        run(f"PRAGMA busy_timeout = {seconds * 1000}")
    elif connection.dialect.name in ("mysql", "mariadb"):
        run(f"SET innodb_lock_wait_timeout = {seconds}")
        undo = "SET innodb_lock_wait_timeout = DEFAULT"
    try:
        yield
    finally:
        if undo:
            run(undo)


def _own_engine(bind: Engine | Connection) -> Engine | None:
    """Return the engine of connections besides the session's, or ``None`` if there are none."""
    has_others = isinstance(bind, Engine) and not isinstance(bind.pool, _ONE_CONNECTION)
    return bind.engine if has_others else None


def _server(url: URL) -> str:
    """Return what tells a server and database from others, and shows no password."""
    backend, database = url.get_backend_name(), url.database or ""
    in_memory = ":memory:" in database or url.query.get("mode") == "memory"
    if in_memory or not (url.host or database or url.query):
        # Nobody else reaches it, or the engine was given a function of its own to connect.
        return uuid4().hex
    if backend == "sqlite" and not database.startswith("file:"):
        database = os.path.abspath(database)
    where = URL.create(backend, None, None, url.host, url.port, database, url.query)
    # Hashed, since some drivers take the password as a part of the query.
    return blake2b(where.render_as_string().encode(), digest_size=16).hexdigest()
