"""How a provider has a token revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
            the client's ``"id"`` alone, in the body; the ``"token"`` itself, as a bearer; or
            ``None`` for nobody.
        only: The one kind of token that can be revoked; default: both.
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
