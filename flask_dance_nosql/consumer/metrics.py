"""What is counted and timed: a small interface, and where an application's implementation is."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask import current_app, has_app_context

from .. import clock

log = logging.getLogger(__name__)

# How many seconds nothing more is logged of metrics that fail.
_QUIET = 60.0

METRICS = "flask_dance_nosql_metrics"
"""The name under which an app's ``extensions`` have its metrics."""


class Metrics(ABC):
    """Takes what is counted and timed. Give one to :func:`observe`.

    The names and labels are listed in :doc:`/metrics`. No label names a user or has a secret in it.
    The methods are called by many threads, within requests, so they must be quick. What they raise
    is logged, once a minute, and breaks no request.

    .. versionadded:: 1.0
    """

    @abstractmethod
    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Count that something has happened.

        Args:
            name: What.
            amount: How often.
            **labels: What tells this from others of the name.
        """

    @abstractmethod
    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Take how long something took, in seconds; the other arguments are those of count."""

    @contextmanager
    def measure(self, name: str, **labels: str) -> Iterator[dict[str, str]]:
        """Time what the block does. It gives the labels, to which the block adds the outcome.

        Override it to do something around the block, such as a span of a trace. What the block
        raises has to be raised.
        """
        began = time.perf_counter()
        try:
            yield labels
        finally:
            self.time(name, time.perf_counter() - began, **labels)


class GuardedMetrics(Metrics):
    """Tells other metrics, and logs what they raise.

    Args:
        metrics: The others.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._quiet_until = 0.0

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Have the others count."""
        with self._guard():
            self._metrics.count(name, amount, **labels)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Give the others a time."""
        with self._guard():
            self._metrics.time(name, seconds, **labels)

    @contextmanager
    def measure(self, name: str, **labels: str) -> Iterator[dict[str, str]]:
        """Have the others time what the block does."""
        with ExitStack() as stack:
            found = labels
            with self._guard():
                measuring = self._metrics.measure(name, **labels)
                given: Any = measuring.__enter__()
                # What an override does not yield is no reason to fail either.
                found = given if isinstance(given, dict) else labels

                def leave(*error: Any) -> None:
                    # What the block has raised comes back out, and is raised by the block itself.
                    with self._guard(*error):
                        measuring.__exit__(*error)

                stack.push(leave)
            yield found

    @contextmanager
    def _guard(self, *own: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on
            now = clock.monotonic()
            if error not in own and now >= self._quiet_until:
                self._quiet_until = now + _QUIET
                log.warning("The metrics of the app have failed: %s.", type(error).__name__)


def current_metrics() -> Metrics | None:
    """Return the metrics of the current app, or ``None`` if it has none."""
    if not has_app_context():
        return None
    found: Metrics | None = current_app.extensions.get(METRICS)
    return found
