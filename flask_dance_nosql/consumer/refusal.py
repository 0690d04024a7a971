"""Why a provider gives no token: its error in whatever form, told as clean text, and judged."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import oauthlib.oauth2.rfc6749.errors as oauthlib_errors
from oauthlib.oauth2 import OAuth2Error
from oauthlib.oauth2.rfc6749.errors import CustomOAuth2Error
from requests import RequestException, Response
from requests.exceptions import InvalidJSONError

from .backend.store.values import Token
from .redaction import MESSAGES, Redactor
from .token import is_vschar

log = logging.getLogger(__name__)

EndedErrors = str | Collection[str | int] | Callable[[Response], bool | None] | None
"""What means that a grant has ended: further error codes, or a function of the answer."""

MISSING = "missing_token"

_NAMES_OF_CODE = ("code", "type", "errorType", "error", "status", "reason", "name")
_CODES_BESIDE = ("error_code", "errorCode", "errcode", "errorType")
_NO_ERROR = ("", "0", "false", "none", "null", "ok", "success", "no_error")
_TOKENS = ("access_token", "refresh_token")

_ENDED = frozenset(
    {
        "invalid_grant",  # RFC 6749 section 5.2, and Fitbit's errorType
        "bad_refresh_token",  # GitHub
        "invalid_refresh_token",  # Slack, and Twitch's message
        "refreshtoken_invalid",  # Strava's resource and code
        "invalid_code",  # Zoho
        "code_190",  # Facebook, within its error
        "error_400",  # Reddit, as a number
    }
)
_OF_CLIENT = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})
_PASSING = frozenset(
    {
        *("temporarily_unavailable", "server_error", "slow_down"),
        *("rate_limited", "ratelimited", "rate_limit_exceeded", "too_many_requests"),
    }
)
_PASSING_STATUSES = frozenset({408, 421, 425, 429})


@dataclass(frozen=True)
class Refusal:
    """Why there is no token, as clean text.

    Attributes:
        error: The provider's error code, or one of ours.
        description: A sentence for developers, or ``None``.
        uri: A page about the error, or ``None``.
        cause: The name of the error that kept us from an answer, or ``None``.
        has_ended: Whether the grant is good for nothing any more.
        is_definite: Whether asking again is of no use, and a new login may be.
        issued: The tokens that came with it all the same.
    """

    error: str
    description: str | None = None
    uri: str | None = None
    cause: str | None = None
    has_ended: bool = False
    is_definite: bool = False
    issued: Token = field(default_factory=dict, repr=False)

    @property
    def reason(self) -> str:
        """What is told of a refresh: the provider's error code, or what else is known."""
        if self.cause is not None:
            return self.cause
        return (self.description if self.error == MISSING else None) or self.error

    def as_error(self) -> OAuth2Error:
        """Return a new error of oauthlib's that says the same and refers to no other error."""
        kind = _KINDS.get(self.error, partial(CustomOAuth2Error, self.error))
        error = kind(description=self.description or "", uri=self.uri)
        error.refusal = self  # type: ignore[attr-defined] # for refusal_of
        return error


# Those that inherit their code are about something special.
_KINDS: dict[str, Callable[..., OAuth2Error]] = {
    vars(kind)["error"]: kind
    for kind in vars(oauthlib_errors).values()
    if isinstance(kind, type) and issubclass(kind, OAuth2Error) and vars(kind).get("error")
}


