"""Where a provider tells who has logged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Profile:
    """Where the provider tells who has logged in.

    Attributes:
        url: Absolute, or relative to the API's base. ``"token"`` and ``"id_token"`` stand for what
            the answer to the login has.
        paths: Where in the answer are the account's lasting id, its name, e-mail address, picture,
            and whether the address is verified, with spaces between them. A path has dots between
            names and numbers, as in ``data.0.id``; of several with bars between them, the first
            that has a value counts; ``-`` is none.
        emails: The URL of a list of addresses, if they are not in the profile.
        within: What all these paths begin with.
        query: The GraphQL query to post, if there is one.
        method: How it is asked for.
    """

    url: str
    paths: str
    within: str = ""
    emails: str | None = None
    query: str | None = None
    method: Literal["GET", "POST"] = "GET"


OPENID = Profile("id_token", "sub name email picture email_verified")
"""The claims of OpenID Connect Core 1.0 section 5.1."""
