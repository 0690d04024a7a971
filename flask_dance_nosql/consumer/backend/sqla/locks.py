"""The table of locks, beside the tokens, and the time of the database that decides over them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Double, String, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ..store.document import TokenKey

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


class Locks:
    """Takes and gives up locks, in a table with the metadata and schema of that of the tokens."""

    def __init__(self, tokens: Table) -> None:
        self.table = Table(
            LOCKS,
            tokens.metadata,
            Column("name", String(64), primary_key=True),
            Column("holder", String(64), nullable=False),
            Column("until", Double, nullable=False),
            schema=tokens.schema,
            # Another store may have made it.
            keep_existing=True,
        )

    def acquire(self, connection: Connection, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take a lock if it is free, over or the holder's; ``IntegrityError`` if it is not."""
        table, name = self.table.c, key.digest
        free = (table.holder == holder) | (table.until <= seconds_now())
        taken = {"holder": holder, "until": seconds_now() + seconds}
        update = self.table.update().where(table.name == name, free).values(**taken)
        if not connection.execute(update).rowcount:
            connection.execute(self.table.insert().values(name=name, **taken))
        return True

    def release(self, connection: Connection, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key, if it is this holder's."""
        is_held = (self.table.c.name == key.digest) & (self.table.c.holder == holder)
        connection.execute(self.table.delete().where(is_held))
