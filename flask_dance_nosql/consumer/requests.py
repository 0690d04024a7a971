"""The sessions that call a provider in the name of a user."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from oauthlib.oauth2 import Client, MissingTokenError
from requests import Response
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth1Session as _BaseOAuth1Session
from requests_oauthlib import OAuth2Session as _BaseOAuth2Session

from .refresh import keep_fresh
from .secrecy import quiet
from .session import ConsumerSession, Token
from .token import TokenStatus, token_status
from .transport import require_tls

if TYPE_CHECKING:
    from .oauth2 import OAuth2ConsumerBlueprint

log = logging.getLogger(__name__)


class OAuth2Session(ConsumerSession, _BaseOAuth2Session):
    """A :class:`requests.Session` that sends the current user's OAuth 2 token.

    It is a session between your application and the provider, not between a visitor and your
    application. Inside a request each blueprint has one of its own, which is never shared.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth2Session`.
    """

    blueprint: OAuth2ConsumerBlueprint | None
    _client: Client
    _scope: Any

    def _construct(self) -> None:
        was_assigned = "_assigned" in vars(self)
        super()._construct()
        self._blank_client = dict(vars(self._client))
        # The base assigns an empty token where none was given.
        if not was_assigned and not self._assigned:
            del self._assigned

    def load_token(self) -> bool:
        """Give the current token to the oauthlib client. Returns whether there is one."""
        token = self.token
        forget_token(self._client, self._blank_client)
        if not token:
            return False
        self._client.token = token
        self._client.populate_token_attributes(token)
        return True

    @property  # type: ignore[misc] # the token decides, so there is no setter
    def access_token(self) -> str | None:
        """The access token of the current user's token, or ``None``."""
        return (self.token or {}).get("access_token")

    @property
    def authorized(self) -> bool:
        """Whether the current user has a token that works, or that can be refreshed."""
        status = self.token_status
        return status in ("active", "expiring") or (status == "expired" and self.refreshable)

    @property
    def token_status(self) -> TokenStatus:
        """What the current user's token is good for.

        ``"active"``, ``"expiring"`` (it works, and its end is within the blueprint's
        ``refresh_leeway``), ``"expired"`` or ``"none"``.
        """
        token = self.token
        lifetime = None if self.has_assigned_token or self._read is None else self._read[2]
        return token_status(token, self._leeway, lifetime)

    def status_of(self, token: Token) -> TokenStatus:
        """Return what another token, as it is stored, is good for."""
        return token_status(token, self._leeway, token.get("expires_in"))

    @property
    def _leeway(self) -> float:
        return 0.0 if self.blueprint is None else self.blueprint.refresh_leeway

    @property
    def refreshable(self) -> bool:
        """Whether there are a refresh token and an endpoint to refresh the current token with."""
        return bool((self.token or {}).get("refresh_token") and self.auto_refresh_url)

    @property
    def provider(self) -> str:
        """The blueprint's name."""
        return "" if self.blueprint is None else self.blueprint.name

    def request(  # type: ignore[override] # as requests-oauthlib: the rest is in kwargs
        self,
        method: str,
        url: str | bytes,
        data: Any = None,
        headers: Any = None,
        withhold_token: bool = False,
        **kwargs: Any,
    ) -> Response:
        """Call the provider with the current user's token, refreshing it first if it has expired.

        Args:
            method: The HTTP method.
            url: A full URL, or one relative to ``base_url``.
            data: The body, as for :meth:`requests.Session.request`.
            headers: Headers for this call, as there.
            withhold_token: Whether to call without the token.
            **kwargs: As of :meth:`requests.Session.request`. ``timeout`` is in seconds and defaults
                to the blueprint's.

        Raises:
            oauthlib.oauth2.TokenExpiredError: If the token has expired and can't be refreshed.
            TokenRefreshError: If refreshing it failed.
            ConfigurationError: If the URL is not https.
        """
        url = self.resolve(url)
        require_tls(url)
        self._set_defaults(kwargs)
        with quiet():
            if not withhold_token:
                keep_fresh(self)
                if self.load_token():
                    url, headers, data = self._sign(method, url, headers, data)
            return super().request(
                method, url, data=data, headers=headers, withhold_token=True, **kwargs
            )

    def _sign(self, method: str, url: str, headers: Any, data: Any) -> tuple[str, Any, Any]:
        # oauthlib writes the token into the dict that it is given, and this one is the caller's.
        headers = dict(headers or {})
        for hook in self.compliance_hook["protected_request"]:
            url, headers, data = hook(url, headers, data)
        signed: tuple[str, Any, Any] = self._client.add_token(
            url,
            http_method=method,  # type: ignore[arg-type] # the stub lists the standard methods
            body=data,
            headers=headers,
        )
        return signed

    def fetch_token(self, token_url: str, *args: Any, **kwargs: Any) -> Token:
        """Exchange an authorization code for a token.

        The token is used by this session from then on. A granted scope that differs from the one
        asked for is logged and is no error.

        Source: RFC 6749 sections 4.1.3, 5.1 and 3.3.

        Raises:
            oauthlib.oauth2.OAuth2Error: If the provider answers with an error or without a token.
            requests.RequestException: If the provider can't be reached.
        """
        return self._token_call(super().fetch_token, self.resolve(token_url), *args, **kwargs)

    def refresh_token(self, token_url: str, *args: Any, **kwargs: Any) -> Token:
        """Exchange a refresh token for a new token, with the arguments of requests-oauthlib.

        The result is used by this session from then on; it is not stored.

        Source: RFC 6749 section 6.
        """
        used = kwargs.get("refresh_token") or (args[0] if args else None)
        used = used or (self.token or {}).get("refresh_token")
        token = self._token_call(super().refresh_token, self.resolve(token_url), *args, **kwargs)
        if not token.get("refresh_token"):
            token["refresh_token"] = used
        return token

    def exchange_refresh_token(self, token: Token) -> Token:
        """Exchange a token's refresh token for a new token, and use and store neither.

        Source: RFC 6749 section 6.

        Raises:
            oauthlib.oauth2.OAuth2Error: If the provider answers with an error or without a token.
            requests.RequestException: If the provider can't be reached.
        """
        # Without a scope it is the one that was granted; asking for more is an error.
        assigned, scope, clients_scope = self._assigned, self._scope, self._client.scope
        self._scope = self._client.scope = None  # type: ignore[assignment] # oauthlib's default
        try:
            return self.refresh_token(
                cast(str, self.auto_refresh_url),
                refresh_token=token["refresh_token"],
                **self.client_authentication(self.auto_refresh_kwargs),
            )
        finally:
            self._assigned, self._scope, self._client.scope = assigned, scope, clients_scope

    def client_authentication(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that say who asks, as was chosen for the authorization code.

        Source: RFC 6749 section 2.3.1.

        Args:
            given: Parameters that are sent in any case, and may have the client's secret in them.
        """
        blueprint, client_id = self.blueprint, self.client_id
        if blueprint is None or not client_id:
            return {}
        secret, timeout = blueprint.client_secret, blueprint.timeout
        if not secret:
            return {"client_id": client_id, "timeout": timeout}
        if blueprint.token_url_params.get("include_client_id"):
            return {"client_id": client_id, "client_secret": secret, "timeout": timeout}
        if "client_secret" in given:
            return {"timeout": timeout}
        return {"auth": HTTPBasicAuth(client_id, secret), "timeout": timeout}

    def _token_call(self, call: Callable[..., Token], *args: Any, **kwargs: Any) -> Token:
        try:
            with quiet():
                token = call(*args, **kwargs)
        except Warning as change:
            token = self._accept_scope(change)
        except (AttributeError, TypeError, OverflowError) as error:
            # oauthlib takes it for granted that a JSON answer is an object of the right types.
            raise MissingTokenError(description="The answer is no token response.") from error
        if not isinstance(token.get("access_token"), str) or not token["access_token"]:
            raise MissingTokenError(description="The answer has no usable access token.")
        # Some providers send all their fields: one that is null is as one that is missing.
        for name in [name for name, value in token.items() if value is None]:
            del token[name]
        self.token = token
        return token

    def _accept_scope(self, change: Warning) -> Token:
        # oauthlib reports a changed scope by raising a Warning that carries the valid token. That
        # the user granted less than was asked is legal: RFC 6749 section 3.3.
        token: Token | None = getattr(change, "token", None)
        if token is None:
            raise change
        asked, granted = (_scopes(getattr(change, name)) for name in ("old_scope", "new_scope"))
        if asked != granted:
            log.warning(
                "The scope granted differs from the one asked for: missing %s, added %s",
                sorted(asked - granted),
                sorted(granted - asked),
            )
        return token


class OAuth1Session(ConsumerSession, _BaseOAuth1Session):  # type: ignore[misc] # its token is a TypedDict
    """A :class:`requests.Session` that signs its calls with the current user's OAuth 1 token.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth1Session`.
    """

    def load_token(self) -> bool:
        """Give the current token to the oauthlib client. Returns whether there is one."""
        client = self.auth.client
        # Without a blueprint it has what it was made with.
        if self.blueprint is not None or self.has_assigned_token:
            token = self.token or {}
            client.resource_owner_key = token.get("oauth_token")
            client.resource_owner_secret = token.get("oauth_token_secret")
        return client.resource_owner_key is not None

    @property
    def authorized(self) -> bool:
        """Whether there are a client credential and a user's token to sign calls with."""
        return self.load_token() and bool(super(ConsumerSession, self).authorized)

    def request(  # type: ignore[override] # as requests-oauthlib: the rest is in kwargs
        self,
        method: str,
        url: str | bytes,
        data: Any = None,
        headers: Any = None,
        should_load_token: bool = True,
        **kwargs: Any,
    ) -> Response:
        """Call the provider, signed with the current user's token.

        Args:
            method: The HTTP method.
            url: A full URL, or one relative to ``base_url``.
            data: The body, as for :meth:`requests.Session.request`.
            headers: Headers for this call, as there.
            should_load_token: Whether to sign with the current user's token; else with what the
                oauthlib client holds.
            **kwargs: As of :meth:`requests.Session.request`. ``timeout`` is in seconds and defaults
                to the blueprint's.
        """
        if should_load_token:
            self.load_token()
        self._set_defaults(kwargs)
        with quiet():
            return super().request(method, self.resolve(url), data=data, headers=headers, **kwargs)


_TOKEN_ATTRIBUTES = (
    "token",
    "token_type",
    "access_token",
    "refresh_token",
    "expires_in",
    "expires_at",
    "_expires_at",
    "mac_key",
    "mac_algorithm",
)


def forget_token(client: Client, blank: dict[str, Any]) -> None:
    """Give an oauthlib client back the token attributes that it had in ``blank``."""
    state = vars(client)
    for name in _TOKEN_ATTRIBUTES:
        if name in blank:
            state[name] = blank[name]
        else:
            state.pop(name, None)


def _scopes(scopes: Any) -> set[str]:
    # Some providers separate by commas, which is no difference worth a word.
    return {part for scope in scopes or () for part in str(scope).replace(",", " ").split()}
