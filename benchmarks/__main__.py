"""Runs the measurements and prints them as a table: ``python -m benchmarks``.

Absolute times say little on a shared machine, so that each row is a ratio of two measured in turns.
The last column is the median time of one call, in microseconds.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from tempfile import TemporaryDirectory

from examples.demo.embedded import MongoServer, RedisServer

from .cipher import cipher_rows
from .requests import request_rows
from .rounds import Row
from .sqla import sqla_rows
from .stores import mongo_rows, redis_rows


def main() -> None:
    """Measure everything and print the table."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        mongo = stack.enter_context(MongoServer(folder))
        redis = stack.enter_context(RedisServer(folder))
        print(f"{'what':50}  {'against':28}  ratio  (middle half)       us")
        measurements = (
            request_rows(),
            cipher_rows(),
            mongo_rows(mongo.url),
            redis_rows(redis.url),
            sqla_rows(),
        )
        for row in chain.from_iterable(measurements):
            print(_line(row), flush=True)


def _line(row: Row) -> str:
    low, middle, high = row.quartiles
    ratio = f"{middle:5.2f}  ({low:.2f} to {high:.2f})"
    return f"{row.what:50}  {row.against:28}  {ratio:21}  {row.microseconds:6.1f}"


if __name__ == "__main__":
    main()
