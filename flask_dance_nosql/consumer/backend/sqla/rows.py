"""Finds the rows of a key, and locks them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from ..store.document import TokenKey
from .columns import LONG_AGO, Columns
from .statements import Statements
from .transactions import Transactions

log = logging.getLogger(__name__)


class Rows:
    """The rows of a model's table, by key. There is one at most, if the model is unique per user.

    Args:
        columns: Those of the model.
        statements: The statements about them.
        transactions: Lends connections.
    """

    def __init__(
        self, columns: Columns, statements: Statements, transactions: Transactions
    ) -> None:
        self._columns = columns
        self._statements = statements
        self._transactions = transactions
        self._warned = False

    def one(self, key: TokenKey, *, fresh: bool) -> Row[Any] | None:
        """Return the row of a key, by one statement; ``fresh`` from where writes go."""
        statements, parameters = self._statements.of(key)
        with self._transactions.read(fresh=fresh) as connection:
            return self.newest(key, connection.execute(statements.select, parameters).all())

    def locked(
        self, connection: Connection, key: TokenKey, *, or_turn: bool = False
    ) -> Sequence[Row[Any]]:
        """Lock and return a key's rows. Are there none, wait for the turn to insert the first."""
        statements, parameters = self._statements.of(key)
        dialect = connection.dialect.name
        lock = statements.update_nothing if dialect == "sqlite" else statements.select_for_update
        rows = connection.execute(lock, parameters).all()
        if rows or not or_turn or dialect != "postgresql":
            return rows
        if self._columns.conflict_target(dialect, has_user=key.user_id is not None) is None:
            number = int(key.digest[:16], 16) - 2**63
            connection.execute(select(func.pg_advisory_xact_lock(number)))
            rows = connection.execute(lock, parameters).all()
        return rows

    def newest(self, key: TokenKey, rows: Sequence[Row[Any]]) -> Row[Any] | None:
        """Return the newest of the rows that are a key's, and log once that there are several."""
        columns = self._columns
        own = [row for row in rows if columns.is_of(key, row)]
        if len(own) > 1 and not self._warned:
            self._warned = True
            log.warning(
                "%d rows of %s hold a token of provider %r for one owner; the newest counts. "
                "Delete the others, and give the model unique_per_user().",
                *(len(own), columns.name, key.provider),
            )

        def age(row: Row[Any]) -> tuple[Any, ...]:
            return (columns.moment(row, "created_at") or LONG_AGO, columns.identity(row))

        return max(own, key=age, default=None)
