"""Every call to a token or revocation endpoint."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from oauthlib.oauth2 import OAuth2Error
from requests import HTTPError, PreparedRequest, RequestException, Response
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from ..errors import FlaskDanceNoSQLError
from .answer import fields_of, read_credentials, read_token
from .backend.store.values import Token
from .client_auth import client_authentication, transport_of
from .ended import EndedErrors
from .redaction import Redactor, secrets_of
from .refusal import (
    MISSING,
    Refusal,
    Refused,
    is_absent,
    refusal_in,
    refusal_of,
    shown,
)
from .token import can_be_refreshed, missing_scopes, with_expires_at
from .transport import quiet, read_bounded

log = logging.getLogger(__name__)

EXCHANGE_ERRORS = (OAuth2Error, RequestException, ValueError)
"""What an exchange of a code or a refresh token may raise, whatever the provider answers."""

# oauthlib takes it for granted that an answer has the right types.
_SURPRISES = (AttributeError, LookupError, TypeError, OverflowError, RecursionError)


class TokenCalls(OAuth2Session, ABC):
    """A session whose calls to the token endpoint are made by copies of it.

    What oauthlib notes on a session meanwhile is no business of its other threads.
    """

    @abstractmethod
    def for_token_call(self) -> Self:
        """Return a copy of the session that makes one call."""

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
    def ended_errors(self) -> EndedErrors:
        """What means that a grant has ended."""

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
        used = refresh_token or (self.token or {}).get("refresh_token")
        call = self.for_token_call()
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
        further = secrets_of({**(call.auto_refresh_kwargs or {}), **kwargs})
        redactor = Redactor(*args[1:], *further, *_secrets_in_auth(kwargs.get("auth")))
        asked = call.scope
        # In requests-oauthlib they are sets, which have no order, and the reader has to be last.
        hooks: Any = {**self.compliance_hook}
        for kind in ("access_token_response", "refresh_token_response"):
            hooks[kind] = [partial(self._read, redactor, tuple(hooks[kind]))]
        call.compliance_hook = hooks
        failure: Exception | None = None
        try:
            with quiet():
                token = work(*args, **kwargs)
        except Warning as change:
            # oauthlib reports a changed scope by raising a Warning that carries the valid token.
            if getattr(change, "token", None) is None:
                raise
            token = change.token  # type: ignore[attr-defined] # as just seen
        except FlaskDanceNoSQLError:
            raise
        except (*EXCHANGE_ERRORS, *_SURPRISES, Refused) as error:
            failure = shown(self._refused(error, redactor), redactor)
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

    def _refused(self, error: Exception, redactor: Redactor) -> Exception:
        """Return what an error is about: many sessions have a hook that raises for each bad status.

        What the provider has said is in its response then.
        """
        response = error.response if isinstance(error, HTTPError) else None
        if response is None:
            return error
        try:
            fields = fields_of(read_bounded(response))
        except RequestException as unread:
            return unread
        redactor = redactor.knowing(*_secrets_in_request(response.request))
        return Refused(refusal_in(fields, response, redactor, self.ended_errors))

    def _read(
        self, redactor: Redactor, hooks: Iterable[Callable[[Any], Any]], response: Response
    ) -> Response:
        """Take an answer through the user's hooks, and return what of it oauthlib may parse."""
        redactor = redactor.knowing(*_secrets_in_request(response.request))
        failed = None
        try:
            for hook in hooks:
                response = hook(response)
        except (FlaskDanceNoSQLError, OAuth2Error, RequestException):
            raise
        except Exception as error:  # noqa: BLE001 - a user's function that met an odd answer
            failed = f"A compliance hook failed: {type(error).__name__}."
        if failed is not None:
            raise Refused(Refusal(MISSING, failed))
        token, dropped = read_token(response, redactor, self.ended_errors)
        if dropped:
            message = "The token answer of provider %r has odd fields, which are dropped: %s"
            log.warning(message, self.provider, ", ".join(dropped))
        return _saying(json.dumps(token), response)


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
        given = dict(session.auto_refresh_kwargs or {})
        who = client_authentication(session.client_id, self.settings, given)
        session.scope = session._client.scope = None
        for name in ("auth", "include_client_id", *transport_of(given)):
            given.pop(name, None)
        session.auto_refresh_kwargs = given
        auth = {} if who.auth is None else {"auth": who.auth}
        try:
            issued = session.refresh_token(
                session.auto_refresh_url,
                refresh_token=token["refresh_token"],
                **{**who.fields, **auth, **who.transport},
            )
        except FlaskDanceNoSQLError:
            raise
        except EXCHANGE_ERRORS as error:
            return refusal_of(error, Redactor(who.secret, *secrets_of(token)))
        return with_expires_at(dict(issued))

    def revoke(self, token: Token) -> bool:
        """Revoke the refresh token, then the access token; whether the provider has confirmed it.

        Source: RFC 7009 section 2.
        """
        kinds = [kind for kind in ("refresh_token", "access_token") if token.get(kind)]
        redactor = Redactor(*(token[kind] for kind in kinds))
        confirmed = [self._revoke(token[kind], kind, redactor) for kind in kinds]
        return all(confirmed)

    def _revoke(self, token: object, kind: str, redactor: Redactor) -> bool:
        url = self.settings.get("revocation_url")
        if not isinstance(token, str):
            log.warning("A %s of provider %r is not revoked: it is no text.", kind, self.provider)
            return False
        if not url:
            message = "A %s of provider %r is not revoked: there is no revocation_url."
            log.warning(message, kind, self.provider)
            return False
        who = client_authentication(self.session.client_id, self.settings)
        data = {"token": token, "token_type_hint": kind, **who.fields}
        redactor = redactor.knowing(who.secret)
        try:
            response = self.session.post(
                url, data=data, withhold_token=True, auth=who.auth, **who.transport
            )
        except FlaskDanceNoSQLError:
            raise
        except (RequestException, ValueError, OSError, *_SURPRISES) as error:
            reason = refusal_of(error, redactor).reason
        else:
            fields = fields_of(response)
            told = fields.get("error") if isinstance(fields, dict) else None
            # Section 2.2: the status tells it; an error beside it makes it doubtful.
            if response.status_code < 300 and is_absent(told):
                return True
            # Section 2.2.1: some revoke refresh tokens only, and with one all issued for it.
            if told == "unsupported_token_type" and kind == "access_token":
                return True
            redactor = redactor.knowing(*_secrets_in_request(response.request))
            refusal = refusal_in(fields, response, redactor)
            status = f"HTTP status {response.status_code}"
            reason = status if refusal.error == MISSING else f"{refusal.error}, {status}"
        message = "Provider %r did not confirm that a %s is revoked: %s"
        log.warning(message, self.provider, kind, reason)
        return False


def receives_credentials(*secrets: object) -> Callable[[Response], Response]:
    """Return what takes an answer of OAuth 1, and gives on what requests-oauthlib may parse.

    It raises :class:`Refused` if there are no credentials in it.
    """
    redactor = Redactor(*secrets)

    def receive(response: Response) -> Response:
        fields = read_credentials(read_bounded(response), redactor)
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


def _secrets_in_request(request: PreparedRequest) -> list[str]:
    """Return the secrets that a request was sent with, whoever has put them there."""
    body = request.body or b""
    text = body.decode("latin-1") if isinstance(body, bytes) else str(body)
    query = urlsplit(request.url or "").query
    found = secrets_of(parse_qsl(text) + parse_qsl(query))
    for name, value in (request.headers or {}).items():
        sent = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() not in _COMMON_HEADERS:
            found += [sent, *sent.split()[1:]]
    return found


_COMMON_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "connection", "content-length"),
        *("content-type", "host", "user-agent"),
    }
)


def _secrets_in_auth(auth: object) -> list[str]:
    if isinstance(auth, HTTPBasicAuth):
        return [str(auth.password)]
    return [str(each) for each in auth[1:]] if isinstance(auth, tuple) else []
