"""A day of many users: when they come, and which of their calls meet a token that has ended."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

HOUR = 3600.0
DAY = 24 * HOUR

LIFETIMES = {"Xero": HOUR / 2, "Google": HOUR, "GitHub App": 8 * HOUR, "Discord": 7 * DAY}
"""How long access tokens of some providers last, in seconds, as their documentation has it."""

# How many of a day's visits begin in each hour: few at night, most at noon and in the evening.
_VISITS = (1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 10, 9, 9, 8, 8, 8, 9, 9, 8, 6, 4, 2)


@dataclass(frozen=True)
class Day:
    """What a simulated day has had, for one user on average.

    Attributes:
        calls: Calls of the API, each of which reads the token.
        refreshes: Refreshes among them.
        busiest_calls: The share of the calls that is in their busiest minute.
        busiest: The share of the refreshes that is in theirs.
    """

    calls: float
    refreshes: float
    busiest_calls: float
    busiest: float


def day_of(
    lifetime: float, users: int = 20_000, visits: int = 3, minutes: int = 15, seed: int = 7
) -> Day:
    """Simulate a day, and return what it has had.

    Args:
        lifetime: How many seconds an access token lasts.
        users: How many users come on that day.
        visits: How often each of them comes.
        minutes: How long they stay, with one call a minute.
        seed: What the chances are made of.
    """
    chance, leeway = random.Random(seed), 60.0
    calls, refreshes = Counter[int](), Counter[int]()
    hours = range(24)
    for _ in range(users):
        # Tokens are of any age when the day begins.
        end = chance.uniform(0, lifetime)
        begins = [
            (hour + chance.random()) * HOUR for hour in chance.choices(hours, _VISITS, k=visits)
        ]
        for moment in sorted(begin + 60 * n for begin in begins for n in range(minutes)):
            calls[int(moment // 60)] += 1
            if moment > end - leeway:
                refreshes[int(moment // 60)] += 1
                end = moment + lifetime
    return Day(
        calls.total() / users,
        refreshes.total() / users,
        max(calls.values()) / calls.total(),
        max(refreshes.values(), default=0) / max(refreshes.total(), 1),
    )
