"""Tokens in MongoDB."""

from __future__ import annotations

from .backend import MongoBackend
from .store import MongoStore

__all__ = ["MongoBackend", "MongoStore"]
