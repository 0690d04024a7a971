"""What is measured at one store."""

from __future__ import annotations

import multiprocessing
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from flask_dance_nosql.consumer.backend import (
    LocalCache,
    Shard,
    TokenDocument,
    TokenKey,
    TokenStore,
)
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.store.wrapper import StoreWrapper

from ..rounds import Row, compare
from .places import Place, filled, key_of

FEW = 1_000
# One in so many operations is a write.
_WRITES = 20


def loader(store: TokenStore, count: int, seed: int = 7) -> Callable[[], object]:
    """Return what loads the token of a user by chance."""
    chance = random.Random(seed)

    def load() -> object:
        document = store.load(key_of(chance.randrange(count)))
        if document is None:
            raise LookupError("there should be one")
        return document

    return load


class Counted(StoreWrapper):
    """Counts what is loaded from another store."""

    def __init__(self, inner: TokenStore) -> None:
        super().__init__(inner)
        self.loads = 0

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Load from the other store."""
        self.loads += 1
        return self.inner.load(key)


def load_ratio(name: str, place: Place, count: int) -> tuple[Row, float]:
    """Compare a load among many with one among a thousand: in time, and in memory here."""
    with filled(name, FEW) as (small, _):
        many, few = loader(place.store, count), loader(small.store, FEW)
        # Others work on the machine, too: the middle one of several.
        rows = [
            compare(f"load among {count:,}", many, f"load among {FEW:,}", few) for _ in range(5)
        ]
        rows.sort(key=lambda row: row.quartiles[1])
        return rows[2], peak_bytes(many) / peak_bytes(few)


def peak_bytes(load: Callable[[], object]) -> int:
    """Return the most memory that one load takes in this process, as the median of 101."""
    load()
    peaks = []
    tracemalloc.start()
    for _ in range(101):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        load()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return sorted(peaks)[50]


def throughput(place: Place, count: int, processes: int, seconds: float) -> float:
    """Return how many operations a second so many processes do together."""
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(place, count, number, seconds, ready, results))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    done = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return sum(done)


def _work(place: Place, count: int, number: int, seconds: float, ready: Any, results: Any) -> None:
    chance, store, done = random.Random(number), place.connect(), 0
    store.load(key_of(0))
    ready.wait()
    began = time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        document = store.load(key_of(chance.randrange(count)))
        if document is not None and done % _WRITES == 0 and not place.reads_only:
            store.save(document)
        done += 1
    results.put(done / taken)


def hit_rate(place: Place, count: int, calls: int = 20_000) -> float:
    """Return the share of reads that a ``LocalCache`` of 10,000 tokens answers.

    Users come as they do: some often, most of them rarely (Zipf's law).
    """
    chance, counted = random.Random(7), Counted(place.store)
    cached = CachedStore(counted, LocalCache(maxsize=10_000), 300.0, 30.0)
    for _ in range(calls):
        # The rank of who comes, whose chance falls with it.
        cached.load(key_of(int(count ** chance.random()) - 1))
    return 1 - counted.loads / calls


def walk(place: Place, shard: Shard | None = None) -> tuple[int, float]:
    """Return how many records a walk over the store, or a part of it, meets in how many seconds."""
    began = time.perf_counter()
    met = sum(1 for _ in place.store.records(shard=shard))
    return met, time.perf_counter() - began
