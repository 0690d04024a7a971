"""Users' ids, as the column of an application's model keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect
from sqlalchemy.schema import Column
from sqlalchemy.types import TypeDecorator, TypeEngine, Uuid

from ..store.values import id_text

INT64 = range(-(2**63), 2**63)


class UserIds:
    """Converts between the text of a user's id and the value that a column has for it.

    Args:
        column: The column.
        dialect: Returns the dialect of the database, which a type of the application's may need.
    """

    def __init__(self, column: Column[Any], dialect: Callable[[], Dialect]) -> None:
        self.column = column
        self._type: TypeEngine[Any] = column.type
        self._dialect = dialect
        self._kind = _python_type(self._type)

    def value(self, user_id: str) -> Any:
        """Return the value for a user; ``ValueError`` if the column can't hold it exactly."""
        if isinstance(self._type, TypeDecorator):
            found = next(self._accepted(self._type, user_id), None)
        else:
            found = next(_forms(user_id, self._kind), None)
            if isinstance(self._type, Uuid) and found is not None and not self._type.as_uuid:
                found = str(found)
        # "042" and "42" would share a row.
        if found is None:
            raise ValueError(f"The column {self.column} can't hold this user_id")
        return found

    def text(self, value: Any) -> str:
        """Return the text of a value that was read; it may be a ``TypeError`` or ``ValueError``."""
        # What a UUID is where the application's model has nothing but its bytes.
        return id_text(UUID(bytes=value) if isinstance(value, bytes) else value)

    def _accepted(self, kind: TypeDecorator[Any], user_id: str) -> Iterator[Any]:
        """Yield the forms of an id that a type of the application's writes, and reads again."""
        dialect, own = self._dialect(), type(kind)
        stored_as = _python_type(kind.load_dialect_impl(dialect))
        wanted = (str, UUID) if stored_as is UUID else (stored_as,)
        binds = own.process_bind_param is not TypeDecorator.process_bind_param
        reads = own.process_result_value is not TypeDecorator.process_result_value
        for form in (*_forms(user_id, stored_as), user_id, *_forms(user_id, UUID)):
            try:
                bound: Any = kind.process_bind_param(form, dialect) if binds else form
                again = self.text(kind.process_result_value(bound, dialect) if reads else bound)
            except Exception:  # noqa: BLE001, S112 - whatever the type raises, it takes no such form
                continue
            if isinstance(bound, wanted) and again == user_id:
                yield form


def _python_type(kind: TypeEngine[Any]) -> type:
    if isinstance(kind, Uuid):
        return UUID
    try:
        return kind.python_type
    except NotImplementedError:
        return str


def _forms(user_id: str, kind: type) -> Iterator[Any]:
    """Yield an id as a value of a type, if it is the canonical text of one."""
    if kind is int:
        number = int(user_id) if re.fullmatch("-?[0-9]{1,19}", user_id) else None
        if number is not None and number in INT64 and str(number) == user_id:
            yield number
    elif kind in (UUID, bytes):
        try:
            found = UUID(user_id)
        except ValueError:
            return
        if str(found) == user_id:
            yield found.bytes if kind is bytes else found
    else:
        yield user_id
