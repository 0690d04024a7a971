"""A store that encrypts tokens before it hands them to another store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ....errors import CorruptToken, TokenDecryptError
from ..store.base import Record, TokenStore, log
from ..store.document import TokenDocument, TokenKey
from ..store.shard import Shard
from ..store.wrapper import StoreWrapper

if TYPE_CHECKING:
    from .envelope import TokenCipher


class SealedStore(StoreWrapper):
    """Seals tokens on their way into another store, and opens them on their way out.

    Provider, user, dates and version stay readable.
    """

    def __init__(self, inner: TokenStore, cipher: TokenCipher) -> None:
        super().__init__(inner)
        self.cipher = cipher

    def loaded_by(
        self, load: Callable[[TokenKey], TokenDocument | None], key: TokenKey
    ) -> TokenDocument | None:
        """Load a document, and open its token."""
        document = load(key)
        return None if document is None else self.opened(document)

    def saved_by(
        self, save: Callable[..., TokenDocument], document: TokenDocument, if_version: int | None
    ) -> TokenDocument:
        """Seal a document's token and save it. The document returned has the token unsealed."""
        sealed = self.cipher.seal(document.key, document.token)
        saved = save(msgspec.structs.replace(document, token=sealed), if_version)
        return msgspec.structs.replace(saved, token=document.token)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield documents with their tokens opened. One that can't be opened is left out."""
        return self.readable(self._opened_or_error(self.inner.scan(provider, user_id)))

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield records with their tokens opened, and errors for those that can't be."""
        return self._opened_or_error(self.inner.records(provider, user_id, shard))

    def _opened_or_error(self, records: Iterable[Record]) -> Iterator[Record]:
        for each in records:
            try:
                yield each if isinstance(each, CorruptToken) else self.opened(each)
            except TokenDecryptError as error:
                yield error

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Return the documents that may have a name and can be opened."""
        found = []
        for document in self.inner.marked(provider, name):
            with suppress(TokenDecryptError):
                found.append(self.opened(document))
        return found

    def opened(self, document: TokenDocument) -> TokenDocument:
        """Return a document of the other store with its token opened.

        Raises:
            TokenDecryptError: If it can't be.
        """
        try:
            token = self.cipher.open(document.key, document.token)
        except TokenDecryptError as error:
            error.key, error.provider_user_id = document.key, document.provider_user_id
            log.error("%s", error)
            raise
        return msgspec.structs.replace(document, token=token)
