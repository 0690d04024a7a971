"""The measurements run, whatever they measure, and what is worked out from them is right."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module

import pytest

import benchmarks
from benchmarks import rounds
from benchmarks.scale import __main__ as scale
from benchmarks.scale import measure
from benchmarks.scale.arithmetic import busiest_second, tables, walk_seconds
from benchmarks.scale.day import HOUR, day_of
from benchmarks.scale.places import PLACES

MODULES = [module.name for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_each_module_is_importable(name: str) -> None:
    """Names that a measurement imports from the package are there."""
    import_module(name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:XDG_RUNTIME_DIR")
@pytest.mark.parametrize("name", PLACES)
def test_each_store_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each store is filled, walked over, and asked by several processes."""
    monkeypatch.setattr(measure, "FEW", 10)
    monkeypatch.setattr(rounds, "ROUNDS", 2)
    monkeypatch.setattr(measure, "hit_rate", lambda *_: 0.5)
    monkeypatch.setattr(scale, "hit_rate", lambda *_: 0.5)
    found = scale.store_of(name, 40, seconds=0.05)
    assert set(found["operations"]) == {"1", "2", "4"}
    assert min(found["operations"].values()) > 0
    assert found["walked"] > 0


def test_a_day_refreshes_as_often_as_tokens_end() -> None:
    """A token that lasts a visit is refreshed once in it, and one that lasts for ever never."""
    short, long = day_of(HOUR / 4, users=300), day_of(1e9, users=300)
    assert short.calls == long.calls == 3 * 15
    assert 2.5 <= short.refreshes <= 6
    assert (long.refreshes, long.busiest) == (0, 0)


def test_arithmetic() -> None:
    """A hundred times the users need a hundred times the reads, the space and the time."""
    day = {"calls": 45.0, "refreshes": 3.0, "busiest_calls": 0.002, "busiest": 0.002}
    found = {"bytes": 1000, "load": 1.01, "load_memory": 1.0, "microseconds": 500}
    found |= {"cache_hits": 0.8, "walked": 10_000, "walked_by_shards": 20_000}
    found["operations"] = {"1": 2_000, "4": 5_000}
    measured = {"days": {"Google": day}, "stores": {"redis": found}}
    told = tables(measured)
    rows = {row[0]: row[1:] for name in ("load", "redis") for row in told[name]}
    assert busiest_second(day, 100_000) == pytest.approx(10)
    assert rows["Reads/s in the busiest minute"] == ["150", "15,000", "150,000"]
    assert rows["of these, past a LocalCache"] == ["30", "3,000", "30,000"]
    assert rows["Refreshes/s then"] == ["10", "1,000", "10,000"]
    assert rows["Refreshes at once then"] == ["5", "500", "5,000"]
    assert rows["Data"] == ["1 GB", "100 GB", "1 TB"]
    assert rows["Servers for the data"] == ["1", "8", "78"]
    assert rows["Servers for the reads"] == ["1", "6", "60"]
    assert rows["Connections at work at once"] == ["1", "15", "150"]
    assert rows["A walk by one process"] == ["100 s", "3 h", "28 h"]
    assert all(len(row) == len(rows[0]) for rows in told.values() for row in rows)


def test_a_walk_by_several() -> None:
    """Names are read by each process, and records by one: that part of the walk is shared."""
    found = {"walked": 10_000, "walked_by_shards": 10_000 / (0.25 + 0.75 / 4)}
    assert walk_seconds(found, 10_000, 1) == pytest.approx(1)
    assert walk_seconds(found, 10_000, 4) == pytest.approx(0.25 + 0.75 / 4)
    assert walk_seconds(found, 10_000, 1_000_000) == pytest.approx(0.25, abs=0.001)
    assert walk_seconds({"walked": 10, "walked_by_shards": 9}, 10, 4) == 1
    assert walk_seconds({"walked": 10, "walked_by_shards": 50}, 10, 4) == 0.25


def test_what_was_measured() -> None:
    """The page on growth is made of a measurement of a million tokens on each store."""
    measured = json.loads(scale.MEASURED.read_text())
    assert measured["tokens"] == 1_000_000
    assert measured["stores"].keys() == PLACES.keys()
    for found in measured["stores"].values():
        assert found["load"] <= 1.2
        assert found["load_memory"] <= 1.2
    for name in ("measured", "day", "load", *PLACES):
        assert f".. growth:: {name}\n" in (scale.MEASURED.parent / "growth.rst").read_text()
    assert tables(measured).keys() == {"measured", "day", "load", *PLACES}
