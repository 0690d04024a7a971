"""Refreshed tokens that the backend has not taken yet, kept until it does."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from flask import Flask

from ...errors import VersionConflict
from ..backend.base import StoredToken, TokenSlot
from ..backend.store.values import Token
from ..token import renewed

log = logging.getLogger(__name__)

MAX_KEPT = 1_000
MAX_CONFLICTS = 5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Exchange:
    """What the provider has answered to a refresh token; ``None`` if that is nobody's any more.

    It ``rotates`` if another refresh token was issued, so that the one that was sent is spent.
    """

    issued: Token | None = field(repr=False)
    rotates: bool


@dataclass(frozen=True, repr=False)
class Refreshed:
    """What was issued in the place of the record ``seen``, and what it takes to store it.

    ``digest`` is of the refresh token that was sent, and ``app`` the one in whose context it is
    stored later. ``stored`` or ``unwanted`` is called when it is, or when nobody wants it any more.
    """

    slot: TokenSlot
    seen: StoredToken
    digest: str
    exchange: Exchange
    app: Flask | None
    stored: Callable[[], object]
    unwanted: Callable[[], object]

    @property
    def key(self) -> tuple[object, str]:
        """What it is kept under."""
        return self.slot.name, self.digest

    def store(self) -> StoredToken:
        """Put what was issued into the record that was seen, with what others have added to it.

        Returns what is in the slot now: this token, or what a login or logout that came meanwhile
        has left. Raises ``VersionConflict`` if others go on changing the record, or whatever the
        backend raises.
        """
        seen = self.seen
        for attempt in range(MAX_CONFLICTS):
            try:
                token = renewed(seen.token or {}, self.exchange.issued or {})
                return self.slot.write(token, seen)
            except VersionConflict:
                if attempt == MAX_CONFLICTS - 1:
                    raise
                stored = self.slot.read(fresh=True)
                if stored.issued != self.seen.issued:
                    return stored
                seen = stored
        raise AssertionError("unreachable")

    def is_in(self, stored: StoredToken) -> bool:
        """Whether it is what is stored."""
        issued, token = self.exchange.issued or {}, stored.token or {}
        return token.get("access_token") == issued.get("access_token")


class Rescue:
    """Keeps new tokens until they are stored, and tries again until each is.

    A provider that rotates refresh tokens has ended the old one: were the new one lost, the user
    would have to log in again. They are in this process's memory, and nowhere else. While there are
    any that the backend has refused and whose owner is known, a thread tries to store them, after a
    second at first and then ever more seldom. The others are tried again when their owner comes
    back.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._kept: OrderedDict[tuple[object, str], Refreshed] = OrderedDict()
        self._refused: set[tuple[object, str]] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def get(self, slot: TokenSlot, digest: str) -> Exchange | None:
        """Return what is kept for a slot in place of a refresh token, or ``None``."""
        kept = self._kept.get((slot.name, digest))
        return None if kept is None else kept.exchange

    @property
    def waiting(self) -> int:
        """How many tokens the backend has refused that a thread tries to store."""
        return len(self._refused)

    def put(self, refreshed: Refreshed) -> None:
        """Keep a token."""
        with self._mutex:
            self._kept[refreshed.key] = refreshed
            if len(self._kept) > MAX_KEPT:
                key, _ = self._kept.popitem(last=False)
                self._refused.discard(key)
                log.error("Too many refreshed tokens could not be stored; the oldest is lost.")

    def try_later(self, refreshed: Refreshed) -> None:
        """Have a kept token stored later, by a thread if its owner is known."""
        with self._mutex:
            if refreshed.slot.is_shared and refreshed.key in self._kept:
                self._refused.add(refreshed.key)
                if self._thread is None:
                    self._begin()

    def settle(self, key: tuple[object, str]) -> None:
        """Forget a token that is stored, or that nobody wants."""
        with self._mutex:
            self._kept.pop(key, None)
            self._refused.discard(key)
        self._wake.set()

    def settle_slot(self, slot: TokenSlot) -> None:
        """Forget the tokens of a slot: something else is in it by now, by the owner's will."""
        if slot.name is not None:
            for key in [key for key in list(self._kept) if key[0] == slot.name]:
                self.settle(key)

    def settle_user(self, user_id: str) -> None:
        """Forget the tokens of a user, of every provider and account."""
        for key in list(self._kept):
            name = key[0]
            if isinstance(name, tuple) and name[1].user_id == user_id:
                self.settle(key)

    def _begin(self) -> None:
        thread = threading.Thread(target=self._try_again, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # The system has no thread to give just now; the next token that is refused asks again.
            log.warning("Refreshed tokens are not stored in the background for now: %s", error)
        else:
            self._thread = thread

    def _try_again(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._mutex:
                if not self._refused:
                    self._thread = None
                    return
            self._wake.wait(pause)
            self._wake.clear()
            pause = min(pause * 2, _LONGEST_PAUSE)
            for key in list(self._refused):
                refreshed = self._kept.get(key)
                if refreshed is None or _is_settled(refreshed):
                    self.settle(key)


def _is_settled(refreshed: Refreshed) -> bool:
    """Try again to store a token. Returns whether there is nothing left to do."""
    try:
        with refreshed.app.app_context() if refreshed.app else nullcontext():
            stored = refreshed.store()
            if refreshed.is_in(stored):
                refreshed.stored()
            elif stored.token is None:
                refreshed.unwanted()
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, the token is kept
        log.debug("A refreshed token is still not stored: %s", type(error).__name__)
        return False
    return True
