"""The measurements run, whatever they measure."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import benchmarks
from benchmarks import million, rounds


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
)
def test_each_module_is_importable(name: str) -> None:
    """Names that a measurement imports from the package are there."""
    if name != "__main__":
        import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("store", million.STORES)
def test_load_among_many(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load is measured in each store, here among few."""
    monkeypatch.setattr(million, "FEW", 10)
    monkeypatch.setattr(rounds, "ROUNDS", 2)
    million.main("20", store)
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{store} ")
