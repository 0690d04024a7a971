"""The store that the documentation shows keeps the promises of a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from examples.sqlite_store import SQLiteStore
from flask_dance_nosql.consumer.backend import TokenKey, TokenStore
from flask_dance_nosql.testing import (
    AccountConformance,
    CorruptRecords,
    ServerDown,
    StoreConformance,
)
from flask_dance_nosql.testing.documents import thousand_tokens


class TestSQLiteStore(StoreConformance, CorruptRecords, ServerDown):
    """The example, held by the suite that is shipped."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> TokenStore:
        store = SQLiteStore(str(tmp_path / "tokens.db"))
        store.prepare()
        return store

    # It opens its file anew for each operation, and each write waits for a disk.

    @pytest.fixture
    def some_tokens(self) -> list[dict[str, Any]]:
        """Return a tenth of the thousand tokens."""
        return thousand_tokens()[::10]

    @pytest.fixture
    def writes_each(self) -> int:
        """Return how often each thread writes at once."""
        return 10

    @pytest.fixture
    def raw(self, store: TokenStore) -> Callable[[TokenKey, str], None]:
        assert isinstance(store, SQLiteStore)

        def write(key: TokenKey, text: str) -> None:
            row = (key.text, key.provider, key.user_id, text)
            with closing(sqlite3.connect(store.path)) as database, database:
                database.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)", row)

        return write

    @pytest.fixture
    def unreachable_store(self, tmp_path: Path) -> TokenStore:
        return SQLiteStore(str(tmp_path / "no such folder" / "tokens.db"))


class TestSQLiteStoreAccounts(AccountConformance, TestSQLiteStore):
    """The example, with accounts."""
