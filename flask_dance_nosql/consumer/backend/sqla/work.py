"""Connections and transactions of the store, apart from the application's own or within them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Mapper, Session, scoped_session, sessionmaker
from sqlalchemy.pool import AssertionPool, SingletonThreadPool, StaticPool

from ..store.driver import DriverSource

AnySession = Session | scoped_session[Session]

_WANTED = (
    "SQLAlchemyBackend takes a synchronous session, such as Flask-SQLAlchemy's db.session, a "
    "database's URL, or a function or proxy that returns a session."
)
_ONE_CONNECTION = (StaticPool, SingletonThreadPool, AssertionPool)


class Transactions:
    """Runs statements in short transactions of their own, or in those of a session.

    Args:
        session: A session, a function or proxy that returns one, or a database's URL.
        mapper: The model whose database it is about.
        commit: Whether to commit; if not, all runs in the session's transaction.

    Raises:
        ConfigurationError: If it is no session; from its methods, if it returned none.
    """

    def __init__(self, session: object, mapper: Mapper[Any], *, commit: bool) -> None:
        self._session: DriverSource[AnySession] = DriverSource(
            session, _is_session, _WANTED, _as_it_is, _open_url
        )
        self._mapper = mapper
        self._commit = commit

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection on which each statement sees what is committed when it begins."""
        session = self._session.get()
        engine = self._engine(session) if self._commit else None
        if engine is None:
            yield self._connection(session)
            return
        with engine.connect() as connection:
            if engine.dialect.name != "sqlite":
                # There a read needs no transaction anyway, and the option costs two statements.
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Lend a connection in a transaction, which is committed in the end."""
        session = self._session.get()
        engine = self._engine(session) if self._commit else None
        if engine is not None:
            with _transaction(engine) as connection:
                yield connection
            return
        yield self._connection(session)
        if self._commit:
            session.commit()

    @contextmanager
    def write_apart(self) -> Iterator[Connection]:
        """Lend a connection for what others have to see at once, and the session never commits."""
        session = self._session.get()
        engine = self._engine(session)
        if engine is not None:
            with _transaction(engine) as connection:
                yield connection
            return
        yield self._connection(session)

    @contextmanager
    def attempt(self, connection: Connection) -> Iterator[None]:
        """Keep a failing statement from ending a transaction that the session goes on with."""
        if self._commit and self._engine(self._session.get()) is not None:
            yield
            return
        with connection.begin_nested():
            yield

    def expire(self, identity: tuple[Any, ...], columns: Iterable[Any]) -> None:
        """Let the session read columns of a row anew, should it have it."""
        session = self._session.get()
        key = self._mapper.identity_key_from_primary_key(identity)
        known = session.identity_map.get(key)
        if known is not None:
            names = [self._mapper.get_property_by_column(column).key for column in columns]
            session.expire(known, names)

    def _engine(self, session: AnySession) -> Engine | None:
        """Return where connections come from, or ``None`` if the session's is the only one."""
        bind = session.get_bind(self._mapper)
        if not isinstance(bind, Engine) or isinstance(bind.pool, _ONE_CONNECTION):
            return None
        return bind

    def _connection(self, session: AnySession) -> Connection:
        return session.connection(bind_arguments={"mapper": self._mapper})


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            # Who waited for a row's lock has to see what its last holder left.
            connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            yield connection


def _is_session(value: object) -> bool:
    return isinstance(value, Session | scoped_session)


def _as_it_is(session: AnySession) -> AnySession:
    return session


def _open_url(url: str) -> AnySession:
    return scoped_session(sessionmaker(create_engine(url)))
