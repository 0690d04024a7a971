"""A store that encrypts tokens before it hands them to another store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ....errors import CorruptToken, TokenDecryptError
from ..store.base import Record, TokenStore, log
from ..store.document import TokenDocument, TokenKey
from ..store.findings import Finding, ok, probe_document, problem, reason_of
from ..store.shard import Shard
from ..store.wrapper import StoreWrapper

if TYPE_CHECKING:
    from .envelope import TokenCipher

_KEY = "Set FLASK_DANCE_TOKEN_KEY. To make a key, run: flask tokens generate-key"


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

    def checks(self) -> Iterator[Finding]:
        """Yield how the other store is, and whether the cipher opens what it seals."""
        yield from self.inner.checks()
        document = probe_document()
        try:
            if not self.cipher.key_ids():
                yield ok("cipher", "Each tenant has keys of its own.")
                return
            sealed = self.cipher.seal(document.key, document.token)
            is_opened = self.cipher.open(document.key, sealed) == document.token
        except Exception as error:  # noqa: BLE001 - a function for the key may raise anything
            yield problem("cipher", f"The key can't be used: {reason_of(error)}", _KEY)
            return
        if is_opened:
            yield ok("cipher", "A token was sealed and opened.")
        else:
            yield problem("cipher", "What was sealed is opened as something else.", _KEY)

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


def sealed_in(store: TokenStore) -> SealedStore | None:
    """Return the part of a store that has the cipher: of two that move, of the one that leads."""
    while isinstance(store, StoreWrapper):
        if isinstance(store, SealedStore):
            return store
        store = store.inner
    return None
