"""Where blueprints keep their tokens. What needs a driver is imported when first named."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .base import BaseBackend, MemoryBackend, NullBackend
from .file.backend import FileBackend
from .scoped import UserScopedBackend
from .session import SessionBackend
from .store.base import TokenStore
from .store.document import TokenDocument, TokenKey

if TYPE_CHECKING:
    from .cache.local import LocalCache
    from .cipher.envelope import TokenCipher
    from .mongo import MongoBackend
    from .redis import InvalidatedCache, RedisBackend
    from .sqla import OAuthConsumerMixin, OAuthTokenMixin, SQLAlchemyBackend

_LAZY = {
    "InvalidatedCache": "redis.invalidated",
    "LocalCache": "cache.local",
    "MongoBackend": "mongo",
    "OAuthConsumerMixin": "sqla",
    "OAuthTokenMixin": "sqla",
    "RedisBackend": "redis",
    "SQLAlchemyBackend": "sqla",
    "TokenCipher": "cipher.envelope",
}

__all__ = [
    "BaseBackend",
    "FileBackend",
    "InvalidatedCache",
    "LocalCache",
    "MemoryBackend",
    "MongoBackend",
    "NullBackend",
    "OAuthConsumerMixin",
    "OAuthTokenMixin",
    "RedisBackend",
    "SQLAlchemyBackend",
    "SessionBackend",
    "TokenCipher",
    "TokenDocument",
    "TokenKey",
    "TokenStore",
    "UserScopedBackend",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_LAZY[name]}", __name__)
    return getattr(module, name)
