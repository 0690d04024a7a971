"""What a store has that tells of every record, readable or not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from .base import Record, TokenStore
from .document import TokenDocument
from .shard import Shard


class ListedStore(TokenStore):
    """A store whose scan is that part of its records that can be used."""

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield the documents among :meth:`records` that have not ended."""
        return self.readable(self.records(provider, user_id))

    @abstractmethod
    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield all that is stored, as :meth:`TokenStore.records` says."""
