"""Every call to a token or revocation endpoint, and the reading of its answer."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from oauthlib.oauth2 import MissingTokenError, OAuth2Error
from requests import RequestException
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from .backend.store.values import Token
from .token import with_expires_at
from .transport import quiet

log = logging.getLogger(__name__)

EXCHANGE_ERRORS = (OAuth2Error, RequestException, ValueError)
"""What an exchange of a code or a refresh token may raise, whatever the provider answers."""


class TokenCalls(OAuth2Session, ABC):
    """A session whose calls to the token endpoint are made by copies of it.

    What oauthlib notes on a session meanwhile is no business of its other threads.
    """

    @abstractmethod
    def for_token_call(self) -> Self:
        """Return a copy of the session that makes one call."""

    @abstractmethod
    def use(self, token: Token | None) -> None:
        """Use a token for the calls of this session, in place of the backend's."""

    @abstractmethod
    def resolve(self, url: str) -> str:
        """Return the full URL for one that may be relative."""

    def fetch_token(self, token_url: str, *args: Any, **kwargs: Any) -> Token:
        """Exchange an authorization code for a token, which this session uses from then on.

        A granted scope that differs from the one asked for is logged and is no error.

        Source: RFC 6749 sections 4.1.3, 5.1 and 3.3.

        Raises:
            oauthlib.oauth2.OAuth2Error: If the provider answers with an error or without a token.
            requests.RequestException: If the provider can't be reached.
        """
        call = self.for_token_call()
        fetch = super(TokenCalls, call).fetch_token
        return self._token_call(fetch, self.resolve(token_url), *args, **kwargs)

    def refresh_token(
        self, token_url: str, refresh_token: str | None = None, *args: Any, **kwargs: Any
    ) -> Token:
        """Exchange a refresh token for a new token, with the arguments of requests-oauthlib.

        The result is used by this session from then on; it is not stored.

        Source: RFC 6749 section 6.
        """
        used = refresh_token or (self.token or {}).get("refresh_token")
        refresh = super(TokenCalls, self.for_token_call()).refresh_token
        token = self._token_call(refresh, self.resolve(token_url), used, *args, **kwargs)
        if not token.get("refresh_token"):
            token["refresh_token"] = used
        return token

    def _token_call(self, work: Callable[..., Token], *args: Any, **kwargs: Any) -> Token:
        """Call the token endpoint, and use the token that it answers with from then on."""
        try:
            with quiet():
                token = work(*args, **kwargs)
        except Warning as change:
            token = _accept_scope(change)
        except (AttributeError, TypeError, OverflowError) as error:
            # oauthlib takes it for granted that a JSON answer is an object of the right types.
            raise MissingTokenError(description="The answer is no token response.") from error
        if not isinstance(token.get("access_token"), str) or not token["access_token"]:
            raise MissingTokenError(description="The answer has no usable access token.")
        # Some providers send all their fields: one that is null is as one that is missing.
        for name in [name for name, value in token.items() if value is None]:
            del token[name]
        self.use(token)
        return token


@dataclass(repr=False)
class TokenEndpoint:
    """The endpoints of one provider that take refresh tokens, and access tokens to revoke.

    ``provider`` is the name for the log, and ``settings`` are the blueprint's. Nobody else uses the
    ``session``.
    """

    provider: str
    session: Any
    settings: Mapping[str, Any]

    def refresh(self, token: Token) -> Token:
        """Exchange a token's refresh token for a new token, which has one and ``expires_at``.

        Without a scope it is the one that was granted; asking for more is an error. It raises one
        of :data:`EXCHANGE_ERRORS` if the provider gives none. Source: RFC 6749 section 6.
        """
        session = self.session
        session.scope = session._client.scope = None
        issued = session.refresh_token(
            session.auto_refresh_url,
            refresh_token=token["refresh_token"],
            **self._authentication(session.auto_refresh_kwargs),
        )
        return with_expires_at(dict(issued))

    def revoke(self, token: Token) -> bool:
        """Revoke the refresh token, then the access token; whether the provider has confirmed it.

        Source: RFC 7009 section 2.
        """
        kinds = [kind for kind in ("refresh_token", "access_token") if token.get(kind)]
        confirmed = [self._revoke(token[kind], kind) for kind in kinds]
        return all(confirmed)

    def _revoke(self, token: str, kind: str) -> bool:
        url = self.settings.get("revocation_url")
        if not url:
            message = "A %s of provider %r is not revoked: there is no revocation_url."
            log.warning(message, kind, self.provider)
            return False
        arguments = self._authentication({})
        transport = {name: arguments.pop(name) for name in ("auth", "timeout") if name in arguments}
        data = {"token": token, "token_type_hint": kind, **arguments}
        try:
            response = self.session.post(url, data=data, withhold_token=True, **transport)
        except RequestException as error:
            reason = type(error).__name__
        else:
            if response.status_code < 300:
                return True
            try:
                error_code = response.json()["error"]
                reason = repr(error_code)
            except (ValueError, KeyError, TypeError):
                error_code, reason = None, f"HTTP status {response.status_code}"
            # Section 2.2.1: some revoke refresh tokens only, and with one all issued for it.
            if error_code == "unsupported_token_type" and kind == "access_token":
                return True
        message = "Provider %r did not confirm that a %s is revoked: %s"
        log.warning(message, self.provider, kind, reason)
        return False

    def _authentication(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that say who asks, unless the parameters ``given`` say it.

        Source: RFC 6749 section 2.3.1.
        """
        client_id, secret = self.session.client_id, self.settings.get("client_secret")
        timeout = {"timeout": self.settings.get("timeout")}
        if not client_id:
            return timeout
        if not secret:
            return {"client_id": client_id, **timeout}
        if (self.settings.get("token_url_params") or {}).get("include_client_id"):
            return {"client_id": client_id, "client_secret": secret, **timeout}
        if "client_secret" in given:
            return timeout
        return {"auth": HTTPBasicAuth(client_id, secret), **timeout}


def _accept_scope(change: Any) -> Token:
    # oauthlib reports a changed scope by raising a Warning that carries the valid token. That the
    # user granted less than was asked is legal: RFC 6749 section 3.3.
    token: Token | None = getattr(change, "token", None)
    if token is None:
        raise change
    # Some providers separate by commas, which is no difference worth a word.
    asked, granted = (
        {part for scope in scopes or () for part in str(scope).replace(",", " ").split()}
        for scopes in (change.old_scope, change.new_scope)
    )
    if asked != granted:
        message = "The scope granted differs from the one asked for: missing %s, added %s"
        log.warning(message, sorted(asked - granted), sorted(granted - asked))
    return token
