"""Processes of their own that begin at once: forked from one that has imported everything already.

A new interpreter that imports the package and its drivers takes two seconds of a processor. These
are forked, by the standard library's fork server, from a process that has connected to nothing and
has no threads, and are as far from the test and from each other as those that are started anew.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import warnings
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

_SERVED = multiprocessing.get_context("forkserver")
_SERVED.set_forkserver_preload(
    [
        "psycopg",
        "tests.accounts.signer",
        "tests.consumer.refresher",
        "tests.operations.keeper",
        "tests.operations.worker",
    ]
)


class Forked:
    """A process that runs the ``main()`` of a module, with the face of a :class:`subprocess.Popen`.

    Args:
        module: The module's name.
        *arguments: What its ``main()`` is called with.

    Attributes:
        stdin: What is written here is what it reads.
        stdout: What it prints.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        its_input, to_it = _SERVED.Pipe(duplex=False)
        from_it, its_output = _SERVED.Pipe(duplex=False)
        errors = Connection(os.dup(2), readable=False)
        given = (module, arguments, dict(os.environ), its_input, its_output, errors)
        self._process = _SERVED.Process(target=_run, args=given, daemon=True)
        self._process.start()
        self.stdin = os.fdopen(os.dup(to_it.fileno()), "w")
        self.stdout = os.fdopen(os.dup(from_it.fileno()))
        for each in (its_input, to_it, from_it, its_output, errors):
            each.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The status with which it has ended, or ``None``."""
        return self._process.exitcode

    def go(self) -> None:
        """Send it a line, for which it waits."""
        self.stdin.write("\n")
        self.stdin.flush()

    def kill(self) -> None:
        """Kill it, as a machine that is switched off does."""
        self._process.kill()

    def wait(self) -> int | None:
        """Wait for its end, and return its status."""
        self._process.join()
        return self.returncode

    def communicate(self) -> str:
        """Wait for its end, and return what it has printed."""
        self.stdin.close()
        with self.stdout:
            printed = self.stdout.read()
        self.wait()
        return printed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stdout.close()
        self.stdin.close()
        self.wait()


def _run(
    module: str,
    arguments: tuple[str, ...],
    environ: dict[str, str],
    its_input: Connection,
    its_output: Connection,
    errors: Connection,
) -> None:
    for number, given in enumerate((its_input, its_output, errors)):
        os.dup2(given.fileno(), number)
        given.close()
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    # The server has that of the moment when it began.
    os.environ.clear()
    os.environ.update(environ)
    warnings.simplefilter("ignore", ResourceWarning)
    importlib.import_module(module).main(*arguments)
