"""Forms that only a page of this site can send, for the browser and the users it was shown to."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from urllib.parse import urlsplit

from flask import request, session

FORM_TOKEN = "connections_token"  # noqa: S105 - the name of a field


def form_token(name: str, who: object) -> str:
    """Return what a form of this browser has in it.

    Args:
        name: Where the Flask session keeps the browser's secret.
        who: For whom the form is: anything with a ``repr`` of its own.
    """
    secret = session.get(name)
    if not isinstance(secret, str):
        secret = session[name] = secrets.token_urlsafe(32)
    text = repr(who).encode("utf-8", "surrogatepass")
    return hmac.new(secret.encode(), text, sha256).hexdigest()


def is_own_form(name: str, who: object) -> bool:
    """Whether what was posted is a form of this browser, for the same, and of no other site.

    Source: Fetch Metadata Request Headers (W3C) section 2.3, for ``Sec-Fetch-Site``; browsers
    without it may send an ``Origin`` (:rfc:`6454` section 7).
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        if site not in ("same-origin", "none"):
            return False
    elif origin not in (None, "null") and urlsplit(origin).netloc != request.host:
        # Where pages send no referrer, it is "null" for forms of this site, too.
        return False
    if name not in session:
        return False
    sent = request.form.get(FORM_TOKEN, "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(form_token(name, who).encode(), sent)
