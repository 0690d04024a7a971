"""Ending grants at their providers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from ..accounts.erasure import ENDED, UNREADABLE, end_grant
from ..consumer.app_backends import app_stores
from ..consumer.backend.base import StoredToken
from ..consumer.backend.store.document import TokenDocument
from ..consumer.backend.store.shard import Shard
from ..errors import CorruptToken, VersionConflict
from .records import Found, walk

_NAMELESS = "it can't be read whose it is, so that it is left"


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of one token. Nothing in it is secret.

    Attributes:
        provider: The blueprint's name.
        user_id: The user's id as text, or ``None``.
        account: The account of its key, or ``None``.
        is_removed: Whether the record is gone. In a dry run none is.
        reason: Why the provider has not confirmed that the grant is over, as a part of a sentence;
            ``None`` if it has, or in a dry run.

    .. versionadded:: 1.0
    """

    provider: str
    user_id: str | None
    account: str | None
    is_removed: bool = True
    reason: str | None = None


def revoke_tokens(
    provider: str | None = None,
    user_id: str | None = None,
    shard: Shard | None = None,
    *,
    dry_run: bool = False,
) -> Iterator[Revocation]:
    """Have providers end grants, and remove their tokens, one after the other.

    A token is removed in any case, also if its provider does not answer or has no way to be asked.
    A login or a refresh that is under way is waited for. What is left undone when the iteration is
    given up stays as it is.

    Args:
        provider: Only this provider's; ``None`` for all.
        user_id: Only this user's; ``None`` for all.
        shard: Only this part of each store; ``None`` for all.
        dry_run: Whether to yield what would be revoked, and do nothing.

    Raises:
        BackendUnavailable: If a store did not answer.

    .. versionadded:: 1.0
    """
    for found in _own_first(provider, user_id, shard, dry_run=dry_run):
        record, key = found.record, found.key
        is_done, reason = False, None
        if key is None:
            reason = _NAMELESS
        elif not dry_run:
            is_done, reason = True, _end(found)
        yield Revocation(
            provider=record.provider,
            user_id=record.user_id,
            account=None if key is None else key.account,
            is_removed=is_done,
            reason=reason,
        )


def _own_first(
    provider: str | None, user_id: str | None, shard: Shard | None, *, dry_run: bool
) -> Iterator[Found]:
    """Yield records, and those last that the backend of another blueprint may have as its own."""
    stores = app_stores()
    named = {name for each in stores for name in each.blueprints}
    later = []
    for found in walk(stores, provider, user_id, shard):
        if found.blueprint is None and found.record.provider in named:
            # It may be in that blueprint's own store, under another name of the server; then that
            # blueprint revokes it.
            later.append(found)
        else:
            yield found
    yield from (each for each in later if dry_run or each.is_there)


def _end(found: Found) -> str | None:
    """End a grant and remove its record. Returns why that was not confirmed, or ``None``."""
    stored = found.stored
    if isinstance(stored, TokenDocument) and stored.expired:
        # A slot reads an expired record as no token, and would leave it.
        with suppress(VersionConflict):
            found.slot.erase(StoredToken(None, stored))
            return ENDED
    reason = end_grant(found.blueprint, found.slot)
    is_unreadable = isinstance(found.record, CorruptToken)
    return UNREADABLE if reason is None and is_unreadable else reason
