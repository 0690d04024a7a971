"""A user's model as token documents: which columns it has, and what they can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, cast

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    Select,
    Table,
    UniqueConstraint,
    Update,
    bindparam,
    false,
    inspect,
    select,
    type_coerce,
)
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from .... import clock
from ....errors import ConfigurationError
from ..store.document import TokenDocument, TokenKey
from ..store.values import decode_token, user_id_text
from .values import Guarded, aware_time, column_time, encode_token, escaped, id_value, unescaped

Conditions = list[ColumnElement[bool]]

_encode = json.JSONEncoder(sort_keys=True, default=str).encode

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# The names of parameters, which no column is likely to have.
_PART = "flask_dance_part_{}"

_KEPT = ("created_at", "updated_at", "expires_at", "version", "provider_user_id")


class Columns:
    """The columns of a model that make a token document.

    Args:
        model: The model.

    Raises:
        ConfigurationError: If it is no model, or lacks ``provider`` or ``token``.
    """

    def __init__(self, model: type[Any]) -> None:
        try:
            self.mapper: Mapper[Any] = inspect(model)
        except NoInspectionAvailable:
            raise ConfigurationError(f"{model!r} is not a model of SQLAlchemy.") from None
        columns = self.mapper.columns
        if "provider" not in columns or "token" not in columns:
            raise ConfigurationError(
                f"The model {model.__name__} needs the columns provider and token, which "
                "OAuthConsumerMixin has."
            )
        self.table = cast(Table, self.mapper.local_table)
        self.primary_key = self.mapper.primary_key
        self.provider: Column[Any] = columns["provider"]
        self.token: Column[Any] = columns["token"]
        self.kept: dict[str, Column[Any]] = {
            name: columns[name] for name in _KEPT if name in columns
        }

    @property
    def metadata(self) -> MetaData:
        """The metadata that the table belongs to."""
        return self.table.metadata

    @property
    def name(self) -> str:
        """The model's name."""
        return self.mapper.class_.__name__

    @cached_property
    def user(self) -> Column[Any] | None:
        """The column that says whose token it is, if there is one."""
        if "user_id" in self.mapper.columns:
            return self.mapper.columns["user_id"]
        # Only now: what the relationship leads to may be defined after this model.
        relationship = self.mapper.relationships.get("user")
        if relationship is None or len(relationship.local_columns) != 1:
            return None
        return cast("Column[Any]", next(iter(relationship.local_columns)))

    @cached_property
    def selected(self) -> list[ColumnElement[Any]]:
        """The columns that make a document, and then the primary key."""
        named = {"provider": self.provider, "user": self.user, "token": self.token, **self.kept}
        selected: list[ColumnElement[Any]] = [
            type_coerce(column, Guarded(column.type)).label(f"its_{name}")
            for name, column in named.items()
            if column is not None
        ]
        return [*selected, *self.primary_key]

    @cached_property
    def rows(self) -> Select[Any]:
        """The selection of all that makes a document."""
        return select(*self.selected)

    @cached_property
    def _update(self) -> Update:
        pairs = enumerate(self.primary_key)
        return self.table.update().where(*(c == bindparam(_PART.format(n)) for n, c in pairs))

    def update(
        self, identity: tuple[Any, ...], values: dict[Any, Any]
    ) -> tuple[Update, dict[str, Any]]:
        """Return what puts values into the row with a primary key: a statement and parameters."""
        parameters = {_PART.format(number): part for number, part in enumerate(identity)}
        return self._update, parameters | {column.key: value for column, value in values.items()}

    def require_user(self, key: TokenKey) -> None:
        """Make sure that a key's user has a column.

        Raises:
            ConfigurationError: If the key has a user and the model has no column for one.
        """
        if self.user is None and key.user_id is not None:
            raise ConfigurationError(
                f"The model {self.name} has no user_id and no user, so that it can't tell "
                "users' tokens apart. Give it one, or keep one token for the application."
            )

    def selected_by(self, provider: str | None, user_id: str | None) -> Conditions:
        """Return the conditions of a listing."""
        conditions: Conditions = []
        if provider is not None:
            conditions.append(self.provider == escaped(provider))
        if user_id is not None:
            conditions.append(self._is_user(user_id))
        return conditions

    def _is_user(self, user_id: str | None) -> ColumnElement[bool]:
        if self.user is None:
            return false()
        try:
            is_user: ColumnElement[bool] = self.user == self.user_value(user_id)
        except ValueError:
            return false()
        return is_user

    def are_unique(self, key: TokenKey) -> bool:
        """Whether the database itself makes sure that a key has one row at most."""
        owner = {self.provider}
        if self.user is not None and key.user_id is not None:
            owner.add(self.user)
        constraints = (UniqueConstraint, PrimaryKeyConstraint)
        sets = [set(c.columns) for c in self.table.constraints if isinstance(c, constraints)]
        for index in self.table.indexes:
            partial = index.dialect_options["postgresql"]["where"] is not None
            if index.unique and partial <= (key.user_id is None):
                sets.append(set(index.columns))
        return any(columns <= owner for columns in sets)

    def user_value(self, user_id: str | None) -> Any:
        """Return a user's id as its column has it.

        Raises:
            ValueError: If the column can't hold it.
        """
        if user_id is None or self.user is None:
            return None
        return id_value(self.user, user_id)

    def values(self, document: TokenDocument, row: Row[Any] | None) -> dict[Any, Any]:
        """Return what a write of a document puts into its row, or into a new one."""
        values: dict[Any, Any] = {self.token: encode_token(document.token)}
        moments = ["updated_at", "expires_at"]
        if row is None or self.created_at(row) is None:
            moments.append("created_at")
        for name in moments:
            if name in self.kept:
                values[self.kept[name]] = column_time(self.kept[name], getattr(document, name))
        if "version" in self.kept:
            version = 0 if row is None else self.version(row)
            values[self.kept["version"]] = version + 1 if version > 0 else clock.first_version()
        # Yours, until it is known.
        if "provider_user_id" in self.kept and document.provider_user_id is not None:
            values[self.kept["provider_user_id"]] = document.provider_user_id
        return values

    def owner_values(self, document: TokenDocument) -> dict[Any, Any]:
        """Return what says in a new row whose it is.

        Raises:
            ValueError: If the column can't hold this user's id.
        """
        values: dict[Any, Any] = {self.provider: escaped(document.provider)}
        if self.user is not None:
            values[self.user] = self.user_value(document.user_id)
        return values

    def named(self, values: dict[str, Any]) -> dict[Any, Any]:
        """Return values by column that are given by attribute.

        Raises:
            ConfigurationError: If the model has no column of that name.
        """
        for name in values:
            if name not in self.mapper.columns:
                raise ConfigurationError(f"The model {self.name} has no column {name}.")
        return {self.mapper.columns[name]: value for name, value in values.items()}

    def identity(self, row: Row[Any]) -> tuple[Any, ...]:
        """Return the values of a row's primary key."""
        return tuple(row[-len(self.primary_key) :])

    def created_at(self, row: Row[Any]) -> datetime | None:
        """Return when a row was made, if that is known."""
        moment = aware_time(getattr(row, "its_created_at", None))
        return moment if isinstance(moment, datetime) else None

    def age(self, row: Row[Any]) -> tuple[Any, ...]:
        """Return what sorts rows by age, the oldest first."""
        return (self.created_at(row) or _LONG_AGO, self.identity(row))

    def key(self, row: Row[Any]) -> TokenKey:
        """Return whose row it is.

        Raises:
            TypeError, ValueError: If its columns have something that can't be that.
        """
        user = row.its_user if self.user is not None else None
        user = unescaped(user) if isinstance(user, str) else user
        return TokenKey(unescaped(row.its_provider), None if user is None else user_id_text(user))

    def document(self, key: TokenKey, row: Row[Any]) -> TokenDocument:
        """Return what a row of a key holds.

        Raises:
            msgspec.MsgspecError, TypeError, ValueError: If it is no document.
        """
        fields = {name: getattr(row, f"its_{name}") for name in self.kept}
        if not isinstance(fields.get("provider_user_id"), str):
            fields["provider_user_id"] = None
        fields.setdefault("created_at", _LONG_AGO)
        fields.setdefault("updated_at", fields["created_at"])
        fields.setdefault("version", self.version(row))
        for name in ("created_at", "updated_at", "expires_at"):
            fields[name] = aware_time(fields.get(name))
        fields |= {"provider": key.provider, "user_id": key.user_id}
        fields["token"] = decode_token(row.its_token)
        return msgspec.convert(fields, TokenDocument)

    def has_ended(self, row: Row[Any]) -> bool:
        """Whether a row's time is up."""
        end = aware_time(getattr(row, "its_expires_at", None))
        return isinstance(end, datetime) and end <= clock.now()

    def version(self, row: Row[Any]) -> int:
        """Return the version of a row: counted, or else made of what it holds."""
        if "version" not in self.kept:
            return _content_version(self.identity(row), row.its_token)
        return row.its_version if isinstance(row.its_version, int) else -1

    def saved(
        self,
        document: TokenDocument,
        values: dict[Any, Any],
        identity: tuple[Any, ...],
        row: Row[Any] | None,
    ) -> TokenDocument:
        """Return a document as it was written over a row, or into a new one."""
        counted = values.get(self.kept.get("version"))
        content = _content_version(identity, values[self.token])
        return msgspec.structs.replace(
            document,
            version=content if counted is None else counted,
            created_at=(row and self.created_at(row)) or document.created_at,
        )


def _content_version(identity: tuple[Any, ...], token: Any) -> int:
    content = _encode([[str(part) for part in identity], token])
    return int.from_bytes(blake2b(content.encode(), digest_size=6).digest()) or 1
