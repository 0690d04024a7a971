"""How a session reaches the provider: connections, timeouts, TLS, and what is kept out of logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import is_secure_transport
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.exceptions import InvalidSchema

from ..errors import ConfigurationError
from ..process import PerProcess

Timeout = float | tuple[float | None, float | None] | None
"""Seconds, or a pair of seconds (connect, read); ``None`` waits without end. As in requests."""

DEFAULT_TIMEOUT: Timeout = (5.0, 30.0)

DEFAULT_POOL_MAXSIZE = 10
"""How many connections to a host are kept open."""


class Transport:
    """The connections of one blueprint, made when the first call needs them and then reused.

    An adapter holds sockets, and nothing of a user: cookies and tokens stay with the session. The
    connections that nobody uses any more are closed with the last one who knows the transport, or
    when the process ends.

    Args:
        make_adapter: Makes the adapter; called once in each process.
    """

    def __init__(self, make_adapter: Callable[[], BaseAdapter] = HTTPAdapter) -> None:
        self._adapter = PerProcess(make_adapter)

    def adapter(self) -> BaseAdapter:
        """Return this process's adapter; a forked child gets its own, with its own sockets."""
        return self._adapter.get()

    def close(self) -> None:
        """Close the connections that are not in use. A later call makes new ones."""
        adapter = self._adapter.pop()
        if adapter is not None:
            adapter.close()


class TransportSession(requests.Session):
    """A :class:`requests.Session` that borrows the adapters of a transport.

    Adapters mounted on the session itself come first.
    """

    transport: Transport | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The two that every session has of its own would come first.
        self.adapters.clear()

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter for a URL: one mounted on this session, else the blueprint's."""
        try:
            return super().get_adapter(url)
        except InvalidSchema:
            if not url.lower().startswith(("https://", "http://")):
                raise
        if self.transport is None:
            self.transport = Transport()
        return self.transport.adapter()


def require_tls(url: str) -> None:
    """Refuse a URL that would send credentials in the clear.

    Source: RFC 6749 section 3.1 and 3.2, RFC 6750 section 5.3.

    Raises:
        ConfigurationError: If the URL is not ``https`` and ``OAUTHLIB_INSECURE_TRANSPORT`` is not
            set, or if it is relative and there is nothing to resolve it against.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise ConfigurationError(
            f"{parts.path!r} is not a full URL. Use a full one, or give the blueprint a base_url."
        )
    if not is_secure_transport(url):
        raise ConfigurationError(
            f"The provider at host {parts.hostname!r} is called by plain http, which would show "
            "tokens to the network. Use an https URL; for local development only, set the "
            "environment variable OAUTHLIB_INSECURE_TRANSPORT=1."
        )


def rewinding(data: Any, files: Any) -> Callable[[], object] | None:
    """Return what makes a body ready to be sent again, or ``None`` if that can't be done.

    Args:
        data: As of :meth:`requests.Session.request`.
        files: As there.
    """
    streams: list[Any] = []
    for part in [data, *_file_parts(files)]:
        if part is None or isinstance(part, str | bytes | bytearray | Mapping | list | tuple):
            continue
        try:
            if part.tell() != 0:
                return None
            part.seek(0)
        except (AttributeError, OSError, ValueError):
            return None
        streams.append(part)

    def rewind() -> None:
        for stream in streams:
            stream.seek(0)

    return rewind


def _file_parts(files: Any) -> Iterator[Any]:
    pairs = files.items() if isinstance(files, Mapping) else files or ()
    for _, value in pairs:
        yield value[1] if isinstance(value, list | tuple) else value


# requests-oauthlib and oauthlib write tokens, client secrets and signatures to their loggers at
# level DEBUG.
_TALKATIVE = (
    "requests_oauthlib.oauth1_auth",
    "requests_oauthlib.oauth1_session",
    "requests_oauthlib.oauth2_session",
    "oauthlib.oauth1.rfc5849",
    "oauthlib.oauth1.rfc5849.signature",
)

_quiet: ContextVar[bool] = ContextVar("flask_dance_nosql_quiet", default=False)


def _speaks(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG or not _quiet.get()


for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_speaks)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop debug records that could hold a secret, in this thread or task, while the block runs."""
    reset = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(reset)
