"""Converts between the rows of a user's model and token documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, cast

import msgspec
from sqlalchemy import ColumnElement, Dialect, Row, type_coerce
from sqlalchemy.schema import Column, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from .... import clock
from ....errors import ConfigurationError
from ..store.document import RefreshFailure, TokenDocument, TokenKey
from ..store.values import decode_token, is_plain
from .ids import INT64, UserIds
from .mapping import account_column, kinds_of, mapper_of, refuse_composite_user, user_column

Identity = tuple[Any, ...]
Values = dict[Any, Any]
Defaults = dict[str, Any] | Callable[[TokenDocument], dict[str, Any]] | None

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Whoever reads versions as JSON does knows no larger integer.
LARGEST_VERSION = 2**53 - 1

_encode = json.JSONEncoder(sort_keys=True, default=str).encode
# MySQL's JSON takes 100 levels.
_DEPTH = 90
_FAILURE = "refresh_failure"
_OPTIONAL = ("created_at", "updated_at", "expires_at", "version", "provider_user_id", _FAILURE)
_BROKEN: Any = object()


class _Guarded(TypeDecorator[Any]):
    """Reads as another type, but ``_BROKEN`` where that fails, which would fail the whole query."""

    impl = NullType
    cache_ok = True

    def __init__(self, inner: TypeEngine[Any]) -> None:
        super().__init__()
        self.inner = inner

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return self.inner.dialect_impl(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read = self.inner.dialect_impl(dialect).result_processor(dialect, coltype)
        if read is None:
            return None

        def guarded(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError):
                return _BROKEN

        return guarded


class Columns:
    """The columns of a model that hold a token document."""

    def __init__(self, model: type[Any], dialect: Callable[[], Dialect]) -> None:
        self.mapper = mapper_of(model)
        refuse_composite_user(self.mapper)
        columns = self.mapper.columns
        self.name = model.__name__
        self.table = cast(Table, self.mapper.local_table)
        self.primary_key = self.mapper.primary_key
        self.provider: Column[Any] = columns["provider"]
        self.token: Column[Any] = columns["token"]
        self.optional = {name: columns[name] for name in _OPTIONAL if name in columns}
        # An empty text in it is no account: NULLs would not be unique.
        self.account = account_column(self.mapper)
        # Where other models share the table: the column that tells them apart.
        self.kind = cast("Column[Any] | None", self.mapper.polymorphic_on)
        self._dialect = dialect
        self._targets: dict[tuple[str, bool], dict[str, Any] | None] = {}

    @cached_property
    def kinds(self) -> list[Any]:
        """The values of that column in rows of the model, its own first."""
        # Looked up late, like the user: other models may be based on this one.
        return kinds_of(self.mapper)

    @cached_property
    def user(self) -> Column[Any] | None:
        """The column of the user's id, if there is one."""
        # Looked up late, since a relationship's target may be defined after this model.
        return user_column(self.mapper)

    @cached_property
    def _user_ids(self) -> UserIds:
        if self.user is None:
            raise ConfigurationError(
                f"The model {self.name} has no user_id and no user, so that it can't tell "
                "users' tokens apart. Give it one, or keep one token for the application."
            )
        return UserIds(self.user, self._dialect)

    @cached_property
    def owner(self) -> list[ColumnElement[Any]]:
        """The columns of a key, labelled ``its_...``."""
        return _labelled({"provider": self.provider, "user": self.user, "account": self.account})

    @cached_property
    def selected(self) -> list[ColumnElement[Any]]:
        """The columns of a document, labelled ``its_...``, followed by the primary key."""
        return [*self.owner, *_labelled({"token": self.token, **self.optional}), *self.primary_key]

    def conflict_target(self, dialect: str, *, has_user: bool) -> dict[str, Any] | None:
        """Return what ``ON CONFLICT`` names, the constraint for one row an owner, or ``None``."""
        wanted = (dialect, has_user)
        if wanted not in self._targets:
            self._targets[wanted] = self._conflict_target(dialect, has_user=has_user)
        return self._targets[wanted]

    def _conflict_target(self, dialect: str, *, has_user: bool) -> dict[str, Any] | None:
        owner, is_null = [self.provider], None
        owner += [column for column in (self.kind, self.account) if column is not None]
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

    def user_value(self, user_id: str | None) -> Any:
        """Return a user's id as the value for its column; ``ValueError`` if that can't hold it."""
        if user_id is None:
            return None
        return self._user_ids.value(user_id)

    def written(self, document: TokenDocument, row: Row[Any] | None, least: int = 0) -> Values:
        """Return the values, by column, that a document puts into its row, or into a new one.

        The version is ``least`` at least.
        """
        # As JSON text if a database's JSON can't hold it exactly.
        is_exact = is_plain(document.token, _DEPTH, _is_exact, _is_exact)
        values: Values = {self.token: document.token if is_exact else json.dumps(document.token)}
        for name in ("created_at", "updated_at", "expires_at"):
            is_kept = name == "created_at" and self.moment(row, name) is not None
            if name in self.optional and not is_kept:
                column, moment = self.optional[name], getattr(document, name)
                if moment is not None and not getattr(column.type, "timezone", False):
                    moment = moment.astimezone(UTC).replace(tzinfo=None)
                values[column] = moment
        if "version" in self.optional:
            version = 0 if row is None else self.version(row)
            is_right = 0 < version < LARGEST_VERSION
            first = least or clock.first_version()
            values[self.optional["version"]] = max(version + 1, least) if is_right else first
        # The application may have filled the column itself.
        if "provider_user_id" in self.optional and document.provider_user_id is not None:
            values[self.optional["provider_user_id"]] = document.provider_user_id
        if _FAILURE in self.optional:
            values[self.optional[_FAILURE]] = msgspec.to_builtins(document.refresh_failure)
        return values

    def inserted(self, document: TokenDocument, defaults: Defaults) -> Values:
        """Return the values, by column, that a new row has besides those of :meth:`written`."""
        given = defaults(document) if callable(defaults) else defaults or {}
        for name in given:
            if name not in self.mapper.columns:
                raise ConfigurationError(f"The model {self.name} has no column {name}.")
        values = {self.mapper.columns[name]: value for name, value in given.items()}
        values[self.provider] = document.provider
        if self.kind is not None:
            values[self.kind] = self.kinds[0]
        if self.user is not None:
            values[self.user] = self.user_value(document.user_id)
        if self.account is not None:
            values[self.account] = document.account or ""
        return values

    def require_accounts(self) -> None:
        """Raise :class:`ConfigurationError` if the model can't tell accounts apart."""
        if self.account is None:
            raise ConfigurationError(
                f"The model {self.name} has no account, so that it can't keep several accounts of "
                "a user apart. Base it on OAuthAccountMixin, give it unique_per_account(), and "
                "see 'Several accounts' in the documentation of SQLAlchemy."
            )

    @property
    def keeps_accounts_unique(self) -> bool:
        """Whether a constraint keeps an account at a provider to one row."""
        wanted = {self.provider, self.optional.get("provider_user_id")}
        unique: list[Any] = [c for c in self.table.constraints if isinstance(c, UniqueConstraint)]
        unique += [index for index in self.table.indexes if index.unique]
        return any(set(each.columns) == wanted for each in unique)

    def require_links(self) -> None:
        """Raise :class:`ConfigurationError` if the model can't keep accounts unique."""
        if not self.keeps_accounts_unique:
            raise ConfigurationError(
                f"The model {self.name} does not keep accounts at a provider unique. Give it a "
                "provider_user_id, as OAuthTokenMixin has, and the constraint "
                "UniqueConstraint('provider', 'provider_user_id')."
            )

    def identity(self, row: Row[Any]) -> Identity:
        """Return the primary key of a row."""
        return tuple(row[-len(self.primary_key) :])

    def key(self, row: Row[Any]) -> TokenKey:
        """Return the key of a row; it may be a ``TypeError`` or ``ValueError``."""
        user_id = self.user_id(row)
        account = row.its_account if self.account is not None else None
        return TokenKey(row.its_provider, user_id, account or None)

    def user_id(self, row: Row[Any]) -> str | None:
        """Return the id of a row's user as text."""
        user = row.its_user if self.user is not None else None
        return None if user is None else self._user_ids.text(user)

    def is_of(self, key: TokenKey, row: Row[Any]) -> bool:
        """Whether a row is a key's. With a collation that ignores case, others are found, too."""
        try:
            return self.key(row) == key
        except (TypeError, ValueError):
            return False

    def moment(self, row: Row[Any] | None, name: str) -> datetime | None:
        """Return a date of a row as aware UTC, if there is one."""
        moment = _aware(getattr(row, f"its_{name}", None))
        return moment if isinstance(moment, datetime) else None

    def version(self, row: Row[Any]) -> int:
        """Return the version of a row: its column, or else a hash of its primary key and token."""
        if "version" not in self.optional:
            return _content_version(self.identity(row), row.its_token)
        return row.its_version if isinstance(row.its_version, int) else -1

    def document(self, key: TokenKey, row: Row[Any]) -> TokenDocument:
        """Return the document in a row; an error of msgspec or ``json`` if it holds none."""
        fields = {name: getattr(row, f"its_{name}") for name in self.optional}
        fields["provider_user_id"] = _account(fields.get("provider_user_id"))
        fields.setdefault("created_at", LONG_AGO)
        fields.setdefault("updated_at", fields["created_at"])
        fields.setdefault("version", self.version(row))
        for name in ("created_at", "updated_at", "expires_at"):
            fields[name] = _aware(fields.get(name))
        fields |= {"provider": key.provider, "user_id": key.user_id, "account": key.account}
        fields["token"] = decode_token(row.its_token)
        fields[_FAILURE] = _failure(fields.get(_FAILURE))
        return msgspec.convert(fields, TokenDocument)

    def saved(
        self, document: TokenDocument, values: Values, identity: Identity, row: Row[Any] | None
    ) -> TokenDocument:
        """Return a document as it is stored, after values were put into its row or a new one."""
        counted = values.get(self.optional.get("version"))
        content = _content_version(identity, values[self.token])
        account = document.provider_user_id
        if account is None:
            account = _account(getattr(row, "its_provider_user_id", None))
        return msgspec.structs.replace(
            document,
            version=content if counted is None else counted,
            created_at=self.moment(row, "created_at") or document.created_at,
            provider_user_id=account,
            refresh_failure=document.refresh_failure if _FAILURE in self.optional else None,
        )


def _labelled(columns: dict[str, Any]) -> list[ColumnElement[Any]]:
    return [
        type_coerce(column, _Guarded(column.type)).label(f"its_{name}")
        for name, column in columns.items()
        if column is not None
    ]


def _content_version(identity: Identity, token: Any) -> int:
    content = _encode([[str(part) for part in identity], token])
    return int.from_bytes(blake2b(content.encode(), digest_size=6).digest()) or 1


def _account(value: Any) -> str | None:
    is_text = isinstance(value, str) and value.encode(errors="ignore").decode() == value
    return value if is_text else None


def _failure(value: Any) -> RefreshFailure | None:
    # The column may be the application's own. What it has in there is no reason to refuse a token.
    with suppress(msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None if value is None else msgspec.convert(value, RefreshFailure)
    return None


def _aware(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return value


def _is_exact(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        # JSONB drops the exponent and the sign of zero.
        text = repr(value)
        return "e" not in text and text != "-0.0"
    return not isinstance(value, int) or value in INT64
