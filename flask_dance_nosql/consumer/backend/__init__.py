"""Where blueprints keep their tokens. What needs a driver is imported when first named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import BaseBackend, MemoryBackend, NullBackend
from .file.backend import FileBackend
from .moving import MovingBackend
from .scoped import UserScopedBackend
from .session import SessionBackend
from .store.base import TokenStore
from .store.document import RefreshFailure, TokenDocument, TokenKey
from .store.driver import importer
from .store.findings import Finding
from .store.shard import Shard

if TYPE_CHECKING:
    from .cache.local import LocalCache
    from .cipher.envelope import TokenCipher
    from .cipher.tenant import TenantCipher
    from .mongo import MongoBackend
    from .redis import InvalidatedCache, RedisBackend
    from .sqla import OAuthAccountMixin, OAuthConsumerMixin, OAuthTokenMixin, SQLAlchemyBackend

__all__ = [
    "BaseBackend",
    "FileBackend",
    "Finding",
    "InvalidatedCache",
    "LocalCache",
    "MemoryBackend",
    "MongoBackend",
    "MovingBackend",
    "NullBackend",
    "OAuthAccountMixin",
    "OAuthConsumerMixin",
    "OAuthTokenMixin",
    "RedisBackend",
    "RefreshFailure",
    "SQLAlchemyBackend",
    "SessionBackend",
    "Shard",
    "TenantCipher",
    "TokenCipher",
    "TokenDocument",
    "TokenKey",
    "TokenStore",
    "UserScopedBackend",
]


__getattr__ = importer(
    __name__,
    {
        "InvalidatedCache": "redis",
        "LocalCache": "cache.local",
        "MongoBackend": "mongo",
        "OAuthAccountMixin": "sqla",
        "OAuthConsumerMixin": "sqla",
        "OAuthTokenMixin": "sqla",
        "RedisBackend": "redis",
        "SQLAlchemyBackend": "sqla",
        "TenantCipher": "cipher.tenant",
        "TokenCipher": "cipher.envelope",
    },
)
