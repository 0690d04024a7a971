"""How a stored token stands, as operators see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, get_args

from ..consumer.backend.store.base import Record
from ..consumer.backend.store.document import TokenDocument
from ..consumer.token import can_be_refreshed, end_date, is_printable, token_status
from ..errors import CorruptToken

RecordState = Literal[
    "working", "expiring", "expired", "failing", "needs-login", "unreadable", "ended"
]
"""How a record stands. The first that is true of it counts, from the last to the first:

``ended``
    The time of the record itself is up. To the application it counts as none.
``unreadable``
    It can't be read, or not be decrypted.
``needs-login``
    The provider has refused to refresh it for good. Its user has to log in again.
``failing``
    Refreshes have failed, and are tried again.
``expired``
    Its access token has ended, and nothing can refresh it.
``expiring``
    Its access token ends soon, and nothing can refresh it.
``working``
    It works, or is refreshed when it is used next.
"""

STATES: tuple[RecordState, ...] = get_args(RecordState)
WEEK = timedelta(days=7)


def state_of(record: Record, within: timedelta = WEEK, *, refreshes: bool = True) -> RecordState:
    """Return how a record stands.

    Args:
        record: What :meth:`TokenStore.records` yields.
        within: How near the end of an access token is for it to be ``expiring``; default: a week.
            If the provider has given it a shorter life, the second half of that counts.
        refreshes: Whether the application refreshes tokens of the provider that have a refresh
            token; by default it does.

    .. versionadded:: 1.0
    """
    if isinstance(record, CorruptToken):
        return "unreadable"
    failure, token = record.refresh_failure, record.token
    if record.expired:
        return "ended"
    if failure is not None:
        return "needs-login" if failure.needs_login else "failing"
    if is_oauth1(record) or (refreshes and can_be_refreshed(token)):
        return "working"
    status = token_status(token, within.total_seconds(), token.get("expires_in"))
    states: dict[str, RecordState] = {"active": "working", "expiring": "expiring"}
    return states.get(status, "expired")


def is_oauth1(document: TokenDocument) -> bool:
    """Whether a document has a token of OAuth 1, which does not end."""
    token = document.token.get("oauth_token")
    return bool(token) and is_printable(token)


def access_token_end(document: TokenDocument) -> datetime | None:
    """Return when a document's access token ends, as aware UTC time; ``None`` if it is not known.

    .. versionadded:: 1.0
    """
    return end_date(document.token)
