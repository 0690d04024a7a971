"""Tokens in headers of a provider's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oauthlib.oauth2 import WebApplicationClient


class TokenHeaderClient(WebApplicationClient):
    """An oauthlib client that sends the token in a header of the provider's own.

    Args:
        header: The name of the header.
        prefix: What stands before the token in it.
    """

    def __init__(self, header: str, prefix: str = "") -> None:
        super().__init__("", token_type=header)
        self.header, self.prefix = header, prefix

    @property
    def token_types(self) -> dict[str, Callable[..., Any]]:  # type: ignore[override] # as there
        """The one way of sending a token, whatever type it is said to be of."""
        return {"Bearer": self._add, self.header: self._add}

    def _add(self, uri: str, _method: str, body: Any, headers: Any, *_: Any) -> Any:
        return uri, {**(headers or {}), self.header: f"{self.prefix}{self.access_token}"}, body
