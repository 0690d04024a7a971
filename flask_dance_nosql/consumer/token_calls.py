"""How a session calls a token endpoint, and what it makes of the answer."""

from __future__ import annotations

import copy
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Self
from urllib.parse import urlencode

from oauthlib.oauth2 import OAuth2Error
from requests import HTTPError, PreparedRequest, RequestException, Response
from requests_oauthlib import OAuth2Session

from ..errors import FlaskDanceNoSQLError
from .answer import fields_of, read_credentials, read_token
from .backend.store.values import Token
from .client_auth import transport_of
from .limits import read_bounded
from .redaction import Redactor
from .refusal import (
    MISSING,
    Refusal,
    Refused,
    issued_in,
    refusal_in,
    refusal_of,
    shown,
)
from .token import missing_scopes
from .transport import quiet

log = logging.getLogger(__name__)

EXCHANGE_ERRORS = (OAuth2Error, OSError, ValueError, Refused)
"""What an exchange of a code or a refresh token may raise, whatever the provider answers."""

# What is wrong with a call before there is an answer; anything else is the application's.
_BEFORE_AN_ANSWER = (*EXCHANGE_ERRORS, AttributeError, LookupError, TypeError)


class TokenCalls(OAuth2Session, ABC):
    """A session whose calls to the token endpoint are made by copies of it.

    What oauthlib notes on a session meanwhile is no business of its other threads.

    Attributes:
        redactor: Knows the secrets of the login or the stored token that the calls are about. Each
            call adds its own.
    """

    redactor = Redactor()
    receive: Callable[[Response], Response] | None = None

    @abstractmethod
    def for_token_call(self) -> Self:
        """Return a copy of the session that makes one call."""

    @abstractmethod
    def at_work(self) -> AbstractContextManager[None]:
        """Let hooks find the client of this copy in the session that it is a copy of."""

    @abstractmethod
    def use(self, token: Token | None) -> None:
        """Use a token for the calls of this session, in place of the backend's."""

    @abstractmethod
    def resolve(self, url: str) -> str:
        """Return the full URL for one that may be relative."""

    @property
    @abstractmethod
    def provider(self) -> str:
        """The provider's name for the log."""

    @property
    @abstractmethod
    def call_settings(self) -> dict[str, Any]:
        """The blueprint's settings that calls need."""

    def fetch_token(self, token_url: str, *args: Any, **kwargs: Any) -> Token:
        """Exchange an authorization code for a token, which this session uses from then on.

        Odd optional fields of the answer are dropped, with a warning. A granted scope that differs
        from the one asked for is no error.

        Source: RFC 6749 sections 4.1.3, 5.1 and 3.3.

        Raises:
            oauthlib.oauth2.OAuth2Error: If the provider answers with an error or without a token.
                Its text has no secrets and no control characters.
            requests.RequestException: If the provider can't be reached.
        """
        call = self.for_token_call()
        fetch = super(TokenCalls, call).fetch_token
        return self._token_call(call, fetch, self.resolve(token_url), *args, **kwargs)

    def refresh_token(
        self, token_url: str, refresh_token: str | None = None, *args: Any, **kwargs: Any
    ) -> Token:
        """Exchange a refresh token for a new token, with the arguments of requests-oauthlib.

        The result is used by this session from then on; it is not stored. ``auth``, ``headers`` and
        the like in ``auto_refresh_kwargs`` say how the call goes, and are no part of its body.

        Source: RFC 6749 section 6.
        """
        held = ({} if refresh_token else self.token) or {}
        used = refresh_token or held.get("refresh_token")
        call = self.for_token_call()
        call.redactor = self.redactor.knowing(held)
        parameters = dict(call.auto_refresh_kwargs or {})
        auth = parameters.pop("auth", None)
        ways = {**({} if auth is None else {"auth": auth}), **transport_of(parameters), **kwargs}
        # requests-oauthlib has it from the session.
        call.scope = parameters.pop("scope", call.scope)
        # requests-oauthlib would post these as text.
        call.cert = ways.pop("cert", call.cert)
        call.auto_refresh_kwargs = {n: v for n, v in parameters.items() if n not in ways}
        refresh = super(TokenCalls, call).refresh_token
        token = self._token_call(call, refresh, self.resolve(token_url), used, *args, **ways)
        if not token.get("refresh_token"):
            token["refresh_token"] = used
        return token

    def _token_call(
        self, call: Self, work: Callable[..., Token], *args: Any, **kwargs: Any
    ) -> Token:
        """Call the token endpoint, and use the token that it answers with from then on."""
        secrets = (*args[1:], kwargs, kwargs.get("code"), kwargs.get("auth"))
        redactor = call.redactor.knowing(*secrets, call.auto_refresh_kwargs)
        answer = _Answer(self, redactor, call)
        asked = call.scope
        failure: Exception | None = None
        try:
            with quiet(*secrets), call.at_work():
                token = work(*args, **kwargs)
        except Exception as error:
            # oauthlib reports a changed scope by raising a Warning that carries the valid token.
            changed = vars(error).get("token") if isinstance(error, Warning) else None
            if changed is None:
                is_ours = isinstance(error, FlaskDanceNoSQLError)
                if answer.raw is None and (is_ours or not isinstance(error, _BEFORE_AN_ANSWER)):
                    raise
                failure = shown(error, answer.refusal(error))
            token = changed or {}
        if failure is not None:
            # Outside of the handler: nobody finds in its context what was not to be shown.
            raise failure
        missing = missing_scopes(asked, token) if token.get("scope") else ()
        if missing:
            # That the user granted less than was asked is legal: RFC 6749 section 3.3.
            message = "The scope granted differs from the one asked for: missing %s"
            log.warning(message, redactor.text(sorted(missing)))
        self.use(token)
        return token


