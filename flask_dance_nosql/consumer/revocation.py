"""How a provider has a token revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .client_auth import ClientAuthentication

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
            the client's ``"id"`` alone, in the body; the access ``"token"`` itself, as a bearer; or
            ``None`` for nobody.
        only: The one kind of token that can be revoked; default: both, but for the access token
            where that asks, or has the field's name.
        done: Statuses besides 2xx which mean that the token is not good any more.
        ends_grant: Whether the user has removed the app with it; ``None`` where that is unproven.
    """

    url: str
    method: str = "POST"
    sends: Literal["form", "json"] | None = "form"
    field: str = "token"
    auth: Literal["client", "basic", "id", "token"] | None = "client"
    only: Literal["refresh_token", "access_token"] | None = None
    done: tuple[int, ...] = ()
    ends_grant: bool | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of tokens that are revoked."""
        if self.auth == "token" or self.field == "access_token":
            return ("access_token",)
        return KINDS if self.only is None else (self.only,)

    @property
    def auth_settings(self) -> dict[str, Any]:
        """The settings of client authentication that it needs in place of the blueprint's."""
        if self.auth == "client":
            return {}
        method = "client_secret_basic" if self.auth == "basic" else "none"
        return {"token_endpoint_auth_method": method, "token_url_params": None}

    def arguments(self, token: str, kind: str, who: ClientAuthentication) -> dict[str, Any]:
        """Return the arguments of requests that have a token revoked."""
        fields = {self.field: token}
        if self.auth in ("client", "id"):
            fields |= who.fields
        if self.auth == "client":
            fields["token_type_hint"] = kind
        arguments: dict[str, Any] = {"auth": who.auth}
        if self.auth == "token":
            arguments["headers"] = {"Authorization": f"Bearer {token}"}
        if self.sends is not None:
            arguments["data" if self.sends == "form" else "json"] = fields
        return arguments
