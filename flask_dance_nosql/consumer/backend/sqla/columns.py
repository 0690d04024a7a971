"""Converts between the rows of a user's model and token documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, cast

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    PrimaryKeyConstraint,
    Row,
    Table,
    UniqueConstraint,
    inspect,
    type_coerce,
)
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from .... import clock
from ....errors import ConfigurationError
from ..store.document import TokenDocument, TokenKey
from ..store.values import decode_token, user_id_text
from .values import Guarded, aware_time, column_time, encode_token, id_value

Defaults = dict[str, Any] | Callable[[TokenDocument], dict[str, Any]] | None

_encode = json.JSONEncoder(sort_keys=True, default=str).encode

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_OPTIONAL = ("created_at", "updated_at", "expires_at", "version", "provider_user_id")


class Columns:
    """The columns of a model that hold a token document."""

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
        self.name = model.__name__
        self.table = cast(Table, self.mapper.local_table)
        self.primary_key = self.mapper.primary_key
        self.provider: Column[Any] = columns["provider"]
        self.token: Column[Any] = columns["token"]
        self.optional: dict[str, Column[Any]] = {
            name: columns[name] for name in _OPTIONAL if name in columns
        }

    @cached_property
    def user(self) -> Column[Any] | None:
        """The column of the user's id, if there is one."""
        if "user_id" in self.mapper.columns:
            return self.mapper.columns["user_id"]
        # Looked up late, since the relationship's target may be defined after this model.
        relationship = self.mapper.relationships.get("user")
        if relationship is None or len(relationship.local_columns) != 1:
            return None
        return cast("Column[Any]", next(iter(relationship.local_columns)))

    @cached_property
    def selected(self) -> list[ColumnElement[Any]]:
        """The columns of a document, labelled ``its_...``, followed by the primary key."""
        named = {"provider": self.provider, "user": self.user, "token": self.token, **self.optional}
        selected: list[ColumnElement[Any]] = [
            type_coerce(column, Guarded(column.type)).label(f"its_{name}")
            for name, column in named.items()
            if column is not None
        ]
        return [*selected, *self.primary_key]

    def conflict_target(self, dialect: str, *, has_user: bool) -> dict[str, Any] | None:
        """Return what ``ON CONFLICT`` names, the constraint for one row an owner, or ``None``."""
        owner, is_null = [self.provider], None
        if self.user is not None and has_user:
            owner.append(self.user)
        elif self.user is not None:
            is_null = f"{self.user.name} IS NULL"
        kinds = (UniqueConstraint, PrimaryKeyConstraint)
        constraints = [c for c in self.table.constraints if isinstance(c, kinds)]
        if is_null is None and any(set(c.columns) == set(owner) for c in constraints):
            return {"index_elements": owner}
        for index in self.table.indexes:
            where = index.dialect_options[dialect]["where"]
            condition = None if where is None else str(where).rpartition(".")[2]
            if index.unique and set(index.expressions) == set(owner) and condition == is_null:
                return {"index_elements": owner, "index_where": where}
        return None

    def can_be_upserted(self, inserted: Collection[Any], updated: Collection[Any]) -> bool:
        """Whether an upsert that names these columns does all that an insert or an update does.

        SQLAlchemy runs no ``onupdate`` in an upsert, and a database refuses ``NULL`` in a required
        column before it looks for a row to update.
        """
        return all(
            (column in updated or column.onupdate is None)
            and (
                (column in inserted or column.nullable)
                or (column.default is not None or column.server_default is not None)
                or column is self.table.autoincrement_column
            )
            for column in self.table.columns
        )

    def user_value(self, user_id: str | None) -> Any:
        """Return a user's id as the value for its column; ``ValueError`` if that can't hold it."""
        if user_id is None:
            return None
        if self.user is None:
            raise ConfigurationError(
                f"The model {self.name} has no user_id and no user, so that it can't tell "
                "users' tokens apart. Give it one, or keep one token for the application."
            )
        return id_value(self.user, user_id)

    def written(self, document: TokenDocument, row: Row[Any] | None) -> dict[Any, Any]:
        """Return the values, by column, that a document puts into its row, or into a new one."""
        values: dict[Any, Any] = {self.token: encode_token(document.token)}
        for name in ("created_at", "updated_at", "expires_at"):
            is_kept = name == "created_at" and row is not None and self.created_at(row) is not None
            if name in self.optional and not is_kept:
                column = self.optional[name]
                values[column] = column_time(column, getattr(document, name))
        if "version" in self.optional:
            version = 0 if row is None else self.version(row)
            values[self.optional["version"]] = version + 1 if version > 0 else clock.first_version()
        # The application may have filled the column itself.
        if "provider_user_id" in self.optional and document.provider_user_id is not None:
            values[self.optional["provider_user_id"]] = document.provider_user_id
        return values

    def inserted(self, document: TokenDocument, defaults: Defaults) -> dict[Any, Any]:
        """Return the values, by column, that a new row has besides those of :meth:`written`."""
        given = defaults(document) if callable(defaults) else defaults or {}
        for name in given:
            if name not in self.mapper.columns:
                raise ConfigurationError(f"The model {self.name} has no column {name}.")
        values = {self.mapper.columns[name]: value for name, value in given.items()}
        values[self.provider] = document.provider
        if self.user is not None:
            values[self.user] = self.user_value(document.user_id)
        return values

    def identity(self, row: Row[Any]) -> tuple[Any, ...]:
        """Return the primary key of a row."""
        return tuple(row[-len(self.primary_key) :])

    def key(self, row: Row[Any]) -> TokenKey:
        """Return the key of a row; it may be a ``TypeError`` or ``ValueError``."""
        user = row.its_user if self.user is not None else None
        return TokenKey(row.its_provider, None if user is None else user_id_text(user))

    def created_at(self, row: Row[Any]) -> datetime | None:
        """Return when a row was made, if that is known."""
        moment = aware_time(getattr(row, "its_created_at", None))
        return moment if isinstance(moment, datetime) else None

    def age(self, row: Row[Any]) -> tuple[Any, ...]:
        """Return a sort key that puts the oldest row first."""
        return (self.created_at(row) or _LONG_AGO, self.identity(row))

    def has_ended(self, row: Row[Any]) -> bool:
        """Whether the ``expires_at`` of a row has passed."""
        end = aware_time(getattr(row, "its_expires_at", None))
        return isinstance(end, datetime) and end <= clock.now()

    def version(self, row: Row[Any]) -> int:
        """Return the version of a row: its column, or else a hash of its primary key and token."""
        if "version" not in self.optional:
            return _content_version(self.identity(row), row.its_token)
        return row.its_version if isinstance(row.its_version, int) else -1

    def document(self, key: TokenKey, row: Row[Any]) -> TokenDocument:
        """Return the document in a row; an error of msgspec or ``json`` if it holds none."""
        fields = {name: getattr(row, f"its_{name}") for name in self.optional}
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

    def saved(
        self,
        document: TokenDocument,
        values: dict[Any, Any],
        identity: tuple[Any, ...],
        row: Row[Any] | None,
    ) -> TokenDocument:
        """Return a document as it is stored, after values were put into its row or a new one."""
        counted = values.get(self.optional.get("version"))
        content = _content_version(identity, values[self.token])
        account = document.provider_user_id
        if account is None:
            account = getattr(row, "its_provider_user_id", None)
        return msgspec.structs.replace(
            document,
            version=content if counted is None else counted,
            created_at=(row and self.created_at(row)) or document.created_at,
            provider_user_id=account if isinstance(account, str) else None,
        )


def _content_version(identity: tuple[Any, ...], token: Any) -> int:
    content = _encode([[str(part) for part in identity], token])
    return int.from_bytes(blake2b(content.encode(), digest_size=6).digest()) or 1
