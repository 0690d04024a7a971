"""Telling where two stores differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ..consumer.backend.cipher.sealed import sealed_in
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.scoped_slot import NamesOf
from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..consumer.backend.store.moving import MovingStore
from ..consumer.backend.store.shard import Shard
from ..errors import BackendError, CorruptToken, VersionConflict
from .found import LeftRecords, Told, left_if_it_fails, require_keys, store_of

Place = UserScopedBackend | TokenStore


@dataclass
class Compared:
    """What :func:`compare_tokens` has found. Nothing in it is secret.

    Attributes:
        same: How many records both stores have.
        missing: How many the target has not, or in an older form.
        newer: How many the target has in a newer form.
        extra: How many the source has not.
        removed: How many of the extra ones were removed from the target.
        differences: Those that are missing, newer or extra: the first thousand, and the ``total``.
        left: Records of either that can't be read or compared, each with its reason, likewise.

    .. versionadded:: 1.0
    """

    same: int = 0
    missing: int = 0
    newer: int = 0
    extra: int = 0
    removed: int = 0
    differences: LeftRecords = field(default_factory=LeftRecords)
    left: LeftRecords = field(default_factory=LeftRecords)

    @property
    def is_complete(self) -> bool:
        """Whether the target has all that the source has, and nothing that it has not."""
        return not self.missing and self.extra == self.removed and not self.left


class Likeness:
    """Compares documents of two stores by what both keep."""

    def __init__(self, source: TokenStore, target: TokenStore) -> None:
        here, there = source.kept_fields, target.kept_fields
        self._fields = here & there
        self._counts = "version" in self._fields
        # Where a table has no updated_at, documents have created_at in its place.
        self._dates = bool(here & {"updated_at", "created_at"}) and "updated_at" in there

    def are_same(self, document: TokenDocument, current: TokenDocument) -> bool:
        """Whether the target has what the source has."""
        return document.is_like(current, self._fields)

    def is_newer(self, current: TokenDocument, document: TokenDocument) -> bool:
        """Whether the target's is newer. If that can't be told, the source's is."""
        if self._counts:
            return current.is_newer(document)
        return self._dates and current.updated_at > document.updated_at


def compare_tokens(
    source: Place,
    target: Place,
    provider: str | None = None,
    shard: Shard | None = None,
    *,
    delete_extra: bool = False,
    told: Told | None = None,
) -> Compared:
    """Compare what two backends have, and say what is missing in the target, or too much.

    What is written meanwhile counts as it is when it is looked at.

    Args:
        source: A backend or a store.
        target: Likewise.
        provider: Only tokens of this provider; ``None``, the default, for all.
        shard: Only this part of each; ``None``, the default, for all.
        delete_extra: Whether to remove from the target what the source has not. Only while nobody
            logs in to the target alone. Default: no.
        told: Called after each record of either; ``None``, the default, for nothing.

    Returns:
        What was found.

    Raises:
        ConfigurationError: If a cipher has no key.
        BackendUnavailable: If one of them did not answer.

    .. versionadded:: 1.0
    """
    here, there, result = store_of(source), store_of(target), Compared()
    likeness, marks = Likeness(here, there), marks_of(source, target)
    require_keys(here, there)
    for record in documents_in(here, provider, shard, result.left, told):
        if record.expired or (record.grant_ended and not there.keeps_failures):
            continue
        with left_if_it_fails(record.key, result.left):
            _compare(record, there, likeness, result)
    for record in documents_in(there, provider, shard, result.left, told):
        with left_if_it_fails(record.key, result.left):
            if record.expired or not _is_extra(here, record.key):
                continue
            result.extra += 1
            result.differences.note(record.key, "the source has none")
            if delete_extra and remove_document(there, record, marks):
                result.removed += 1
    return result


def _compare(
    record: TokenDocument, there: TokenStore, likeness: Likeness, result: Compared
) -> None:
    try:
        current = there.load_fresh(record.key)
    except CorruptToken:
        # It is listed when the records of the target are read.
        return
    if current is not None and likeness.are_same(record, current):
        result.same += 1
    elif current is not None and likeness.is_newer(current, record):
        result.newer += 1
        result.differences.note(record.key, "the target has a newer one")
    else:
        result.missing += 1
        result.differences.note(
            record.key, "the target has none" if current is None else "it is outdated"
        )


def documents_in(
    store: TokenStore,
    provider: str | None,
    shard: Shard | None,
    left: LeftRecords,
    told: Told | None,
) -> Iterator[TokenDocument]:
    """Yield the documents of a store, and list the records that can't be read.

    Args:
        store: The store.
        provider: Only of this provider; ``None`` for all.
        shard: Only this part; ``None`` for all.
        left: To which the others are added.
        told: Called after each record; ``None`` for nothing.
    """
    # One by one, since a function for a tenant's key may fail for one of them.
    sealed = None if isinstance(store, MovingStore) else sealed_in(store)
    walked = store if sealed is None else sealed.inner
    for record in walked.records(provider, None, shard):
        found = None
        with left_if_it_fails(record.key, left):
            if isinstance(record, CorruptToken):
                raise record
            found = record if sealed is None else sealed.opened(record)
        if found is not None:
            yield found
        if told is not None:
            told()


def _is_extra(source: TokenStore, key: TokenKey) -> bool:
    try:
        return source.load_fresh(key) is None
    except CorruptToken:
        return False


def remove_document(
    store: TokenStore, document: TokenDocument, marks: Mapping[str, NamesOf]
) -> bool:
    """Remove a document and what leads to it, unless it was written since. Returns whether it is.

    Args:
        store: Where.
        document: What is there.
        marks: As :func:`marks_of` returns them.
    """
    try:
        store.delete(document.key, if_version=document.version)
    except VersionConflict:
        return False
    names_of = marks.get(document.provider)
    # The account is free, and the token is found by nothing, without that.
    with suppress(BackendError):
        if document.provider_user_id is not None:
            store.unlink(document.key, document.provider_user_id)
        if names_of is not None:
            store.unmark(document.key, names_of(document.token))
    return True


def marks_of(*places: Place) -> dict[str, NamesOf]:
    """Return, for each provider, what gives the names by which its tokens are found, if any."""
    found: dict[str, NamesOf] = {}
    for place in places:
        if isinstance(place, UserScopedBackend):
            found |= place.marks
    return found
