"""How many tokens there are, and how they stand."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import get_args

import msgspec

from ..consumer.app_backends import app_stores
from ..consumer.backend.cipher.envelopes import KeyUse, use_of
from ..consumer.backend.store.shard import Shard
from .found import Told, sealed_stores
from .records import Found, walk
from .states import STATES, WEEK

PLAIN = "plain"
"""In place of a key's id, for tokens that are not encrypted."""

UNKNOWN = "unknown"
"""In place of a key's id, for records in which it can't be read."""


class Counts(msgspec.Struct, kw_only=True):
    """How many records there are.

    Attributes:
        records: All of them.
        states: How many of them stand how, see :data:`RecordState`: a number for each state.
        sealed_by: How many are sealed with which key: a number for each id of a key, for
            ``"plain"``, and for ``"unknown"`` where that can't be read. Where each tenant has keys,
            by what the key is to its tenant in place of its id: ``"current"``, ``"fallback"``, or
            ``"missing"``.

    .. versionadded:: 1.0
    """

    records: int = 0
    states: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(STATES, 0))
    sealed_by: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, state: str, key: str) -> None:
        """Count a record."""
        self.records += 1
        self.states[state] += 1
        self.sealed_by[key] += 1


class Statistics(msgspec.Struct, kw_only=True):
    """How many tokens an application has, and how they stand.

    Attributes:
        within_seconds: What counts as ``expiring``.
        providers: The counts of each provider, by name.
        total: Those of all together.
        keys: The ids of the keys that the app has, each with what it is for: ``"current"`` or
            ``"fallback"``.

    .. versionadded:: 1.0
    """

    within_seconds: float
    providers: dict[str, Counts]
    total: Counts
    keys: dict[str, str]


def statistics(
    provider: str | None = None,
    shard: Shard | None = None,
    within: timedelta = WEEK,
    told: Told | None = None,
) -> Statistics:
    """Count the records of the stores of the current app.

    It reads all of them, one after the other, and keeps none.

    Args:
        provider: Only this provider's; ``None`` for all.
        shard: Only this part of each store; ``None`` for all.
        within: As of :func:`state_of`.
        told: Called after each record; ``None``, the default, for nothing.

    Raises:
        BackendUnavailable: If a store did not answer.
        ConfigurationError: If a cipher has no key, or one that can't be used.

    .. versionadded:: 1.0
    """
    stores = app_stores()
    providers: dict[str, Counts] = {}
    total = Counts()
    for each in walk(stores, provider, shard=shard):
        state, key = each.state(within), _key_of(each)
        for counts in (providers.setdefault(each.record.provider, Counts()), total):
            counts.add(state, key)
        if told is not None:
            told()
    keys: dict[str, str] = {}
    for store in (sealed for backend, _ in stores for sealed in sealed_stores(backend.store)):
        for number, key in enumerate(store.cipher.key_ids()):
            # A key that one backend still seals with is in use, whatever it is to another.
            if number == 0 or key not in keys:
                keys[key] = "fallback" if number else "current"
    return Statistics(
        within_seconds=within.total_seconds(),
        providers=dict(sorted(providers.items())),
        total=total,
        keys=keys,
    )


def _key_of(found: Found) -> str:
    """Return what a record is counted under: the id of its key, or what stands for it."""
    key_id = found.key_id
    if not found.is_document or found.key is None or key_id == "":
        return UNKNOWN
    if key_id is None:
        return PLAIN
    ciphers = [sealed.cipher for sealed in sealed_stores(found.backend.store)]
    if all(each.key_ids() for each in ciphers):
        return key_id
    # There may be as many keys as there are tenants, and none is everybody's.
    uses = [use_of(key_id, each.key_ids(found.key)) for each in ciphers]
    return min(uses, key=get_args(KeyUse).index)
