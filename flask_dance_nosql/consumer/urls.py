"""URLs of this site: what a browser may be sent to after a dance, and what it was asked for."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote, unquote, urlencode, urlsplit

from flask import Request, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy
from werkzeug.routing import RequestRedirect

from .ended import CODES_BESIDE
from .redaction import MESSAGES

# A page is kept in the session's cookie for as long as a login takes.
MAX_LENGTH = 1_000
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
VIEWS = ("login", "authorized")
"""The endpoints of a blueprint's two views, within it."""

_UNRESERVED = "/!$&'()*+,;=:@-._~"
# Servers take request lines of 8 KB.
_LONGEST_QUERY = 6_000
_PARAMETERS = frozenset(
    (
        *("state", "code", "iss", "error", "error_description", "error_uri"),
        *("oauth_token", "oauth_verifier", "denied"),
        *CODES_BESIDE,
        *MESSAGES,
    )
)


def current_url() -> str:
    """Return the URL of the current page, without what is not sent: a fragment."""
    path = quote(request.script_root + request.path, safe=_UNRESERVED)
    query = quote(request.query_string, safe=f"{_UNRESERVED}?%")
    return f"{request.scheme}://{request.host}{path}" + (f"?{query}" if query else "")


def own_path(path: str) -> str:
    """Return a path of the app, as a browser can be redirected to it."""
    return "/" + quote(request.script_root + path, safe=_UNRESERVED).lstrip("/")


def posted_url(more: dict[str, str] | None = None) -> str:
    """Return the URL of the current request, with what was posted to it of OAuth in its query.

    What else was posted may be a token, or tell of a person, and is left out. The query is short
    enough for any server: if need be, it has the parameters of OAuth only.

    Args:
        more: Further parameters.
    """
    posted = [each for each in request.form.items(multi=True) if each[0] in _PARAMETERS]
    asked = list(request.args.items(multi=True))
    known = [each for each in asked if each[0] in _PARAMETERS]
    for parameters in ([*asked, *posted], [*known, *posted]):
        query = urlencode([*parameters, *(more or {}).items()])
        if len(query) <= _LONGEST_QUERY:
            return f"{own_path(request.path)}?{query}"
    return f"{own_path(request.path)}?{urlencode(more or {})}"


def local_url(url: object) -> str | None:
    """Return a URL of this site that is no view of a dance, or ``None`` for any other.

    It is a path with its query if it is of this very host, else a full URL: an application that
    matches subdomains or hosts has those below its ``SERVER_NAME``, where it has that page.
    """
    if isinstance(url, LocalProxy):
        url = url._get_current_object()
    # A browser takes backslashes for slashes, and skips control characters.
    if not isinstance(url, str) or not url.isprintable() or "\\" in url or len(url) > MAX_LENGTH:
        return None
    if url.startswith("//"):
        return None
    url = quote(url, safe=f"{_UNRESERVED}?#[]%")
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = parts._replace(scheme="", netloc="").geturl()
    is_full = (parts.scheme, bool(parts.netloc)) == (request.scheme, True)
    if not path.startswith("/") or path.startswith("//") or not (is_full or path == url):
        return None
    host = parts.netloc or request.host
    is_here = host == request.host
    endpoint = _endpoint(host, parts.path) if is_here or _is_below_server(host) else None
    if _is_of_dance(endpoint) or (endpoint is None and not is_here):
        return None
    return path if is_here else url


def _is_below_server(host: str) -> bool:
    app, server = current_app, current_app.config.get("SERVER_NAME")
    has_hosts = app.subdomain_matching or app.url_map.host_matching
    is_below = bool(server) and f".{host}".endswith(f".{server}")
    return has_hosts and is_below and _HOST.fullmatch(host) is not None


def _endpoint(host: str, path: str) -> str | None:
    """Return the endpoint that a path leads to, in whatever form it is written, or ``None``."""
    plain = posixpath.normpath("/" + unquote(path).removeprefix(request.script_root).lstrip("/"))
    there = Request({**request.environ, "HTTP_HOST": host})
    try:
        adapter = current_app.create_url_adapter(there)
        if adapter is None:
            return None
        try:
            return str(adapter.match(plain, method="GET")[0])
        except RequestRedirect:
            # A slash is missing at its end.
            return str(adapter.match(f"{plain}/", method="GET")[0])
    except HTTPException:
        return None


def _is_of_dance(endpoint: str | None) -> bool:
    blueprint, _, view = (endpoint or "").rpartition(".")
    ours = current_app.extensions.get("flask_dance_nosql", {})
    # By the object: it may be registered under several names.
    return current_app.blueprints.get(blueprint) in ours and view in VIEWS


def is_full_url(value: str) -> bool:
    """a full URL, with http or https and a host"""  # noqa: D403, D415 - a message's part
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.netloc)
