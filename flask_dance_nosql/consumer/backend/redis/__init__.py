"""Tokens in Redis, and the caches of several processes that Redis keeps in step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..store.driver import importer

if TYPE_CHECKING:
    from .backend import RedisBackend
    from .invalidated import InvalidatedCache
    from .store import RedisStore

__all__ = ["InvalidatedCache", "RedisBackend", "RedisStore"]

# One by one, since a cache needs cachetools, too.
__getattr__ = importer(
    __name__, {"InvalidatedCache": "invalidated", "RedisBackend": "backend", "RedisStore": "store"}
)
