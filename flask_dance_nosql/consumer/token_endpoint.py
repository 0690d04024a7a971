"""Every call to a token or revocation endpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from requests import HTTPError

from ..errors import FlaskDanceNoSQLError
from .answer import fields_of
from .backend.store.values import Token
from .client_auth import client_authentication, transport_of
from .limits import time_limit
from .refusal import MISSING, Refusal, refusal_in, refusal_of
from .revocation import KINDS, Revocation
from .token import can_be_refreshed, with_expires_at
from .token_calls import EXCHANGE_ERRORS

log = logging.getLogger(__name__)


@dataclass(repr=False)
class TokenEndpoint:
    """The endpoints of one provider that take refresh tokens, and access tokens to revoke.

    ``provider`` is the name for the log, and ``settings`` are the blueprint's. Nobody else uses the
    ``session``.
    """

    provider: str
    session: Any
    settings: Mapping[str, Any]

    def refresh(self, token: Token) -> Token | Refusal:
        """Exchange a token's refresh token for a new token, which has one and ``expires_at``.

        Without a scope it is the one that was granted; asking for more is an error. It returns why
        if the provider gives none. Source: RFC 6749 section 6.
        """
        session = self.session
        if not can_be_refreshed(token):
            return Refusal(MISSING, "There is no refresh token.", is_definite=True)
        given = {n: v for n, v in (session.auto_refresh_kwargs or {}).items() if v is not None}
        session.redactor = session.redactor.knowing(token)
        try:
            who = client_authentication(session.client_id, self.settings, given)
            session.redactor = session.redactor.knowing(*who.secrets)
            for name in ("auth", "include_client_id", *transport_of(given)):
                given.pop(name, None)
            if "client_secret" in given:
                given["client_secret"] = who.secret
            client = session._client
            session.scope = client.scope = given.pop("scope", None)
            client.access_token = token.get("access_token")
            client.refresh_token = token["refresh_token"]
            session.auto_refresh_kwargs = given
            auth = {} if who.auth is None else {"auth": who.auth}
            issued = session.refresh_token(
                session.auto_refresh_url,
                refresh_token=token["refresh_token"],
                **{**who.fields, **auth, **who.transport},
            )
        except FlaskDanceNoSQLError:
            raise
        except EXCHANGE_ERRORS as error:
            refusal = refusal_of(error, session.redactor)
            # Who issues a new refresh token has not ended the grant, whatever else is said.
            new = refusal.issued.get("refresh_token", token["refresh_token"])
            return replace(refusal, has_ended=refusal.has_ended and new == token["refresh_token"])
        return with_expires_at(dict(issued))

    def revoke(self, token: Token) -> bool:
        """Revoke the refresh token, then the access token; whether the provider has confirmed it.

        Source: RFC 7009 section 2.
        """
        how = self.settings.get("revocation") or Revocation("")
        kinds = how.kinds(token)
        self.session.redactor = self.session.redactor.knowing(token)
        with time_limit(self.settings.get("timeout")):
            confirmed = [self._revoke(token[kind], kind, how) for kind in kinds]
        if not kinds and any(token.get(kind) for kind in KINDS):
            message = "A token of provider %r is not revoked: it has none that can be."
            log.warning(message, self.provider)
            return False
        return all(confirmed)

    def _revoke(self, token: object, kind: str, how: Revocation) -> bool:
        url = self.settings.get("revocation_url")
        if not isinstance(token, str):
            log.warning("A %s of provider %r is not revoked: it is no text.", kind, self.provider)
            return False
        if not url:
            message = "A %s of provider %r is not revoked: there is no revocation_url."
            log.warning(message, kind, self.provider)
            return False
        redactor, response = self.session.redactor, None
        try:
            client_id = self.session.client_id
            who = client_authentication(client_id, {**self.settings, **how.auth_settings})
            redactor = redactor.knowing(*who.secrets)
            response = self.session.request(
                how.method,
                url.replace("{client_id}", quote(client_id or "", safe="")),
                withhold_token=True,
                **{**who.transport, **how.arguments(token, kind, who)},
            )
        except FlaskDanceNoSQLError:
            raise
        except Exception as error:  # noqa: BLE001 - a hook of the application may raise anything
            # Many sessions have a hook that raises for each bad status.
            response = error.response if isinstance(error, HTTPError) else None
            reason = refusal_of(error, redactor).reason
        if response is not None:
            fields = fields_of(response)
            told = fields.get("error") if isinstance(fields, dict) else None
            if how.is_confirmed(response, fields):
                return True
            # Section 2.2.1: some revoke refresh tokens only, and with one all issued for it.
            if told == "unsupported_token_type" and kind == "access_token":
                return True
            redactor = redactor.knowing(response.request)
            refusal = refusal_in(fields, response, redactor)
            status = f"HTTP status {response.status_code}"
            reason = status if refusal.error == MISSING else f"{refusal.error}, {status}"
        message = "Provider %r did not confirm that the %s is revoked: %s"
        log.warning(message, self.provider, kind, reason)
        return False
