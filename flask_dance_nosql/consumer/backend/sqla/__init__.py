"""Tokens in a relational database, by SQLAlchemy."""

from __future__ import annotations

from ..store.driver import require

require("sqlalchemy", feature="SQLAlchemyBackend", package="SQLAlchemy", extra="sqla")

# Only now, or it would be SQLAlchemy's name that a missing driver is told by.
from .backend import SQLAlchemyBackend  # noqa: E402
from .models import (  # noqa: E402
    OAuthAccountMixin,
    OAuthConsumerMixin,
    OAuthTokenMixin,
    unique_per_account,
    unique_per_user,
)
from .store import SQLAlchemyStore  # noqa: E402
from .table import store_of_table  # noqa: E402

__all__ = [
    "OAuthAccountMixin",
    "OAuthConsumerMixin",
    "OAuthTokenMixin",
    "SQLAlchemyBackend",
    "SQLAlchemyStore",
    "store_of_table",
    "unique_per_account",
    "unique_per_user",
]
