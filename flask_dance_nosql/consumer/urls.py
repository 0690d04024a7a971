"""URLs of this site: what a browser may be sent to after a dance, and what it was asked for."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, unquote, urlsplit

from flask import current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

# A page is kept in the session's cookie for as long as a login takes.
MAX_LENGTH = 1_000
_UNRESERVED = "/!$&'()*+,;=:@-._~"


def current_url() -> str:
    """Return the URL of the current page, without what is not sent: a fragment."""
    path = quote(request.script_root + request.path, safe=_UNRESERVED)
    query = quote(request.query_string, safe=f"{_UNRESERVED}?%")
    return f"{request.scheme}://{request.host}{path}" + (f"?{query}" if query else "")


def callback_path() -> str:
    """Return the path of the current request, as it can be redirected to."""
    return "/" + quote(request.script_root + request.path, safe=_UNRESERVED).lstrip("/")


def local_url(url: object) -> str | None:
    """Return a URL of this site that is no view of a dance, or ``None`` for any other.

    It is a path with its query if it is of this very host, else a full URL: with ``SERVER_NAME``,
    an application has the hosts below it, too.
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
    if (parts.scheme or parts.netloc) and not _is_own(parts.scheme, parts.netloc):
        return None
    path = parts._replace(scheme="", netloc="").geturl()
    if not path.startswith("/") or path.startswith("//") or _is_of_dance(parts.path):
        return None
    return path if parts.netloc in ("", request.host) else url


def _is_own(scheme: str, host: str) -> bool:
    if scheme != request.scheme:
        return False
    server = current_app.config.get("SERVER_NAME")
    return host == request.host or bool(server and (f".{host}").endswith(f".{server}"))


def _is_of_dance(path: str) -> bool:
    """Whether a path leads to a login or callback view, in whatever form it is written."""
    plain = posixpath.normpath("/" + unquote(path).removeprefix(request.script_root).lstrip("/"))
    names = current_app.extensions.get("flask_dance_nosql", {}).values()
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return False
    try:
        endpoint, _ = adapter.match(plain, method="GET")
    except HTTPException:
        return False
    blueprint, _, view = endpoint.rpartition(".")
    return blueprint in names and view in ("login", "authorized")


def is_full_url(value: str) -> bool:
    """a full URL, with http or https and a host"""  # noqa: D403, D415 - a message's part
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.netloc)
