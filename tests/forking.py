"""Doing something in a forked child."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

import pytest

PATIENCE_SECONDS = 10

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def fork_without_hooks() -> int:
    """Fork as uWSGI does by default: what Python has registered for the child is not called."""
    return int(ctypes.PyDLL(None).fork())


def in_child(task: Callable[[], bool], fork: Callable[[], int] = os.fork) -> bool:
    """Return what a function returns in a child, or ``False`` if it raises or takes too long."""
    child = fork()
    if child == 0:
        # Whatever happens, the child must not go on with the tests.
        try:
            signal.alarm(PATIENCE_SECONDS)
            os._exit(0 if task() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
