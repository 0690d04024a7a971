"""The measurements run, whatever they measure, and what is worked out from them is right."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import benchmarks
from benchmarks import rounds
from benchmarks.scale import __main__ as scale
from benchmarks.scale import measure
from benchmarks.scale.arithmetic import busiest_second, tables
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
    found = {"bytes": 1000, "load": 1.01, "cache_hits": 0.8, "walked": 10_000}
    found["operations"] = {"1": 2_000, "4": 5_000}
    measured = {"days": {"Google": day}, "stores": {"redis": found}}
    rows = {row[0]: row[1:] for row in tables(measured)["growth"]}
    assert busiest_second(day, 100_000) == pytest.approx(10)
    assert rows["Reads/s in the busiest minute"] == ["150", "15,000", "150,000"]
    assert rows["Refreshes/s then"] == ["10", "1,000", "10,000"]
    assert rows["redis: data"] == ["1 GB", "100 GB", "1 TB"]
    assert rows["redis: a walk by one process"] == ["100 s", "3 h", "28 h"]
    assert rows["redis: servers for the data, or for the reads"][1] == "8 or 6"
