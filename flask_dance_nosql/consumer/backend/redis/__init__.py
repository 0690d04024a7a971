"""Tokens in Redis, and the caches of several processes that Redis keeps in step."""

from __future__ import annotations

from .backend import RedisBackend
from .invalidated import InvalidatedCache
from .store import RedisStore

__all__ = ["InvalidatedCache", "RedisBackend", "RedisStore"]
