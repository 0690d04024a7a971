"""What the measurements mean for so many users."""

from __future__ import annotations

from math import ceil
from typing import Any

USERS = (1_000_000, 100_000_000, 1_000_000_000)
# Half of a server's 24 GiB is left for what it needs besides, such as the copy of a snapshot.
SHARD_BYTES = 12 * 2**30
# A tenth of all users come on a day.
ACTIVE = 0.1
# In the busiest minute a server is asked for this share of what it can do.
LOAD = 0.5
IDLE_DAYS = 30

Rows = list[list[str]]


def tables(measured: dict[str, Any]) -> dict[str, Rows]:
    """Return the tables of the page on growth, each as rows of cells, with the titles first."""
    return {
        "measured": measured_rows(measured),
        "day": day_rows(measured),
        "growth": growth_rows(measured),
    }


def measured_rows(measured: dict[str, Any]) -> Rows:
    """Return what was measured at each store."""
    rows = [
        [
            *("Store", "Bytes a token", "Load, against 1,000"),
            *(
                "Operations/s, 1 process",
                "4 processes",
                "Hits of a LocalCache",
                "Records/s of a walk",
            ),
        ]
    ]
    for name, found in measured["stores"].items():
        operations = found["operations"]
        rows.append(
            [
                name,
                f"{found['bytes']:,}",
                f"{found['load']:.2f}",
                *(f"{operations[count]:,}" for count in ("1", "4")),
                f"{found['cache_hits']:.0%}",
                f"{found['walked']:,}",
            ]
        )
    return rows


def day_rows(measured: dict[str, Any]) -> Rows:
    """Return the refreshes of a day by how long a provider's tokens last."""
    rows = [["Provider", "Calls a user", "Refreshes a user", "Refreshes/s in the busiest minute"]]
    for name, day in measured["days"].items():
        busiest = busiest_second(day, USERS[0] * ACTIVE)
        rows.append([name, f"{day['calls']:.0f}", f"{day['refreshes']:.2f}", f"{busiest:,.0f}"])
    return rows


def growth_rows(measured: dict[str, Any]) -> Rows:
    """Return what so many users need."""
    rows = [["", *(f"{count:,} users" for count in USERS)]]
    hour = measured["days"]["Google"]
    busiest = [count * ACTIVE * hour["calls"] * hour["busiest_calls"] / 60 for count in USERS]
    rows.append(["Reads/s in the busiest minute", *(f"{each:,.0f}" for each in busiest)])
    rows.append(
        [
            "Refreshes/s then",
            *(f"{busiest_second(hour, count * ACTIVE):,.0f}" for count in USERS),
        ]
    )
    rows.append(
        [
            f"Refreshes/s of keep-fresh, {IDLE_DAYS} days idle",
            *(f"{count * (1 - ACTIVE) / IDLE_DAYS / 86400:,.1f}" for count in USERS),
        ]
    )
    for name, found in measured["stores"].items():
        rows.append([f"{name}: data", *(_bytes(count * found["bytes"]) for count in USERS)])
        rows.append(
            [
                f"{name}: servers for the data, or for the reads",
                *(
                    f"{ceil(count * found['bytes'] / SHARD_BYTES):,} or "
                    f"{ceil(reads / (max(found['operations'].values()) * LOAD)):,}"
                    for count, reads in zip(USERS, busiest, strict=True)
                ),
            ]
        )
        rows.append(
            [f"{name}: a walk by one process", *(_time(count / found["walked"]) for count in USERS)]
        )
    return rows


def busiest_second(day: dict[str, float], users: float) -> float:
    """Return the refreshes a second in the busiest minute of a day of so many users."""
    return users * day["refreshes"] * day["busiest"] / 60


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
