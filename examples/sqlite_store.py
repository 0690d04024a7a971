"""A token store for the SQLite that comes with Python: an example of a whole adapter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.errors import CorruptToken

TABLES = """
CREATE TABLE IF NOT EXISTS tokens (name TEXT PRIMARY KEY, provider TEXT, user_id TEXT, text TEXT);
CREATE INDEX IF NOT EXISTS tokens_of_user ON tokens (user_id, provider);
CREATE TABLE IF NOT EXISTS locks (name TEXT PRIMARY KEY, holder TEXT, until REAL);
"""
SCAN = """
SELECT * FROM tokens WHERE name > :after
    AND (:provider IS NULL OR provider = :provider) AND (:user_id IS NULL OR user_id = :user_id)
    ORDER BY name LIMIT 500
"""
KEYS = """
SELECT name FROM tokens WHERE user_id = :user_id AND (:provider IS NULL OR provider = :provider)
"""
TAKE_LOCK = """
INSERT INTO locks VALUES (:name, :holder, :until) ON CONFLICT (name) DO UPDATE
    SET holder = :holder, until = :until WHERE holder = :holder OR until <= :now
"""


class SQLiteStore(TokenStore):
    """Keeps each token as one row of an SQLite database.

    Args:
        path: The database's file.
    """

    unavailable_errors = (sqlite3.OperationalError,)
    driver_errors = (sqlite3.Error,)

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """The file."""
        return f"sqlite:{self.path}"

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document in a key's row."""
        with self._transaction() as database:
            document = self._find("load", database, key)
        return None if document is None or document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Insert or update a key's row."""
        key = document.key
        with self._transaction() as database:
            try:
                old = self._find("save", database, key)
            except CorruptToken:
                old = None
            current = 0 if old is None or (old.expired and if_version == 0) else old.version
            if if_version not in (None, current):
                raise self.conflict("save", key)
            saved = msgspec.structs.replace(
                document,
                version=clock.first_version() if old is None else old.version + 1,
                created_at=document.created_at if old is None else old.created_at,
            )
            row = (key.text, key.provider, key.user_id, msgspec.json.encode(saved).decode())
            database.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)", row)
        return saved

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete a key's row."""
        with self._transaction() as database:
            if if_version is not None:
                old = self._find("delete", database, key)
                if old is not None and old.version != if_version:
                    raise self.conflict("delete", key)
            database.execute("DELETE FROM tokens WHERE name = ?", [key.text])

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield the documents in batches of 500 rows."""
        values: dict[str, Any] = {"after": "", "provider": provider, "user_id": user_id}
        left_out = 0
        while True:
            with self._transaction() as database:
                rows = database.execute(SCAN, values).fetchall()
            if not rows:
                self.tell_left_out(left_out)
                return
            for _, row_provider, row_user_id, text in rows:
                try:
                    document = self._decode("scan", TokenKey(row_provider, row_user_id), text)
                except (CorruptToken, TypeError, ValueError):
                    # No key, or no document: it must not end the scan.
                    left_out += 1
                    continue
                if not document.expired:
                    yield document
            values["after"] = rows[-1][0]

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's rows, whatever is in them."""
        with self._transaction() as database:
            rows = database.execute(KEYS, {"provider": provider, "user_id": user_id}).fetchall()
        return [TokenKey.of_text(name) for (name,) in rows]

    def prepare(self) -> None:
        """Make the tables."""
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript(TABLES)

    def require_accounts(self) -> None:
        """Do nothing: the name of a row has the account."""

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self._transaction() as database:
            database.execute("SELECT 1 FROM tokens")

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key if it is free."""
        now = clock.timestamp()
        values = {"name": key.text, "holder": holder, "now": now, "until": now + seconds}
        with self._transaction() as database:
            return database.execute(TAKE_LOCK, values).rowcount == 1

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        with self._transaction() as database:
            values = (key.text, holder)
            database.execute("DELETE FROM locks WHERE name = ? AND holder = ?", values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database

    def _find(
        self, operation: str, database: sqlite3.Connection, key: TokenKey
    ) -> TokenDocument | None:
        rows = database.execute("SELECT text FROM tokens WHERE name = ?", [key.text]).fetchall()
        return self._decode(operation, key, rows[0][0]) if rows else None

    def _decode(self, operation: str, key: TokenKey, text: str) -> TokenDocument:
        try:
            document = msgspec.json.decode(text, type=TokenDocument)
        except (msgspec.MsgspecError, ValueError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        return document