class Refused(Exception):
    """An answer that gives no token."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal


def refusal_of(error: Exception, redactor: Redactor) -> Refusal:
    """Return why a call of a token endpoint has failed, whatever it raised."""
    known = vars(error).get("refusal")
    if isinstance(known, Refusal):
        return known
    kind = type(error).__name__
    if isinstance(error, OAuth2Error):
        code = redactor.text(error.error) or MISSING
        return Refusal(code, redactor.text(error.description), redactor.url(error.uri))
    if _is_of_transport(error):
        description = f"The provider did not answer: {kind}."
        return Refusal("temporarily_unavailable", description, cause=kind)
    return Refusal(MISSING, f"The provider's answer can't be read: {kind}.", cause=kind)


def _is_of_transport(error: Exception) -> bool:
    # Those of requests are among them; files with certificates may be missing, too.
    return isinstance(error, OSError) and not isinstance(error, InvalidJSONError)


def shown(error: Exception, refusal: Refusal) -> Exception:
    """Return a new error that tells a refusal, in place of one that may show secrets.

    It is of the same kind where nobody has answered, and one of oauthlib's otherwise.
    """
    if not _is_of_transport(error):
        return refusal.as_error()
    copied = saying(refusal.description, error)
    copied.refusal = refusal  # type: ignore[attr-defined] # for refusal_of
    return copied


def saying(text: str | None, error: Exception) -> Exception:
    """Return a new error that says a text, of the same kind as another one where it can be made."""
    try:
        return type(error)(text)
    except Exception:  # noqa: BLE001 - a kind of the application's own may need other arguments
        return RequestException(text)


def is_absent(value: object) -> bool:
    """Whether the value of an error parameter says that there is no error.

    Some providers always send one, such as ``"ok"`` or ``{"code": 0, "message": "ok"}``.
    """
    if isinstance(value, str):
        return value.strip().lower() in _NO_ERROR
    if isinstance(value, Mapping) and value:
        code = value.get("code")
        is_told = isinstance(code, str | int | float) and code is not False and code != ""
        return is_told and is_absent(code)
    return not value


def issued_in(fields: Any, response: Response) -> Token:
    """Return the tokens that an answer holds, whatever else it says.

    Some providers put them into an envelope, which a hook of the application opens.
    """
    if not isinstance(fields, Mapping) or response.status_code >= 400:
        return {}
    found = (
        {name: holder[name] for name in _TOKENS if is_vschar(holder.get(name))}
        for holder in (fields, *fields.values())
        if isinstance(holder, Mapping)
    )
    return next(filter(None, found), {})


def refusal_in(
    fields: Any, response: Response, redactor: Redactor, ended: EndedErrors = None
) -> Refusal:
    """Return the refusal that an answer is; ``fields`` are what could be read of it.

    Source: RFC 6749 section 5.2, and what providers make of it: errors that are objects, numbers or
    lists, and messages without a code.
    """
    status = response.status_code
    if not isinstance(fields, Mapping):
        return _judged(Refusal(MISSING, nothing_in(response)), set(), response, ended)
    redactor = redactor.knowing(fields)
    error, errors, message = fields.get("error"), fields.get("errors"), _first(fields, MESSAGES)
    listed = errors if isinstance(errors, list) else [errors]
    codes = {*_codes_of(error, "error")}.union(*(_codes_of(each, "errors") for each in listed))
    codes.update(_code(fields.get(name)) for name in _CODES_BESIDE)
    if is_absent(error):
        codes.add(_code(message))
        error = _first(fields, _CODES_BESIDE) or next(filter(None, listed), None)
    for each in (error, *listed):
        if message is None and isinstance(each, Mapping):
            message = _first(each, MESSAGES)
    if isinstance(error, Mapping):
        error = _first(error, _NAMES_OF_CODE)
    code = redactor.text(error)
    description = redactor.text(message)
    if code is None and description is None:
        is_odd = fields.get("access_token") is not None
        description = "The answer has no usable access token." if is_odd else nothing_in(response)
    refusal = Refusal(
        code or MISSING,
        description,
        redactor.url(fields.get("error_uri")),
        is_definite=code is not None and status < 300,
        issued=issued_in(fields, response),
    )
    return _judged(refusal, codes, response, ended)


def nothing_in(response: Response) -> str:
    """Return what is told of an answer that tells nothing itself."""
    return f"The answer, of HTTP status {response.status_code}, gives no token."


def _judged(refusal: Refusal, codes: set[str], response: Response, ended: EndedErrors) -> Refusal:
    """Say what a refusal means for the grant.

    What is about the client, or passes, says nothing of it. Source: RFC 6749 section 5.2.
    """
    status = response.status_code
    if status >= 500 or status in _PASSING_STATUSES or codes & (_OF_CLIENT | _PASSING):
        return replace(refusal, is_definite=False)
    verdict: object = None
    further: set[str] = set()
    if callable(ended):
        try:
            verdict = ended(response)
        except Exception as error:  # noqa: BLE001 - a function of the application's
            log.warning("ended_errors failed on an answer: %s", type(error).__name__)
    elif ended is not None:
        further = {_code(each) for each in ([ended] if isinstance(ended, str) else ended)} - {""}
    has_ended = bool(codes & (_ENDED | further)) if verdict is None else bool(verdict)
    is_definite = refusal.is_definite or has_ended or 400 <= status < 500
    return replace(refusal, has_ended=has_ended, is_definite=is_definite)


def callback_refusal(
    arguments: Mapping[str, str], redactor_of_login: Callable[[], Redactor]
) -> Refusal | None:
    """Return the error that a provider has sent the visitor back with, or ``None``.

    The redactor is only made for an error: it may need a client secret that comes from elsewhere.

    Source: RFC 6749 section 4.1.2.1. Facebook sends ``error_code`` and ``error_message``.
    """
    error, message = arguments.get("error"), _first(arguments, MESSAGES)
    if is_absent(error):
        if arguments.get("code"):
            return None
        error = _first(arguments, _CODES_BESIDE)
        if error is None and message is None:
            return None
    redactor = redactor_of_login()
    code, uri = redactor.text(error), redactor.url(arguments.get("error_uri"))
    return Refusal(code or "missing_code", redactor.text(message), uri)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((fields[name] for name in names if not is_absent(fields.get(name))), None)


def _codes_of(error: object, where: str) -> Iterable[str]:
    """Return all that may be the code of an error, together with what says what it is about."""
    if not isinstance(error, Mapping):
        yield _code(error)
        if isinstance(error, int | float):
            yield f"{where}_{_code(error)}"
        return
    for name in _NAMES_OF_CODE:
        code = "" if is_absent(error.get(name)) else _code(error[name])
        if code:
            yield from (code, f"{name}_{code}", f"{_code(error.get('resource'))}_{code}")


def _code(value: object) -> str:
    """Return what may be an error code in one way of writing; an empty text for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return re.sub(r"[^a-z0-9]+", "_", str(value)[:200].lower()).strip("_")
