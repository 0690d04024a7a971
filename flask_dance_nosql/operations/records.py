"""What the stores of an application hold, without anything secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from ..consumer.app_backends import AppStore, app_stores
from ..consumer.backend.cipher.envelopes import key_id_of
from ..consumer.backend.cipher.sealed import sealed_in
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.scoped_slot import StoreSlot
from ..consumer.backend.store.base import Record, TokenStore
from ..consumer.backend.store.document import RefreshFailure, TokenDocument, TokenKey
from ..consumer.backend.store.moving import MovingStore
from ..consumer.backend.store.shard import Shard
from ..consumer.backend.store.values import Token
from ..consumer.token import can_be_refreshed, granted_scope
from ..errors import CorruptToken
from .found import keeps_updates, sealed_stores
from .states import WEEK, RecordState, access_token_end, state_of

_MAX_NAME = 60
_NOT_KEPT = 1.0
_NO_CIPHER = "it is encrypted, and the backend has no cipher."


class Found(NamedTuple):
    """A record of a store, with the backend and the blueprint that it is of.

    Attributes:
        backend: The backend: of the blueprint, if there is one.
        blueprint: The blueprint of the current app, or ``None`` if it has none of that name.
        record: The document, its token opened, or the error for one that can't be read.
        stored: The document as it is in the database, or the error.
    """

    backend: UserScopedBackend
    blueprint: Any
    record: Record
    stored: Record

    @property
    def key(self) -> TokenKey | None:
        """Whose it is, or ``None`` if that can't be read either."""
        return self.record.key

    @property
    def slot(self) -> StoreSlot:
        """The token in its backend. Its key must be known."""
        is_person = self.backend.scope == "user" and self.key is not None
        return StoreSlot(self.backend, self.key, is_person=is_person)

    @property
    def is_there(self) -> bool:
        """Whether there is still a record of it in the database, as far as that can be told."""
        try:
            return self.key is None or self.backend.store.load_fresh(self.key) is not None
        except CorruptToken:
            return True

    @property
    def is_document(self) -> bool:
        """Whether a document is in the database, though maybe one that can't be opened."""
        return isinstance(self.stored, TokenDocument)

    @property
    def key_id(self) -> str | None:
        """The id of the key that it is sealed with; ``None`` if it is not, or can't be read."""
        return key_id_of(self.stored.token) if isinstance(self.stored, TokenDocument) else None

    @property
    def updated_at(self) -> datetime | None:
        """When it was last written; ``None`` if that can't be read, or is not kept."""
        if not isinstance(self.stored, TokenDocument) or not keeps_updates(self.backend.store):
            return None
        return _known(self.stored.updated_at)

    def state(self, within: timedelta = WEEK) -> RecordState:
        """Return how it stands, see :func:`state_of`."""
        has_no_url = self.blueprint is not None and not getattr(self.blueprint, "refresh_url", None)
        return state_of(self.record, within, refreshes=not has_no_url)


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record, as operators see it. Nothing in it is secret.

    Attributes:
        provider: The blueprint's name.
        user_id: The user's id as text, or ``None``.
        account: The account of its key, or ``None``.
        state: How it stands, see :data:`RecordState`.
        expires_at: When the access token ends, as aware UTC time; ``None`` if it does not say.
        kept_until: When the record may be dropped, likewise; ``None`` for never.
        created_at: When it was first stored, likewise; ``None`` if the store does not keep it.
        updated_at: When it was last written, likewise.
        refreshable: Whether it has a refresh token.
        failures: How many refreshes have failed since the last that succeeded.
        sealed_by: The id of the key that it is sealed with, or ``None`` if it is not.
        reason: Why it can't be read, or why the last refresh failed; ``None`` for neither.

    .. versionadded:: 1.0
    """

    provider: str
    user_id: str | None
    account: str | None
    state: RecordState
    expires_at: datetime | None = None
    kept_until: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    refreshable: bool = False
    failures: int = 0
    sealed_by: str | None = None
    reason: str | None = None


class RecordDetails(StoredRecord, frozen=True, kw_only=True):
    """A record with all that is no secret in it.

    Attributes:
        provider_user_id: The account at the provider that is linked, or ``None``.
        version: The number that grows with each write; ``None`` if it can't be read.
        scopes: What the provider has granted.
        fields: What the token consists of: the names of its fields, and in place of each value a
            word or two on what it is and how long.
        failure: How refreshes fail, or ``None``.

    .. versionadded:: 1.0
    """

    provider_user_id: str | None = None
    version: int | None = None
    scopes: list[str] = []
    fields: dict[str, str] = {}
    failure: RefreshFailure | None = None


def stored_records(
    provider: str | None = None,
    user_id: str | None = None,
    shard: Shard | None = None,
    within: timedelta = WEEK,
) -> Iterator[StoredRecord]:
    """Yield each record of the stores of the current app, one after the other.

    Records that have ended or can't be read are among them, and those of providers of which the app
    has no blueprint any more, if they are in the store of another one.

    Args:
        provider: Only this provider's; ``None`` for all.
        user_id: Only this user's; ``None`` for all.
        shard: Only this part of each store; ``None`` for all.
        within: As of :func:`state_of`.

    Raises:
        BackendUnavailable: If a store did not answer.

    .. versionadded:: 1.0
    """
    for found in walk(app_stores(), provider, user_id, shard):
        yield StoredRecord(**_summary(found, within))


def record_details(
    user_id: str, provider: str | None = None, account: str | None = None, within: timedelta = WEEK
) -> list[RecordDetails]:
    """Return a user's records with all that is no secret, in the order of their keys.

    Args:
        user_id: The user's id, as text.
        provider: Only this provider's; ``None`` for all.
        account: Only this account's; ``None`` for all.
        within: As of :func:`state_of`.

    Raises:
        BackendUnavailable: If a store did not answer.

    .. versionadded:: 1.0
    """
    found = [
        _details(each, within)
        for each in walk(app_stores(), provider, user_id)
        if account is None or (each.key is not None and each.key.account == account)
    ]
    return sorted(found, key=lambda each: (each.provider, each.account or ""))


def walk(
    stores: Iterable[AppStore],
    provider: str | None = None,
    user_id: str | None = None,
    shard: Shard | None = None,
) -> Iterator[Found]:
    """Yield the records of stores, each once, though several backends may have one store.

    That of a backend's own blueprint is opened by that backend.
    """
    every = [(each, each.backend.store.listings) for each in stores]
    walked: set[str] = set()
    # The one that lists the most comes first: it has all that others have in common with it.
    for (other, _), listings in sorted(every, key=lambda each: len(each[1]), reverse=True):
        if not walked.isdisjoint(listings):
            continue
        walked |= listings
        backends = [each for each, its in every if not its.isdisjoint(listings)]
        readers = {
            name: (backend, blueprint)
            for backend, blueprints in reversed(backends)
            for name, blueprint in blueprints.items()
        }
        for stored in _unopened(other.store).records(provider, user_id, shard):
            backend, blueprint = readers.get(stored.provider, (other, None))
            yield Found(backend, blueprint, _opened(backend.store, stored), stored)


def _unopened(store: TokenStore) -> TokenStore:
    """Return a store without what opens its tokens."""
    if isinstance(store, MovingStore):
        return store.made_of(_unopened)
    sealed = sealed_in(store)
    return store if sealed is None else sealed.inner


def _opened(store: TokenStore, stored: Record) -> Record:
    if isinstance(stored, CorruptToken):
        return stored
    sealed = sealed_stores(store)
    key_id = key_id_of(stored.token)
    if not sealed and key_id is not None:
        name = type(store).__name__
        unread = CorruptToken("open", name, stored.provider, stored.user_id, _NO_CIPHER)
        unread.key = stored.key
        return unread
    if not sealed:
        return stored
    # While tokens move, the record may be of either store: the one whose cipher has its key.
    opener = next((each for each in sealed if key_id in each.cipher.key_ids(stored.key)), sealed[0])
    try:
        return opener.opened(stored)
    except CorruptToken as error:
        return error


def _summary(found: Found, within: timedelta) -> dict[str, Any]:
    record, stored, state = found.record, found.stored, found.state(within)
    told: dict[str, Any] = {
        "provider": record.provider,
        "user_id": record.user_id,
        "account": None if record.key is None else record.key.account,
        "state": state,
        "sealed_by": found.key_id,
    }
    if isinstance(stored, TokenDocument):
        told["kept_until"] = stored.expires_at
        told["created_at"] = _known(stored.created_at)
        told["updated_at"] = found.updated_at
    if isinstance(record, CorruptToken):
        return {**told, "reason": str(record)}
    failure = record.refresh_failure
    return {
        **told,
        "expires_at": access_token_end(record),
        "refreshable": can_be_refreshed(record.token),
        "failures": 0 if failure is None else failure.count,
        "reason": None if failure is None else failure.reason,
    }


def _details(found: Found, within: timedelta) -> RecordDetails:
    stored = found.stored
    more: dict[str, Any] = {}
    if isinstance(stored, TokenDocument):
        more = {
            "provider_user_id": stored.provider_user_id,
            "version": stored.version,
            "failure": stored.refresh_failure,
        }
    if isinstance(found.record, TokenDocument):
        more["scopes"] = granted_scope(found.record.token)
        more["fields"] = _masked(found.record.token)
    return RecordDetails(**_summary(found, within), **more)


def _masked(token: Token) -> dict[str, str]:
    """Return the names of a token's fields, with what each is in place of its value."""
    masked = {}
    for number, (name, value) in enumerate(token.items(), 1):
        # What a provider has sent in place of a name may be anything.
        is_name = name.isprintable() and len(name) <= _MAX_NAME
        masked[name if is_name else f"field {number}"] = _kind(value)
    return masked


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else "yes or no"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return f"list, {len(value)} elements"
    if isinstance(value, dict):
        return f"object, {len(value)} fields"
    return f"text, {len(value)} characters"


def _known(moment: datetime) -> datetime | None:
    """Return a moment. The beginning of 1970 stands for one that the store does not keep."""
    return moment if moment.timestamp() > _NOT_KEPT else None
