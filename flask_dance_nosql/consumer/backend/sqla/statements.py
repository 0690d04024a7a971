"""The statements of the store.

Each is made once, with parameters in place of values: SQLAlchemy takes longer to make a statement
than the database to run it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, Update, bindparam, case, false, func, select
from sqlalchemy.sql.dml import ReturningInsert

from ..store.document import TokenKey

if TYPE_CHECKING:
    from .columns import Columns

# The names of parameters must not be those of columns, which would be taken for values to write.
_PROVIDER, _USER, _PART = "flask_dance_provider", "flask_dance_user", "flask_dance_part_{}"

Parameters = dict[str, Any]


class RowsStatements:
    """Statements about the rows for which a condition holds."""

    def __init__(self, columns: Columns, wanted: ColumnElement[bool]) -> None:
        self.select = select(*columns.selected).where(wanted)
        self.select_for_update = self.select.with_for_update()
        self.delete = columns.table.delete().where(wanted)
        # SQLite locks by writing. Named columns keep their value; others might have an onupdate.
        same = {c: c for c in columns.table.columns if c is columns.provider or c.onupdate}
        update = columns.table.update().where(wanted).values(same)
        self.update_nothing = update.returning(*columns.selected)


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
        of_nobody = of_user = of_provider
        if columns.user is not None:
            of_nobody = of_provider & columns.user.is_(None)
            of_user = of_provider & (columns.user == bindparam(_USER))
        wanted = {"nobody": of_nobody, "user": of_user, "impossible user": false()}
        return {owner: RowsStatements(columns, condition) for owner, condition in wanted.items()}

    def of(self, key: TokenKey) -> tuple[RowsStatements, Parameters]:
        """Return the statements about a key's rows."""
        if key.user_id is None:
            return self._rows["nobody"], {_PROVIDER: key.provider}
        try:
            user = self._columns.user_value(key.user_id)
        except ValueError:
            return self._rows["impossible user"], {}
        return self._rows["user"], {_PROVIDER: key.provider, _USER: user}

    def listing(self, provider: str | None, user_id: str | None) -> Select[Any]:
        """Return the query for the rows of a provider, of a user, of both, or of all."""
        columns = self._columns
        query = select(*columns.selected).order_by(*columns.primary_key)
        if provider is not None:
            query = query.where(columns.provider == provider)
        if user_id is None:
            return query
        try:
            value = None if columns.user is None else columns.user_value(user_id)
        except ValueError:
            value = None
        return query.where(false() if value is None else columns.user == value)

    def update(
        self, identity: tuple[Any, ...], values: dict[Any, Any]
    ) -> tuple[Update, Parameters]:
        """Return the statement that puts values into the row with a primary key."""
        parameters = {_PART.format(number): part for number, part in enumerate(identity)}
        return self._update, parameters | {column.key: value for column, value in values.items()}

    def upsert(
        self, dialect: str, has_user: bool, inserted: Collection[Any], updated: Collection[Any]
    ) -> ReturningInsert[Any] | None:
        """Return the statement that inserts an owner's row, or updates columns of the one in place.

        It returns the row without the token. It is ``None`` if the database has no ``ON CONFLICT``,
        the model no constraint for it, or a column would not be treated right.
        """
        shape = (dialect, has_user, frozenset(inserted), frozenset(updated))
        if shape in self._upserts:
            return self._upserts[shape]
        columns, target = self._columns, None
        if dialect in ("sqlite", "postgresql") and columns.can_be_upserted(inserted, updated):
            target = columns.conflict_target(dialect, has_user=has_user)
        if target is None:
            return self._upserts.setdefault(shape, None)
        insert = import_module(f"sqlalchemy.dialects.{dialect}").insert(columns.table)
        changes = {column: insert.excluded[column.key] for column in updated}
        version, made = columns.optional.get("version"), columns.optional.get("created_at")
        if version is not None:
            changes[version] = case((version > 0, version + 1), else_=changes[version])
        if made is not None:
            changes[made] = func.coalesce(made, changes[made])
        upsert: ReturningInsert[Any] = insert.on_conflict_do_update(**target, set_=changes)
        found = upsert.returning(*(c for c in columns.selected if c.key != "its_token"))
        return self._upserts.setdefault(shape, found)
