"""How a provider has a token revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from requests import Response

from .backend.store.values import Token
from .client_auth import ClientAuthentication
from .refusal import is_absent

KINDS = ("refresh_token", "access_token")
"""The tokens that are revoked, in this order: with the first often goes the second."""


@dataclass(frozen=True)
class Revocation:
    """How a token is revoked at a provider; by default as :rfc:`7009` says.

    Attributes:
        url: The endpoint. ``{client_id}`` in it is the client's id.
        method: The method of the request.
        sends: How the token goes: as a ``"form"``, as ``"json"``, or ``None`` for in no body.
        field: Its name there.
        auth: Who asks: the ``"client"``, as at the token endpoint; the client by HTTP ``"basic"``;
            the client with both in the ``"body"``; the client's ``"id"`` alone there; the client's
            ``"secret"`` as a bearer, or the access ``"token"`` itself; or ``None`` for nobody.
        only: The one kind of token that can be revoked, or ``"first"``: the refresh token if there
            is one, which ends both. Default: both, but for the access token where that asks, or has
            the field's name.
        done: Answers besides 2xx which mean that the token is not good any more: the status, and a
            text that the answer has in it.
        ends_grant: Whether the user has removed the app with it; ``None`` where that is unproven.
    """

    url: str
    method: str = "POST"
    sends: Literal["form", "json"] | None = "form"
    field: str = "token"
    auth: Literal["client", "basic", "body", "id", "secret", "token"] | None = "client"
    only: Literal["refresh_token", "access_token", "first"] | None = None
    done: tuple[tuple[int, str], ...] = ()
    ends_grant: bool | None = None

    def kinds(self, token: Token) -> list[str]:
        """Return the kinds of tokens to revoke of those that a token has."""
        wanted: tuple[str, ...] = KINDS
        if self.only is not None and self.only != "first":
            wanted = (self.only,)
        if self.auth == "token" or self.field == "access_token":
            wanted = ("access_token",)
        kinds = [kind for kind in wanted if token.get(kind)]
        return kinds[:1] if self.only == "first" else kinds

    @property
    def auth_settings(self) -> dict[str, Any]:
        """The settings of client authentication that it needs in place of the blueprint's."""
        methods = {"basic": "client_secret_basic", "body": "client_secret_post"}
        if self.auth == "client":
            return {}
        method = methods.get(self.auth or "", "none")
        return {"token_endpoint_auth_method": method, "token_url_params": None}

    def arguments(self, token: str, kind: str, who: ClientAuthentication) -> dict[str, Any]:
        """Return the arguments of requests that have a token revoked."""
        fields = {self.field: token}
        if self.auth in ("client", "body", "id"):
            fields |= who.fields
        if self.auth == "client":
            fields["token_type_hint"] = kind
        arguments: dict[str, Any] = {"auth": who.auth}
        bearer = {"token": token, "secret": who.secret}.get(self.auth or "")
        if bearer is not None:
            arguments["headers"] = {"Authorization": f"Bearer {bearer}"}
        if self.sends is not None:
            arguments["data" if self.sends == "form" else "json"] = fields
        return arguments

    def is_confirmed(self, response: Response, fields: Any) -> bool:
        """Whether an answer says that the token is not good any more; ``fields`` are what it has.

        Source: RFC 7009 section 2.2: the status tells it. An error beside it makes it doubtful.
        """
        status, text = response.status_code, response.text.lower()
        told = fields if isinstance(fields, dict) else {}
        if told.get("error") in ("invalid_client", "unauthorized_client"):
            return False
        if any(status == known and part.lower() in text for known, part in self.done):
            return True
        is_denied = any(told.get(name) is False for name in ("ok", "success", "revoked"))
        return status < 300 and is_absent(told.get("error")) and not is_denied
