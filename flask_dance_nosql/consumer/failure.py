"""How a dance fails, and the pages of the dance: its end, and a stepping stone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, make_response, render_template
from jinja2 import Environment, TemplateNotFound

from .refusal import Refused

MISSING_STATE = "missing_state"
MISMATCHING_STATE = "mismatching_state"
MISMATCHING_USER = "mismatching_user"
TOKEN_NOT_STORED = "token_not_stored"  # noqa: S105 - an error code
SCOPE_NOT_GRANTED = "scope_not_granted"

ACCOUNT_ALREADY_LINKED = "account_already_linked"
ACCOUNT_UNKNOWN = "account_unknown"
SIGN_IN_FAILED = "sign_in_failed"
SIGN_IN_REFUSED = "sign_in_refused"

TEMPLATE = "flask_dance_nosql/failed.html"
"""The name of the template that is used in place of :data:`PAGE` if the application has it.

Both are given ``provider`` (the blueprint's name), ``error`` (a code of small letters and
underscores), ``reason`` (a sentence), and the links ``retry_url`` and ``home_url``.
"""

PAGE = """<!doctype html>
<html lang="{{ gettext("en") }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ gettext("You are not signed in") }}</title>
</head>
<body>
<main>
<h1>{{ gettext("You are not signed in") }}</h1>
<p>{{ gettext(reason) }}</p>
<p>{{ gettext("Provider") }}: {{ provider }}. {{ gettext("Error code") }}: {{ error }}.</p>
<p><a href="{{ retry_url }}">{{ gettext("Try again") }}</a></p>
<p><a href="{{ home_url }}">{{ gettext("Back to the start page") }}</a></p>
</main>
</body>
</html>
"""

STEPPING_STONE = """<!doctype html>
<html lang="{{ gettext("en") }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0;url={{ url }}">
<title>{{ gettext("Signing in") }}</title>
</head>
<body>
<main><p><a href="{{ url }}">{{ gettext("Continue") }}</a></p></main>
</body>
</html>
"""

# Not in the app's environment, which may have other delimiters.
_pages = Environment(autoescape=True)
_page, _stepping_stone = map(_pages.from_string, (PAGE, STEPPING_STONE))

_REASONS = {
    "access_denied": "The provider was told not to let this site in.",
    MISSING_STATE: (
        "This browser has not begun to sign in here, or too long ago. It may not accept cookies."
    ),
    MISMATCHING_STATE: "The provider's answer belongs to another attempt to sign in.",
    MISMATCHING_USER: "Somebody else has signed in here since this attempt was begun.",
    "temporarily_unavailable": "The provider does not answer at the moment.",
    "server_error": "The provider does not answer at the moment.",
    "token_not_kept": "The provider has agreed, but this site could not use what it gave.",
    SCOPE_NOT_GRANTED: "The provider has not agreed to all that this site asked for.",
    ACCOUNT_ALREADY_LINKED: "This account is connected to another user of this site.",
    ACCOUNT_UNKNOWN: "The provider did not tell this site which account it is.",
    SIGN_IN_FAILED: (
        "This site could not find or make its user for this account. If you are one already, sign "
        "in as you have done before."
    ),
    SIGN_IN_REFUSED: "This site does not let its user of this account in.",
    "session_too_large": "This browser's cookie for this site is full.",
}
_ANY_REASON = "The provider and this site did not come to an agreement."
# Never one of a server at fault, which proxies and monitors would do something about.
_STATUS = {"access_denied": 403, SIGN_IN_REFUSED: 403}
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(eq=False, repr=False)
class DanceFailure(Exception):
    """A dance that did not end with a token.

    ``is_unnamed`` says that the answer did not name the login that it is about; ``page`` is the one
    that the visitor had asked for, as far as that is known.
    """

    error: str
    description: str | None = None
    uri: str | None = None
    is_unnamed: bool = False
    page: str | None = None


@contextmanager
def as_failure() -> Iterator[None]:
    """Have a dance fail where a secret is needed that can't be had now."""
    try:
        yield
    except Refused as error:
        refusal = error.refusal
    else:
        return
    raise DanceFailure(refusal.error, refusal.description, refusal.uri)


def error_code(error: object) -> str:
    """Return an error as a code that may be shown and kept; foreign text becomes ``"error"``."""
    return error if isinstance(error, str) and _CODE.fullmatch(error) else "error"


def failure_page(provider: str, error: object, retry_url: str, home_url: str) -> Response:
    """Return the page.

    Its texts are passed through the ``gettext`` of the application's templates, if they have one,
    as with Flask-Babel.

    Args:
        provider: The blueprint's name.
        error: The error, as of the signal ``oauth_error``.
        retry_url: Where the visitor may begin again.
        home_url: Where a dance that does not fail ends.
    """
    code = error_code(error)
    values: dict[str, Any] = {
        "provider": provider,
        "error": code,
        "reason": _REASONS.get(code, _ANY_REASON),
        "retry_url": retry_url,
        "home_url": home_url,
    }
    try:
        text = render_template(TEMPLATE, **values)
    except TemplateNotFound as missing:
        if missing.name != TEMPLATE:
            raise
        text = _page.render(values, gettext=_gettext())
    return _answer(text, _STATUS.get(code, 400))


def stepping_stone(url: str) -> Response:
    """Return a page that goes on by itself to a URL of this site, with the cookies of this site.

    Cookies that are ``SameSite=Strict`` come neither with a redirect from another site nor with
    those that follow it, but from a page.
    """
    return _answer(_stepping_stone.render(url=url, gettext=_gettext()), 200)


def _gettext() -> Any:
    return current_app.jinja_env.globals.get("gettext", str)


def _answer(text: str, status: int) -> Response:
    response = make_response(text, status)
    response.headers["Cache-Control"] = "no-store"
    # Its own URL may have the authorization code in it.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
