"""Every call to a token or revocation endpoint."""

from __future__ import annotations

import copy
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self
from urllib.parse import quote, urlencode

from oauthlib.oauth2 import OAuth2Error
from requests import HTTPError, PreparedRequest, RequestException, Response
from requests_oauthlib import OAuth2Session

from ..errors import FlaskDanceNoSQLError
from .answer import fields_of, read_credentials, read_token
from .backend.store.values import Token
from .client_auth import client_authentication, transport_of
from .limits import read_bounded, time_limit
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
from .revocation import KINDS, Revocation
from .token import can_be_refreshed, missing_scopes, with_expires_at
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


@dataclass(repr=False)
class TokenEndpoint:
    """The endpoints of one provider that take refresh tokens, and access tokens to revoke.

    ``provider`` is the name for the log, and ``settings`` are the blueprint's. Nobody else uses the
    ``session``.
    """

    provider: str
    session: Any
    settings: Mapping[str, Any]

    def refresh(self, token: Token) -> Token | Refusal:
        """Exchange a token's refresh token for a new token, which has one and ``expires_at``.

        Without a scope it is the one that was granted; asking for more is an error. It returns why
        if the provider gives none. Source: RFC 6749 section 6.
        """
        session = self.session
        if not can_be_refreshed(token):
            return Refusal(MISSING, "There is no refresh token.", is_definite=True)
        given = {n: v for n, v in (session.auto_refresh_kwargs or {}).items() if v is not None}
        session.redactor = session.redactor.knowing(token)
        try:
            who = client_authentication(session.client_id, self.settings, given)
            session.redactor = session.redactor.knowing(*who.secrets)
            for name in ("auth", "include_client_id", *transport_of(given)):
                given.pop(name, None)
            if "client_secret" in given:
                given["client_secret"] = who.secret
            client = session._client
            session.scope = client.scope = given.pop("scope", None)
            client.access_token = token.get("access_token")
            client.refresh_token = token["refresh_token"]
            session.auto_refresh_kwargs = given
            auth = {} if who.auth is None else {"auth": who.auth}
            issued = session.refresh_token(
                session.auto_refresh_url,
                refresh_token=token["refresh_token"],
                **{**who.fields, **auth, **who.transport},
            )
        except FlaskDanceNoSQLError:
            raise
        except EXCHANGE_ERRORS as error:
            refusal = refusal_of(error, session.redactor)
            # Who issues a new refresh token has not ended the grant, whatever else is said.
            new = refusal.issued.get("refresh_token", token["refresh_token"])
            return replace(refusal, has_ended=refusal.has_ended and new == token["refresh_token"])
        return with_expires_at(dict(issued))

    def revoke(self, token: Token) -> bool:
        """Revoke the refresh token, then the access token; whether the provider has confirmed it.

        Source: RFC 7009 section 2.
        """
        how = self.settings.get("revocation") or Revocation("")
        kinds = how.kinds(token)
        self.session.redactor = self.session.redactor.knowing(token)
        with time_limit(self.settings.get("timeout")):
            confirmed = [self._revoke(token[kind], kind, how) for kind in kinds]
        if not kinds and any(token.get(kind) for kind in KINDS):
            message = "A token of provider %r is not revoked: it has none that can be."
            log.warning(message, self.provider)
            return False
        return all(confirmed)

    def _revoke(self, token: object, kind: str, how: Revocation) -> bool:
        url = self.settings.get("revocation_url")
        if not isinstance(token, str):
            log.warning("A %s of provider %r is not revoked: it is no text.", kind, self.provider)
            return False
        if not url:
            message = "A %s of provider %r is not revoked: there is no revocation_url."
            log.warning(message, kind, self.provider)
            return False
        redactor, response = self.session.redactor, None
        try:
            client_id = self.session.client_id
            who = client_authentication(client_id, {**self.settings, **how.auth_settings})
            redactor = redactor.knowing(*who.secrets)
            response = self.session.request(
                how.method,
                url.replace("{client_id}", quote(client_id or "", safe="")),
                withhold_token=True,
                **{**who.transport, **how.arguments(token, kind, who)},
            )
        except FlaskDanceNoSQLError:
            raise
        except Exception as error:  # noqa: BLE001 - a hook of the application may raise anything
            # Many sessions have a hook that raises for each bad status.
            response = error.response if isinstance(error, HTTPError) else None
            reason = refusal_of(error, redactor).reason
        if response is not None:
            fields = fields_of(response)
            told = fields.get("error") if isinstance(fields, dict) else None
            if how.is_confirmed(response, fields):
                return True
            # Section 2.2.1: some revoke refresh tokens only, and with one all issued for it.
            if told == "unsupported_token_type" and kind == "access_token":
                return True
            redactor = redactor.knowing(response.request)
            refusal = refusal_in(fields, response, redactor)
            status = f"HTTP status {response.status_code}"
            reason = status if refusal.error == MISSING else f"{refusal.error}, {status}"
        message = "Provider %r did not confirm that the %s is revoked: %s"
        log.warning(message, self.provider, kind, reason)
        return False


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
