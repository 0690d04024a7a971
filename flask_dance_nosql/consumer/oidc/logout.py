"""Sends a visitor to the provider to log out there, too."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, make_response
from jinja2 import Environment

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log out</title>
</head>
<body>
<main>
<h1>Log out</h1>
<form method="post" action="{{ url }}">
{%- for name, value in fields.items() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{%- endfor %}
<button>Log out at the provider, too</button>
</form>
</main>
<script>document.forms[0].submit()</script>
</body>
</html>
"""
"""A form that sends itself; where scripts are not allowed, the visitor presses its button."""

_page = Environment(autoescape=True).from_string(PAGE)


def with_query(url: str, fields: dict[str, str]) -> str:
    """Return a URL with further parameters."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields, errors='replace')}"


def logout_page(url: str, fields: dict[str, str]) -> Response:
    """Return a page that posts fields to a URL. It is not to be kept, for one may be a token."""
    response = make_response(_page.render(url=url, fields=fields))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
