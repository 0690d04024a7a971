"""Two stores that are kept alike while tokens move from one to the other."""

from __future__ import annotations

import pytest

from flask_dance_nosql.consumer.backend import TokenStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.moving import MovingStore
from flask_dance_nosql.testing import AccountConformance, StoreConformance


class MovingConformance(StoreConformance):
    """The suite over two stores, of which either leads."""

    @pytest.fixture(params=["old leads", "new leads", "new leads, and old ones are moved"])
    def store(self, request: pytest.FixtureRequest) -> TokenStore:
        """Return both stores as one."""
        return MovingStore(
            MemoryStore(),
            MemoryStore(),
            leads_new="new leads" in request.param,
            falls="moved" in request.param,
        )


class TestMovingStore(MovingConformance):
    """For keys without an account."""


class TestMovingStoreWithAccounts(AccountConformance, MovingConformance):
    """For keys with one."""
