"""The sessions that call a provider in the name of a user."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oauthlib.oauth2 import Client, MissingTokenError
from requests import Response
from requests_oauthlib import OAuth1Session as _BaseOAuth1Session
from requests_oauthlib import OAuth2Session as _BaseOAuth2Session

from .refresh import refresh_expired
from .secrecy import quiet
from .session import ConsumerSession, Token
from .transport import require_tls

if TYPE_CHECKING:
    from .base import BaseOAuthConsumerBlueprint

log = logging.getLogger(__name__)


class OAuth2Session(_BaseOAuth2Session, ConsumerSession):
    """A :class:`requests.Session` that sends the current user's OAuth 2 token.

    It is a session between your application and the provider, not between a visitor and your
    application. Inside a request each blueprint has one of its own, which is never shared.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth2Session`.
    """

    _client: Client

    def __init__(
        self,
        blueprint: BaseOAuthConsumerBlueprint | None = None,
        base_url: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._bind(blueprint, base_url)
        self._blank_client = dict(vars(self._client))
        if not self._assigned:
            del self.token

    token = ConsumerSession.token

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
        """Whether the current user has a token."""
        return bool(self.access_token)

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
        self._default_timeout(kwargs)
        with quiet():
            if not withhold_token:
                refresh_expired(self)
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
        token.setdefault("refresh_token", used)
        return token

    def _token_call(self, call: Callable[..., Token], *args: Any, **kwargs: Any) -> Token:
        try:
            with quiet():
                token = call(*args, **kwargs)
        except Warning as change:
            token = self._accept_scope(change)
        except (AttributeError, TypeError) as error:
            # oauthlib takes it for granted that a JSON answer is an object.
            raise MissingTokenError(description="The answer is not a JSON object.") from error
        if not isinstance(token.get("access_token"), str) or not token["access_token"]:
            raise MissingTokenError(description="The answer has no usable access token.")
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


class OAuth1Session(_BaseOAuth1Session, ConsumerSession):
    """A :class:`requests.Session` that signs its calls with the current user's OAuth 1 token.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth1Session`.
    """

    def __init__(
        self,
        blueprint: BaseOAuthConsumerBlueprint | None = None,
        base_url: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._bind(blueprint, base_url)

    token = ConsumerSession.token  # type: ignore[assignment] # the base's is a TypedDict

    def load_token(self) -> bool:
        """Give the current token to the oauthlib client. Returns whether there is one."""
        token = self.token or {}
        client = self.auth.client
        client.resource_owner_key = token.get("oauth_token")
        client.resource_owner_secret = token.get("oauth_token_secret")
        return client.resource_owner_key is not None

    @property
    def authorized(self) -> bool:
        """Whether there are a client credential and a user's token to sign calls with."""
        self.load_token()
        return bool(super().authorized)

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
        self._default_timeout(kwargs)
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
