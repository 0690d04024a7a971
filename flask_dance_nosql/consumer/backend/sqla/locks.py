"""Locks as rows of a table of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from sqlalchemy import Table, exc
from sqlalchemy.schema import Column
from sqlalchemy.types import Double, String

from ..store.document import TokenKey
from .statements import seconds_now
from .transactions import Transactions


class Locks:
    """Takes and releases locks, on a connection apart from the session's if there is one.

    Args:
        tokens: The table of the tokens, whose metadata and schema that of the locks has.
        transactions: Lends connections.
        create: Creates the table, before a first lock is taken.
    """

    def __init__(
        self, tokens: Table, transactions: Transactions, create: Callable[[Table], None]
    ) -> None:
        self.table = Table(
            "flask_dance_locks",
            tokens.metadata,
            Column("name", String(64), primary_key=True),
            Column("holder", String(64), nullable=False),
            Column("until", Double, nullable=False),
            schema=tokens.schema,
            # Another store may have made it.
            keep_existing=True,
        )
        self._transactions = transactions
        self._create = create
        # Tenants may have a table each.
        self.made_at: set[str] = set()

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the database's time."""
        transactions, lock, name = self._transactions, self.table.c, self._name(key)
        self._make()
        try:
            with transactions.write(apart=True) as connection, transactions.attempt(connection):
                now = seconds_now(connection.dialect.name)
                free = (lock.holder == holder) | (lock.until <= now)
                taken = {"holder": holder, "until": now + seconds}
                update = self.table.update().where(lock.name == name, free).values(**taken)
                if not connection.execute(update).rowcount:
                    connection.execute(self.table.insert().values(name=name, **taken))
        except exc.IntegrityError:
            # It is another's, or another took it at the same moment.
            return False
        return True

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        lock = self.table.c
        is_held = (lock.name == self._name(key)) & (lock.holder == holder)
        with self._transactions.write(apart=True) as connection:
            connection.execute(self.table.delete().where(is_held))

    def forget(self, keys: Iterable[TokenKey]) -> None:
        """Delete the locks of keys, and those that have ended."""
        lock = self.table.c
        self._make()
        with self._transactions.write(apart=True) as connection:
            is_over = lock.until <= seconds_now(connection.dialect.name)
            names = [self._name(key) for key in keys]
            connection.execute(self.table.delete().where(is_over | lock.name.in_(names)))

    def _make(self) -> None:
        place = self._transactions.place
        if place not in self.made_at:
            self._create(self.table)
            self.made_at.add(place)

    def _name(self, key: TokenKey) -> str:
        tenant = self._transactions.tenant
        return sha256(f"{key.text}#{tenant}".encode()).hexdigest() if tenant else key.digest
