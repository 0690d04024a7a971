"""How long a call to a token endpoint may take, and how much of its answer is read."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse as RawAnswer
from typing import Any

from requests import RequestException, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3 import HTTPConnectionPool, HTTPResponse, PoolManager
from urllib3.exceptions import HTTPError as BrokenAnswer

Timeout = float | tuple[float | None, float | None] | None
"""Seconds, or a pair of seconds (connect, read); ``None`` waits without end. As in requests."""

MAX_ANSWER = 256 * 1024
"""How many bytes of a token endpoint's answer are read."""

MAX_SECONDS = 30.0
"""How many seconds a call to a token endpoint may take in all, unless its ``timeout`` is longer.

A ``timeout`` is for each wait within it, so that a byte now and then would hold a call for ever.
"""

_CHUNK = 16 * 1024

_end: ContextVar[float | None] = ContextVar("flask_dance_nosql_end", default=None)


class AnswerTooLarge(RequestException):
    """A token endpoint answers with more than any token can be."""


class AnswerTooSlow(RequestException):
    """A call to a token endpoint takes too long, however it spends the time."""


@contextmanager
def time_limit(timeout: Timeout = None) -> Iterator[Any]:
    """Give up what the block reads from the provider when the time for the whole call is over.

    Within another such block the time is that of the outer one. The value is the ``timeout`` for
    what is left of the time.

    Raises:
        AnswerTooSlow: If it is over.
    """
    parts: tuple[Any, ...] = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    numbers = [part for part in parts if isinstance(part, int | float)]
    now, end = time.monotonic(), _end.get()
    left = max([MAX_SECONDS, *numbers]) if end is None else end - now
    end = now + left
    if left <= 0:
        raise _too_slow()
    # What else requests takes, such as a Timeout of urllib3, goes on as it is.
    shorter = tuple(
        left if part is None else min(part, left) if part in numbers else part for part in parts
    )
    reset, is_over = _end.set(end), False
    try:
        yield timeout if shorter == parts else shorter
    except RequestException as error:
        # The connection tells it as one wait that was too long, or as an answer that broke off.
        is_over = error.response is None and time.monotonic() >= end
        if not is_over or isinstance(error, AnswerTooLarge):
            raise
    finally:
        _end.reset(reset)
    if is_over:
        raise _too_slow()


def _too_slow() -> AnswerTooSlow:
    return AnswerTooSlow("The call takes longer than it may.")


def read_bounded(response: Response) -> Response:
    """Read an answer within :func:`time_limit`, and no more of it than :data:`MAX_ANSWER` bytes.

    It then is text in UTF-8 for whoever reads it. What its headers say of its encoding is not
    trusted: JSON has one of its own (:rfc:`8259`).
    """
    body = bytearray()
    try:
        with time_limit():
            for part in _parts_of(response):
                body += part
                if len(body) > MAX_ANSWER:
                    raise AnswerTooLarge(f"The answer has more than {MAX_ANSWER} bytes.")
                if _seconds_left() <= 0:
                    raise _too_slow()
    except BaseException:
        # What comes yet is nobody's, so that the connection is of no more use.
        response.close()
        raise
    response._content = bytes(body)
    response._content_consumed = True
    response.encoding = "utf-8"
    return response


def _seconds_left() -> float:
    end = _end.get()
    return MAX_SECONDS if end is None else end - time.monotonic()


def _parts_of(response: Response) -> Iterator[bytes]:
    """Yield the parts of an answer as they arrive."""
    raw = response.raw
    if response._content_consumed or not (isinstance(raw, HTTPResponse) and hasattr(raw, "read1")):
        # It was read by a hook, it comes from an adapter of the application, or urllib3 is old.
        yield from response.iter_content(_CHUNK)
        return
    broken = None
    try:
        while part := raw.read1(_CHUNK, decode_content=True):
            yield part
    except BrokenAnswer as error:
        broken = type(error).__name__
    if broken is not None:
        raise ChunkedEncodingError(f"The answer broke off: {broken}.")


def limited(adapter: BaseAdapter) -> BaseAdapter:
    """Let what an adapter's connections read end with the time of :func:`time_limit`.

    They read as ever where there is no such limit. An adapter that does not use urllib3 is left as
    it is.
    """
    if isinstance(adapter, HTTPAdapter) and "proxy_manager_for" not in vars(adapter):
        through_proxy = adapter.proxy_manager_for
        _limit(adapter.poolmanager)
        adapter.proxy_manager_for = (  # type: ignore[method-assign] # made for each proxy anew
            lambda *args, **kwargs: _limit(through_proxy(*args, **kwargs))
        )
    return adapter


def _limit(manager: PoolManager) -> PoolManager:
    """Let the pools that a manager makes have connections that know the time."""
    # Not by connections of our own kind: there are others for SOCKS, and those of test tools.
    kinds = manager.pool_classes_by_scheme
    if not any(issubclass(kind, _LimitedPool) for kind in kinds.values()):
        manager.pool_classes_by_scheme = {
            scheme: type(kind.__name__, (_LimitedPool, kind), {}) for scheme, kind in kinds.items()
        }
    return manager


class _LimitedPool(HTTPConnectionPool):
    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.response_class = _LimitedAnswer  # type: ignore[attr-defined] # of http.client
        return connection


class _LimitedAnswer(RawAnswer):
    """An answer whose every read from the socket has no more time than is left."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Those of pyOpenSSL have none, and test tools put files in place of sockets.
        if isinstance(self.fp, io.BufferedReader) and hasattr(sock, "gettimeout"):
            self.fp: Any = io.BufferedReader(_LimitedReader(self.fp.detach(), sock))


class _LimitedReader(io.RawIOBase):
    """Reads from a socket. What a line, a chunk or a header takes can be many reads."""

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if _end.get() is None:
            return self._raw.readinto(buffer)
        left, usual = _seconds_left(), self._sock.gettimeout()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left if usual is None else min(left, usual))
        try:
            return self._raw.readinto(buffer)
        finally:
            # The connection may serve another call.
            self._sock.settimeout(usual)

    def close(self) -> None:
        self._raw.close()
        super().close()
