"""Documents that a provider publishes, fetched and kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, RequestException, Response
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar

from ... import clock
from ...errors import ConfigurationError, ProviderError
from ...process import PerProcess
from ..answer import fields_of
from ..client_auth import transport_of
from ..limits import read_bounded
from ..transport import TransportSession, quiet, require_tls

log = logging.getLogger(__name__)

T = TypeVar("T")

LIFE_SECONDS = 3600.0
"""How long a document is used before it is fetched anew."""

AGAIN_SECONDS = 60.0
"""How long one that could not be had again, or that lacks something once more, is left as it is."""

RETRY_SECONDS = 5.0
"""How long one that could not be had at all is not asked for."""

WAIT_SECONDS = 5.0
"""How long a fetch may last before nobody else waits for it."""

_MOST_REDIRECTS = 3


class Client(Protocol):
    """What fetching needs of a blueprint."""

    name: str
    transport: PerProcess[BaseAdapter]

    def settings(self, *names: str) -> dict[str, Any]: ...  # noqa: D102 - as the blueprint's


class Published(Generic[T]):
    """A document as this process has it. Safe under threads.

    One thread fetches it. The others go on with what is here. If there is nothing they wait, though
    not for a provider that takes its time.
    """

    def __init__(self, provider: str = "") -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._failure = ProviderError(provider, "it takes its time.", is_temporary=True)
        self._fetched = self._tried = self._replaced = float("-inf")
        self._begun: float | None = None

    def get(self, fetch: Callable[[], T], instead_of: T | None = None) -> T:
        """Return the document, which is fetched if it is not here or is an hour old.

        Args:
            fetch: Fetches it, or raises :class:`ProviderError`.
            instead_of: The one that lacks something: a newer one is fetched, once a minute. If
                there is none, the same is returned.

        Raises:
            ProviderError: If there is none.
        """
        waits = self._value is instead_of or self._value is None
        if (waits or self._is_old()) and self._is_mine(waits):
            try:
                # The thread that was waited for may have fetched it.
                if self._value is instead_of or self._value is None or self._is_old():
                    self._renew(fetch, is_replacing=instead_of is not None)
            finally:
                self._begun = None
                self._lock.release()
        if self._value is None:
            failure = self._failure
            raise ProviderError(failure.provider, failure.reason, failure.is_temporary)
        return self._value

    def peek(self) -> T | None:
        """Return the document if it is here."""
        return self._value

    def _is_old(self) -> bool:
        return clock.monotonic() - self._fetched >= LIFE_SECONDS

    def _is_mine(self, waits: bool) -> bool:
        """Whether this thread fetches, after it has waited for another that does if it may."""
        lasts = 0.0 if self._begun is None else clock.monotonic() - self._begun
        is_mine = self._lock.acquire(timeout=max(0.0, WAIT_SECONDS - lasts) if waits else 0.0)
        if is_mine:
            self._begun = clock.monotonic()
        return is_mine

    def _renew(self, fetch: Callable[[], T], is_replacing: bool) -> None:
        now, pause = clock.monotonic(), RETRY_SECONDS if self._value is None else AGAIN_SECONDS
        # That it was fetched a moment ago says nothing of what has changed since.
        if now - (self._replaced if is_replacing else self._tried) < pause:
            return
        if is_replacing:
            self._replaced = now
        try:
            self._value = fetch()
        except ProviderError as error:
            self._failure = error
            log.warning("%s", error)
        else:
            self._fetched = clock.monotonic()
        finally:
            # A provider that takes its time is not asked more often for it.
            self._tried = clock.monotonic()


class _DocumentSession(TransportSession):
    """Calls without anything of a user, and follows redirects within an origin only."""

    def __init__(self, transport: PerProcess[BaseAdapter]) -> None:
        super().__init__()
        self.transport = transport
        self.cookies = RequestsCookieJar()
        self.max_redirects = _MOST_REDIRECTS
        self.receive = read_bounded
        # Or else requests looks for credentials in ~/.netrc, as it does at a redirect.
        self.auth = _as_it_is

    def get_redirect_target(self, response: Response) -> str | None:
        target = super().get_redirect_target(response)
        if target is None:
            return None
        before, after = urlsplit(response.url), urlsplit(urljoin(response.url, target))
        return target if before[:2] == after[:2] else None

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Add nothing to a call that is redirected."""


def _ways_of(client: Client) -> dict[str, Any]:
    """Return how a call goes: as those to the token endpoint, without what says who the client is.

    A provider of one's own may have a certificate that nobody else knows.
    """
    ways = client.settings("timeout", "proxies", "verify", "token_url_params")
    ways |= transport_of(ways.pop("token_url_params") or {})
    return {**ways, "headers": {"Accept": "application/json"}, "cert": None}


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    return request


def fetch_document(client: Client, url: str, what: str) -> dict[str, Any]:
    """Fetch a JSON object of bounded size.

    Args:
        client: The blueprint whose connections are used, as calls to its token endpoint go.
        url: Where it is.
        what: What it is, for messages.

    Raises:
        ProviderError: If it can't be had, or is no JSON object.
    """
    session, reason, is_temporary = _DocumentSession(client.transport), "", True
    try:
        require_tls(url)
        with quiet():
            response = session.get(url, **_ways_of(client))
        fields = fields_of(response)
    except ConfigurationError as error:
        reason, is_temporary = str(error), False
    except (RequestException, HTTPException, OSError, ValueError) as error:
        # Its text may have a password of a proxy in it.
        reason = f"its {what} could not be fetched ({type(error).__name__})."
    else:
        if response.status_code == 200 and isinstance(fields, dict):
            return fields
        is_temporary = response.status_code >= 500 or response.status_code == 429
        reason = f"its {what} is no JSON object (HTTP status {response.status_code})."
    raise ProviderError(client.name, reason, is_temporary)
