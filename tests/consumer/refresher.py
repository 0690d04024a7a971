"""What a test runs as a process of its own: calls the API from many threads that begin together.

Called as ``python -m tests.consumer.refresher PROVIDER_URL LEASE_SECONDS THREADS KIND ADDRESS``. It
says "ready", waits for a line, and prints the HTTP statuses, or the names of errors, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading

from flask import Flask

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.refresh import attempt

from ..backend.writer import KEY, open_store


def main(url: str, lease: str, threads: str, kind: str, address: str) -> None:
    """Call from so many threads at once."""
    # Where it is used; that it is there at all is worth an error.
    assert attempt.LEASE_SECONDS
    attempt.LEASE_SECONDS = float(lease)
    blueprint = OAuth2ConsumerBlueprint(
        KEY.provider,
        __name__,
        client_id="id",
        client_secret="client-secret",
        base_url=f"{url}/",
        token_url=f"{url}/token",
        auto_refresh=True,
        backend=UserScopedBackend(open_store(kind, address), user_id=KEY.user_id),
    )
    app = Flask(__name__)
    app.secret_key = "for tests"
    app.register_blueprint(blueprint)
    results: list[int | str] = []
    barrier = threading.Barrier(int(threads))

    def call() -> None:
        barrier.wait()
        try:
            with app.test_request_context():
                results.append(blueprint.session.get("api").status_code)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(type(error).__name__)

    callers = [threading.Thread(target=call) for _ in range(int(threads))]
    print("ready", flush=True)
    sys.stdin.readline()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
