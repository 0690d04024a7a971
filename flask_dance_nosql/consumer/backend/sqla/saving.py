"""Writes documents into rows, by as few statements as the model and the database allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, exc

from .... import clock
from ....errors import VersionConflict
from ..store.document import TokenDocument, TokenKey
from .columns import LARGEST_VERSION, Columns, Defaults
from .rows import Rows
from .statements import Statements
from .transactions import Transactions

# How many seconds a save apart from the session waits for a lock, which the session may hold.
_LOCK_TIMEOUT = 2


class Saving:
    """Inserts and updates rows of a model's table.

    Args:
        columns: Those of the model.
        statements: The statements about them.
        transactions: Lends connections.
        rows: Finds rows.
        commit: Whether writes are committed.
        defaults: What a new row needs besides.
        conflict: Makes the error of an operation that finds another version.
    """

    def __init__(
        self,
        columns: Columns,
        statements: Statements,
        transactions: Transactions,
        rows: Rows,
        *,
        commit: bool,
        defaults: Defaults,
        conflict: Callable[[str, TokenKey], VersionConflict],
    ) -> None:
        self._columns = columns
        self._statements = statements
        self._transactions = transactions
        self._rows = rows
        self._commit = commit
        self._defaults = defaults
        self._conflict = conflict
        # A function is called for a new row only, and an upsert can't tell before.
        self._may_upsert = not callable(defaults)

    def save(
        self, document: TokenDocument, if_version: int | None, least: int = 0
    ) -> TokenDocument:
        """Update a key's row, or insert one, with the version ``least`` at least."""
        try:
            return self._save(document, if_version, least, at_once=True)
        except exc.IntegrityError:
            # Another first write may have come before this one, so that now there is a row to
            # update. Any other reason raises the error again.
            return self._save(document, if_version, least)
        except (exc.OperationalError, exc.ProgrammingError) as error:
            if not _lacks_constraint(error.orig):
                raise
            # The table lacks the constraint that the model has.
            self._may_upsert = False
            return self.save(document, if_version, least)

    def save_apart(
        self, document: TokenDocument, if_version: int | None, least: int = 0
    ) -> TokenDocument:
        """Save and commit on a connection of its own, whatever the session does, if possible."""
        if self._commit:
            return self.save(document, if_version, least)
        try:
            return self._save(document, if_version, least, apart=True)
        except (exc.SQLAlchemyError, VersionConflict):
            # The session may have written the same row, or one that it refers to, uncommitted.
            return self.save(document, if_version, least)

    def _save(
        self,
        document: TokenDocument,
        if_version: int | None,
        least: int,
        *,
        at_once: bool = False,
        apart: bool = False,
    ) -> TokenDocument:
        columns, key, transactions = self._columns, document.key, self._transactions
        with transactions.write(apart, _LOCK_TIMEOUT if apart else None) as connection:
            # An error in the session's transaction, after which another way is tried, would need a
            # savepoint: two statements more.
            if at_once and transactions.is_own(connection):
                saved = self._save_at_once(connection, document, if_version, least)
                if saved is not None:
                    return saved
            row = self._rows.newest(key, self._rows.locked(connection, key, or_turn=True))
            if row is None and apart and self._rows.one(key, fresh=True) is not None:
                # The session has inserted the row, and has not committed it.
                raise self._conflict("save_apart", key)
            if if_version is not None:
                version = 0 if row is None else columns.version(row)
                end = columns.moment(row, "expires_at")
                is_over = if_version == 0 and end is not None and end <= clock.now()
                if if_version != version and not is_over:
                    raise self._conflict("save", key)
            values = columns.written(document, row, least)
            if row is None:
                new_row = columns.inserted(document, self._defaults) | values
                insert = columns.table.insert().values(new_row)
                with transactions.attempt(connection):
                    identity = tuple(connection.execute(insert).inserted_primary_key or ())
            else:
                identity = columns.identity(row)
                connection.execute(*self._statements.update(identity, values))
        transactions.expire(identity, values)
        return columns.saved(document, values, identity, row)

    def _save_at_once(
        self, connection: Connection, document: TokenDocument, if_version: int | None, least: int
    ) -> TokenDocument | None:
        """Save by one statement; return ``None`` if that is not possible, or there is a conflict.

        Raises:
            sqlalchemy.exc.IntegrityError: If the row is none that can be overwritten so.
        """
        columns, key = self._columns, document.key
        written = columns.written(document, None)
        if if_version is None and not least:
            row = self._upserted(connection, document, written)
        else:
            row = self._updated(connection, document, written, if_version, least)
        if row is None:
            return None
        is_broken = "created_at" in columns.optional and columns.moment(row, "created_at") is None
        if is_broken or columns.key(row) != key:
            # It takes two statements to mend the date. With a collation that ignores case, the row
            # may be another user's.
            raise exc.IntegrityError(None, None, ValueError("not a row that can be overwritten"))
        if "version" in columns.optional:
            written[columns.optional["version"]] = row.its_version
        identity = columns.identity(row)
        self._transactions.expire(identity, written)
        return columns.saved(document, written, identity, row)

    def _upserted(
        self, connection: Connection, document: TokenDocument, written: dict[Any, Any]
    ) -> Row[Any] | None:
        """Insert or update a row, and return it, or ``None`` if that takes several statements."""
        if not self._may_upsert:
            return None
        values = self._columns.inserted(document, self._defaults) | written
        statement = self._statements.upsert(
            connection.dialect.name, document.user_id is not None, values, written
        )
        if statement is None:
            return None
        return connection.execute(statement, {c.key: value for c, value in values.items()}).one()

    def _updated(
        self,
        connection: Connection,
        document: TokenDocument,
        written: dict[Any, Any],
        if_version: int | None,
        least: int,
    ) -> Row[Any] | None:
        """Update the row that has a version, and return it, or ``None`` if there is none."""
        if if_version is None or not 0 < if_version < LARGEST_VERSION:
            return None
        found = self._statements.update_version(
            connection.dialect, document.key, written, if_version, max(if_version + 1, least)
        )
        if found is None:
            return None
        rows = connection.execute(*found).all()
        if len(rows) > 1:
            raise exc.IntegrityError(None, None, ValueError("the table lacks the constraint"))
        return rows[0] if rows else None


def _lacks_constraint(error: object) -> bool:
    """Whether a driver's error says that there is no constraint for an upsert.

    PostgreSQL tells it by SQLSTATE 42P10, while its texts may be in any language. SQLite has a text
    only.
    """
    # Of psycopg and of psycopg2.
    codes = [getattr(error, name, None) for name in ("sqlstate", "pgcode")]
    return "42P10" in codes or "ON CONFLICT" in str(error)
