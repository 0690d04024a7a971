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
# How many seconds the network between an application and a database adds to an operation.
NETWORK = 0.0005
# How many seconds a provider takes for a refresh.
PROVIDER = 0.5
IDLE_DAYS = 30
# How many processes share a walk.
WALKERS = 16

Rows = list[list[str]]


def tables(measured: dict[str, Any]) -> dict[str, Rows]:
    """Return the tables of the page on growth, each as rows of cells, with the titles first.

    Args:
        measured: What ``docs/growth.json`` holds.
    """
    return {
        "measured": measured_rows(measured),
        "day": day_rows(measured),
        "load": load_rows(measured),
        **{name: store_rows(measured, name) for name in measured["stores"]},
    }


def measured_rows(measured: dict[str, Any]) -> Rows:
    """Return what was measured at each store."""
    stores = list(measured["stores"].values())
    return [
        ["", *measured["stores"]],
        ["Bytes a token", *(f"{found['bytes']:,}" for found in stores)],
        ["A read, µs", *(f"{found['microseconds']:,}" for found in stores)],
        ["Its time, against 1,000 tokens", *(f"{found['load']:.2f}" for found in stores)],
        ["Its memory, against 1,000 tokens", *(f"{found['load_memory']:.2f}" for found in stores)],
        *(
            [
                f"Operations/s, {count} process{'es' if count != '1' else ''}",
                *(f"{found['operations'][count]:,}" for found in stores),
            ]
            for count in stores[0]["operations"]
        ),
        ["Reads that a LocalCache spares", *(f"{found['cache_hits']:.0%}" for found in stores)],
        ["Records/s of a walk", *(f"{found['walked']:,}" for found in stores)],
        [
            "Records/s of 4 processes with --shard",
            *(_number(found.get("walked_by_shards")) for found in stores),
        ],
    ]


def day_rows(measured: dict[str, Any]) -> Rows:
    """Return the refreshes of a day by how long a provider's tokens last."""
    rows = [["Provider", "Calls a user", "Refreshes a user", "Refreshes/s in the busiest minute"]]
    for name, day in measured["days"].items():
        busiest = busiest_second(day, USERS[0] * ACTIVE)
        rows.append([name, f"{day['calls']:.0f}", f"{day['refreshes']:.2f}", f"{busiest:,.0f}"])
    return rows


def load_rows(measured: dict[str, Any]) -> Rows:
    """Return what so many users ask for, whatever the store."""
    day = measured["days"]["Google"]
    reads = reads_of(measured)
    spared = min(found["cache_hits"] for found in measured["stores"].values())
    refreshes = [busiest_second(day, count * ACTIVE) for count in USERS]
    idle = [count * (1 - ACTIVE) / IDLE_DAYS / 86400 for count in USERS]
    return [
        ["", *(f"{count:,} users" for count in USERS)],
        ["Reads/s in the busiest minute", *(f"{each:,.0f}" for each in reads)],
        ["of these, past a LocalCache", *(f"{each * (1 - spared):,.0f}" for each in reads)],
        ["Refreshes/s then", *(f"{each:,.0f}" for each in refreshes)],
        ["Refreshes at once then", *(f"{ceil(each * PROVIDER):,}" for each in refreshes)],
        ["Refreshes/s of keep-fresh", *(f"{each:,.1f}" for each in idle)],
    ]


def store_rows(measured: dict[str, Any], name: str) -> Rows:
    """Return what so many users need of a store."""
    found, reads = measured["stores"][name], reads_of(measured)
    most = max(found["operations"].values()) * LOAD
    seconds = found["microseconds"] / 1e6 + NETWORK
    rows = [
        ["", *(f"{count:,} users" for count in USERS)],
        ["Data", *(_bytes(count * found["bytes"]) for count in USERS)],
        [
            "Servers for the data",
            *(f"{ceil(count * found['bytes'] / SHARD_BYTES):,}" for count in USERS),
        ],
        ["Servers for the reads", *(f"{ceil(each / most):,}" for each in reads)],
        ["Connections at work at once", *(f"{ceil(each * seconds):,}" for each in reads)],
    ]
    for processes in (1, WALKERS) if "walked_by_shards" in found else (1,):
        title = f"A walk by {processes}, with --shard" if processes > 1 else "A walk by one process"
        rows.append([title, *(_time(walk_seconds(found, count, processes)) for count in USERS)])
    return rows


def reads_of(measured: dict[str, Any]) -> list[float]:
    """Return the reads a second in the busiest minute, for each number of users."""
    day = measured["days"]["Google"]
    return [count * ACTIVE * day["calls"] * day["busiest_calls"] / 60 for count in USERS]


def busiest_second(day: dict[str, float], users: float) -> float:
    """Return the refreshes a second in the busiest minute of a day of so many users."""
    return users * day["refreshes"] * day["busiest"] / 60


def walk_seconds(found: dict[str, Any], records: float, processes: int) -> float:
    """Return how long so many processes, each with its shard, walk over so many records.

    Each looks at all names, and reads the records of its own part. How long the two take is worked
    out from a walk over all and one over a quarter.
    """
    if processes == 1:
        return records / float(found["walked"])
    whole, quarter = 1 / found["walked"], 1 / found["walked_by_shards"]
    reading = min(max(whole - quarter, 0) * 4 / 3, whole)
    return records * (whole - reading + reading / processes)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


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
