"""The backend on a store of MongoDB."""

from __future__ import annotations

from typing import Unpack

from ..options import BackendOptions
from ..scoped import UserScopedBackend
from .source import CollectionSource
from .store import MongoStore


class MongoBackend(UserScopedBackend):
    """Keeps tokens in a MongoDB collection, one document for each provider and user.

    Args:
        collection: As of :class:`MongoStore`.
        create_indexes: As there.
        **options: The keyword arguments of :class:`UserScopedBackend`.
    """

    def __init__(
        self,
        collection: CollectionSource,
        *,
        create_indexes: bool = True,
        **options: Unpack[BackendOptions],
    ) -> None:
        super().__init__(MongoStore(collection, create_indexes=create_indexes), **options)
