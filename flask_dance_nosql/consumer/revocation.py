"""Ends a grant at the provider, and removes its token here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from requests import RequestException, Response

from .signals import token_deleted

if TYPE_CHECKING:
    from .oauth2 import OAuth2ConsumerBlueprint

log = logging.getLogger(__name__)


class Revocation:
    """The revocation of one user's token.

    Source: RFC 7009 section 2.

    Args:
        blueprint: The blueprint.
        user: Whose token; ``None`` for the current user's.
        user_id: The same by id.
    """

    def __init__(self, blueprint: OAuth2ConsumerBlueprint, user: Any, user_id: Any) -> None:
        self._blueprint = blueprint
        named = {"user": user, "user_id": user_id}
        self._who = {name: value for name, value in named.items() if value is not None}
        self._url = blueprint.endpoint_url("revocation_url")
        self._session = blueprint.session

    def run(self) -> bool:
        """Revoke, then remove. Returns whether the provider has confirmed it."""
        blueprint, who = self._blueprint, self._who
        user_id = blueprint.slot(**who).user_id
        token = blueprint.read_token(**who) or {}
        kinds = [kind for kind in ("refresh_token", "access_token") if token.get(kind)]
        confirmed = [self._revoke(token[kind], kind) for kind in kinds]
        blueprint.backend.delete(blueprint, **who)
        blueprint.forget_token()
        token_deleted.send(blueprint, user_id=user_id)
        return all(confirmed)

    def _revoke(self, token: str, kind: str) -> bool:
        try:
            reason = _refusal(self._post(token, kind), kind)
        except RequestException as error:
            reason = type(error).__name__
        if reason is not None:
            log.warning(
                "Provider %r did not confirm that a %s is revoked: %s",
                self._blueprint.name,
                kind,
                reason,
            )
        return reason is None

    def _post(self, token: str, kind: str) -> Response:
        arguments = self._session.client_authentication({})
        transport = {name: arguments.pop(name) for name in ("auth", "timeout") if name in arguments}
        response: Response = self._session.post(
            self._url,
            data={"token": token, "token_type_hint": kind, **arguments},
            withhold_token=True,
            **transport,
        )
        return response


def _refusal(response: Response, kind: str) -> str | None:
    """Return why the provider has not revoked a token, or ``None`` if it has."""
    if response.ok:
        return None
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {response.status_code}"
    # Section 2.2.1: some revoke refresh tokens only, and with one all that was issued for it.
    return None if error == "unsupported_token_type" and kind == "access_token" else repr(error)
