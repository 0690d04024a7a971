"""What a test runs as a process of its own: keeps tokens fresh.

Called as ``python -m tests.operations.keeper PROVIDER_URL RATE KIND ADDRESS``. It says "ready",
waits for a line, and prints what it has done as JSON.
"""

from __future__ import annotations

import sys

import msgspec

from flask_dance_nosql.operations.keeping import keep_fresh

from ..backend.writer import open_store
from .many import PROVIDER, app_of, blueprint_of


def main(url: str, rate: str, kind: str, address: str) -> None:
    """Keep all tokens fresh."""
    app = app_of(blueprint_of(url, open_store(kind, address)))
    print("ready", flush=True)
    sys.stdin.readline()
    with app.app_context():
        counts = keep_fresh(rate=float(rate))
    print(msgspec.json.encode(counts[PROVIDER]).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
