"""How large Flask's session cookie would be: browsers drop one that is too large, unheard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app
from flask import session as flask_session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.http import dump_cookie


def excess_bytes(changes: Mapping[str, Any]) -> int:
    """Return by how many bytes a changed session would be too large for its cookie; 0 if it is not.

    Sessions that are kept on the server have no such limit.

    Args:
        changes: What would be put into the session.

    Source: RFC 6265 section 6.1; Flask's setting ``MAX_COOKIE_SIZE``.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined] # a proxy's own
    interface, limit = app.session_interface, int(app.config.get("MAX_COOKIE_SIZE", 4093))
    if not isinstance(interface, SecureCookieSessionInterface) or not limit:
        return 0
    serializer = interface.get_signing_serializer(app)
    if serializer is None:
        return 0
    value = serializer.dumps({**flask_session, **changes})
    return max(0, len(_header(app, interface, str(value))) - limit)


def _header(app: Flask, interface: SecureCookieSessionInterface, value: str) -> str:
    more = {}
    # Since Flask 3.1.
    if hasattr(interface, "get_cookie_partitioned"):
        more["partitioned"] = interface.get_cookie_partitioned(app)
    return dump_cookie(
        interface.get_cookie_name(app),
        value,
        domain=interface.get_cookie_domain(app),
        path=interface.get_cookie_path(app),
        secure=interface.get_cookie_secure(app),
        httponly=interface.get_cookie_httponly(app),
        samesite=interface.get_cookie_samesite(app),
        expires=interface.get_expiration_time(app, flask_session),
        max_size=0,
        **more,
    )
