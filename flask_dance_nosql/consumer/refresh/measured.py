"""What becomes of a refresh, and how long it waits, for the metrics of the app."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from ..metrics import current_metrics

T = TypeVar("T")


class Measured:
    """Measures one refresh.

    Attributes:
        outcome: What becomes of it. Whatever ends it unforeseen is an error.
    """

    def __init__(self) -> None:
        self.outcome = "error"
        self._waits: list[float] = []

    @contextmanager
    def running(self, blueprint: Any) -> Iterator[None]:
        """Time the block, and what it has waited; do nothing if nobody wants to know."""
        metrics = current_metrics()
        if metrics is None:
            yield
            return
        of = {"provider": blueprint.name, "backend": type(blueprint.backend).__name__}
        with metrics.measure("refresh", **of) as labels:
            try:
                yield
            finally:
                labels["outcome"] = self.outcome
                if self._waits:
                    metrics.time("wait", sum(self._waits), outcome=self.outcome, **of)

    @contextmanager
    def waiting(self, turn: AbstractContextManager[T]) -> Iterator[T]:
        """Take a turn or a lock, and note how long that takes."""
        asked = time.perf_counter()
        with turn as given:
            self._waits.append(time.perf_counter() - asked)
            yield given
