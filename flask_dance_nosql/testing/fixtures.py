"""Fixtures of pytest for authors of applications.

Name this module in the ``conftest.py`` at the top of your tests::

    pytest_plugins = ["flask_dance_nosql.testing.fixtures"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ..consumer.backend.base import MemoryBackend
from .apps import connected


@pytest.fixture
def oauth_login() -> Iterator[Callable[..., MemoryBackend]]:
    """Return a function that connects a test client to a provider until the test is over.

    ``oauth_login(client, "github")`` is :func:`connected` for the rest of the test, with the same
    arguments. It may be called for several providers, and again for another token.
    """
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(connected(*args, **kwargs))
