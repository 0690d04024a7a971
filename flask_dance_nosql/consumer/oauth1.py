"""The OAuth 1 blueprint."""

from __future__ import annotations

from typing import Any

from flask import request
from oauthlib.oauth1 import SIGNATURE_HMAC, SIGNATURE_TYPE_AUTH_HEADER, Client

from ..errors import ConfigurationError, FlaskDanceNoSQLError
from .backend.base import TokenSlot
from .backend.store.values import Token
from .base import BaseOAuthConsumerBlueprint
from .failure import DanceFailure
from .oauth1_session import OAuth1Session
from .pending import PendingLogin, PendingLogins
from .redaction import Redactor
from .refusal import Refused, refusal_of
from .settings import Setting
from .token_calls import receives_credentials


class OAuth1ConsumerBlueprint(BaseOAuthConsumerBlueprint):
    """A blueprint that runs the OAuth 1 dance.

    Source: RFC 5849.

    Args:
        name: The blueprint's name, which is also the provider under which tokens are stored.
        import_name: The name of the package it is made in, usually ``__name__``.
        client_key: The client identifier (consumer key).
        client_secret: The client shared-secret; not needed with an RSA key.
        signature_method: One of oauthlib's ``SIGNATURE_*``; default HMAC-SHA1.
        signature_type: One of oauthlib's ``SIGNATURE_TYPE_*``; default the Authorization header.
        rsa_key: The RSA private key as PEM text, for the RSA signature methods.
        client_class: A subclass of :class:`oauthlib.oauth1.Client` to use.
        force_include_body: Whether to sign bodies that are not form-encoded, too.
        request_token_url: The endpoint for temporary credentials, which may be relative to
            ``base_url``.
        authorization_url: The resource owner authorization endpoint, likewise.
        access_token_url: The endpoint for token credentials, likewise.
        require_verifier: Whether a callback without a verifier is refused; default: yes. Providers
            of the first version of OAuth 1.0 send none. With those, who gets a visitor to follow
            their link can have their own account connected, or the visitor's account connected to
            theirs, so that it is to be off for nobody else.
        **kwargs: As of :class:`BaseOAuthConsumerBlueprint`: ``backend``, ``base_url``,
            ``redirect_to`` and the rest, and further arguments that the session class names.
    """

    default_session_class = OAuth1Session

    client_key: Setting[str | None] = Setting(default=None, kw_only=False, for_session=True)
    client_secret: Setting[str | None] = Setting(default=None, kw_only=False, for_session=True)
    signature_method: Setting[str] = Setting(default=SIGNATURE_HMAC, for_session=True)
    signature_type: Setting[str] = Setting(default=SIGNATURE_TYPE_AUTH_HEADER, for_session=True)
    rsa_key: Setting[str | None] = Setting(default=None, for_session=True)
    client_class: Setting[type[Client] | None] = Setting(default=None, for_session=True)
    force_include_body: Setting[bool] = Setting(default=False, for_session=True)
    request_token_url: Setting[str | None] = Setting(default=None)
    authorization_url: Setting[str | None] = Setting(default=None)
    access_token_url: Setting[str | None] = Setting(default=None)
    require_verifier: Setting[bool] = Setting(default=True)

    def _pending(self) -> PendingLogins:
        handle_key = f"{self.name}_oauth_request_token"
        return PendingLogins(handle_key, f"{handle_key}_secret")

    def _begin(
        self,
        scope: Any,
        parameters: dict[str, Any],
        slot: TokenSlot | None,  # noqa: ARG002 - OAuth 1 asks for no more than before
    ) -> tuple[str, PendingLogin]:
        if scope is not None:
            raise ConfigurationError("OAuth 1 knows no scope; begin() takes other parameters.")
        if not self.client_key:
            raise ConfigurationError(f"Blueprint {self.name!r} has no client_key.")
        session = self.session.for_token_call()
        authorization_url = self.endpoint_url("authorization_url")
        self.endpoint_url("access_token_url")
        session.auth.client.callback_uri = self.callback_url()
        temporary = self._credentials(session, session.fetch_request_token, "request_token_url")
        login = PendingLogin(temporary["oauth_token"], temporary["oauth_token_secret"])
        return session.authorization_url(authorization_url, **parameters), login

    def _accept_response(self) -> PendingLogin:
        handle = request.args.get("oauth_token") or request.args.get("denied")
        login = self._taken(handle, "request token")
        if "denied" in request.args:
            raise DanceFailure("access_denied", "The user denied the request.")
        if self.require_verifier and not request.args.get("oauth_verifier"):
            raise DanceFailure("missing_code", "The response has no verifier.")
        return login

    def _exchange(self, login: PendingLogin) -> Token:
        session = self.session.for_token_call()
        client = session.auth.client
        client.resource_owner_key = login.handle
        client.resource_owner_secret = login.secret
        client.verifier = request.args.get("oauth_verifier")
        # Without a verifier, requests-oauthlib refuses to ask for an access token by that name.
        has_verifier = bool(client.verifier)
        fetch = session.fetch_access_token if has_verifier else session.fetch_request_token
        token = self._credentials(session, fetch, "access_token_url")
        token.pop("oauth_verifier", None)
        self.session.token = token
        return token

    def _credentials(self, session: OAuth1Session, fetch: Any, setting: str) -> Token:
        """Fetch temporary or token credentials. Source: RFC 5849 sections 2.1 and 2.3."""
        client = session.auth.client
        secrets = (client.client_secret, client.resource_owner_secret, client.verifier)
        redactor = Redactor(*secrets)
        session.receive = receives_credentials(redactor)
        url = self.endpoint_url(setting)
        try:
            token: Token = fetch(url, timeout=self.timeout, should_load_token=False)
        except FlaskDanceNoSQLError:
            raise
        except (Refused, OSError, ValueError, TypeError) as error:
            refusal = refusal_of(error, redactor)
        else:
            return token
        raise DanceFailure(refusal.error, refusal.description)
