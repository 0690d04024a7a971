"""Removing what nobody has any use for."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Literal

import msgspec

from .. import clock
from ..consumer.app_backends import app_stores
from ..consumer.backend.base import StoredToken
from ..consumer.backend.store.document import TokenDocument
from ..consumer.backend.store.shard import Shard
from ..consumer.token import can_be_refreshed
from ..errors import ConfigurationError, CorruptToken, VersionConflict
from .found import Told
from .records import Found, walk
from .states import access_token_end, is_oauth1

Useless = Literal["ended", "needs-login", "unreadable", "dead"]
"""Why a record is removed."""

_LEASE_SECONDS = 30.0


class Purge(msgspec.Struct, kw_only=True):
    """What :func:`purge` has removed, or in a dry run would.

    Attributes:
        removed: How many records, for each of the reasons that were chosen.
        kept: How many were written meanwhile, as by a login, and are kept.
        left: How many can't be removed, since it can't be read whose they are.
        read: How many were looked at.

    .. versionadded:: 1.0
    """

    removed: Counter[str] = msgspec.field(default_factory=Counter)
    kept: int = 0
    left: int = 0
    read: int = 0


def purge(
    provider: str | None = None,
    user_id: str | None = None,
    shard: Shard | None = None,
    *,
    ended: bool = False,
    needs_login: bool = False,
    unreadable: bool = False,
    dead_for: timedelta | None = None,
    older_than: timedelta | None = None,
    dry_run: bool = False,
    told: Told | None = None,
) -> Purge:
    """Remove records that are of no use any more, and nothing that was not chosen.

    A record that is written between reading and removing it is kept. No provider is asked.

    Args:
        provider: Only this provider's; ``None`` for all.
        user_id: Only this user's; ``None`` for all.
        shard: Only this part of each store; ``None`` for all.
        ended: Whether to remove records whose own time is up. MongoDB and Redis do that themselves.
        needs_login: Whether to remove those that are left of a grant that its provider has ended,
            which are without a token: their users are no longer told why. A record that
            :func:`state_of` calls ``needs-login`` for another refusal, and that has its token
            still, is not removed.
        unreadable: Whether to remove those that can't be read or decrypted. Where only a key is
            missing, they could be read again with it.
        dead_for: Remove tokens whose access token ended so long ago, and which have no refresh
            token; ``None``, the default, for none.
        older_than: Of all these, only records that were last written so long ago or, where a grant
            has ended, of those that have ended so long ago; those for which that can't be read, or
            is not kept, are not removed then. ``None``, the default, for any.
        dry_run: Whether to count only.
        told: Called after each record; ``None``, the default, for nothing.

    Raises:
        ConfigurationError: If nothing is chosen.
        BackendUnavailable: If a store did not answer. What is removed is removed.

    .. versionadded:: 1.0
    """
    chosen = {"ended": ended, "needs-login": needs_login, "unreadable": unreadable}
    chosen["dead"] = dead_for is not None
    if not any(chosen.values()):
        raise ConfigurationError(
            "Nothing to remove is chosen: ended, needs_login, unreadable or dead_for."
        )
    done = Purge(removed=Counter({name: 0 for name, is_wanted in chosen.items() if is_wanted}))
    for found in walk(app_stores(), provider, user_id, shard):
        done.read += 1
        if told is not None:
            told()
        reason = _reason(found, dead_for)
        if reason is None or not chosen[reason] or not _is_old(found, older_than):
            continue
        if found.key is None:
            done.left += 1
        elif dry_run or _remove(found):
            done.removed[reason] += 1
        else:
            done.kept += 1
    return done


def _reason(found: Found, dead_for: timedelta | None) -> Useless | None:
    """Return why a record is of no use, or ``None`` if it may be of some."""
    stored, record = found.stored, found.record
    if isinstance(stored, TokenDocument) and stored.expired:
        return "ended"
    if isinstance(record, CorruptToken):
        return "unreadable"
    if record.grant_ended:
        return "needs-login"
    if dead_for is None or can_be_refreshed(record.token) or is_oauth1(record):
        return None
    end = access_token_end(record)
    return "dead" if end is not None and clock.now() - end >= dead_for else None


def _is_old(found: Found, age: timedelta | None) -> bool:
    if age is None:
        return True
    record, since = found.record, found.updated_at
    if isinstance(record, TokenDocument) and record.grant_ended and record.refresh_failure:
        # What is left of a grant has the date at which its token was written.
        since = record.refresh_failure.since
    return since is not None and clock.now() - since >= age


def _remove(found: Found) -> bool:
    """Remove a record unless it was written since it was read. Returns whether it is removed."""
    slot = found.slot
    try:
        if isinstance(found.stored, TokenDocument):
            slot.erase(StoredToken(None, found.stored))
            return True
        # Without a version, only the lock tells logins and the reading here apart.
        with slot.lease(_LEASE_SECONDS) as is_ours:
            if is_ours and not _can_be_read(found):
                slot.erase()
                return True
    except VersionConflict:
        pass
    return False


def _can_be_read(found: Found) -> bool:
    try:
        found.slot.read(fresh=True)
    except CorruptToken:
        return False
    return True
