"""The session that knows who has logged in."""

from __future__ import annotations

import logging
from typing import Any

from requests import RequestException

from ...errors import ProviderError
from ..answer import fields_of
from ..backend.store.values import Token
from ..limits import read_bounded
from ..oauth2_session import OAuth2Session
from ..refusal import Refusal
from ..token_endpoint import TokenEndpoint
from .id_token import SEAL, Claims, InvalidIDToken

log = logging.getLogger(__name__)


class OIDCTokenEndpoint(TokenEndpoint):
    """The token endpoint of an OpenID provider."""

    def refresh(self, token: Token) -> Token | Refusal:
        """Exchange a refresh token; an ID token that comes along is validated, too.

        One that is not valid costs nothing but itself: the stored one stays. Source: OpenID Connect
        Core 1.0 section 12.2.
        """
        issued = super().refresh(token)
        if isinstance(issued, Refusal) or "id_token" not in issued:
            return issued
        try:
            return self.session.blueprint.sealed(issued, before=token)  # type: ignore[no-any-return]
        except (InvalidIDToken, ProviderError) as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the refresh token is spent
            reason = type(error).__name__
        log.warning("An ID token of a refresh at %r is dropped: %s", self.provider, reason)
        return {name: each for name, each in issued.items() if name not in ("id_token", SEAL)}


class OIDCSession(OAuth2Session):
    """An :class:`OAuth2Session` that tells who has logged in."""

    @property
    def id_claims(self) -> Claims | None:
        """The claims of the current user's ID token, validated when it was issued, or ``None``.

        There are none for a token that was stored by something else than a login or a refresh. It
        needs an app context.
        """
        if self.blueprint is None:
            return None
        claims: Claims | None = self.blueprint.claims_of(self.read().stored.token)
        return claims

    def userinfo(self) -> Claims:
        """Ask the provider for the claims of the current user. It raises what :meth:`get` does.

        Source: OpenID Connect Core 1.0 section 5.3.

        Raises:
            ConfigurationError: If the provider has no such endpoint.
            ProviderError: If it does not answer with claims, or with those of somebody else than
                the ID token is of (section 5.3.2).
        """
        url = self.blueprint.endpoint_url("userinfo_url")
        response = self.get(url, stream=True, allow_redirects=False)
        # The token that was sent: whose it is is not asked again.
        read = None if self._reading is None else self._reading.stored.token
        known = self.blueprint.claims_of(self._assigned if self._is_assigned else read)
        fields = fields_of(read_bounded(response))
        if response.status_code != 200 or not isinstance(fields, dict):
            is_temporary = response.status_code >= 500
            reason = f"the userinfo is no JSON object (HTTP status {response.status_code})."
            raise ProviderError(self.provider, reason, is_temporary)
        if known is None:
            reason = "there is no validated ID token that the userinfo could be compared with."
            raise ProviderError(self.provider, reason)
        if fields.get("sub") != known["sub"]:
            raise ProviderError(self.provider, "the userinfo is of another user.")
        return fields

    def refresh_token(self, token_url: str, *args: Any, **kwargs: Any) -> Token:
        """Exchange a refresh token, at an endpoint that may have to be found out first."""
        if self.blueprint is not None and token_url == self.blueprint.issuer:
            try:
                token_url = self.blueprint.endpoint_url("token_url")
            except ProviderError as error:
                # For a refresh, it is one more way in which the provider does not answer.
                raise RequestException(str(error)) from None
        return super().refresh_token(token_url, *args, **kwargs)

    def token_endpoint(self) -> TokenEndpoint:
        """Return what calls the token and revocation endpoints, on a copy of this session."""
        endpoint = super().token_endpoint()
        settings = {**endpoint.settings}
        if self.blueprint is not None and not settings.get("revocation_url"):
            settings["revocation_url"] = self.blueprint.known_endpoint("revocation_url")
        return OIDCTokenEndpoint(**{**vars(endpoint), "settings": settings})
