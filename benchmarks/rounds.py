"""Measures two things in turns, so that both meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

ROUNDS = 60
CALLS = 50


@dataclass(frozen=True)
class Row:
    """How long one thing takes as a multiple of another, round by round."""

    what: str
    against: str
    ratios: tuple[float, ...]
    microseconds: float

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """The lower quartile, the median and the upper quartile of the ratios."""
        low, middle, high = quantiles(self.ratios, n=4)
        return low, middle, high


def compare(
    what: str, work: Callable[[], object], against: str, other: Callable[[], object]
) -> Row:
    """Measure one thing against another in turns of 50 calls; the first turn is not counted."""
    seconds(work), seconds(other)
    rounds = [(seconds(work), seconds(other)) for _ in range(ROUNDS)]
    ratios = tuple(one / two for one, two in rounds)
    return Row(what, against, ratios, median(one for one, _ in rounds) / CALLS * 1e6)


def seconds(work: Callable[[], object]) -> float:
    """Return how long 50 calls take, in seconds."""
    start = time.perf_counter()
    for _ in range(CALLS):
        work()
    return time.perf_counter() - start
