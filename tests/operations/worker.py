"""A process that reseals or copies, and tells on its output how far it is."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from itertools import count
from typing import Any

import psutil

from flask_dance_nosql.consumer.backend import TokenCipher, UserScopedBackend
from flask_dance_nosql.operations.copying import copy_tokens
from flask_dance_nosql.operations.resealing import reseal

from .places import store_at

STEP = 10


def rss() -> int:
    """Return how much memory this process has, in KiB."""
    return int(psutil.Process().memory_info().rss) // 1024


def main(text: str) -> None:
    """Do what a parent asks for, and print lines of JSON."""
    given, numbers = json.loads(text), count(1)

    def told() -> None:
        number = next(numbers)
        if number % STEP == 0:
            print(json.dumps({"records": number, "rss": rss()}), flush=True)

    with ExitStack() as stack:
        places = [
            UserScopedBackend(
                stack.enter_context(store_at(*place)), user_id=1, cipher=TokenCipher(*keys)
            )
            for *place, keys in given["places"]
        ]
        result: Any
        if len(places) == 1:
            result = reseal(places[0], told=told)
        else:
            result = copy_tokens(places[0], places[1], told=told)
    left = [each.reason for each in result.left]
    print(json.dumps({**asdict(result), "left": left, "rss": rss()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
