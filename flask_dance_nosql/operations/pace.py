"""How fast a provider is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import clock

Wait = Callable[[float], object]
"""Waits for so many seconds; it may return earlier if the work is to stop."""


class Pace:
    """Lets threads go on one after the other, at most at a rate.

    Args:
        rate: How many a second.
        wait: What waits.
        now: The clock, in seconds.
    """

    def __init__(self, rate: float, wait: Wait, now: Callable[[], float] = clock.monotonic) -> None:
        self._interval = 1.0 / rate
        self._wait, self._now = wait, now
        self._mutex = threading.Lock()
        self._next = self._held_until = now()

    def take(self, is_over: Callable[[], bool]) -> bool:
        """Wait for the turn of the caller. Returns whether it came before all was over."""
        while not is_over():
            with self._mutex:
                now = self._now()
                at = max(self._next, now)
                self._next = at + self._interval
            if at > now:
                self._wait(at - now)
            if self._now() >= self._held_until:
                return not is_over()
        return False

    def hold(self, seconds: float) -> bool:
        """Let nobody go on for so many seconds, those included who wait for their turn.

        Returns whether nobody was held up already.
        """
        with self._mutex:
            now = self._now()
            was_free = now >= self._held_until
            self._held_until = max(self._held_until, now + seconds)
            self._next = max(self._next, self._held_until)
            return was_free
