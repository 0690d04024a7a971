"""Where a provider tells who has logged in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

Fields = dict[str, Any]
"""What a provider tells of an account: some of :data:`FIELDS`, as the provider writes them."""

FIELDS = ("id", "name", "email", "picture", "email_verified")


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

    def fields_in(self, answer: object) -> Fields:
        """Return the fields that an answer has."""
        within = f"{self.within}." if self.within else ""
        fields: Fields = {}
        for field, paths in zip(FIELDS, self.paths.split(), strict=False):
            values = (_at(answer, f"{within}{path}") for path in paths.split("|"))
            value = None if paths == "-" else next((v for v in values if v is not None), None)
            if value is not None:
                fields[field] = value
        return fields

    def read(self, session: Any, filled: Callable[[str], str], *, is_whole: bool = True) -> Fields:
        """Ask the provider whose a session's token is; it may raise any error of requests.

        Args:
            session: A session of the blueprint.
            filled: Puts the blueprint's options in the place of their names in a URL.
            is_whole: Whether to ask for the addresses, too, if they are not in the profile.
        """
        if self.url == "token":
            return self.fields_in(session.token)
        if self.url == "id_token":
            return self.fields_in(getattr(session, "id_claims", None))
        body = None if self.query is None else {"query": self.query}
        fields = self.fields_in(_answer(session, self.method, filled(self.url), body))
        if is_whole and self.emails is not None and not fields.get("email_verified"):
            # Without the scope for it, an address is what is missing, and not the profile.
            with suppress(Exception):
                fields.update(_email_in(_answer(session, "GET", filled(self.emails), None)))
        return fields


def _answer(session: Any, method: str, url: str, body: object) -> Any:
    response = session.request(method, url, json=body)
    response.raise_for_status()
    return response.json()


def _at(answer: object, path: str) -> Any:
    """Return what is at a path in an answer, or ``None``."""
    found: Any = answer
    for part in path.split("."):
        if isinstance(found, list) and part.isdecimal():
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def _email_in(answer: Any) -> Fields:
    """Return the address of a list that the account's owner has confirmed, the main one first.

    GitHub and Bitbucket have such lists, with fields of slightly different names.
    """
    entries: Any = answer.get("values") if isinstance(answer, dict) else answer
    confirmed = [e for e in entries if e.get("verified") is True or e.get("is_confirmed") is True]
    main = [e for e in confirmed if e.get("primary") is True or e.get("is_primary") is True]
    return {"email": (main or confirmed)[0]["email"], "email_verified": True}


OPENID = Profile("id_token", "sub name email picture email_verified")
"""The claims of OpenID Connect Core 1.0 section 5.1."""
