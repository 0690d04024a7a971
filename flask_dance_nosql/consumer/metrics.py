"""What is counted and timed: a small interface, and where an application's implementation is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app, has_app_context

METRICS = "flask_dance_nosql_metrics"
"""The name under which an app's ``extensions`` have its metrics."""


class Metrics(ABC):
    """Takes what is counted and timed. Give one to :func:`observe`.

    The names and labels are listed in :doc:`/metrics`. No label names a user or has a secret in it.
    The methods are called by many threads, within requests: they must be quick, and must not raise.

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


def current_metrics() -> Metrics | None:
    """Return the metrics of the current app, or ``None`` if it has none."""
    if not has_app_context():
        return None
    found: Metrics | None = current_app.extensions.get(METRICS)
    return found