class _Answer:
    """The answer to one call of a session, and what there is to say if no token comes of it.

    What an answer issues is known before anybody else reads it: a hook of the application may fail.

    Attributes:
        raw: The answer as it came, or ``None``.
    """

    def __init__(self, session: TokenCalls, redactor: Redactor, call: TokenCalls) -> None:
        self._provider, self._settings = session.provider, session.call_settings
        self._redactor = redactor
        self._is_in_hook = self._is_sent = False
        self.raw: Response | None = None
        call.receive = self._receive
        call.send = partial(self._send, call.send)  # type: ignore[method-assign] # of this copy
        # In requests-oauthlib they are sets, which have no order, and the reader has to be last.
        hooks: Any = {**session.compliance_hook}
        for kind in ("access_token_response", "refresh_token_response"):
            hooks[kind] = [partial(self._read, tuple(hooks[kind]))]
        call.compliance_hook = hooks

    def _send(
        self, send: Callable[..., Response], request: PreparedRequest, **kwargs: Any
    ) -> Response:
        self._is_sent = True
        return send(request, **kwargs)

    def _receive(self, response: Response) -> Response:
        self.raw = copy.copy(read_bounded(response))
        self._redactor = self._redactor.knowing(response.request)
        return response

    def _read(self, hooks: Iterable[Callable[[Any], Any]], response: Response) -> Response:
        """Take an answer through the user's hooks, and return what of it oauthlib may parse."""
        self._is_in_hook = True
        for hook in hooks:
            response = hook(response)
        fields, change = fields_of(response), self._settings.get("token_answer")
        if change is not None and isinstance(fields, dict):
            fields = change(fields)
        self._is_in_hook = False
        ended = self._settings.get("ended_errors")
        token, dropped = read_token(response, fields, self._redactor, ended)
        if dropped:
            message = "The token answer of provider %r has odd fields, which are dropped: %s"
            log.warning(message, self._provider, ", ".join(dropped))
        return _saying(json.dumps(token), response)

    def refusal(self, error: Exception) -> Refusal:
        """Return why there is no token, with what was issued all the same."""
        raw, redactor, ended = self.raw, self._redactor, self._settings.get("ended_errors")
        if raw is None:
            refusal = refusal_of(error, redactor)
            if self._is_sent or isinstance(error, OAuth2Error | Refused):
                return refusal
            reason = f"No request was made: {type(error).__name__}."
            return replace(refusal, description=reason, cause=reason)
        fields = fields_of(raw)
        redactor = redactor.knowing(fields)
        if isinstance(error, HTTPError) and raw.status_code >= 400:
            # Many sessions have a hook that raises for each bad status.
            return refusal_in(fields, raw, redactor, ended)
        if isinstance(error, OAuth2Error):
            told = {"error": error.error, "error_description": error.description}
            refusal = refusal_in({**told, "error_uri": error.uri}, raw, redactor, ended)
        elif self._is_in_hook and not isinstance(error, RequestException):
            kind = type(error).__name__
            text = f": {error}" if isinstance(error, FlaskDanceNoSQLError) else "."
            told_of = redactor.text(f"A compliance hook failed: {kind}{text}")
            refusal = Refusal(MISSING, told_of)
        else:
            refusal = refusal_of(error, redactor)
        return replace(refusal, issued={**issued_in(fields, raw), **refusal.issued})


def receives_credentials(redactor: Redactor) -> Callable[[Response], Response]:
    """Return what takes an answer of OAuth 1, and gives on what requests-oauthlib may parse.

    It raises :class:`Refused` if there are no credentials in it.
    """

    def receive(response: Response) -> Response:
        known = redactor.knowing(response.request)
        fields = read_credentials(read_bounded(response), known)
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        return _saying(urlencode(texts), response)

    return receive


def _saying(text: str, response: Response) -> Response:
    """Return an answer that says a text in place of another one."""
    said = Response()
    said.status_code = 200
    said._content = text.encode()
    said.encoding = "utf-8"
    said.request, said.url = response.request, response.url
    return said
