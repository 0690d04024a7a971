"""Help with tests, for authors of stores and for authors of applications.

Whoever writes a store subclasses :class:`StoreConformance`, the suite that holds this package's own
stores, and says how to make one::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, my_server):
            return MyStore(my_server.url)

Add :class:`CorruptRecords` and :class:`ServerDown` to its bases where they apply, and take
:class:`AccountConformance` in a second class if the store keeps several accounts apart. These need
pytest and hypothesis.

Whoever tests an application takes :func:`connected`, or the fixture in
:mod:`flask_dance_nosql.testing.fixtures`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingDependency
from .apps import connected

if TYPE_CHECKING:
    from .accounts import AccountConformance
    from .conformance import StoreConformance
    from .documents import at_once, json_values, keys, make_document, tokens
    from .faults import CorruptRecords, ServerDown

__all__ = [
    "AccountConformance",
    "CorruptRecords",
    "ServerDown",
    "StoreConformance",
    "at_once",
    "connected",
    "json_values",
    "keys",
    "make_document",
    "tokens",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    suites = {"CorruptRecords": "faults", "ServerDown": "faults", "StoreConformance": "conformance"}
    suites["AccountConformance"] = "accounts"
    try:
        return getattr(import_module(f".{suites.get(name, 'documents')}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("pytest", "hypothesis"):
            raise
        raise MissingDependency(name, error.name, "test") from error
