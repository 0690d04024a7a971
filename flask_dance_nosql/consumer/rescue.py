"""Refreshed tokens that the backend has refused, kept until it takes them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Flask

from .backend.slot import StoredToken, TokenSlot
from .token import renewed

log = logging.getLogger(__name__)

Token = dict[str, Any]

MAX_KEPT = 1_000
"""How many tokens are kept at most."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Refused:
    """A token that could not be stored, and what it takes to try again.

    Args:
        slot: Where it belongs.
        seen: What was there.
        token: The token.
        app: The app in whose context it is tried, or ``None``.
        saved: Is called when it has been stored.
    """

    slot: TokenSlot
    seen: StoredToken
    token: Token
    app: Flask | None
    saved: Callable[[], object]

    def save(self) -> bool:
        """Try again. Returns whether there is nothing left to do."""
        try:
            with self.app.app_context() if self.app else nullcontext():
                self._store()
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, the token is kept
            log.debug("A refreshed token is still not stored: %s", type(error).__name__)
            return False
        return True

    def _store(self) -> None:
        stored = self.slot.current()
        # It was stored after all, or a login or logout has come since, which stands.
        if stored.token is not None and stored.digest == self.seen.digest:
            self.slot.replace(stored, renewed(stored.token, self.token))
            self.saved()


class Rescue:
    """Keeps tokens that could not be stored, and tries again until each is.

    A provider that rotates refresh tokens has ended the old one: were the new one lost, the user
    would have to log in again. They are in this process's memory, and nowhere else. While there are
    any whose owner is known, a thread tries to store them, after a second at first and then ever
    more seldom. The others are tried again when their owner comes back.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._refused: OrderedDict[str, Refused] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def get(self, digest: str) -> Token | None:
        """Return the token that is kept for the one with this digest, or ``None``."""
        refused = self._refused.get(digest)
        return None if refused is None else refused.token

    def put(self, digest: str, refused: Refused) -> None:
        """Keep a token in place of the one with this digest."""
        with self._mutex:
            self._refused[digest] = refused
            if len(self._refused) > MAX_KEPT:
                self._refused.popitem(last=False)
                log.error("Too many refreshed tokens could not be stored; the oldest is lost.")
            if refused.slot.is_shared and self._thread is None:
                self._thread = threading.Thread(target=self._try_again, daemon=True)
                self._thread.start()

    def settle(self, digest: str) -> None:
        """Forget the token that is kept for the one with this digest."""
        with self._mutex:
            self._refused.pop(digest, None)
        self._wake.set()

    def _try_again(self) -> None:
        pause = _FIRST_PAUSE
        while self._has_any():
            self._wake.wait(pause)
            self._wake.clear()
            pause = min(pause * 2, _LONGEST_PAUSE)
            for digest, refused in list(self._refused.items()):
                if refused.slot.is_shared and refused.save():
                    self.settle(digest)

    def _has_any(self) -> bool:
        with self._mutex:
            found = any(refused.slot.is_shared for refused in self._refused.values())
            if not found:
                self._thread = None
            return found
