"""What the pages of the app and of the provider share: form tokens and security headers."""

from __future__ import annotations

import secrets
from hmac import compare_digest

from flask import Flask, Response, abort, request, session

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def prepare_pages(app: Flask) -> None:
    """Give an app's templates ``form_token()``, and its answers headers that keep others out."""
    app.jinja_env.globals["form_token"] = form_token
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.after_request(_secure)


def form_token() -> str:
    """Return this browser's form token, which another site can't know."""
    token: str = session.setdefault("form_token", secrets.token_urlsafe(32))
    return token


def check_form_token() -> None:
    """Refuse a form that was not sent from one of our own pages."""
    known, sent = session.get("form_token", ""), request.form.get("form_token", "")
    if not known or not compare_digest(known.encode(), sent.encode()):
        abort(400, "This form is out of date. Go back, reload the page and try again.")


def _secure(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
