"""The table of locks, beside the tokens, and the time of the database that decides over them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Double, String, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

LOCKS = "flask_dance_locks"


class seconds_now(FunctionElement[float]):  # noqa: N801 - it is written like a function of SQL
    """The database's time in seconds since the epoch."""

    type = Double()
    inherit_cache = True


_NOW = {
    # CURRENT_TIMESTAMP would be when the transaction began.
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "mysql": "UNIX_TIMESTAMP(NOW(6))",
    "mariadb": "UNIX_TIMESTAMP(NOW(6))",
}


@compiles(seconds_now)
def _compiled(_: seconds_now, compiler: SQLCompiler, **__: Any) -> str:
    return _NOW.get(compiler.dialect.name, "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)")


def lock_table(tokens: Table) -> Table:
    """Return the table of locks, with the metadata and schema of that of the tokens."""
    return Table(
        LOCKS,
        tokens.metadata,
        Column("name", String(64), primary_key=True),
        Column("holder", String(64), nullable=False),
        Column("until", Double, nullable=False),
        schema=tokens.schema,
        # Another store may have made it.
        keep_existing=True,
    )
