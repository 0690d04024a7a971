"""The session that calls a provider with a user's OAuth 1 token."""

from __future__ import annotations

import copy
from typing import Any, Self

from oauthlib.oauth1 import SIGNATURE_PLAINTEXT
from requests import PreparedRequest, Request, Response
from requests_oauthlib import OAuth1Session as _BaseOAuth1Session

from ..errors import CorruptToken
from .consumer_session import NO_READING, ConsumerSession, Reading, without_secrets
from .token import is_printable
from .transport import TransportSession, as_text, quiet, require_tls


class OAuth1Session(ConsumerSession, _BaseOAuth1Session, TransportSession):  # type: ignore[misc] # its token is a TypedDict
    """A :class:`requests.Session` that signs its calls with the current user's OAuth 1 token.

    Its arguments are as of :class:`OAuth2Session`; further ones are requests-oauthlib's.
    """

    def for_call(self, reading: Reading = NO_READING) -> Self:
        """Return a copy of the session that makes one call, with a client of its own, too."""
        call = super().for_call(reading)
        call.auth = call._client = copy.copy(self.auth)  # type: ignore[attr-defined] # likewise
        call.auth.client = client = copy.copy(self.auth.client)
        # Without a blueprint it has what it was made with.
        if self.blueprint is not None or self._is_assigned:
            token = reading.stored.token or {}
            key, secret = token.get("oauth_token"), token.get("oauth_token_secret")
            client.resource_owner_key = key if is_printable(key) else None
            client.resource_owner_secret = secret if is_printable(secret) else None
        return call

    @property
    def authorized(self) -> bool:
        """Whether there are a client credential and a user's token to sign calls with.

        A record that can't be read is logged, and counts as none: a new login replaces it.
        """
        try:
            call = self.for_call(self.read())
        except CorruptToken:
            return False
        client = call.auth.client
        if not client.resource_owner_key:
            return False
        if client.signature_method.startswith("RSA-"):
            return True
        # Source: RFC 5849 section 3.4.2: either secret may be empty.
        return client.client_secret is not None and client.resource_owner_secret is not None

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

        The arguments are those of :meth:`OAuth2Session.request`. With ``should_load_token=False``
        it is signed with what the oauthlib client holds.
        """
        call = self.for_call(self.read()) if should_load_token else self
        self._set_defaults(kwargs)
        client, send = call.auth.client, super(OAuth1Session, call).request
        secrets = (
            client.client_secret,
            client.resource_owner_key,
            client.resource_owner_secret,
        )
        arguments = {"data": data, "headers": headers, **kwargs}
        with quiet():
            return without_secrets(secrets, send, method, self.resolve(url), **arguments)

    def fetch_request_token(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch temporary credentials, with the arguments of requests-oauthlib."""
        with quiet():
            return super().fetch_request_token(*args, **kwargs)

    def fetch_access_token(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch token credentials, with the arguments of requests-oauthlib."""
        with quiet():
            return super().fetch_access_token(*args, **kwargs)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepare a request; one that would show both secrets to the network is refused.

        Source: RFC 5849 section 3.4.4.
        """
        if self.auth.client.signature_method == SIGNATURE_PLAINTEXT:
            require_tls(self.resolve(request.url or ""))
        return super().prepare_request(request)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Sign a call again that is redirected; not for another host, nor for plain http."""
        before, now = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, now):
            prepared_request.headers.pop("Authorization", None)
        else:
            super().rebuild_auth(prepared_request, response)

    def is_signed_in_body(self, request: PreparedRequest) -> bool:
        """Whether a request has its signature in its body."""
        return "oauth_signature=" in as_text(request.body)
