"""The statements of the store, each built once: building one takes longer than running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Delete, Executable, Select, Update, bindparam, false
from sqlalchemy.sql.dml import ReturningUpdate

from ....errors import ConfigurationError
from ..document import TokenKey
from .columns import Columns
from .values import escaped

Conditions = list[ColumnElement[bool]]
Parameters = dict[str, Any]
Bound = tuple[Executable, Parameters]
"""A statement, and what its parameters stand for."""

_PROVIDER, _USER = "owner_provider", "owner_user"


class Statements:
    """The statements that find, lock, change and delete the rows of a key.

    Args:
        columns: The columns of the model.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._built: dict[tuple[Any, ...], Executable] = {}

    def select(self, key: TokenKey) -> Bound:
        """Return the statement that selects a key's rows."""
        return self._bound("select", key, self._select)

    def lock(self, dialect: str, key: TokenKey) -> Bound:
        """Return the statement that locks a key's rows and selects them."""
        if dialect == "sqlite":
            return self._bound("lock by writing", key, self._lock_by_writing)
        return self._bound("lock", key, lambda wanted: self._select(wanted).with_for_update())

    def delete(self, key: TokenKey) -> Bound:
        """Return the statement that deletes a key's rows."""
        return self._bound("delete", key, self._delete)

    def update(self, identity: tuple[Any, ...], values: dict[Any, Any]) -> Bound:
        """Return the statement that puts values into the row with a primary key."""
        name = ("update", *(column.key for column in values))
        statement = self._built.get(name)
        if statement is None:
            statement = self._built[name] = self._update(values)
        parameters = {f"new_{column.key}": value for column, value in values.items()}
        parameters |= {f"key_{number}": value for number, value in enumerate(identity)}
        return statement, parameters

    def _bound(self, kind: str, key: TokenKey, build: Callable[[Conditions], Executable]) -> Bound:
        owner, parameters = self._owner(key)
        statement = self._built.get((kind, owner))
        if statement is None:
            statement = self._built[kind, owner] = build(self._owned_by(owner))
        return statement, parameters

    def _owner(self, key: TokenKey) -> tuple[str, Parameters]:
        user, provider = self._columns.user, {_PROVIDER: escaped(key.provider)}
        if user is None and key.user_id is not None:
            raise ConfigurationError(
                f"The model {self._columns.name} has no user_id and no user, so that it can't tell "
                "users' tokens apart. Give it one, or keep one token for the application."
            )
        if key.user_id is None:
            return "app", provider
        try:
            return "user", {**provider, _USER: self._columns.user_value(key.user_id)}
        except ValueError:
            # Its column can't hold such an id.
            return "nobody", {}

    def _owned_by(self, owner: str) -> Conditions:
        if owner == "nobody":
            return [false()]
        columns = self._columns
        wanted: Conditions = [columns.provider == bindparam(_PROVIDER, type_=columns.provider.type)]
        if columns.user is None:
            return wanted
        if owner == "app":
            return [*wanted, columns.user.is_(None)]
        return [*wanted, columns.user == bindparam(_USER, type_=columns.user.type)]

    def _select(self, wanted: Conditions) -> Select[Any]:
        return self._columns.rows.where(*wanted)

    def _lock_by_writing(self, wanted: Conditions) -> ReturningUpdate[Any]:
        # SQLite locks by writing, and must not count this as a write.
        columns = self._columns
        same = {column: column for column in (columns.provider, *columns.kept.values())}
        return columns.table.update().where(*wanted).values(same).returning(*columns.selected)

    def _delete(self, wanted: Conditions) -> Delete:
        return self._columns.table.delete().where(*wanted)

    def _update(self, values: dict[Any, Any]) -> Update:
        pairs = enumerate(self._columns.primary_key)
        wanted = (column == bindparam(f"key_{n}", type_=column.type) for n, column in pairs)
        new = {column: bindparam(f"new_{column.key}", type_=column.type) for column in values}
        return self._columns.table.update().where(*wanted).values(new)
