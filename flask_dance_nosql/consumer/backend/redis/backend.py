"""The backend on a store of Redis."""

from __future__ import annotations

from typing import Unpack

from ..options import BackendOptions
from ..scoped import UserScopedBackend
from .client import ClientSource
from .store import RedisStore


class RedisBackend(UserScopedBackend):
    """Keeps tokens in Redis, one key for each provider and user.

    Args:
        client: As of :class:`RedisStore`.
        prefix: What every key begins with.
        **options: The keyword arguments of :class:`UserScopedBackend`.
    """

    def __init__(
        self, client: ClientSource, prefix: str = "flask_dance", **options: Unpack[BackendOptions]
    ) -> None:
        super().__init__(RedisStore(client, prefix), **options)
