"""The sessions that call a provider in the name of a user."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, NamedTuple, ParamSpec, Self, cast
from urllib.parse import urljoin, urlsplit

from flask import current_app, has_request_context, redirect, url_for
from oauthlib.oauth1 import SIGNATURE_PLAINTEXT
from oauthlib.oauth2 import Client, TokenExpiredError
from requests import PreparedRequest, Request, RequestException, Response, Session
from requests.cookies import RequestsCookieJar
from requests_oauthlib import OAuth1Session as _BaseOAuth1Session

from ..errors import (
    ConfigurationError,
    CorruptToken,
    FlaskDanceNoSQLError,
    TokenRefreshError,
    TokenRevoked,
    UserRequired,
)
from .backend.base import NOTHING, StoredToken, TokenSlot
from .backend.owner import CURRENT, Who
from .backend.store.values import Token
from .pending import AskedPage
from .redaction import Redactor
from .refresh.attempt import Refresh
from .refusal import EndedErrors, Refusal, shown
from .signals import token_saved
from .token import (
    TokenStatus,
    can_be_refreshed,
    token_status,
    usable_type,
    with_expires_at,
    with_expires_in,
)
from .token_endpoint import TokenCalls, TokenEndpoint
from .transport import TransportSession, quiet, read_bounded, require_tls, rewinding

log = logging.getLogger(__name__)

P = ParamSpec("P")

_NO_TOKEN: Token = {}
_CALL_SETTINGS = (
    *("timeout", "proxies", "client_secret", "token_url_params"),
    *("refresh_leeway", "refresh_on_401", "revocation_url"),
    "token_endpoint_auth_method",
    "ended_errors",
    "issuer",
)


class Reading(NamedTuple):
    """A token as a session has it; without a slot, it was assigned to the session.

    ``is_tried`` says that it is used although it has ended: it was issued so, and clocks differ.
    """

    slot: TokenSlot | None
    stored: StoredToken
    is_tried: bool = False


NO_READING = Reading(None, NOTHING)


class ConsumerSession(Session, ABC):
    """What the sessions of OAuth 1 and OAuth 2 share: the blueprint's token, and relative URLs.

    The session itself keeps the token that was read last, with its owner. Each call is made by a
    copy of the session, which has its own token, client and cookies: several threads of one request
    may make calls, and a user who has changed meanwhile gets nothing of the last one's.

    Attributes:
        who: Whose token; by default the current user's.
        is_kept: Whether the next access to ``blueprint.session`` gives this session again.
    """

    blueprint: Any = None
    base_url: str | None = None
    who: Who = CURRENT
    is_kept = True
    follows_redirects = True
    receive: Callable[[Response], Response] | None = None
    _jar: RequestsCookieJar | None = None
    _assigned: Token | None = None
    _is_assigned = False
    _reading: Reading | None = None

    def __init__(
        self, blueprint: Any = None, base_url: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self.blueprint = blueprint
        self.base_url = base_url
        self._first_owner: dict[str, object] = {}
        self._jars: list[tuple[object, RequestsCookieJar]] = []
        if blueprint is not None:
            self.transport = blueprint.transport
            if blueprint.from_config:
                # Calls may be made by threads without this app context.
                self.call_settings = blueprint.settings(*_CALL_SETTINGS)
        super().__init__(*args, **kwargs)
        # The classes below assign an empty token where none was given.
        self._is_assigned = bool(self._assigned)

    @property
    def token(self) -> Token | None:
        """The current user's token, read from the backend once, or ``None``.

        It is read again when the user changes within the request. A token assigned here is used by
        this session alone and is not stored; ``del`` goes back to the backend's.
        """
        if self._is_assigned:
            return self._assigned
        token = self.read().stored.token
        return None if token is None else with_expires_in(token)

    @token.setter
    def token(self, value: Token | None) -> None:
        if not self.is_kept:
            raise ConfigurationError(
                "Outside of a request or an app context each access to blueprint.session makes a "
                "new session, so that a token assigned to it is lost. Within a context, write "
                "blueprint.token = ... to store it; in tests, use "
                "flask_dance_nosql.testing.connected(app, provider, token)."
            )
        self.use(value)

    @token.deleter
    def token(self) -> None:
        self._assigned, self._is_assigned = None, False
        self._reading = None

    @cached_property
    def call_settings(self) -> dict[str, Any]:
        """The blueprint's settings that calls need, as of the session's first use of them."""
        return self.blueprint.settings(*_CALL_SETTINGS) if self.blueprint else {}

    def use(self, token: Token | None) -> None:
        """Use a token for the calls of this session, in place of the backend's."""
        self._assigned, self._is_assigned = token, True

    def read(self) -> Reading:
        """Return the token that calls use now. Whose it is is asked once, here.

        What was read before is used again while it is of the same owner.

        It raises what :meth:`TokenSlot.read` does.
        """
        if self._is_assigned:
            return Reading(None, StoredToken(self._assigned))
        if self.blueprint is None:
            return NO_READING
        slot = self.blueprint.slot(*self.who)
        known = self._reading
        if known is None or known.slot is None or known.slot.owner != slot.owner:
            known = self._reading = Reading(slot, slot.read())
        return known

    def for_call(self, reading: Reading = NO_READING) -> Self:
        """Return a copy of the session that makes one call, with a token and cookies of its own."""
        call = object.__new__(type(self))
        vars(call).update(vars(self))
        call._assigned, call._is_assigned, call.is_kept = reading.stored.token or {}, True, True
        call._jar = self._cookies_of(None if reading.slot is None else reading.slot.owner)
        return call

    @property
    def cookies(self) -> RequestsCookieJar:
        """The cookies that the provider has set for the current user."""
        if self._jar is not None:
            return self._jar
        if self.blueprint is None or self._is_assigned:
            return self._cookies_of(None)
        if self.who is CURRENT and not has_request_context():
            # There may be no current user to ask for.
            slot = self._reading and self._reading.slot
        else:
            slot = self.blueprint.slot(*self.who)
        return self._cookies_of(slot and slot.owner)

    @cookies.setter
    def cookies(self, value: RequestsCookieJar) -> None:
        self._first_jar = value

    def _cookies_of(self, owner: object) -> RequestsCookieJar:
        """Return the cookies of an owner; the first one has those that the session began with."""
        is_nobodys = owner is None and not self._first_owner
        if is_nobodys or self._first_owner.setdefault("owner", owner) == owner:
            # Made when it is first used, and once: threads may come here together.
            jar: RequestsCookieJar = vars(self).setdefault("_first_jar", RequestsCookieJar())
            return jar
        for known, jar in self._jars:
            if known == owner:
                return jar
        jar = RequestsCookieJar()
        self._jars.append((owner, jar))
        return jar

    def load_token(self) -> bool:
        """Return whether the current user has a token, as in Flask-Dance."""
        return bool(self.read().stored.token)

    @property
    @abstractmethod
    def authorized(self) -> bool:
        """Whether there is a token to call the provider with."""

    def authorization_required(self, view: Callable[P, Any]) -> Callable[P, Any]:
        """Decorate a view so that a visitor without a usable token is sent to the login view.

        So is one whom nobody knows yet, one whose record can't be read, and one whose token turns
        out, within the view, to have ended for good. A backend or a provider that does not answer
        is no reason for a login: those errors are passed on.

        It may be used at import time: whose token counts is asked anew at each request.
        """
        blueprint = self.blueprint
        if blueprint is None:
            raise ConfigurationError("A session made without a blueprint has no login view.")

        @wraps(view)
        def check(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                is_authorized = blueprint.session.authorized
            except UserRequired:
                is_authorized = False
            if is_authorized:
                try:
                    return current_app.ensure_sync(view)(*args, **kwargs)
                except (TokenRefreshError, CorruptToken) as error:
                    is_over = isinstance(error, CorruptToken) or error.needs_login
                    if error.provider != blueprint.name or not is_over:
                        raise
                except TokenExpiredError:
                    if blueprint.session.authorized:
                        raise
            AskedPage(blueprint.name).note()
            return redirect(url_for(blueprint.view_endpoint("login")))

        return check

    def resolve(self, url: str | bytes) -> str:
        """Return the full URL for one that may be relative to ``base_url``, as a browser would."""
        text = url.decode() if isinstance(url, bytes) else str(url)
        return urljoin(self.base_url, text) if self.base_url else text

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepare a request whose URL may be relative to ``base_url``."""
        request.url = self.resolve(request.url or "")
        return super().prepare_request(request)

    def for_token_call(self) -> Self:
        """Return a copy of the session that makes a call to a token or revocation endpoint."""
        call = self.for_call()
        call._jar, call.follows_redirects = RequestsCookieJar(), False
        call.receive = read_bounded
        return call

    @property
    def provider(self) -> str:
        """The name of the blueprint, or an empty text for a session made without one."""
        return "" if self.blueprint is None else str(self.blueprint.name)

    def _set_defaults(self, kwargs: dict[str, Any]) -> None:
        if not self.follows_redirects:
            kwargs["allow_redirects"] = False
        kwargs.setdefault("timeout", self.call_settings.get("timeout"))
        # Those of a session would give way to the environment's.
        if kwargs.get("proxies") is None:
            kwargs["proxies"] = self.call_settings.get("proxies")


class OAuth2Session(ConsumerSession, TokenCalls, TransportSession):
    """A :class:`requests.Session` that sends the current user's OAuth 2 token.

    It is a session between your application and the provider, not between a visitor and your
    application. Inside a request each blueprint has one of its own, which is never shared.

    Args:
        blueprint: The blueprint whose token and settings are used.
        base_url: What relative URLs are resolved against.
        **kwargs: As of :class:`requests_oauthlib.OAuth2Session`.
    """

    _client: Client
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
        call._client = copy.copy(self._client)
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

        If the API, at the host of ``base_url``, answers with 401 although the token should work, it
        is refreshed and the call is made once more, provided that its body can be sent again. It is
        not done twice for a token, and not at all where ``refresh_on_401`` is off.

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
            TokenRefreshError, TokenRevoked: If refreshing it failed, or the grant has ended.
            ConfigurationError: If the URL is not https.
        """
        url = self.resolve(url)
        require_tls(url)
        self._set_defaults(kwargs)
        with quiet():
            if withhold_token:
                call = self.for_call()
                return super(OAuth2Session, call).request(
                    method, url, data=data, headers=headers, withhold_token=True, **kwargs
                )
            rewind = rewinding(data, kwargs.get("files"))
            reading = self._fresh(self.read())
            response = self._signed(reading, method, url, data, headers, kwargs)
            if rewind is not None and _is_refusal(response, reading, self.base_url):
                renewed = self._renewed(reading)
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

    def _renewed(self, reading: Reading) -> Reading | None:
        """Return a new token in place of one that the API has refused, or ``None``."""
        blueprint, token, slot = self.blueprint, reading.stored.token or _NO_TOKEN, reading.slot
        if (
            blueprint is None
            or slot is None
            or not self.call_settings["refresh_on_401"]
            or not self.auto_refresh_url
            or not can_be_refreshed(token)
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
        if token:
            # oauthlib writes the token into the dict that it is given; this one is the caller's.
            headers = dict(headers or {})
            for hook in self.compliance_hook["protected_request"]:
                url, headers, data = hook(url, headers, data)
            access_token: Any = token.get("access_token")
            kind = token.get("token_type")
            # What is_vschar asks, which would be one more call for each request.
            is_text = isinstance(access_token, str) and not access_token.isspace()
            if not (is_text and access_token.isascii() and access_token.isprintable()):
                raise ValueError("Missing access token.")
            client = call._client
            client.token, client.access_token = token, access_token
            # Whether it has ended was judged before; a token that was just issued is tried.
            client._expires_at = None  # type: ignore[attr-defined] # the stub lacks it
            client.token_type = kind if kind == "Bearer" else usable_type(client, token)
            url, headers, data = client.add_token(
                url,
                http_method=method,  # type: ignore[arg-type] # the stub lists the standard methods
                body=data,
                headers=headers,
            )
        try:
            return super(OAuth2Session, call).request(
                method, url, data=data, headers=headers, withhold_token=True, **kwargs
            )
        except RequestException as error:
            redactor = Redactor((token or _NO_TOKEN).get("access_token"))
            # Some providers want the token in the URL, which requests puts into its errors.
            if not redactor.finds(f"{url} {error}"):
                raise
            failure = shown(error, redactor)
        raise failure

    def token_endpoint(self) -> TokenEndpoint:
        """Return what calls the token and revocation endpoints, on a copy of this session."""
        return TokenEndpoint(self.provider, self.for_token_call(), self.call_settings)

    @property
    def ended_errors(self) -> EndedErrors:
        """The blueprint's setting of that name."""
        return cast(EndedErrors, self.call_settings.get("ended_errors"))

    def is_signed_in_body(self, request: PreparedRequest) -> bool:
        """Whether a request has the token in its body, as some providers want it."""
        return self._of_token().finds(_as_text(request.body))

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Leave the token out of a call that is redirected to another host, or to plain http."""
        super().rebuild_auth(prepared_request, response)
        headers = prepared_request.headers
        if self.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            token = self._of_token()
            for name in [n for n, value in headers.items() if token.finds(_as_text(value))]:
                del headers[name]

    def _of_token(self) -> Redactor:
        return Redactor((self._assigned or _NO_TOKEN).get("access_token"))


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
            client.resource_owner_key = key if isinstance(key, str) else None
            client.resource_owner_secret = secret if isinstance(secret, str) else None
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
        with quiet():
            return super(OAuth1Session, call).request(
                method, self.resolve(url), data=data, headers=headers, **kwargs
            )

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
        return "oauth_signature=" in _as_text(request.body)


def _as_text(body: Any) -> str:
    return body.decode("latin-1") if isinstance(body, bytes) else str(body or "")


def _is_refusal(response: Response, reading: Reading, base_url: str | None) -> bool:
    """Whether the provider's API has refused a token that the call had."""
    sent, token = response.request, reading.stored.token or _NO_TOKEN
    if response.status_code != 401 or not token.get("access_token"):
        return False
    if base_url and urlsplit(sent.url or "").netloc != urlsplit(base_url).netloc:
        return False
    parts = (sent.headers.get("Authorization"), sent.url, sent.body)
    return any(str(token["access_token"]) in str(part) for part in parts)
