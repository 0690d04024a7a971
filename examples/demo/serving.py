"""Serves a WSGI app on this machine from a thread of its own."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"


class QuietHandler(WSGIRequestHandler):
    """Handles requests without a word: a logged callback URL would show its authorization code."""

    def log_request(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing."""


class LocalServer:
    """A threaded HTTP server on 127.0.0.1, answering from its construction until ``stop()``.

    Args:
        app: The WSGI app.
        port: The port to listen on; 0, the default, takes a free one.
    """

    def __init__(self, app: Any, port: int = 0) -> None:
        self._server = make_server(HOST, port, app, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
