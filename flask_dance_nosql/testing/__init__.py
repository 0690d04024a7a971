"""What authors of stores need to test them: the suite that holds this package's own stores.

Subclass :class:`StoreConformance` in your tests and say how to make a store::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, my_server):
            return MyStore(my_server.url)

It needs pytest and hypothesis.
"""

from .conformance import StoreConformance
from .documents import at_once, json_values, keys, make_document, tokens

__all__ = ["StoreConformance", "at_once", "json_values", "keys", "make_document", "tokens"]
