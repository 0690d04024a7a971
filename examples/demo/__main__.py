"""Runs the demo: ``python -m examples.demo``.

Environment variables:
    BACKEND: ``mongo``, ``redis``, ``sqla``, ``file`` or ``session``; default: the first of these
        whose server is there.
    PORT: The app's port; default: a free one.
    PROVIDER_PORT: The provider's port, likewise.
    TOKEN_SECONDS: How long an access token lives, in seconds; default: 60.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from queue import SimpleQueue


def main() -> int:
    """Run the demo until Ctrl-C or SIGTERM, and return the exit code."""
    stop = _stop_signals()
    # Imported once the signals are ours, since it takes a moment in which Ctrl-C may come.
    from .launch import Settings, start

    try:
        settings = Settings.from_environment()
    except ValueError as error:
        return _complain(error, 2)
    # OAuth 2 requires https. Provider and app talk by plain http here, which no other machine sees.
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    with ExitStack() as stack:
        try:
            start(stack, settings)
        except (OSError, RuntimeError) as error:
            return _complain(error, 1)
        stop.get()
    print("\nStopped.", flush=True)
    return 0


def _stop_signals() -> SimpleQueue[int]:
    # A handler may only do what is safe at any moment, which a SimpleQueue's put() is. A signal
    # that comes while the servers start is answered when they have.
    stop: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stop.put(number))
    return stop


def _complain(error: Exception, exit_code: int) -> int:
    print(f"demo: {error}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
