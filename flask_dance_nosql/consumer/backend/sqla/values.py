"""Values as a database has them: which ones it can hold exactly, and how the others get there."""

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

_INT64 = range(-(2**63), 2**63)
# MySQL takes 100 levels.
_DEPTH = 90


class Guarded(TypeDecorator[Any]):
    """Reads what another type reads, and ``BROKEN`` where that fails: one row can't hide others.

    Args:
        inner: The other type.
    """

    impl = NullType
    cache_ok = True

    def __init__(self, inner: TypeEngine[Any]) -> None:
        super().__init__()
        self.inner = inner

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Be the other type, to the driver."""
        return self.inner.dialect_impl(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Read as the other type does."""
        read = self.inner.dialect_impl(dialect).result_processor(dialect, coltype)
        if read is None:
            return None

        def guarded(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError):
                return BROKEN

        return guarded


class _Broken:
    def __repr__(self) -> str:
        return "BROKEN"


BROKEN = _Broken()


def encode_token(token: Token) -> Token | str:
    """Return a token as JSON, or as JSON text if a database's JSON can't hold it exactly."""
    return token if is_plain(token, _DEPTH, _is_name, _is_exact) else json.dumps(token)


def _is_name(name: str) -> bool:
    return "\0" not in name


def _is_exact(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        # A JSON type that parses numbers forgets the exponent, and the sign of zero.
        text = repr(value)
        return "e" not in text and text != "-0.0"
    return not isinstance(value, int) or value in _INT64


def escaped(text: str) -> str:
    """Return a text without NUL, which few databases hold; without it a text stays as it is."""
    return text.replace("\x10", "\x10\x10").replace("\0", "\x100")


def unescaped(text: str) -> str:
    """Return the text that was escaped."""
    return re.sub("\x10(.)", lambda found: found[1].replace("0", "\0"), text)


def id_value(column: Column[Any], user_id: str) -> Any:
    """Return a user's id, which is text, as its column has it.

    Raises:
        ValueError: If the column can't hold it.
    """
    kind = _python_type(column.type)
    if kind is int:
        number = int(user_id) if re.fullmatch("-?[0-9]{1,19}", user_id) else None
        value: Any = number if number is not None and number in _INT64 else None
    elif kind is UUID:
        value = UUID(user_id)
    else:
        return escaped(user_id)
    # The text has to be the canonical one, or two ids would share a row.
    if str(value) != user_id:
        raise ValueError(f"The column {column} can't hold this user_id")
    return value


def _python_type(kind: TypeEngine[Any]) -> type[Any] | None:
    try:
        return kind.python_type
    except NotImplementedError:
        return None


def column_time(column: Column[Any], moment: datetime | None) -> datetime | None:
    """Return an aware moment as its column has it: in UTC, with or without a time zone."""
    if moment is None or getattr(column.type, "timezone", False):
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


def aware_time(moment: Any) -> Any:
    """Return a column's moment as aware UTC, and anything else as it is."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment
