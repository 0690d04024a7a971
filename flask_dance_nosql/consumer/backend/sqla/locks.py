"""The table of locks, beside the tokens, and the time of the database that decides over them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Double, MetaData, String, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ..store.document import TokenKey

LOCKS = "flask_dance_locks"


class seconds_now(FunctionElement[float]):  # noqa: N801 - it is written like a function of SQL
    """The database's time in seconds since the epoch."""

    type = Double()
    inherit_cache = True


@compiles(seconds_now)
def _standard(*_: Any, **__: Any) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(seconds_now, "postgresql")
def _postgresql(*_: Any, **__: Any) -> str:
    # CURRENT_TIMESTAMP would be when the transaction began.
    return "EXTRACT(EPOCH FROM clock_timestamp())"


@compiles(seconds_now, "sqlite")
def _sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(seconds_now, "mysql", "mariadb")
def _mysql(*_: Any, **__: Any) -> str:
    return "UNIX_TIMESTAMP(NOW(6))"


class Locks:
    """Takes and gives up locks in a table.

    Args:
        metadata: Where the table belongs, so that ``create_all`` and migrations know it.
        tokens: The table of the tokens, in whose schema it is.
    """

    def __init__(self, metadata: MetaData, tokens: Table) -> None:
        schema = tokens.schema
        name = f"{schema}.{LOCKS}" if schema else LOCKS
        known = metadata.tables.get(name)
        self.table = _table(metadata, schema) if known is None else known

    def acquire(self, connection: Connection, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key if it is free, over or the holder's.

        Raises:
            IntegrityError: If another has taken it at the same moment.
        """
        table, name = self.table.c, key.digest
        free = (table.holder == holder) | (table.until <= seconds_now())
        taken = {"holder": holder, "until": seconds_now() + seconds}
        update = self.table.update().where(table.name == name, free).values(**taken)
        if connection.execute(update).rowcount:
            return True
        connection.execute(self.table.insert().values(name=name, **taken))
        return True

    def release(self, connection: Connection, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key, if it is this holder's."""
        table = self.table.c
        connection.execute(
            self.table.delete().where(table.name == key.digest, table.holder == holder)
        )


def lock_number(key: TokenKey) -> int:
    """Return a number of 64 bits, which another key has only by the rarest chance."""
    return int(key.digest[:16], 16) - 2**63


def _table(metadata: MetaData, schema: str | None) -> Table:
    return Table(
        LOCKS,
        metadata,
        Column("name", String(64), primary_key=True),
        Column("holder", String(64), nullable=False),
        Column("until", Double, nullable=False),
        schema=schema,
    )
