"""Tokens in this process's memory, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from copy import deepcopy

import msgspec

from .... import clock
from ....process import PerProcess
from .base import Record
from .document import TokenDocument, TokenKey
from .entries import is_of_entries, owner_of
from .listed import ListedStore
from .shard import Shard


class MemoryStore(ListedStore):
    """Keeps documents in a dict: quick, exact, and gone with the process."""

    def __init__(self) -> None:
        # A thread of the parent may hold it at a fork.
        self._mutexes = PerProcess(threading.Lock)
        self._documents: dict[TokenKey, TokenDocument] = {}
        self._locks: dict[TokenKey, tuple[str, float]] = {}

    @property
    def place(self) -> str:
        """This object."""
        return f"memory:{id(self)}"

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return a copy of the document under a key."""
        with self._mutexes.get():
            return deepcopy(self._live(key))

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Keep a copy of a document."""
        return self._save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Keep a copy of a document with its version, or a higher one."""
        return self._save(document, if_version, document.version)

    def _save(
        self, document: TokenDocument, if_version: int | None, least: int = 0
    ) -> TokenDocument:
        key = document.key
        with self._mutexes.get():
            self._check("save", key, if_version)
            old = self._documents.get(key)
            saved = msgspec.structs.replace(
                document,
                token=deepcopy(document.token),
                version=(least or clock.first_version())
                if old is None
                else max(old.version + 1, least),
                created_at=document.created_at if old is None else old.created_at,
            )
            self._documents[key] = saved
        return msgspec.structs.replace(saved, token=document.token)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Forget the document under a key."""
        with self._mutexes.get():
            if key in self._documents:
                self._check("delete", key, if_version)
            self._documents.pop(key, None)

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield copies of what was there when it began."""
        with self._mutexes.get():
            keys = list(self._documents)
        for key in keys:
            is_wanted = provider in (None, key.provider) and user_id in (None, key.user_id)
            if is_wanted and (shard is None or shard.has(key.text)):
                with self._mutexes.get():
                    document = deepcopy(self._documents.get(key))
                if document is not None:
                    yield document

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's documents."""
        with self._mutexes.get():
            return [
                key
                for key in self._documents
                if key.user_id == user_id
                and (
                    not is_of_entries(key.provider)
                    if provider is None
                    else provider == key.provider
                )
            ]

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:  # noqa: ARG002 - all are found
        """Forget all that names a user."""
        with self._mutexes.get():
            for key, document in list(self._documents.items()):
                owner = owner_of(document) or key
                if owner.user_id == user_id:
                    del self._documents[key]
                    self._locks.pop(key, None)
            for key in list(self._locks):
                if key.user_id == user_id and not is_of_entries(key.provider):
                    del self._locks[key]

    def prepare(self) -> None:
        """Do nothing: a dict is ready."""

    def require_accounts(self) -> None:
        """Do nothing: its keys are whole."""

    def ping(self) -> None:
        """Do nothing: memory always answers."""

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key if it is free."""
        now = clock.timestamp()
        with self._mutexes.get():
            current, until = self._locks.get(key, (holder, now))
            if current != holder and until > now:
                return False
            self._locks[key] = (holder, now + seconds)
            return True

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        with self._mutexes.get():
            if self._locks.get(key, ("",))[0] == holder:
                del self._locks[key]

    def _live(self, key: TokenKey) -> TokenDocument | None:
        document = self._documents.get(key)
        return None if document is None or document.expired else document

    def _check(self, operation: str, key: TokenKey, if_version: int | None) -> None:
        document = self._documents.get(key) if if_version else self._live(key)
        if if_version is not None and if_version != (0 if document is None else document.version):
            raise self.conflict(operation, key)
