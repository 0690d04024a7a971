"""Connections and transactions: those of the store's own, and the session's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from hashlib import blake2b
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from flask import has_request_context
from sqlalchemy import URL, Connection, Dialect, Engine, Pool, create_engine, exc, make_url, select
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker
from sqlalchemy.pool import AssertionPool, SingletonThreadPool, StaticPool

from ....errors import ConfigurationError
from ..store.driver import DriverSource
from .columns import Columns

AnySession = Session | scoped_session[Session]

_WANTED = (
    "SQLAlchemyBackend takes a synchronous session, such as Flask-SQLAlchemy's db.session, a "
    "database's URL, or a function or proxy that returns a session."
)
# How long a connection of an engine that was made from a URL is waited for.
SECONDS = 5
_WITH_TIMEOUT = ("psycopg", "psycopg2", "pymysql", "mysqldb", "mariadbconnector")
_WITHOUT_SCHEMA = ("sqlite", "mysql", "mariadb")
_ONE_CONNECTION = (StaticPool, SingletonThreadPool, AssertionPool)

# By pool, which the engines of Engine.execution_options() share.
_servers: WeakKeyDictionary[Pool, str] = WeakKeyDictionary()


def session_source(session: object) -> DriverSource[AnySession]:
    """Return what gives a session, from one, from what returns one, or from a database's URL."""
    return DriverSource(
        session,
        lambda value: isinstance(value, Session | scoped_session),
        _WANTED,
        lambda ready: ready,
        lambda url: scoped_session(sessionmaker(_engine_of(url))),
    )


