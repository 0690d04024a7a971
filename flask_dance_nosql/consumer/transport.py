"""How a session reaches the provider: connections, timeouts, TLS, and what is kept out of logs."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from oauthlib.oauth2 import is_secure_transport
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.exceptions import InvalidSchema
from requests.hooks import default_hooks, dispatch_hook
from requests.models import DEFAULT_REDIRECT_LIMIT
from requests.utils import default_headers

from ..errors import ConfigurationError
from ..process import PerProcess
from .limits import Timeout, limited, time_limit
from .redaction import Redactor

DEFAULT_TIMEOUT: Timeout = (5.0, 30.0)

DEFAULT_POOL_MAXSIZE = 10
"""How many connections to a host are kept open."""


class TransportSession(requests.Session):
    """A :class:`requests.Session` that borrows an adapter, which each process has of its own.

    An adapter holds sockets, and nothing of a user. Those mounted on the session itself come first.
    Headers are made when they are first used: most requests of an application only ask whether
    there is a token. Cookies are left to the subclass, since they belong to a user.

    Attributes:
        follows_redirects: Whether its calls do. Those to a token endpoint carry secrets that are
            for nobody else.
        receive: Takes each answer before anybody else reads it, and returns what they are given.
    """

    transport: PerProcess[BaseAdapter] | None = None
    follows_redirects = True
    receive: Callable[[Response], Response] | None = None

    def __init__(self) -> None:
        # In place of the base's, which takes longer than all that asks for the token.
        self.auth = None
        self.proxies = {}
        self.hooks = default_hooks()
        self.params = {}
        self.stream = False
        self.verify = True
        self.cert = None
        self.max_redirects = DEFAULT_REDIRECT_LIMIT
        self.trust_env = True
        self.adapters: Any = OrderedDict()

    @cached_property
    def headers(self) -> Any:  # type: ignore[override] # an attribute there
        """The headers of every call."""
        return default_headers()

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Send a request as requests does.

        Hooks of requests come after :attr:`receive`, and see an answer of bounded size, too.
        """
        if self.receive is None:
            return super().send(request, **kwargs)
        hooks, request.hooks = request.hooks, default_hooks()
        with time_limit(kwargs.get("timeout")) as timeout:
            kwargs |= {"stream": True, "timeout": timeout}
            response = self.receive(super().send(request, **kwargs))
            request.hooks = hooks
            kwargs.pop("allow_redirects", None)
            answer: Response = dispatch_hook("response", hooks, response, **kwargs)
            return answer if answer is response else self.receive(answer)

    def get_redirect_target(self, response: Response) -> str | None:
        """Return where a redirect leads, or ``None`` if it is not to be followed.

        A signature or a token that is in the body of a call would go along to another host.
        """
        if not self.follows_redirects:
            return None
        try:
            target = super().get_redirect_target(response)
        except UnicodeDecodeError:
            # It leads nowhere.
            return None
        if target is None:
            return None
        asked = response.request
        if response.status_code in (307, 308) and self.is_signed_in_body(asked):
            url = urljoin(asked.url or "", target)
            return None if self.should_strip_auth(asked.url or "", url) else target
        return target

    def is_signed_in_body(self, request: PreparedRequest) -> bool:  # noqa: ARG002 - for subclasses
        """Whether a request has a token or a signature in its body."""
        return False

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Use an adapter for URLs that begin with a prefix, as in requests."""
        super().mount(prefix, limited(adapter))

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter for a URL: one mounted on this session, else the blueprint's."""
        if self.adapters:
            try:
                return super().get_adapter(url)
            except InvalidSchema:
                pass
        if not url.lower().startswith(("https://", "http://")):
            raise InvalidSchema(f"There is no adapter for {url!r}")
        if self.transport is None:
            self.transport = PerProcess(lambda: limited(HTTPAdapter()))
        return self.transport.get()


def require_tls(url: str) -> None:
    """Refuse a relative URL, and one that would send credentials in the clear.

    Source: RFC 6749 section 3.1 and 3.2, RFC 6750 section 5.3.
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
    """Return what makes a body ready to be sent again, or ``None`` if that can't be done."""
    pairs = files.items() if isinstance(files, Mapping) else files or ()
    parts = [value[1] if isinstance(value, list | tuple) else value for _, value in pairs]
    streams: list[Any] = []
    for part in [data, *parts]:
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


# requests-oauthlib and oauthlib write tokens, client secrets and signatures to their loggers at
# level DEBUG, and urllib3 writes URLs.
_TALKATIVE = (
    "requests_oauthlib.oauth1_auth",
    "requests_oauthlib.oauth1_session",
    "requests_oauthlib.oauth2_session",
    "oauthlib.oauth1.rfc5849",
    "oauthlib.oauth1.rfc5849.signature",
)

# What is secret in the calls of this thread or task; ``None`` where nothing is to be left out.
kept_out: ContextVar[tuple[object, ...] | None] = ContextVar(
    "flask_dance_nosql_quiet", default=None
)


# An error in their records may show the URL, or what a broken answer has in place of headers.
_WRITES_URLS = tuple(
    f"urllib3.{name}" for name in ("connection", "connectionpool", "poolmanager", "util.retry")
)


def _without_secrets(record: logging.LogRecord) -> bool:
    secrets = kept_out.get()
    if secrets is not None and isinstance(record.args, tuple):
        redactor = Redactor(*secrets)
        record.args = tuple(_shown(value, redactor) for value in record.args)
        record.exc_info = record.exc_text = None
    return True


def _shown(value: object, redactor: Redactor) -> object:
    """Return a part of a record as it may be shown: of a URL without the query."""
    if isinstance(value, BaseException):
        return type(value).__name__
    text, query, _ = str(value).partition("?")
    shown = f"{text}?***" if query else value
    # A redirect may lead to a host or a path that has the token in it.
    return redactor.text(shown) if redactor.finds(text) else shown


for _name in _TALKATIVE:
    _logger = logging.getLogger(_name)
    _logger.addFilter(lambda record: record.levelno > logging.DEBUG or kept_out.get() is None)
for _name in _WRITES_URLS:
    logging.getLogger(_name).addFilter(_without_secrets)


@contextmanager
def quiet(*secrets: object) -> Iterator[None]:
    """Keep secrets out of what other libraries log while the block runs, in this thread or task.

    Debug records that could hold any are dropped; the others are shown without queries of URLs, and
    without these secrets.
    """
    reset = kept_out.set(secrets)
    try:
        yield
    finally:
        kept_out.reset(reset)


def as_text(body: Any) -> str:
    """Return a body or a header as text, to be searched."""
    return body.decode("latin-1") if isinstance(body, bytes) else str(body or "")
