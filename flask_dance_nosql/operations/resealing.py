"""Sealing stored tokens with the current key."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from ..consumer.backend.base import BlueprintLike, StoredToken
from ..consumer.backend.cipher.sealed import SealedStore
from ..consumer.backend.file.backend import FileBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.store.base import Record, TokenStore
from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..consumer.backend.store.moving import MovingStore
from ..consumer.backend.store.shard import Shard
from ..errors import ConfigurationError, CorruptToken, VersionConflict
from .found import (
    LeftRecords,
    Told,
    left_if_it_fails,
    require_keys,
    sealed_stores,
    store_of,
)

# How often one record is tried again if somebody else writes it meanwhile.
_ROUNDS = 5


@dataclass
class Resealed:
    """What :func:`reseal` has found and done. Nothing in it is secret.

    Attributes:
        records: How many records it has looked at.
        resealed: How many it has sealed with the current key or, if nothing was to be written, how
            many it would have.
        current: How many had that key already, or got it from somebody else meanwhile or, where
            tokens move between two stores, along with the same record in the other one.
        ended: How many are over, which are left to the database to drop.
        left: The others: the first thousand, each with its reason, and the ``total``.

    .. versionadded:: 1.0
    """

    records: int = 0
    resealed: int = 0
    current: int = 0
    ended: int = 0
    left: LeftRecords = field(default_factory=LeftRecords)


def reseal(
    backend: UserScopedBackend | TokenStore,
    provider: str | None = None,
    shard: Shard | None = None,
    *,
    dry_run: bool = False,
    told: Told | None = None,
) -> Resealed:
    """Seal every token of a backend with the current key of its cipher, beside live traffic.

    Tokens under a fallback key are sealed anew and, with ``allow_plaintext``, those that are not
    sealed at all. Nothing else of a record changes but its version. A record that somebody else
    writes meanwhile has the new key by that; none of their writes is lost. Records that can't be
    read stay as they are.

    It may be stopped at any time and called again: what is done is told by the envelope, and is
    passed over. Of a :class:`~flask_dance_nosql.consumer.backend.MovingBackend` both backends are
    done.

    Args:
        backend: The backend, or its store, with a cipher. Where the key comes from the app's
            configuration, there has to be a current app.
        provider: Only tokens of this provider; ``None``, the default, for all.
        shard: Only this part of it; ``None``, the default, for all.
        dry_run: Whether to write nothing; default: no.
        told: Called after each record; ``None``, the default, for nothing.

    Returns:
        What was found and done. If there is something ``left``, the old key is still needed, or a
        key is missing.

    Raises:
        ConfigurationError: If there is no cipher, or it has no key.
        BackendUnavailable: If the store did not answer.

    .. versionadded:: 1.0
    """
    whole = store_of(backend)
    result, stores = Resealed(), sealed_stores(whole)
    if not stores:
        raise ConfigurationError(
            "The backend has no cipher. Give it cipher=TokenCipher(allow_plaintext=True) and, when "
            "all tokens are sealed, cipher=TokenCipher()."
        )
    require_keys(*stores)
    for store in stores:
        for record in store.inner.records(provider, None, shard):
            result.records += 1
            with left_if_it_fails(record.key, result.left):
                _look_at(whole, store, record, result, dry_run=dry_run)
            if told is not None:
                told()
    return result


def reseal_file(
    backend: FileBackend, blueprint: BlueprintLike, *, dry_run: bool = False
) -> Resealed:
    """Seal the token of a :class:`~flask_dance_nosql.consumer.backend.FileBackend` likewise.

    A file has neither a version nor a lock. What another process has stored is seen up to the
    moment of the write, as in a refresh.

    Args:
        backend: The backend, with a cipher.
        blueprint: The blueprint whose token it is.
        dry_run: Whether to write nothing; default: no.

    Returns:
        What was found and done, of one record at most.

    Raises:
        ConfigurationError: If there is no cipher, or it has no key.
        BackendUnavailable: If the file can't be read or written.

    .. versionadded:: 1.0
    """
    cipher, key, result = backend.cipher, TokenKey(blueprint.name), Resealed()
    if cipher is None:
        raise ConfigurationError("The FileBackend has no cipher. Give it cipher=TokenCipher().")
    current = cipher.key_ids(key)[:1]
    with left_if_it_fails(key, result.left):
        result.records = 1
        stored = FileBackend(backend.filepath).get(blueprint)
        if stored is None:
            result.records = 0
        elif current == (cipher.key_id_of(stored),):
            result.current = 1
        else:
            token = cipher.open(key, stored)
            if not dry_run:
                backend.slot(blueprint).write(token, StoredToken(token))
            result.resealed = 1
    return result


def _look_at(
    whole: TokenStore, store: SealedStore, record: Record, result: Resealed, *, dry_run: bool
) -> None:
    if isinstance(record, CorruptToken):
        raise record
    document: TokenDocument | None = record
    key = record.key
    for _ in range(_ROUNDS):
        if document is None or document.expired:
            result.ended += 1
            return
        if _is_current(store, key, document):
            result.current += 1
            return
        try:
            token = store.opened(document).token
            # While tokens move, both stores are written, so that their versions stay the same.
            is_in_both = isinstance(whole, MovingStore) and (dry_run or whole.write_anew(key))
            if not (dry_run or is_in_both):
                store.save_apart(replace(document, token=token), if_version=document.version)
            result.resealed += 1
            return
        except VersionConflict:
            # The inner store is read past the cache.
            document = store.inner.load_fresh(key)
    result.left.note(key, "it is written again and again. Reseal once more.")


def _is_current(store: SealedStore, key: TokenKey, document: TokenDocument) -> bool:
    return store.cipher.key_ids(key)[:1] == (store.cipher.key_id_of(document.token),)
