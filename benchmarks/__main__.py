"""Runs the measurements and prints them as a table: ``python -m benchmarks``.

Absolute times say little on a shared machine, so that each row is a ratio of two measured in turns.
The last column is the median time of one call, in microseconds. What can be counted comes first.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from tempfile import TemporaryDirectory

from examples.demo.embedded import MongoServer, RedisServer

from .cipher import cipher_rows
from .counts import Count, count_rows
from .imports import import_rows
from .requests import request_rows
from .rounds import Row
from .sqla import sqla_rows
from .stores import mongo_rows, redis_rows
from .ways import way_rows


def main() -> None:
    """Measure everything and print the tables."""
    print(f"{'what':50}  {'here':>6}  Flask-Dance")
    for count in chain(way_rows(), count_rows()):
        print(_line_of_count(count), flush=True)
    print()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        mongo = stack.enter_context(MongoServer(folder))
        redis = stack.enter_context(RedisServer(folder))
        print(f"{'what':50}  {'against':28}  ratio  (middle half)       us")
        rows = chain(
            import_rows(),
            request_rows(),
            cipher_rows(),
            mongo_rows(mongo.url),
            redis_rows(redis.url),
            sqla_rows(),
        )
        for row in rows:
            print(_line(row), flush=True)


def _line_of_count(count: Count) -> str:
    return f"{count.what:50}  {count.ours!s:>6}  {count.theirs!s:>6}"


def _line(row: Row) -> str:
    low, middle, high = row.quartiles
    ratio = f"{middle:5.2f}  ({low:.2f} to {high:.2f})"
    return f"{row.what:50}  {row.against:28}  {ratio:21}  {row.microseconds:6.1f}"


if __name__ == "__main__":
    main()
