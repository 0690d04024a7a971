"""A store around a store: what features such as the cache and the cipher are built on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .base import Record, TokenStore
from .document import TokenDocument, TokenKey
from .findings import Finding
from .shard import Shard


class StoreWrapper(TokenStore):
    """Passes each operation on to another store. A feature overrides what it is about."""

    def __init__(self, inner: TokenStore) -> None:
        self.inner = inner

    @property
    def place(self) -> str:
        """The place of the other store."""
        return self.inner.place

    @property
    def listings(self) -> frozenset[str]:
        """What the other store lists."""
        return self.inner.listings

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Load from the other store."""
        return self.loaded_by(self.inner.load, key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load from the other store, past any cache."""
        return self.loaded_by(self.inner.load_fresh, key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save to the other store."""
        return self.saved_by(self.inner.save, document, if_version)

    def save_apart(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save to the other store, outside of any transaction of the application."""
        return self.saved_by(self.inner.save_apart, document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save to the other store, with the version of the document."""
        return self.saved_by(self.inner.save_as, document, if_version)

    def put(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Store what another store has in the other store."""
        return self.saved_by(self.inner.put, document, if_version)

    def link(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Link and save in the other store."""
        return self.saved_by(self.inner.link, document, if_version)

    def linked(self, provider: str, provider_user_id: str) -> TokenKey | None:
        """Ask the other store who has an account."""
        return self.inner.linked(provider, provider_user_id)

    def unlink(self, key: TokenKey, provider_user_id: str) -> None:
        """Forget an account in the other store."""
        self.inner.unlink(key, provider_user_id)

    def mark(self, key: TokenKey, names: Iterable[str]) -> None:
        """Have a document found by names in the other store."""
        self.inner.mark(key, names)

    def marked(self, provider: str, name: str) -> list[TokenDocument]:
        """Ask the other store for the documents that may have a name."""
        return self.inner.marked(provider, name)

    def unmark(self, key: TokenKey, names: Iterable[str], *, is_replaced: bool = False) -> None:
        """Forget names in the other store."""
        self.inner.unmark(key, names, is_replaced=is_replaced)

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Ask the other store for the keys of a user's records."""
        return self.inner.keys(provider, user_id)

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        """Remove all that names a user from the other store."""
        self.inner.forget(user_id, keys)

    def loaded_by(
        self, load: Callable[[TokenKey], TokenDocument | None], key: TokenKey
    ) -> TokenDocument | None:
        """Load by an operation of the other store: ``load`` or ``load_fresh``."""
        return load(key)

    def saved_by(
        self, save: Callable[..., TokenDocument], document: TokenDocument, if_version: int | None
    ) -> TokenDocument:
        """Save by an operation of the other store: ``save`` or ``save_apart``."""
        return save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete from the other store."""
        self.inner.delete(key, if_version)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Scan the other store."""
        return self.inner.scan(provider, user_id)

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Ask the other store for its records."""
        return self.inner.records(provider, user_id, shard)

    def prepare(self) -> None:
        """Prepare the other store."""
        self.inner.prepare()

    def ping(self) -> None:
        """Check that the other store's server answers."""
        self.inner.ping()

    def checks(self) -> Iterator[Finding]:
        """Yield how the other store is. A feature adds what it needs itself."""
        yield from self.inner.checks()

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take a lock in the other store."""
        return self.inner.acquire(key, holder, seconds)

    def release(self, key: TokenKey, holder: str) -> None:
        """Release a lock in the other store."""
        self.inner.release(key, holder)

    @property
    def kept_fields(self) -> frozenset[str]:
        """What the other store keeps."""
        return self.inner.kept_fields

    @property
    def keeps_failures(self) -> bool:
        """Whether the other store does."""
        return self.inner.keeps_failures

    def require_expiry(self) -> None:
        """Make sure that the other store keeps when a record ends."""
        self.inner.require_expiry()

    def require_links(self) -> None:
        """Make sure that the other store can keep an account to one user."""
        self.inner.require_links()

    def require_accounts(self) -> None:
        """Make sure that the other store tells accounts apart."""
        self.inner.require_accounts()
