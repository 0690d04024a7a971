"""The default backend: tokens in the Flask session."""

from __future__ import annotations

import copy

from flask import session as flask_session

from .base import BaseBackend, BlueprintLike, Token
from .document import json_token


class SessionBackend(BaseBackend):
    """Keeps each visitor's token in their Flask session.

    With Flask's own sessions that is a cookie, which is signed but not encrypted: whoever has the
    browser can read the token, and it is lost with the cookie.

    Args:
        key: The session key, formatted with the blueprint as ``bp``.
    """

    def __init__(self, key: str = "{bp.name}_oauth_token") -> None:
        self.key = key

    def get(self, blueprint: BlueprintLike) -> Token | None:
        """Return a copy of the visitor's token, or ``None``."""
        token: Token | None = flask_session.get(self.key.format(bp=blueprint))
        return copy.deepcopy(token)

    def set(self, blueprint: BlueprintLike, token: Token) -> None:
        """Put a copy of the token into the visitor's session.

        Raises:
            TypeError: If the token is not a dict, or JSON has no type for something in it.
            ValueError: If JSON can't express it.
        """
        flask_session[self.key.format(bp=blueprint)] = json_token(token)

    def delete(self, blueprint: BlueprintLike) -> None:
        """Remove the token from the visitor's session."""
        flask_session.pop(self.key.format(bp=blueprint), None)

    def owner(self, blueprint: BlueprintLike) -> object:
        """Return what the session holds, so that clearing the session is noticed at once."""
        return flask_session.get(self.key.format(bp=blueprint))
