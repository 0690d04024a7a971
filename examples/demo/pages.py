"""What the pages of the app and of the provider share: form tokens, headers, pages of errors."""

from __future__ import annotations

import secrets
from hmac import compare_digest
from typing import Any

from flask import Flask, Response, abort, render_template, request, session
from werkzeug.exceptions import HTTPException

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_WORDS = {
    403: ("You may not do that", "This page is for somebody else."),
    404: ("There is no such page", "The address may be mistyped, or the page has moved."),
    405: ("That did not work", "This address is not one to open in a browser."),
}


def prepare_pages(app: Flask, error_template: str) -> None:
    """Give an app what its pages need.

    That is ``form_token()`` in its templates, headers that keep others out, and errors in the style
    of its pages.

    Args:
        app: The app.
        error_template: The template of a page with a ``title`` and a ``reason``.
    """

    def show(error: HTTPException) -> Any:
        if error.description is None:
            # It has a body of its own, such as the JSON of OAuth.
            return error
        title, reason = _WORDS.get(error.code or 500, ("That did not work", error.description))
        response = error.get_response()
        response.set_data(render_template(error_template, title=title, reason=reason))
        return response

    app.jinja_env.globals["form_token"] = form_token
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(HTTPException, show)
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
