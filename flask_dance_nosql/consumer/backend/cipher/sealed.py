"""A store that encrypts tokens before it hands them to another store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ....errors import TokenDecryptError
from ..store.base import TokenStore, log
from ..store.document import TokenDocument, TokenKey
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
        return None if document is None else self._opened(document)

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
        left_out = 0
        for document in self.inner.scan(provider, user_id):
            try:
                yield self._opened(document)
            except TokenDecryptError:
                left_out += 1
        self.tell_left_out(left_out)

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Return the documents that may have a name and can be opened."""
        found = []
        for document in self.inner.marked(provider, name):
            with suppress(TokenDecryptError):
                found.append(self._opened(document))
        return found

    def _opened(self, document: TokenDocument) -> TokenDocument:
        try:
            token = self.cipher.open(document.key, document.token)
        except TokenDecryptError as error:
            error.provider_user_id = document.provider_user_id
            log.error("%s", error)
            raise
        return msgspec.structs.replace(document, token=token)
