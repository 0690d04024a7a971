"""Measures what growth costs: ``python -m benchmarks.scale [--tokens N] [--stores ...]``.

It fills each store with so many tokens, takes some minutes and gigabytes, and prints what it has
found. With ``--write`` it keeps that as ``docs/growth.json``, of which the tables of the page on
growth are made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from flask_dance_nosql.consumer.backend import Shard

from .arithmetic import tables
from .day import LIFETIMES, day_of
from .measure import hit_rate, load_ratio, throughput, walk
from .places import PLACES, filled

MEASURED = Path(__file__).parents[2] / "docs" / "growth.json"
PROCESSES = (1, 2, 4)
SHARDS = 4


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="how many (1,000,000)")
    parser.add_argument("--stores", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each throughput (5)")
    parser.add_argument("--users", type=int, default=20_000, help="in the simulated day (20,000)")
    parser.add_argument("--write", action="store_true", help=f"keep it as {MEASURED.name}")
    options = parser.parse_args(arguments)
    measured: dict[str, Any] = {
        "tokens": options.tokens,
        "machine": f"{os.cpu_count()} processors, Python {platform.python_version()}",
        "days": {name: vars(day_of(end, options.users)) for name, end in LIFETIMES.items()},
        "stores": {},
    }
    for name in options.stores:
        measured["stores"][name] = found = store_of(name, options.tokens, options.seconds)
        print(f"{name:10} {json.dumps(found)}", flush=True)
    for title, rows in tables(measured).items():
        print(f"\n{title}")
        for row in rows:
            print("  ".join(f"{cell:>18}" for cell in row))
    if options.write:
        MEASURED.write_text(json.dumps(measured, indent=2) + "\n")


def store_of(name: str, tokens: int, seconds: float) -> dict[str, Any]:
    """Return what is measured at a store."""
    with filled(name, tokens) as (place, size):
        row, memory = load_ratio(name, place, tokens)
        found = {
            "bytes": round(size),
            "load": round(row.quartiles[1], 2),
            "load_memory": round(memory, 2),
            "microseconds": round(row.microseconds),
            "operations": {
                str(count): round(throughput(place, tokens, count, seconds)) for count in PROCESSES
            },
            "cache_hits": round(hit_rate(place, tokens), 2),
        }
        if not place.reads_only:
            part, took = walk(place, Shard(1, SHARDS))
            # Of all records, by as many processes: each looks at all names.
            found["walked_by_shards"] = round(part * SHARDS / took)
        met, took = walk(place)
        return {**found, "walked": round(met / took)}


if __name__ == "__main__":
    main()
