"""What has happened to each person's token, for the page to show. In memory, and never for long."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from datetime import datetime
from typing import Any, NamedTuple

from flask import has_request_context
from flask_login import current_user

from flask_dance_nosql.consumer import (
    OAuth2ConsumerBlueprint,
    token_deleted,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
)

SHOWN = 6

TEXTS = {
    token_saved: "The token was stored.",
    token_refreshed: "The provider gave a new token for the old one.",
    token_refresh_failed: "The provider gave no new token.",
    token_save_failed: "The new token could not be stored yet.",
    token_deleted: "The token was removed.",
}


class Event(NamedTuple):
    """Something that happened: when, what, and by which signal."""

    time: str
    text: str
    signal: str


class History:
    """Listens to a blueprint's signals, and remembers the latest of each person.

    Args:
        blueprint: The blueprint.
    """

    def __init__(self, blueprint: OAuth2ConsumerBlueprint) -> None:
        self._mutex = threading.Lock()
        self._events: dict[Any, deque[Event]] = defaultdict(lambda: deque(maxlen=SHOWN))
        self._receivers = [self._connect(signal, blueprint) for signal in TEXTS]

    def _connect(self, signal: Any, blueprint: OAuth2ConsumerBlueprint) -> Any:
        def receive(_: OAuth2ConsumerBlueprint, user_id: str | None, **__: Any) -> None:
            # Some of the backends here keep no token for each user, so that the signal names none.
            self._add(current_user.get_id() if has_request_context() else user_id, signal)

        signal.connect(receive, sender=blueprint)
        # A signal holds its receivers by weak references.
        return receive

    def _add(self, person: Any, signal: Any) -> None:
        time = datetime.now().astimezone().strftime("%H:%M:%S")
        with self._mutex:
            self._events[person].appendleft(Event(time, TEXTS[signal], signal.name))

    def of_visitor(self) -> list[Event]:
        """Return what happened to the token of whoever asks, the latest first."""
        with self._mutex:
            return list(self._events[current_user.get_id()])
