"""Tokens in MongoDB."""

from __future__ import annotations

from ..store.driver import require

require("pymongo", feature="MongoBackend", package="pymongo", extra="mongodb")

# Only now, or it would be PyMongo's name that a missing driver is told by.
from .backend import MongoBackend  # noqa: E402
from .store import MongoStore  # noqa: E402

__all__ = ["MongoBackend", "MongoStore"]
