"""What authors of stores need to test them: the suite that holds this package's own stores.

Subclass :class:`StoreConformance` in your tests and say how to make a store::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, my_server):
            return MyStore(my_server.url)

Add :class:`CorruptRecords` and :class:`ServerDown` to its bases where they apply. All of it needs
pytest and hypothesis.
"""

from .conformance import StoreConformance
from .documents import at_once, json_values, keys, make_document, tokens
from .faults import CorruptRecords, ServerDown

__all__ = [
    "CorruptRecords",
    "ServerDown",
    "StoreConformance",
    "at_once",
    "json_values",
    "keys",
    "make_document",
    "tokens",
]