class Transactions:
    """Lends connections: the engine's, or with ``commit=False`` or no other one the session's.

    A connection of the engine gets the execution options that the session's has, and is handed to
    ``on_begin`` when its transaction begins. ``tenant`` returns the name of the tenant.
    """

    def __init__(
        self,
        session: object,
        columns: Columns,
        *,
        commit: bool,
        tenant: Callable[[], str] | None = None,
        on_begin: Callable[[Connection], object] | None = None,
    ) -> None:
        if on_begin is not None and tenant is None:
            raise ConfigurationError(
                "on_begin= comes with tenant=, a function that returns the name of the tenant: "
                "caches and locks tell tenants apart by it. If there is one tenant only, write "
                "tenant=lambda: 'all'."
            )
        self._session = session_source(session)
        self._mapper = columns.mapper
        self._table = columns.table
        # A session that routes reads to a replica does so by the kind of the clause.
        self._reading, self._writing = select(columns.table), columns.table.update()
        self._commit = commit
        self._tenant = tenant
        self._on_begin = on_begin

    @property
    def tenant(self) -> str:
        """The name of the tenant, or an empty text if there are none."""
        if self._tenant is None:
            return ""
        with _told():
            name: Any = self._tenant()
        if not isinstance(name, str) or not name:
            kind = type(name).__name__
            raise ConfigurationError(f"tenant= returns the name of a tenant as text, not a {kind}.")
        return name

    @property
    def place(self) -> str:
        """The server, database and schema that the session writes to now, and the table."""
        session = self._current()
        bind = session.get_bind(self._mapper, clause=self._writing)
        pool = bind.engine.pool
        server = _servers.get(pool) or _servers.setdefault(pool, _server(bind.engine.url))
        # The options of an engine, too, may change at any time.
        options = {**bind.get_execution_options(), **_options_besides(session, bind)}
        schemas = options.pop("schema_translate_map", None) or {}
        schema = schemas.get(self._table.schema, self._table.schema) or _default_schema(bind)
        place = f"sql:{server}:{schema!r}.{self._table.name!r}"
        if options:
            others = sorted((name, repr(options[name])) for name in options.keys() - _HOW)
            place += f"?{others!r}" if others else ""
        return place if self._tenant is None else f"{place}#{self.tenant}"

    def dialect(self) -> Dialect:
        """Return the dialect of the database that the session writes to now."""
        return self._current().get_bind(self._mapper, clause=self._writing).dialect

    @contextmanager
    def read(self, *, fresh: bool = False, enters: bool = True) -> Iterator[Connection]:
        """Lend a connection that sees what is committed; a ``fresh`` one is to where writes go.

        One that does not ``enter`` is no tenant's: it is for what is asked of the server only.
        """
        session = self._current()
        bind = session.get_bind(self._mapper, clause=self._writing if fresh else self._reading)
        engine = self._own_engine(session, bind) if self._commit else None
        if engine is None:
            yield session.connection(bind_arguments={"bind": bind})
            return
        with engine.connect() as connection, _any_text(connection):
            # SQLite reads so by itself, and the option would cost two statements there.
            level = "AUTOCOMMIT" if self._on_begin is None else "READ COMMITTED"
            if enters:
                self._begin(session, connection, "" if engine.dialect.name == "sqlite" else level)
            yield connection

    @contextmanager
    def write(self, apart: bool = False, timeout: int | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction, and commit it; ``timeout`` bounds waits, in seconds.

        With ``apart`` it is the session's only if there is no other, and is then not committed.
        """
        session = self._current()
        bind = session.get_bind(self._mapper, clause=self._writing)
        engine = self._own_engine(session, bind) if self._commit or apart else None
        if engine is None:
            if not apart:
                # The row may refer to one that the session has not inserted yet.
                session.flush()
            yield session.connection(bind_arguments={"bind": bind})
            if self._commit and not apart:
                session.commit()
            return
        with engine.connect() as connection, _any_text(connection):
            connection.execution_options(flask_dance_own=True)
            # After a wait for a row's lock, what its last holder left has to be seen.
            level = "" if engine.dialect.name == "sqlite" else "READ COMMITTED"
            self._begin(session, connection, level)
            with nullcontext() if timeout is None else _waits(connection, timeout):
                yield connection
                connection.commit()

    def _current(self) -> Session:
        session: Any = self._session.get()
        if (
            isinstance(session, scoped_session)
            and type(session).get_bind is scoped_session.get_bind
        ):
            # Its proxies take as long as all else that finds the place of a token.
            session = session.registry()
        found: Session = session
        return found

    def _own_engine(self, session: Session, bind: Engine | Connection) -> Engine | None:
        """Return the engine of connections besides the session's, or ``None`` if there are none."""
        if isinstance(bind, Connection) or isinstance(bind.pool, _ONE_CONNECTION):
            return None
        if self._on_begin is None and _plain(session).dispatch.after_begin:
            if not self._commit:
                return None
            raise ConfigurationError(
                "This session has an after_begin event, which prepares its connection, for a "
                "tenant perhaps. The backend has connections of its own. Do the same to them with "
                "on_begin= and tenant=, or write commit=False, which uses the session's. See "
                "'Tenants' in the documentation of SQLAlchemy."
            )
        return bind

    def _begin(self, session: Session, connection: Connection, level: str) -> None:
        """Make a connection of the engine like the session's."""
        options = _options_besides(session, connection.engine)
        if level:
            options["isolation_level"] = level
        if options:
            connection.execution_options(**options)
        if self._on_begin is not None:
            with _told():
                self._on_begin(connection)

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
def _told() -> Iterator[None]:
    """Say what to do where a function for the tenant needs a request, and there is none."""
    try:
        yield
    except (AttributeError, LookupError, RuntimeError) as error:
        if has_request_context():
            raise
        raise ConfigurationError(
            "tenant= or on_begin= can't tell the tenant without a request "
            f"({type(error).__name__}). Commands and jobs have an app context only. See 'Tenants' "
            "in the documentation of SQLAlchemy for how to run them for a tenant."
        ) from error


def _engine_of(url: str) -> Engine:
    """Make an engine that waits for seconds, if its driver can and the URL does not say it."""
    parsed = make_url(url)
    is_patient = parsed.get_driver_name() in _WITH_TIMEOUT and "connect_timeout" not in parsed.query
    limits: dict[str, Any] = {"connect_timeout": SECONDS} if is_patient else {}
    return create_engine(parsed, pool_pre_ping=True, connect_args=limits)


_read_any = partial(str, encoding="utf-8", errors="surrogateescape")


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """Let SQLite read text that is not UTF-8, which is then refused, but fails no whole query."""
    if connection.dialect.driver != "pysqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    before, driver.text_factory = driver.text_factory, _read_any
    try:
        yield
    finally:
        driver.text_factory = before


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


# Execution options that say how a statement is run, and not about what it is.
_HOW = frozenset(
    (
        *("isolation_level", "logging_token", "compiled_cache", "no_parameters"),
        *("stream_results", "max_row_buffer", "yield_per", "preserve_rowcount"),
        *("insertmanyvalues_page_size", "driver_column_names", "flask_dance_own"),
        *("postgresql_readonly", "postgresql_deferrable"),
    )
)


def _plain(session: Any) -> Session:
    plain: Session = session.registry() if isinstance(session, scoped_session) else session
    return plain


def _options_besides(session: Session, engine: Engine | Connection) -> dict[str, Any]:
    """Return the execution options that a session's connection to an engine has besides its own.

    It may have been given a ``schema_translate_map``, for one. No connection is made for that.
    """
    # Since SQLAlchemy 2.1 a session has some.
    found: dict[str, Any] = dict(getattr(session, "execution_options", ()))
    transaction = _plain(session).get_transaction()
    if transaction is not None:
        for connection in _connections(transaction):
            if connection.engine is engine:
                found |= connection.get_execution_options()
    if not found:
        return found
    own = engine.get_execution_options()
    return {
        name: value
        for name, value in found.items()
        if name not in _HOW and (name not in own or own[name] != value)
    }


def _connections(transaction: SessionTransaction) -> Iterable[Connection]:
    if hasattr(SessionTransaction, "connections"):
        return transaction.connections
    # Before SQLAlchemy 2.1.7 there was no other way that connects to nothing.
    return [entry[0] for entry in transaction._connections.values()]


def _default_schema(bind: Engine | Connection) -> str | None:
    """Return where a database finds tables without a schema, which may depend on the role.

    It is known when the first connection is made, which costs nothing besides.
    """
    dialect = bind.dialect
    if dialect.name in _WITHOUT_SCHEMA:
        return None
    if dialect.default_schema_name is None:
        try:
            with bind.engine.connect():
                pass
        except exc.SQLAlchemyError:
            # Nothing that a cache has is for a place that can't be told.
            return uuid4().hex
    return dialect.default_schema_name


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
