"""Why a provider gives no token: its error in whatever form, told as clean text, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import oauthlib.oauth2.rfc6749.errors as oauthlib_errors
from oauthlib.oauth2 import OAuth2Error
from oauthlib.oauth2.rfc6749.errors import CustomOAuth2Error
from requests import RequestException, Response
from requests.exceptions import InvalidJSONError

from .. import clock
from .backend.store.values import Token
from .ended import CODES_BESIDE, CODES_WITHIN, EndedErrors, meaning_of
from .redaction import MESSAGES, Redactor
from .token import is_vschar, usable_refresh_token

MISSING = "missing_token"

_NO_ERROR = ("", "0", "false", "none", "null", "ok", "success", "no_error")
_ACCESS, _REFRESH = "access_token", "refresh_token"
# How far tokens are looked for within envelopes.
_DEEPEST, _WIDEST = 5, 100
_A_DAY = 86400.0


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
        retry_after: After how many seconds the provider wants to be asked again, or ``None`` if it
            does not say.
    """

    error: str
    description: str | None = None
    uri: str | None = None
    cause: str | None = None
    has_ended: bool = False
    is_definite: bool = False
    issued: Token = field(default_factory=dict, repr=False)
    retry_after: float | None = None

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

    Some providers put them into an envelope, which a hook of the application opens. Beside an error
    a refresh token may be a word about the one that was sent, unless an access token is there, too.
    """
    is_told = isinstance(fields, Mapping) and not is_absent(fields.get("error"))
    is_error = is_told or response.status_code >= 400
    held = [fields]
    for _ in range(_DEEPEST):
        for holder in held:
            if isinstance(holder, Mapping) and not (is_error and is_absent(holder.get(_ACCESS))):
                access, refresh = holder.get(_ACCESS), usable_refresh_token(holder.get(_REFRESH))
                found = {_ACCESS: access if is_vschar(access) else None, _REFRESH: refresh}
                if issued := {name: value for name, value in found.items() if value is not None}:
                    return issued
        held = [inner for holder in held for inner in _values_of(holder)][:_WIDEST]
    return {}


def _values_of(holder: object) -> Iterable[Any]:
    if isinstance(holder, Mapping):
        return holder.values()
    return holder if isinstance(holder, list) else ()


def refusal_in(
    fields: Any, response: Response, redactor: Redactor, ended: EndedErrors = None
) -> Refusal:
    """Return the refusal that an answer is; ``fields`` are what could be read of it.

    Source: RFC 6749 section 5.2, and what providers make of it: errors that are objects, numbers or
    lists, and messages without a code.
    """
    meaning, status = meaning_of(fields, response, ended), response.status_code
    if not isinstance(fields, Mapping):
        has_ended = meaning == "ended"
        is_definite = has_ended or meaning == "refused"
        return Refusal(
            *(MISSING, nothing_in(response)),
            has_ended=has_ended,
            is_definite=is_definite,
            issued=issued_in(fields, response),
            retry_after=retry_after_of(response),
        )
    redactor = redactor.knowing(fields)
    error, errors, message = fields.get("error"), fields.get("errors"), _first(fields, MESSAGES)
    listed = errors if isinstance(errors, list) else [errors]
    if is_absent(error):
        error = _first(fields, CODES_BESIDE) or next(filter(None, listed), None)
    for each in (error, *listed):
        if message is None and isinstance(each, Mapping):
            message = _first(each, MESSAGES)
    if isinstance(error, Mapping):
        error = _first(error, CODES_WITHIN)
    code = redactor.text(error)
    description = redactor.text(message)
    if code is None and description is None:
        is_odd = fields.get("access_token") is not None
        description = "The answer has no usable access token." if is_odd else nothing_in(response)
    is_told = meaning == "unclear" and code is not None and status < 300
    return Refusal(
        code or MISSING,
        description,
        redactor.url(fields.get("error_uri")),
        has_ended=meaning == "ended",
        is_definite=is_told or meaning in ("ended", "refused"),
        issued=issued_in(fields, response),
        retry_after=retry_after_of(response),
    )


def retry_after_of(response: Response) -> float | None:
    """Return after how many seconds a provider that can't answer now wants to be asked again.

    It is ``None`` if the provider does not say so, and a day at most. Source: RFC 9110 section
    10.2.3, RFC 6585 section 4.
    """
    text = str(response.headers.get("Retry-After", "")).strip()
    if response.status_code not in (429, 503) or not text.isascii():
        return None
    if text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - clock.timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _A_DAY)


def nothing_in(response: Response) -> str:
    """Return what is told of an answer that tells nothing itself."""
    return f"The answer, of HTTP status {response.status_code}, gives no token."


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
        error = _first(arguments, CODES_BESIDE)
        if error is None and message is None:
            return None
    redactor = redactor_of_login()
    code, uri = redactor.text(error), redactor.url(arguments.get("error_uri"))
    return Refusal(code or "missing_code", redactor.text(message), uri)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((fields[name] for name in names if not is_absent(fields.get(name))), None)
