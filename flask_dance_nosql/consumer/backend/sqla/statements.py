"""The statements about one owner's rows, made once for all owners."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ColumnElement, Delete, Select, bindparam, false
from sqlalchemy.sql.dml import ReturningUpdate

from ..store.document import TokenKey
from .values import escaped

if TYPE_CHECKING:
    from .columns import Columns

# Names that no column of a model is likely to have: those would be taken for its new values.
_PROVIDER, _USER = "flask_dance_provider", "flask_dance_user"


class Statements:
    """Selects, locks and deletes the rows for which a condition holds.

    Statements are made once, with parameters in place of values, since SQLAlchemy takes longer to
    make one than the database to run it.

    Args:
        columns: The columns of the model.
        wanted: The condition.
    """

    def __init__(self, columns: Columns, wanted: ColumnElement[bool]) -> None:
        self._columns = columns
        self._wanted = wanted

    @cached_property
    def select(self) -> Select[Any]:
        """The statement that selects the rows."""
        return self._columns.rows.where(self._wanted)

    @cached_property
    def delete(self) -> Delete:
        """The statement that deletes the rows."""
        return self._columns.table.delete().where(self._wanted)

    def lock(self, dialect: str) -> Select[Any] | ReturningUpdate[Any]:
        """Return the statement that locks the rows and selects them."""
        return self._update_nothing if dialect == "sqlite" else self._select_for_update

    @cached_property
    def _select_for_update(self) -> Select[Any]:
        return self.select.with_for_update()

    @cached_property
    def _update_nothing(self) -> ReturningUpdate[Any]:
        columns = self._columns
        # SQLite locks by writing, and must not count this as a write.
        same = {column: column for column in (columns.provider, *columns.kept.values())}
        update = columns.table.update().where(self._wanted).values(same)
        return update.returning(*columns.selected)


class OwnersStatements:
    """Finds the statements for an owner, and their parameters.

    Args:
        columns: The columns of the model.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def of(self, key: TokenKey) -> tuple[Statements, dict[str, Any]]:
        """Return the statements for a key's rows, and their parameters.

        Raises:
            ConfigurationError: If the key has a user and the model has no column for one.
        """
        self._columns.require_user(key)
        parameters = {_PROVIDER: escaped(key.provider)}
        if key.user_id is None:
            return self._nobody, parameters
        try:
            parameters[_USER] = self._columns.user_value(key.user_id)
        except ValueError:
            return self._impossible, {}
        return self._user, parameters

    @cached_property
    def _user(self) -> Statements:
        return self._where(bindparam(_USER))

    @cached_property
    def _nobody(self) -> Statements:
        return self._where(None)

    @cached_property
    def _impossible(self) -> Statements:
        return Statements(self._columns, false())

    def _where(self, user: BindParameter[Any] | None) -> Statements:
        is_provider = self._columns.provider == bindparam(_PROVIDER)
        if self._columns.user is None:
            return Statements(self._columns, is_provider)
        return Statements(self._columns, is_provider & (self._columns.user == user))
