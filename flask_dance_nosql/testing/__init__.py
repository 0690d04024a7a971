"""Help with tests, for authors of stores and for authors of applications.

Whoever writes a store subclasses :class:`StoreConformance`, the suite that holds this package's own
stores, and says how to make one::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, my_server):
            return MyStore(my_server.url)

Add :class:`CorruptRecords` and :class:`ServerDown` to its bases where they apply. These need pytest
and hypothesis.

Whoever tests an application takes :func:`connected`, or the fixture in
:mod:`flask_dance_nosql.testing.fixtures`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..consumer.backend.store.driver import importer
from .apps import connected

if TYPE_CHECKING:
    from .conformance import StoreConformance
    from .documents import at_once, json_values, keys, make_document, tokens
    from .faults import CorruptRecords, ServerDown

__all__ = [
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


__getattr__ = importer(
    __name__,
    {"CorruptRecords": "faults", "ServerDown": "faults", "StoreConformance": "conformance"}
    | dict.fromkeys(("at_once", "json_values", "keys", "make_document", "tokens"), "documents"),
)
