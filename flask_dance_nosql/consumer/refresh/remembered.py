"""How often a token could not be refreshed, as it is kept with the token."""

from __future__ import annotations

import logging
import random
from datetime import timedelta

from ... import clock
from ...errors import FlaskDanceNoSQLError, VersionConflict
from ..backend.base import StoredToken, TokenSlot
from ..backend.store.document import RefreshFailure
from ..refusal import Refusal

log = logging.getLogger(__name__)

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 86400.0
# After so many doublings the longest pause is reached, whatever the first one is.
_MOST_DOUBLED = 20


def failure_of(stored: StoredToken | None) -> RefreshFailure | None:
    """Return what is kept with a token of how it could not be refreshed, or ``None``."""
    document = None if stored is None else stored.document
    return None if document is None else document.refresh_failure


def may_be_tried(stored: StoredToken) -> bool:
    """Whether a token has not failed, or its next try is not later than now."""
    failure = failure_of(stored)
    return failure is None or failure.next_try <= clock.now()


def one_more(before: RefreshFailure | None, refusal: Refusal) -> RefreshFailure:
    """Return what is kept after one more failure.

    Each pause is twice as long as the last one, from a minute up to a day, less a random part of up
    to a half, so that tokens that have failed together are not tried together again. After a
    refusal that will not change it is a day, and never less than the provider has asked for.
    """
    count, now = (1 if before is None else before.count + 1), clock.now()
    pause = min(FIRST_PAUSE * 2 ** min(count - 1, _MOST_DOUBLED), LONGEST_PAUSE)
    if refusal.is_definite:
        pause = LONGEST_PAUSE
    pause *= 1 - random.random() / 2  # noqa: S311 - it spreads load, and protects nothing
    return RefreshFailure(
        count=count,
        since=now if before is None or refusal.has_ended else before.since,
        next_try=now + timedelta(seconds=int(max(pause, refusal.retry_after or 0.0))),
        reason=refusal.reason,
        needs_login=refusal.has_ended or refusal.is_definite,
    )


def keep_failure(slot: TokenSlot, stored: StoredToken, refusal: Refusal) -> None:
    """Keep with a token that it could not be refreshed, unless a login came meanwhile.

    That a provider asks to wait says nothing of the token. A failure before the time of the next
    try is one of the same outage, and adds nothing, unless it says that only a login helps. What a
    store raises is logged: a token that still works is used all the same.
    """
    before = failure_of(stored)
    is_news = before is None or (refusal.is_definite and not before.needs_login)
    if refusal.retry_after is not None or not (is_news or may_be_tried(stored)):
        return
    try:
        slot.keep_failure(stored, one_more(before, refusal))
    except VersionConflict:
        return
    except Exception as error:  # noqa: BLE001 - a store or a cipher may raise anything
        told = str(error) if isinstance(error, FlaskDanceNoSQLError) else type(error).__name__
        log.warning("How a refresh has failed is not kept. %s", told)
