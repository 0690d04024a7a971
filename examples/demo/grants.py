"""The authorization server: Authlib's grants and endpoints on top of the provider's memory."""

from __future__ import annotations

import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from flask import Flask, Response, request

from .identity import SigningKeys
from .state import CODE_SECONDS, AuthorizationCode, Client, IssuedToken, ProviderState, User

CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]


class DemoAuthorizationServer(AuthorizationServer):
    """An OAuth 2 authorization server that keeps everything in a :class:`ProviderState`.

    Args:
        app: The Flask app it answers for.
        state: Its memory.
        issuer: Its issuer identifier; ``None`` takes the address it is called by.
    """

    def __init__(self, app: Flask, state: ProviderState, issuer: str | None = None) -> None:
        super().__init__(app)
        self.state = state
        self.keys = SigningKeys()
        self._issuer = issuer
        self.register_grant(CodeGrant, [CodeChallenge()])
        self.register_grant(RotatingRefreshGrant)
        self.register_endpoint(Revocation)
        self.register_extension(Issuer(self))

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self._issuer or request.host_url.rstrip("/")

    def create_bearer_token_generator(self, _: Any) -> BearerTokenGenerator:
        """Make tokens whose life is what the state says at that moment."""
        generator = super().create_bearer_token_generator({"OAUTH2_REFRESH_TOKEN_GENERATOR": True})
        generator.expires_generator = lambda *_: self.state.access_token_seconds
        return generator

    def query_client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        return self.state.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Remember a token that is issued now, and add an ID token if that was asked for."""
        issued = IssuedToken(
            access_token=token["access_token"],
            refresh_token=token["refresh_token"],
            client_id=request.client.client_id,
            user=request.user,
            scope=token["scope"],
            expires_at=time.time() + token.get("expires_in", 0),
        )
        self.state.add_token(issued, refreshed=request.payload.grant_type == "refresh_token")
        if "openid" in issued.scope.split():
            nonce = getattr(request.authorization_code, "nonce", None)
            token["id_token"] = self.keys.id_token(self.issuer, issued, nonce)

    def respond(self, grant: Any, user: User | None) -> Response:
        """Send the browser back to the client: with a code for a user, or with "access denied"."""
        response: Response = self.create_authorization_response(grant=grant, grant_user=user)
        return response

    def refuse(self, error: Any) -> Response:
        """Answer an authorization request that is not valid: at the client, if it is known."""
        response: Response = self.handle_error_response(None, error)
        self.execute_hook("after_create_authorization_response", response)
        return response


class CodeGrant(AuthorizationCodeGrant):
    """RFC 6749 section 4.1; the code challenge of RFC 7636 is kept with the code."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Remember a code, and what it was asked for with."""
        form = request.payload.data
        self.server.state.add_code(
            AuthorizationCode(
                code=code,
                client_id=request.client.client_id,
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope,
                user=request.user,
                code_challenge=form.get("code_challenge"),
                code_challenge_method=form.get("code_challenge_method"),
                expires_at=time.time() + CODE_SECONDS,
                nonce=form.get("nonce"),
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Take a code that is to be exchanged."""
        state: ProviderState = self.server.state
        return state.take_code(code, client)

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Do nothing: taking a code has removed it."""

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User:
        """Return who granted the code."""
        return authorization_code.user


class RotatingRefreshGrant(RefreshTokenGrant):
    """RFC 6749 section 6, with a new refresh token each time (RFC 9700 section 4.14.2).

    A spent refresh token is refused and counted. The rest of its family stays valid, so that a
    client that refreshed twice at once can be seen to recover.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> IssuedToken | None:
        """Return what a refresh token was issued for, even if it is spent."""
        token = self.server.state.find_token("refresh_token", refresh_token)
        return None if token is None or token.is_revoked() else token

    def validate_token_request(self) -> None:
        """Check the request, and use up its refresh token."""
        super().validate_token_request()
        # Not in revoke_old_credential(), where two requests at the same time would both be served.
        if not self.server.state.spend(self.request.refresh_token):
            raise InvalidGrantError("This refresh token has been used before.")

    def authenticate_user(self, refresh_token: IssuedToken) -> User:
        """Return whose token it is."""
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: IssuedToken) -> None:
        """Do nothing: the token is spent by now."""


class Revocation(RevocationEndpoint):
    """RFC 7009: either of a pair of tokens ends them both."""

    CLIENT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def query_token(self, token_string: str, _: str | None) -> IssuedToken | None:
        """Return the token to revoke, whatever kind the client takes it for."""
        state: ProviderState = self.server.state
        found = state.find_token("access_token", token_string)
        return found or state.find_token("refresh_token", token_string)

    def revoke_token(self, token: IssuedToken, _: Any) -> None:
        """End the token."""
        self.server.state.revoke(token)


class Issuer(IssuerParameter):
    """RFC 9207: names the provider in each authorization response."""

    def __init__(self, server: DemoAuthorizationServer) -> None:
        self._server = server

    def get_issuer(self) -> str:
        """Return the issuer identifier."""
        return self._server.issuer


class AccessTokens(BearerTokenValidator):
    """RFC 6750: finds the access token that an API call carries."""

    def __init__(self, state: ProviderState) -> None:
        super().__init__()
        self._state = state

    def authenticate_token(self, token_string: str) -> IssuedToken | None:
        """Return what the access token was issued for."""
        return self._state.find_token("access_token", token_string)
