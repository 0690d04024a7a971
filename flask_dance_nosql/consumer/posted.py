"""What a provider has had the browser post to the callback, on its way to the end of the dance."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from flask import Response, after_this_request, current_app, make_response, redirect, request

from .urls import own_path, posted_url

log = logging.getLogger(__name__)

_LIFE_SECONDS = 60
# Browsers drop a cookie of more than 4,096 bytes, its name and attributes included.
_LONGEST = 3_000


def carried_on(fields: Iterable[str]) -> Response:
    """Redirect what was posted to the callback to itself by GET, with which the session comes.

    The parameters of OAuth are in the query. The ``fields`` may tell of a person, and servers log
    URLs, so that these are in a cookie for a minute. It is named after the state: only who knows
    that can add something to a login. Anything else, tokens included, is left out.
    """
    response = make_response(redirect(posted_url(), 303))
    carried = urlencode({name: request.form[name] for name in fields if name in request.form})
    if len(carried) > _LONGEST:
        log.warning("What was posted to the callback is too long for a cookie, and is left out.")
    elif carried and request.form.get("state"):
        interface = current_app.session_interface
        own = interface.get_cookie_samesite(current_app)
        response.set_cookie(
            _cookie(request.form["state"]),
            carried,
            max_age=_LIFE_SECONDS,
            path=own_path(request.path),
            secure=interface.get_cookie_secure(current_app) or request.is_secure,
            httponly=True,
            # A strict one would not come with the redirect.
            samesite="None" if own and own.lower() == "none" else "Lax",
        )
    return response


def arrived(fields: Iterable[str]) -> dict[str, str]:
    """Return those of the ``fields`` that the callback has, in its query or in the cookie."""
    name, path = _cookie(request.args.get("state", "")), own_path(request.path)
    if name in request.cookies:

        @after_this_request
        def forget(response: Response) -> Response:
            response.delete_cookie(name, path=path)
            return response

    values = {**dict(parse_qsl(request.cookies.get(name, ""), True)), **request.args}
    return {field: values[field] for field in fields if field in values}


def _cookie(state: str) -> str:
    return f"posted_{sha256(state.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
