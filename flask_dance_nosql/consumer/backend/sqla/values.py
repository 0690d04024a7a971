"""Values on their way into and out of columns."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column
from sqlalchemy.engine import Dialect
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from ..store.values import Token, is_plain

BROKEN: Any = object()
"""What :class:`Guarded` returns for a value that its type can't read."""

_INT64 = range(-(2**63), 2**63)
# MySQL's JSON takes 100 levels.
_DEPTH = 90


class Guarded(TypeDecorator[Any]):
    """Reads as another type does, and returns ``BROKEN`` for a value on which that type fails.

    Otherwise one broken row would make a query of many rows fail.
    """

    impl = NullType
    cache_ok = True

    def __init__(self, inner: TypeEngine[Any]) -> None:
        super().__init__()
        self.inner = inner

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the other type's implementation."""
        return self.inner.dialect_impl(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the other type's processor with its errors caught."""
        read = self.inner.dialect_impl(dialect).result_processor(dialect, coltype)
        if read is None:
            return None

        def guarded(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError):
                return BROKEN

        return guarded


def encode_token(token: Token) -> Token | str:
    """Return a token as JSON, or as JSON text if a database's JSON can't hold it exactly."""
    return token if is_plain(token, _DEPTH, _is_exact, _is_exact) else json.dumps(token)


def _is_exact(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        # JSONB drops the exponent and the sign of zero.
        text = repr(value)
        return "e" not in text and text != "-0.0"
    return not isinstance(value, int) or value in _INT64


def id_value(column: Column[Any], user_id: str) -> Any:
    """Return a user's id as the value for its column; ``ValueError`` if that can't hold it."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = str
    value: Any = user_id
    if kind is int:
        number = int(user_id) if re.fullmatch("-?[0-9]{1,19}", user_id) else None
        value = number if number is not None and number in _INT64 else None
    elif kind is UUID:
        value = UUID(user_id)
    # "042" and "42" would share a row.
    if str(value) != user_id:
        raise ValueError(f"The column {column} can't hold this user_id")
    return value


def column_time(column: Column[Any], moment: datetime | None) -> datetime | None:
    """Return an aware moment as the column's type has it: aware, or in UTC without a time zone."""
    if moment is None or getattr(column.type, "timezone", False):
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


def aware_time(value: Any) -> Any:
    """Return a column's moment as aware UTC, and any other value unchanged."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return value
