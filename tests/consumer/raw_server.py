"""A server that sends bytes as they are, for answers that no HTTP library would give."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def answering(*answers: Callable[[socket.socket, bytes], object]) -> Iterator[str]:
    """Give the address of a server that answers its connections, one after the other, and ends.

    Each answer is called with the connection and with the request that came.
    """
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                answer(connection, _request(connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (
            int(line[15:])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def sending(answer: bytes) -> Callable[[socket.socket, bytes], object]:
    """Return what sends an answer, in which ``{asked}`` is replaced by the request."""
    return lambda connection, asked: connection.sendall(
        answer.replace(b"{asked}", b" ".join(asked.split(b"\r\n")))
    )
