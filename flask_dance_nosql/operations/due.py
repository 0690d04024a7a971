"""Which tokens are to be refreshed, the most urgent first, and what became of them."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from .. import clock
from ..consumer.backend.base import StoredToken, issued_digest
from ..consumer.backend.store.base import Record
from ..consumer.backend.store.document import TokenKey
from ..consumer.backend.store.values import Token
from ..consumer.token import can_be_refreshed, end_of, token_status
from ..errors import CorruptToken

PLAIN = ""
"""In place of the text of a key: the one token of a backend without keys."""

_HEAD = struct.Struct(">d8s")


class KeptFresh(msgspec.Struct):
    """How many tokens of a provider :func:`keep_fresh` has found in which state.

    Args:
        due: Those that were to be refreshed: all up to ``left``.
        refreshed: Those that have a new token.
        failed: Those that have none; it is remembered, and tried again later.
        ended: Those whose grant the provider says is over: their owners have to log in again.
        waiting: Those that have failed before, and whose next try is later.
        skipped: Those that somebody else has refreshed or removed since, or refreshes just now.
        left: Those that this run did not come to: it was stopped, or the provider or the store
            was out.
        fresh: The others that can be refreshed.
        without_refresh: Those that can't be refreshed.
        needs_login: Records in place of tokens whose grants have ended before.
        unreadable: Records that can't be read.
        unsaved: Refreshed tokens that the store has not taken: they are lost if the process ends.
        unread_stores: 1 if the store could not be read through, so that more may be due.

    .. versionadded:: 1.0
    """

    due: int = 0
    refreshed: int = 0
    failed: int = 0
    ended: int = 0
    waiting: int = 0
    skipped: int = 0
    left: int = 0
    fresh: int = 0
    without_refresh: int = 0
    needs_login: int = 0
    unreadable: int = 0
    unsaved: int = 0
    unread_stores: int = 0

    def add(self, name: str, amount: int = 1) -> None:
        """Count some more."""
        setattr(self, name, getattr(self, name) + amount)

    @property
    def has_failed(self) -> bool:
        """Whether something is to be looked at."""
        return bool(self.failed or self.left or self.unsaved or self.unread_stores)


class Due:
    """The keys of one provider's tokens that are to be refreshed, in about 100 bytes each.

    Args:
        within: A token is due if its access token ends within so many seconds, and within the
            second half of its life; ``None`` for whenever that is.
        idle: It is due if it was not written for so many seconds; ``None`` for however long.
        counts: Where the others are counted.
    """

    def __init__(self, within: float | None, idle: float | None, counts: KeptFresh) -> None:
        self._within, self._idle = within, idle
        self._counts = counts
        self._items: list[bytes] = []

    def look_at(self, stored: StoredToken, key_text: str) -> None:
        """Note a token if it is due, and count it if it is not."""
        document, token, now = stored.document, stored.token, clock.timestamp()
        failure = None if document is None else document.refresh_failure
        if document is not None and document.grant_ended:
            self._counts.needs_login += 1
            return
        if token is None or (document is not None and document.expired):
            return
        if not can_be_refreshed(token):
            self._counts.without_refresh += 1
            return
        since = self._due_since(token, None if document is None else document.updated_at, now)
        if since is None:
            self._counts.fresh += 1
            return
        self._counts.due += 1
        if failure is not None and failure.next_try.timestamp() > now:
            self._counts.waiting += 1
            return
        self._items.append(_HEAD.pack(since, fingerprint(token)) + key_text.encode())

    def _due_since(self, token: Token, written: datetime | None, now: float) -> float | None:
        moments = []
        if self._within is not None:
            status = token_status(token, self._within, token.get("expires_in"))
            if status in ("expiring", "expired"):
                moments.append((end_of(token) or now) - self._within)
        # The beginning of 1970 stands for a moment that the store keeps not.
        moment = 0.0 if written is None else written.timestamp()
        if self._idle is not None and 0 < moment <= now - self._idle:
            moments.append(moment + self._idle)
        return max(0.0, min(moments)) if moments else None

    def in_order(self) -> list[bytes]:
        """Return what :func:`unpacked` reads, the least urgent first, and forget it."""
        items, self._items = self._items, []
        # Numbers that are not negative are in the order of their bytes.
        items.sort(reverse=True)
        return items


def fingerprint(token: Token) -> bytes:
    """Return some bytes that tell whether a token is still the same."""
    return bytes.fromhex(issued_digest(token)[:16])


def unpacked(item: bytes) -> tuple[bytes, TokenKey | None]:
    """Return the fingerprint of a due token, and its key, or ``None`` for the plain one."""
    _, known = _HEAD.unpack_from(item)
    text = item[_HEAD.size :].decode()
    return known, None if text == PLAIN else TokenKey.of_text(text)


def look_through(
    records: Iterable[Record], wanted: Mapping[str, Due], counts: Any, stop: threading.Event
) -> bool:
    """Note what is due among records; ``counts`` are those of each provider.

    Returns whether it came to their end before it was to stop.
    """
    for record in records:
        if stop.is_set():
            return False
        if isinstance(record, CorruptToken):
            if record.provider in wanted:
                counts[record.provider].unreadable += 1
        elif record.provider in wanted:
            token = None if record.grant_ended else record.token
            wanted[record.provider].look_at(StoredToken(token, record), record.key.text)
    return True
