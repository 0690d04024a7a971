"""Runs the measurements and prints them as a table: ``python -m benchmarks``.

Absolute times say little on a shared machine, so that each row is a ratio of two measured in turns.
"""

from __future__ import annotations

from contextlib import ExitStack
from tempfile import TemporaryDirectory

from examples.demo.embedded import MongoServer, RedisServer

from .requests import request_rows
from .rounds import Row
from .stores import mongo_rows, redis_rows


def main() -> None:
    """Measure everything and print the table."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        mongo = stack.enter_context(MongoServer(folder))
        redis = stack.enter_context(RedisServer(folder))
        print(f"{'what':44}  {'against':28}  ratio  (middle half)")
        for rows in (request_rows(), mongo_rows(mongo.url), redis_rows(redis.url)):
            for row in rows:
                print(_line(row), flush=True)


def _line(row: Row) -> str:
    low, middle, high = row.quartiles
    return f"{row.what:44}  {row.against:28}  {middle:5.2f}  ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
