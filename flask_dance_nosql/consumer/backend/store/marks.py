"""Names by which tokens are found, such as that of a session at the provider."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ....errors import CorruptToken, VersionConflict
from .document import TokenDocument, TokenKey
from .entries import entry_of, marked_key, owner_of


class Marks:
    """Entries that tell which tokens have a name, one for each name and token.

    An entry is written before its document. One that a process leaves behind when it dies points to
    a document that is not there, or that has another name, and whoever looks compares that.

    Somebody else may drop an entry before its document is written. So whoever has written the
    document looks for the entry again, and whoever has dropped an entry looks for the document.

    Args:
        store: The store itself, without a cipher and a cache around it.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def mark(self, key: TokenKey, names: Iterable[str]) -> None:
        """Have a key found by names; before its document is written, and again afterwards."""
        self._store.require_accounts()
        for name in names:
            entry_key, entry = marked_key(key.provider, name, key), None
            with suppress(CorruptToken):
                entry = self._store.load_fresh(entry_key)
            if entry is None:
                self._store.save(entry_of(entry_key, key))

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Return the documents that may have a name, and drop entries of what is gone."""
        wanted, found = marked_key(provider, name), []
        for entry in list(self._store.scan(wanted.provider, wanted.user_id)):
            key, document = owner_of(entry), None
            with suppress(CorruptToken):
                document = None if key is None else self._store.load_fresh(key)
                if document is None:
                    self._drop(entry, key)
            if document is not None:
                found.append(document)
        return found

    def unmark(self, key: TokenKey, names: Iterable[str], *, is_replaced: bool) -> None:
        """Forget names of a key whose document is deleted, or replaced by one without them."""
        for name in names:
            entry = self._store.load_fresh(marked_key(key.provider, name, key))
            # A login may have come since.
            if entry is not None and (is_replaced or self._store.load_fresh(key) is None):
                self._drop(entry, None if is_replaced else key)

    def _drop(self, entry: TokenDocument, key: TokenKey | None) -> None:
        with suppress(VersionConflict):
            self._store.delete(entry.key, if_version=entry.version)
        if key is not None and self._store.load_fresh(key) is not None:
            self._store.save(entry)
