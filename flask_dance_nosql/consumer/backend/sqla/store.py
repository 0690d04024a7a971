"""A store of tokens in the table of a user's model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, exc, func, select, tuple_

from ....errors import ConfigurationError, CorruptToken
from ..store.base import SCAN_BATCH, TokenStore, log
from ..store.document import TokenDocument, TokenKey
from .columns import Columns
from .locks import Locks, lock_number
from .statements import OwnersStatements
from .work import Transactions

Values = dict[str, Any]
Defaults = Values | Callable[[TokenDocument], Values] | None


class SQLAlchemyStore(TokenStore):
    """Keeps each token as one row of a model's table, which a write updates in place.

    The model needs ``provider`` and ``token``. With a ``user_id``, or a ``user`` relationship, it
    tells users' tokens apart. With the further columns of :class:`OAuthTokenMixin` it counts
    versions and keeps when records end. Other columns are yours, and stay as they are.

    Operations take a connection of their own for a moment and commit nothing but their own work.
    So the engine's pool needs one connection more than your threads hold at once, and a change of
    the same row that your session has flushed has to be committed before. An in-memory SQLite
    database has one connection only: there, and with ``commit=False``, operations are part of the
    session's transaction.

    Locks are rows of the table ``flask_dance_locks``, which belongs to the model's metadata and is
    made by ``create_all``, by :meth:`prepare`, or when the first lock is taken.

    Args:
        model: The model.
        session: A ``Session`` or ``scoped_session`` such as Flask-SQLAlchemy's ``db.session``, a
            function or proxy that returns one, or a database's URL.
        commit: Whether to commit; if not, writes are flushed, and the commit is yours.
        defaults: What else a new row needs, as the keyword arguments of the model: a dict, or a
            function that returns one for a :class:`TokenDocument`.

    Raises:
        ConfigurationError: If the model or the session is something else.
    """

    unavailable_errors = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
    driver_errors = (exc.SQLAlchemyError,)

    def __init__(
        self,
        model: type[Any],
        session: object,
        *,
        commit: bool = True,
        defaults: Defaults = None,
    ) -> None:
        self._columns = Columns(model)
        self._statements = OwnersStatements(self._columns)
        self._work = Transactions(session, self._columns.mapper, commit=commit)
        self._place = f"sql:{self._columns.table.fullname}"
        self._locks = Locks(self._columns.metadata, self._columns.table)
        self._locks_wanted = True
        self._defaults = defaults or {}
        self._warned = False

    @property
    def place(self) -> str:
        """The name of the table."""
        return self._place

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document in a key's row, by one statement."""
        statements, parameters = self._statements.of(key)
        with self._work.read() as connection:
            rows = connection.execute(statements.select, parameters).all()
        row = self._newest(key, rows)
        document = None if row is None else self._document("load", key, row)
        return None if document is None or document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Update a key's row in place, or insert one: two statements in one transaction."""
        try:
            return self._save(document, if_version)
        except exc.IntegrityError:
            # Another's first write came before ours, so that now there is a row to update. Was it
            # something else, it comes again.
            return self._save(document, if_version)

    def _save(self, document: TokenDocument, if_version: int | None) -> TokenDocument:
        columns, key = self._columns, document.key
        with self._work.write() as connection:
            row = self._newest(key, self._locked_rows(connection, key, or_turn=True))
            if if_version == 0 and row is not None and columns.has_ended(row):
                if_version = None
            self._check("save", key, row, if_version)
            values = columns.values(document, row)
            if row is None:
                identity = self._insert(connection, document, values)
            else:
                identity = columns.identity(row)
                connection.execute(*columns.update(identity, values))
        self._work.expire(identity, values)
        return columns.saved(document, values, identity, row)

    def _insert(
        self, connection: Connection, document: TokenDocument, values: dict[Any, Any]
    ) -> tuple[Any, ...]:
        columns, defaults = self._columns, self._defaults
        given = columns.named(defaults(document) if callable(defaults) else defaults)
        insert = columns.table.insert().values(given | columns.owner_values(document) | values)
        with self._work.attempt(connection):
            return tuple(connection.execute(insert).inserted_primary_key or ())

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete a key's row, by one statement; two with a version to compare."""
        statements, parameters = self._statements.of(key)
        with self._work.write() as connection:
            if if_version is not None:
                row = self._newest(key, self._locked_rows(connection, key))
                self._check("delete", key, row, None if row is None else if_version)
            connection.execute(statements.delete, parameters)

    def _locked_rows(
        self, connection: Connection, key: TokenKey, *, or_turn: bool = False
    ) -> Sequence[Row[Any]]:
        """Lock and return a key's rows. Are there none, wait for the turn to make the first."""
        statements, parameters = self._statements.of(key)
        statement = statements.lock(connection.dialect.name)
        rows = connection.execute(statement, parameters).all()
        is_postgresql = connection.dialect.name == "postgresql"
        if rows or not or_turn or not is_postgresql or self._columns.are_unique(key):
            return rows
        connection.execute(select(func.pg_advisory_xact_lock(lock_number(key))))
        return connection.execute(statement, parameters).all()

    def _check(
        self, operation: str, key: TokenKey, row: Row[Any] | None, if_version: int | None
    ) -> None:
        if if_version is None:
            return
        if if_version != (0 if row is None else self._columns.version(row)):
            raise self.conflict(operation, key)

    def _newest(self, key: TokenKey, rows: Sequence[Row[Any]]) -> Row[Any] | None:
        # A collation that ignores case finds other people's, too.
        own = [row for row in rows if self._columns.key(row) == key]
        if len(own) > 1 and not self._warned:
            self._warned = True
            log.warning(
                "%d rows of %s hold a token of provider %r for one owner; the newest counts. "
                "Delete the others, and give the model unique_per_user().",
                *(len(own), self._columns.name, key.provider),
            )
        return max(own, key=self._columns.age, default=None)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield documents in batches of 500 rows, in the order of the primary key."""
        columns = self._columns
        wanted = columns.selected_by(provider, user_id)
        after: list[ColumnElement[bool]] = []
        while True:
            query = columns.rows.where(*wanted, *after)
            with self._work.read() as connection:
                page = query.order_by(*columns.primary_key).limit(SCAN_BATCH)
                rows = connection.execute(page).all()
            yield from self._documents(rows)
            if len(rows) < SCAN_BATCH:
                return
            after = [tuple_(*columns.primary_key) > columns.identity(rows[-1])]

    def _documents(self, rows: Sequence[Row[Any]]) -> Iterator[TokenDocument]:
        for row in rows:
            try:
                document = self._document("scan", self._columns.key(row), row)
            except CorruptToken:
                continue
            if not document.expired:
                yield document

    def _document(self, operation: str, key: TokenKey, row: Row[Any]) -> TokenDocument:
        try:
            return self._columns.document(key, row)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error

    def prepare(self) -> None:
        """Make the tables that are not there yet: the model's, and that of the locks."""
        self._create(self._columns.table, self._locks.table)

    def _create(self, *tables: Table) -> None:
        with self._work.write_apart() as connection:
            self._columns.metadata.create_all(connection, tables=tables)

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self._work.read() as connection:
            connection.execute(select(1))

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the database's time."""
        if self._locks_wanted:
            self._create(self._locks.table)
            self._locks_wanted = False
        try:
            with self._work.write_apart() as connection, self._work.attempt(connection):
                return self._locks.acquire(connection, key, holder, seconds)
        except exc.IntegrityError:
            # Another took it at the same moment.
            return False

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        with self._work.write_apart() as connection:
            self._locks.release(connection, key, holder)

    def require_expiry(self) -> None:
        """Make sure that the model has ``expires_at``.

        Raises:
            ConfigurationError: If it has not.
        """
        if "expires_at" not in self._columns.kept:
            raise ConfigurationError(
                f"The model {self._columns.name} has no expires_at, so that a ttl can't be kept. "
                "Base it on OAuthTokenMixin."
            )

    def is_unavailable(self, error: Exception) -> bool:
        """Whether an error means that there is no answer; SQLite says so of a missing table."""
        return super().is_unavailable(error) and "no such" not in str(error)

    def shown(self, error: Exception) -> Exception:
        """Return an error without the values of the statement, and without the driver's details."""
        if isinstance(error, exc.StatementError):
            error.hide_parameters = True
            error.args = tuple(str(part).partition("\n")[0] for part in error.args)
            error.__cause__, error.__context__ = None, None
        return error
