"""The statements of the store, each made once: that takes longer than the database to run it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from importlib import import_module
from typing import Any

from sqlalchemy import (
    Dialect,
    bindparam,
    case,
    false,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql import ColumnElement, Delete, Select, Update
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import Double, Integer

from ..store.document import TokenKey
from ..store.shard import Shard
from .columns import LARGEST_VERSION, Columns, Identity, Values

# The names of parameters must not be those of columns, which would be taken for values to write.
_PROVIDER, _USER, _PART = "flask_dance_provider", "flask_dance_user", "flask_dance_part_{}"
_ACCOUNT, _VERSION, _MADE = "flask_dance_account", "flask_dance_version", "flask_dance_made"

_NOW = {
    # CURRENT_TIMESTAMP would be when the transaction began.
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "mysql": "UNIX_TIMESTAMP(NOW(6))",
    "mariadb": "UNIX_TIMESTAMP(NOW(6))",
}

Parameters = dict[str, Any]


class RowsStatements:
    """Statements about the rows for which a condition holds."""

    def __init__(self, columns: Columns, wanted: ColumnElement[bool]) -> None:
        self.select = select(*columns.selected).where(wanted)
        self.select_for_update = self.select.with_for_update()
        delete = columns.table.delete().where(wanted)
        self.delete_returning = delete.returning(*columns.owner)
        # SQLite locks by writing. Named columns keep their value; others might have an onupdate.
        same = {c: c for c in columns.table.columns if c is columns.provider or c.onupdate}
        update = columns.table.update().where(wanted).values(same)
        self.update_nothing = update.returning(*columns.selected)
        version, made = columns.optional.get("version"), columns.optional.get("created_at")
        at_version = true() if version is None else version == bindparam(_VERSION)
        kept = (
            {} if made is None else {made: func.coalesce(made, bindparam(_MADE, type_=made.type))}
        )
        without_token = (c for c in columns.selected if c.key != "its_token")
        update = columns.table.update().where(wanted, at_version).values(kept)
        self.update_version = update.returning(*without_token)


class Statements:
    """Finds the statements for a key, a listing and a write, and their parameters."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        pairs = enumerate(columns.primary_key)
        is_row = (column == bindparam(_PART.format(number)) for number, column in pairs)
        self._update = columns.table.update().where(*is_row)
        self._upserts: dict[Any, ReturningInsert[Any] | None] = {}

    @cached_property
    def _rows(self) -> dict[str, RowsStatements]:
        columns = self._columns
        of_provider = columns.provider == bindparam(_PROVIDER)
        if columns.kind is not None:
            of_provider &= columns.kind.in_(columns.kinds)
        if columns.account is not None:
            of_provider &= columns.account == bindparam(_ACCOUNT)
        of_nobody = of_user = of_provider
        if columns.user is not None:
            of_nobody = of_provider & columns.user.is_(None)
            of_user = of_provider & (columns.user == bindparam(_USER))
        wanted = {"nobody": of_nobody, "user": of_user, "impossible user": false()}
        return {owner: RowsStatements(columns, condition) for owner, condition in wanted.items()}

    def of(self, key: TokenKey) -> tuple[RowsStatements, Parameters]:
        """Return the statements about a key's rows."""
        parameters: Parameters = {_PROVIDER: key.provider}
        if self._columns.account is not None:
            parameters[_ACCOUNT] = key.account or ""
        elif key.account is not None:
            self._columns.require_accounts()
        if key.user_id is None:
            return self._rows["nobody"], parameters
        try:
            parameters[_USER] = self._columns.user_value(key.user_id)
        except ValueError:
            return self._rows["impossible user"], {}
        return self._rows["user"], parameters

    def listing(self, provider: str | None, user_id: str | None) -> Select[Any]:
        """Return the query for the rows of a provider, of a user, of both, or of all."""
        columns = self._columns
        query = select(*columns.selected).order_by(*columns.primary_key)
        if columns.kind is not None:
            query = query.where(columns.kind.in_(columns.kinds))
        if provider is not None:
            query = query.where(columns.provider == provider)
        if user_id is None:
            return query
        try:
            value = None if columns.user is None else columns.user_value(user_id)
        except ValueError:
            value = None
        return query.where(false() if value is None else columns.user == value)

    def part(
        self, provider: str | None, user_id: str | None, shard: Shard | None
    ) -> tuple[Select[Any], Callable[[Identity], bool]]:
        """Return the query for a part of a listing, and what tells which of its rows are in it."""
        query, key = self.listing(provider, user_id), self._columns.primary_key
        if shard is None:
            return query, lambda _: True
        if len(key) == 1 and isinstance(key[0].type, Integer):
            # The sign of a remainder is that of the number.
            return query.where(func.abs(key[0] % shard.count) == shard.number - 1), lambda _: True
        return query, lambda identity: shard.has(repr(tuple(map(str, identity))))

    def linked(self, provider: str, account: str) -> Select[Any]:
        """Return the query for the rows that have an account at a provider."""
        columns = self._columns
        its = columns.optional["provider_user_id"]
        return self.listing(provider, None).where(its == account)

    def delete(self, identities: Collection[Identity]) -> Delete:
        """Return the statement that removes the rows with these primary keys."""
        table, key = self._columns.table, self._columns.primary_key
        if len(key) == 1:
            return table.delete().where(key[0].in_([one for (one,) in identities]))
        return table.delete().where(tuple_(*key).in_(identities))

    def update(self, identity: Identity, values: Values) -> tuple[Update, Parameters]:
        """Return the statement that puts values into the row with a primary key."""
        parameters = {_PART.format(number): part for number, part in enumerate(identity)}
        return self._update, parameters | {column.key: value for column, value in values.items()}

    def update_version(
        self, dialect: Dialect, key: TokenKey, values: Values, version: int, new: int
    ) -> tuple[ReturningUpdate[Any], Parameters] | None:
        """Return the statement that puts values into a key's row if that has a version.

        It returns the row without the token. ``None`` if the version is not a column, if a key may
        have several rows, or if the database returns no row.
        """
        columns, (rows, parameters) = self._columns, self.of(key)
        counted, made = (columns.optional.get(name) for name in ("version", "created_at"))
        target = columns.conflict_target(dialect.name, has_user=key.user_id is not None)
        # A row of a model below this one may be the key's, too.
        is_one = target is not None and len(columns.kinds) < 2
        if counted is None or not is_one or not dialect.update_returning:
            return None
        parameters |= {column.key: value for column, value in values.items() if column is not made}
        parameters |= {counted.key: new, _VERSION: version}
        if made is not None:
            parameters[_MADE] = values[made]
        return rows.update_version, parameters

    def upsert(
        self, dialect: str, has_user: bool, inserted: Collection[Any], updated: Collection[Any]
    ) -> ReturningInsert[Any] | None:
        """Return the one that inserts or updates, without the token, or ``None`` if it can't be."""
        shape = (dialect, has_user, frozenset(inserted), frozenset(updated))
        if shape in self._upserts:
            return self._upserts[shape]
        columns, target = self._columns, None
        # SQLAlchemy runs no onupdate in an upsert, and a database refuses NULL in a required column
        # before it looks for a row to update.
        is_complete = all(
            (column in updated or column.onupdate is None)
            and (
                (column in inserted or column.nullable)
                or (column.default is not None or column.server_default is not None)
                or column is columns.table.autoincrement_column
            )
            for column in columns.table.columns
        )
        # A row of a model below this one may be the key's, too.
        is_complete &= len(columns.kinds) < 2
        if is_complete and dialect in ("sqlite", "postgresql"):
            target = columns.conflict_target(dialect, has_user=has_user)
        if target is None:
            return self._upserts.setdefault(shape, None)
        insert = import_module(f"sqlalchemy.dialects.{dialect}").insert(columns.table)
        changes = {column: insert.excluded[column.key] for column in updated}
        version, made = columns.optional.get("version"), columns.optional.get("created_at")
        if version is not None:
            is_right = version.between(1, LARGEST_VERSION - 1)
            changes[version] = case((is_right, version + 1), else_=changes[version])
        if made is not None:
            changes[made] = func.coalesce(made, changes[made])
        upsert: ReturningInsert[Any] = insert.on_conflict_do_update(**target, set_=changes)
        found = upsert.returning(*(c for c in columns.selected if c.key != "its_token"))
        return self._upserts.setdefault(shape, found)


def seconds_now(dialect: str) -> ColumnElement[float]:
    """Return the database's time in seconds since the epoch."""
    return literal_column(_NOW.get(dialect, "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"), Double())
