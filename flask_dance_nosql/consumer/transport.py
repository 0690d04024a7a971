"""How a session reaches the provider: connections, timeouts, TLS."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import is_secure_transport
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import cookiejar_from_dict
from requests.exceptions import InvalidSchema
from requests.hooks import default_hooks
from requests.utils import default_headers

from ..errors import ConfigurationError

Timeout = float | tuple[float | None, float | None] | None
"""Seconds, or a pair of seconds (connect, read); ``None`` waits without end. As in requests."""

DEFAULT_TIMEOUT: Timeout = (5.0, 30.0)


class Transport:
    """The connections of one blueprint, made when the first call needs them and then reused.

    An adapter holds sockets, and nothing of a user: cookies and tokens stay with the session.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._adapter: HTTPAdapter | None = None
        self._pid = 0

    def adapter(self) -> HTTPAdapter:
        """Return this process's adapter; a forked child gets its own, with its own sockets."""
        with self._lock:
            if self._adapter is None or self._pid != os.getpid():
                self._adapter, self._pid = HTTPAdapter(), os.getpid()
            return self._adapter


_FIXED_DEFAULTS = {
    name: value
    for name, value in vars(requests.Session()).items()
    if value is None or isinstance(value, bool | int)
}


class TransportSession(requests.Session):
    """A :class:`requests.Session` that borrows its adapters instead of building two of its own.

    Adapters mounted on the session itself come first.
    """

    transport: Transport | None = None

    def __init__(self) -> None:
        # Not super().__init__(): two thirds of its time go into adapters that most requests of an
        # application never use, since they only ask whether there is a token.
        vars(self).update(_FIXED_DEFAULTS)
        self.headers = default_headers()
        self.hooks = default_hooks()
        self.cookies = cookiejar_from_dict({})
        self.params: dict[str, Any] = {}
        self.proxies: dict[str, str] = {}
        self.adapters: OrderedDict[str, BaseAdapter] = OrderedDict()

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
