"""What operations on whole stores tell of the records that they met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..consumer.backend.cipher.sealed import SealedStore, sealed_in
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenKey
from ..consumer.backend.store.findings import reason_of
from ..consumer.backend.store.moving import MovingStore
from ..errors import BackendUnavailable, ConfigurationError

LISTED = 1000
"""How many records a result lists."""

Told = Callable[[], object]
"""A function that is called after each record, such as the ``next`` step of a progress bar."""


@dataclass(frozen=True)
class LeftRecord:
    """A record that an operation has left as it was. Nothing in it is secret.

    Attributes:
        key: The key that it lies under, or ``None`` if that can't be told.
        reason: Why it was left, as text that may be shown.
    """

    key: TokenKey | None
    reason: str


class LeftRecords(list[LeftRecord]):
    """The first thousand records that an operation has met, and how many there were.

    Attributes:
        total: How many there were.

    .. versionadded:: 1.0
    """

    total = 0

    def note(self, key: TokenKey | None, reason: str) -> None:
        """Count a record, and list it if there is room."""
        self.total += 1
        if len(self) < LISTED:
            self.append(LeftRecord(key, reason))


@contextmanager
def left_if_it_fails(key: TokenKey | None, left: LeftRecords) -> Iterator[None]:
    """Have a record left, with the reason, if what is done with it fails.

    One record must not end a walk: it may be one that the other store can't have, or whose tenant
    has no key. A store, or a service for keys, that does not answer is an error as ever.
    """
    try:
        yield
    except BackendUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a driver, or a function for a key, may raise any
        left.note(key, reason_of(error))


def require_keys(*stores: TokenStore) -> None:
    """Make sure that the ciphers of stores have keys, before each record is left for that.

    Raises:
        ConfigurationError: If one has none.
    """
    for store in stores:
        sealed = sealed_in(store)
        if sealed is not None:
            # Of a TenantCipher, it is asked for each record.
            sealed.cipher.key_ids()


def store_of(place: UserScopedBackend | TokenStore) -> TokenStore:
    """Return the store of a backend, or a store itself.

    Raises:
        ConfigurationError: If it is something else.
    """
    found: Any = place.store if isinstance(place, UserScopedBackend) else place
    if isinstance(found, TokenStore):
        return found
    raise ConfigurationError(
        "A backend with a store, such as a MongoBackend, or a store is wanted. This is a "
        f"{type(place).__name__}."
    )


def keeps_updates(store: TokenStore) -> bool:
    """Whether a store keeps when records are written. Others give them another date."""
    return "updated_at" in store.kept_fields


def sealed_stores(store: TokenStore) -> list[SealedStore]:
    """Return what has a cipher in a store: of two between which tokens move, the leader's first."""
    stores = [store.inner, store.follower] if isinstance(store, MovingStore) else [store]
    return [sealed for each in stores if (sealed := sealed_in(each)) is not None]
