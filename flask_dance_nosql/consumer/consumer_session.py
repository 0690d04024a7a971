"""What the sessions that call a provider share: whose token, whose cookies, relative URLs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, NamedTuple, ParamSpec, Self
from urllib.parse import urljoin

from flask import current_app, has_request_context, redirect, url_for
from oauthlib.oauth2 import TokenExpiredError
from requests import PreparedRequest, Request, RequestException, Response, Session
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidURL
from requests.utils import default_headers

from ..errors import (
    ConfigurationError,
    CorruptToken,
    TokenRefreshError,
    UserRequired,
)
from .backend.base import NOTHING, StoredToken, TokenSlot
from .backend.owner import CURRENT, Who
from .backend.store.values import Token
from .limits import read_bounded
from .pending import AskedPage
from .redaction import Redactor
from .refusal import saying
from .token import with_expires_in
from .transport import kept_out

P = ParamSpec("P")

_CALL_SETTINGS = (
    *("timeout", "proxies", "client_secret", "token_url_params"),
    *("refresh_leeway", "refresh_on_401", "revocation_url"),
    *("token_endpoint_auth_method", "ended_errors", "headers"),
    *("token_request", "token_answer", "revocation", "issuer", "verify"),
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

    @cached_property
    def headers(self) -> Any:  # type: ignore[override] # an attribute of requests' sessions
        """The headers of every call."""
        headers = default_headers()
        for name, value in (self.call_settings.get("headers") or {}).items():
            headers[name] = value(self) if callable(value) else value
        return headers

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
            login_url = url_for(blueprint.view_endpoint("login"))
            return redirect(AskedPage(blueprint.name).note(login_url))

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
        if kwargs.get("verify") is None and self.call_settings.get("verify") is not None:
            kwargs["verify"] = self.call_settings["verify"]
        # Those of a session would give way to the environment's.
        if kwargs.get("proxies") is None:
            kwargs["proxies"] = self.call_settings.get("proxies")


def without_secrets(
    secrets: tuple[object, ...],
    send: Callable[..., Response],
    method: str,
    url: str,
    **arguments: Any,
) -> Response:
    """Make a call; an error that shows a secret, which URLs may hold, is raised without it.

    So it is where a redirect leads to an address that has the secret in it, and is none.
    """
    # As quiet() does, without its two calls for each request.
    reset = kept_out.set(secrets)
    try:
        return send(method, url, **arguments)
    except (RequestException, ValueError) as error:
        redactor = Redactor(*secrets)
        if not redactor.finds(f"{url} {error}"):
            raise
        of_requests = error if isinstance(error, RequestException) else InvalidURL(str(error))
        # Beside a token may be its signature.
        text = redactor.knowing(of_requests.request).text(str(error))
        failure = saying(text, of_requests)
        if isinstance(failure, RequestException):
            failure.request, failure.response = of_requests.request, of_requests.response
    finally:
        kept_out.reset(reset)
    raise failure
