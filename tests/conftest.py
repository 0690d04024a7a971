"""Fixtures for all tests, and what becomes of a test whose server is missing."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from examples.demo.embedded import ServerMissing
from tests.missing import is_excused, missing_servers

pytest_plugins = ["tests.servers", "tests.topologies"]


def _skip_if_excused() -> Generator[None, object, object]:
    try:
        return (yield)
    except ServerMissing as error:
        if not is_excused(error):
            raise
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector never look at what is collected, which stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Skip a test of which a fixture needs a server that this Python has no wheel of."""
    return (yield from _skip_if_excused())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Skip a test that needs such a server itself."""
    return (yield from _skip_if_excused())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers were missing, whichever tests were chosen."""
    missing = missing_servers()
    if missing:
        terminalreporter.section("servers that were missing")
        for line in missing:
            terminalreporter.line(line)
