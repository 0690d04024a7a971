"""The session that calls a provider with a user's OAuth 2 token."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, cast

from oauthlib.oauth2 import Client, TokenExpiredError
from requests import Response

from ..errors import (
    ConfigurationError,
    CorruptToken,
    FlaskDanceNoSQLError,
    TokenRefreshError,
    TokenRevoked,
)
from .backend.base import StoredToken, TokenSlot
from .backend.store.values import Token
from .bearer import BearerSession, is_refused
from .consumer_session import NO_READING, ConsumerSession, Reading, without_secrets
from .refresh.attempt import Refresh
from .refusal import Refusal
from .signals import token_saved
from .token import (
    TokenStatus,
    can_be_refreshed,
    token_status,
    usable_type,
    with_expires_at,
)
from .token_calls import TokenCalls
from .token_endpoint import TokenEndpoint
from .transport import quiet, require_tls, rewinding

log = logging.getLogger(__name__)

_NO_TOKEN: Token = {}

_at_work: ContextVar[tuple[OAuth2Session, Client] | None] = ContextVar(
    "flask_dance_nosql_at_work", default=None
)
"""The session that makes a call in this thread or task, and the client that the call has."""


class OAuth2Session(ConsumerSession, TokenCalls, BearerSession):
    """A :class:`requests.Session` that sends the current user's OAuth 2 token.

    It is a session between your application and the provider, not between a visitor and your
    application. Inside a request each blueprint has one of its own, which is never shared.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth2Session`.
    """

    _own_client: Client
    _origin: Self | None = None
    _refresh_url: str | None = None
    _updater: Callable[[Token], object] | None = None

    def __init__(
        self,
        blueprint: Any = None,
        base_url: str | None = None,
        client_id: str | None = None,
        client: Client | None = None,
        **kwargs: Any,
    ) -> None:
        if client is not None:
            # It carries a token, and others use it, too.
            client = copy.copy(client)
            if client_id is not None:
                client.client_id = client_id
        super().__init__(blueprint, base_url, client_id, client, **kwargs)

    @property
    def _client(self) -> Client:
        """The oauthlib client; within a call of the session, for its hooks, the one of the call.

        Hooks know the session on which they were registered, while each call is made by a copy.
        """
        at_work = _at_work.get()
        return at_work[1] if at_work is not None and at_work[0] is self else self._own_client

    @_client.setter
    def _client(self, value: Client) -> None:
        self._own_client = value

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let hooks find the client of this copy in the session that it is a copy of."""
        reset = _at_work.set((self._origin or self, self._own_client))
        try:
            yield
        finally:
            _at_work.reset(reset)

    @property
    def auto_refresh_url(self) -> str | None:
        """Where tokens are refreshed, or ``None`` if they are not."""
        if self._refresh_url or self.blueprint is None:
            return self._refresh_url
        return cast("str | None", self.blueprint.refresh_url)

    @auto_refresh_url.setter
    def auto_refresh_url(self, value: str | None) -> None:
        self._refresh_url = value

    def for_call(self, reading: Reading = NO_READING) -> Self:
        """Return a copy of the session with a client of its own, too."""
        call = super().for_call(reading)
        call._own_client = copy.copy(self._own_client)
        call._origin = self._origin or self
        return call

    @property  # type: ignore[misc] # the token decides, so there is no setter
    def access_token(self) -> str | None:
        """The access token of the current user's token, or ``None``."""
        return (self.read().stored.token or {}).get("access_token")

    @property
    def token_updater(self) -> Callable[[Token], object]:
        """What stores a token that you have refreshed yourself; by default in the backend."""
        return self._updater or self._store

    @token_updater.setter
    def token_updater(self, value: Callable[[Token], object] | None) -> None:
        self._updater = value

    def _store(self, token: Token) -> None:
        if self.blueprint is None:
            raise ConfigurationError("A session made without a blueprint has no backend.")
        slot = self.blueprint.slot(*self.who)
        self._reading = Reading(slot, slot.write(with_expires_at(token)))
        self._assigned, self._is_assigned = None, False
        token_saved.send(self.blueprint, user_id=slot.user_id)

    @property
    def authorized(self) -> bool:
        """Whether the current user has a token that works, or that can be refreshed.

        A record that can't be read is logged, and counts as none: a new login replaces it.
        """
        try:
            reading = self.read()
        except CorruptToken:
            return False
        token = reading.stored.token or _NO_TOKEN
        status = token_status(token, 0.0)
        if status == "expired" and can_be_refreshed(token) and self.auto_refresh_url:
            return self.blueprint is None or not self.blueprint.flights.was_refused(token)
        return status == "active"

    @property
    def token_status(self) -> TokenStatus:
        """What the current user's token is good for.

        ``"active"``, ``"expiring"`` (it works, and its end is within the blueprint's
        ``refresh_leeway``), ``"expired"`` or ``"none"``.
        """
        return self._status_of(self.read())

    def status_of(self, token: Token) -> TokenStatus:
        """Return what another token, as it is stored, is good for."""
        leeway = self.call_settings.get("refresh_leeway", 0.0)
        return token_status(token, leeway, token.get("expires_in"))

    def _status_of(self, reading: Reading) -> TokenStatus:
        token, leeway = reading.stored.token, self.call_settings.get("refresh_leeway", 0.0)
        # What is said of its whole life by a token that was assigned may be what was left of it.
        lifetime = None if reading.slot is None or token is None else token.get("expires_in")
        return token_status(token, leeway, lifetime)

    def keep_fresh(self) -> None:
        """Refresh the current user's token now, if it is near its end.

        A call does so by itself. Where tokens are in the Flask session, do it before a streamed
        response begins: what is put into the session later does not reach the browser. It raises
        what :meth:`request` does.
        """
        with quiet():
            self._fresh(self.read())

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

        If the API, at the host of ``base_url`` or of a URL in the token, such as ``instance_url``,
        answers with 401 although the token should work, it is refreshed and the call is made once
        more, provided that its body can be sent again. It is not done twice for a token, and not at
        all where ``refresh_on_401`` is off.

        Args:
            method: The HTTP method.
            url: A full URL, or one relative to ``base_url``.
            data: The body, as for :meth:`requests.Session.request`.
            headers: Headers for this call, as there.
            withhold_token: Whether to call without the token.
            **kwargs: As of :meth:`requests.Session.request`. ``timeout`` is in seconds and defaults
                to the blueprint's.

        Raises:
            oauthlib.oauth2.TokenExpiredError: If the token has expired, or can't be sent, and can't
                be refreshed.
            TokenRefreshError, TokenRevoked: If refreshing it failed, or the grant has ended.
            ConfigurationError: If the URL is not https.
        """
        url = self.resolve(url)
        self._set_defaults(kwargs)
        require_tls(url)
        change = self.call_settings.get("token_request") if self.receive else None
        if change is not None and isinstance(data, dict):
            kwargs |= {"data": None, **change(data)}
            data = kwargs.pop("data")
            if data is None:
                # requests-oauthlib says that it is a form.
                headers = {n: v for n, v in (headers or {}).items() if n.lower() != "content-type"}
        with quiet():
            if withhold_token:
                call = self.for_call()
                return super(OAuth2Session, call).request(
                    method, url, data=data, headers=headers, withhold_token=True, **kwargs
                )
            rewind = rewinding(data, kwargs.get("files"))
            reading = self._fresh(self.read())
            response = self._signed(reading, method, url, data, headers, kwargs)
            if response.status_code == 401 and rewind is not None:
                renewed = self._renewed(reading, response)
                if renewed is not None:
                    response.close()
                    rewind()
                    response = self._signed(renewed, method, url, data, headers, kwargs)
                    if response.status_code == 401:
                        self.blueprint.flights.mark_forced(renewed.stored.token)
            return response

    def _fresh(self, reading: Reading) -> Reading:
        """Return a token that can be used, if there is a way to one."""
        token, slot = reading.stored.token or _NO_TOKEN, reading.slot
        status = self._status_of(reading)
        if status in ("active", "none") or reading.is_tried:
            return reading
        if can_be_refreshed(token) and self.auto_refresh_url:
            if slot is not None:
                return self._refreshed(reading)
            if status == "expired":
                return self._refresh_assigned(token)
        elif status == "expired":
            raise TokenExpiredError
        return reading

    def _refreshed(self, reading: Reading, *, is_forced: bool = False) -> Reading:
        slot = cast(TokenSlot, reading.slot)

        def adopt(stored: StoredToken) -> None:
            ended = self.status_of(stored.token or _NO_TOKEN) == "expired"
            self._reading = Reading(slot, stored, is_tried=ended)

        stored = Refresh(
            self.blueprint,
            self.token_endpoint(),
            slot,
            reading.stored,
            status_of=self.status_of,
            adopt=adopt,
            is_forced=is_forced,
        ).run()
        return Reading(slot, stored)

    def _refresh_assigned(self, token: Token) -> Reading:
        """Refresh a token that was assigned: it is not stored, and need not be the user's."""
        issued = self.token_endpoint().refresh(token)
        if isinstance(issued, Refusal):
            needs_login = issued.is_definite
            error = TokenRefreshError(self.provider, issued.reason, needs_login)
            raise error from issued.as_error()
        self._assigned = {**token, **issued}
        return Reading(None, StoredToken(self._assigned))

    def _renewed(self, reading: Reading, response: Response) -> Reading | None:
        """Return a new token in place of one that the API has refused, or ``None``."""
        blueprint, token, slot = self.blueprint, reading.stored.token or _NO_TOKEN, reading.slot
        if (
            blueprint is None
            or slot is None
            or not self.call_settings["refresh_on_401"]
            or not self.auto_refresh_url
            or not can_be_refreshed(token)
            or not is_refused(response, token, self.base_url)
        ):
            return None
        try:
            # It is not refreshed again, but another call may have got another one meanwhile.
            known = blueprint.flights.newest(slot, token)
            if known is token and blueprint.flights.was_forced(token):
                renewed = Reading(slot, slot.read(fresh=True))
            else:
                renewed = self._refreshed(reading, is_forced=True)
                blueprint.flights.mark_forced(token)
        except TokenRevoked:
            raise
        except FlaskDanceNoSQLError as error:
            log.warning("The API refused a token of provider %r. %s", blueprint.name, error)
            return None
        new = renewed.stored.token
        if not new or new.get("access_token") == token.get("access_token"):
            return None
        return None if self._status_of(renewed) == "expired" else renewed

    def _signed(
        self, reading: Reading, method: str, url: str, data: Any, headers: Any, kwargs: Any
    ) -> Response:
        """Sign a call with one token, and send it."""
        call, token = self.for_call(reading), reading.stored.token
        # As at_work does it, which would be more calls for each request.
        reset = _at_work.set((call._origin or call, call._own_client))
        try:
            if token:
                # oauthlib writes the token into the dict that it is given, which is the caller's.
                headers = dict(headers or {})
                access_token: Any = token.get("access_token")
                kind = token.get("token_type")
                # What is_vschar asks, which would be one more call for each request.
                is_text = isinstance(access_token, str) and access_token.strip()
                if not (is_text and access_token.isascii() and access_token.isprintable()):
                    raise TokenExpiredError
                client = call._own_client
                client.token, client.access_token = token, access_token
                client.refresh_token = token.get("refresh_token")
                # Whether it has ended was judged before; a token that was just issued is tried.
                client._expires_at = None  # type: ignore[attr-defined] # the stub lacks it
                client.token_type = kind if kind == "Bearer" else usable_type(client, token)
                for hook in self.compliance_hook["protected_request"]:
                    url, headers, data = hook(url, headers, data)
                url, headers, data = client.add_token(
                    url,
                    http_method=method,  # type: ignore[arg-type] # the stub lists the standard methods
                    body=data,
                    headers=headers,
                )
            send = super(OAuth2Session, call).request
            arguments = {"data": data, "headers": headers, "withhold_token": True, **kwargs}
            # Some providers want the token in the URL.
            return without_secrets((token,), send, method, url, **arguments)
        finally:
            _at_work.reset(reset)

    def token_endpoint(self) -> TokenEndpoint:
        """Return what calls the token and revocation endpoints, on a copy of this session."""
        return TokenEndpoint(self.provider, self.for_token_call(), self.call_settings)
