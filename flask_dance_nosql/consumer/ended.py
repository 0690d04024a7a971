"""What an answer without a token says of the grant: that it has ended, or nothing."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from requests import Response

from .redaction import MESSAGES

log = logging.getLogger(__name__)

EndedErrors = str | Collection[str | int] | Callable[[Response], bool | None] | None
"""What means that a grant has ended: further error codes, or a function of the answer."""

Meaning = Literal["ended", "client", "passing", "refused", "unclear"]
"""What an answer means for the grant.

``"ended"``: it is good for nothing any more. ``"client"``: the application is set up wrongly.
``"passing"``: the provider can't answer now. ``"refused"``: asking again is of no use, and a new
login may be. ``"unclear"``: the answer does not tell.
"""


class Rule(NamedTuple):
    """What one value at one place in an answer means, and who has it so.

    The place is a field, as ``error``; a field of the objects within it, as ``error.code``; or one
    of these:

    - ``code``: wherever an error code can be;
    - ``resource.code``: the code of an error, together with what that says it is about;
    - ``text``: any part of a message or a code; a code that has ended the grant comes first;
    - ``answer``: the whole answer, as JSON with sorted keys;
    - ``HTTP status``: also ``5xx``; of the answer, or as a number in it.

    Values are compared in lower case; those of codes with ``_`` between the words.
    """

    means: Meaning
    place: str
    value: str
    source: str


RULES = (
    Rule("ended", "code", "invalid_grant", "RFC 6749 section 5.2; Fitbit, as errorType"),
    Rule("ended", "code", "bad_refresh_token", "GitHub"),
    Rule("ended", "status", "bad_refresh_token", "HubSpot, OAuth API version 1"),
    Rule("ended", "code", "invalid_refresh_token", "Slack"),
    Rule("ended", "message", "invalid refresh token", "Twitch, beside error: Bad Request"),
    Rule("ended", "error_description", "value passed for the token was invalid.", "X"),
    Rule("ended", "resource.code", "refreshtoken.invalid", "Strava"),
    Rule("ended", "code", "invalid_code", "Zoho"),
    Rule("ended", "error.code", "190", "Facebook"),
    Rule("ended", "answer", '{"error": 400, "message": "bad request"}', "Reddit"),
    Rule("client", "code", "invalid_client", "RFC 6749 section 5.2; Zoho"),
    Rule("client", "code", "unauthorized_client", "RFC 6749 section 5.2"),
    Rule("client", "code", "incorrect_client_credentials", "GitHub"),
    Rule("client", "code", "invalid_client_id", "Slack"),
    Rule("client", "code", "bad_client_secret", "Slack"),
    Rule("client", "code", "invalid_client_secret", "Zoho"),
    Rule("client", "message", "invalid client", "Twitch"),
    Rule("client", "resource.code", "application.invalid", "Strava"),
    Rule("client", "error.code", "101", "Facebook"),
    Rule("client", "answer", '{"error": 401, "message": "unauthorized"}', "Reddit"),
    Rule(
        "client", "text", "client_secret", "Google, beside invalid_request; Dropbox; Azure AD B2C"
    ),
    Rule("client", "text", "client secret", "Twitch; several"),
    Rule("client", "text", "client credentials", "Spring Security"),
    Rule("client", "text", "client authentication", "several"),
    Rule(
        "client", "text", "invalid_client", "Dropbox, with more behind it; several, as description"
    ),
    Rule("client", "text", "unauthorized_client", "likewise"),
    Rule("client", "text", "aadb2c90079", "Azure AD B2C: no client secret"),
    Rule("passing", "HTTP status", "5xx", "RFC 9110 section 15.6"),
    Rule("passing", "HTTP status", "408", "RFC 9110 section 15.5.9"),
    Rule("passing", "HTTP status", "421", "RFC 9110 section 15.5.20"),
    Rule("passing", "HTTP status", "425", "RFC 8470 section 5.2"),
    Rule("passing", "HTTP status", "429", "RFC 6585 section 4"),
    Rule("passing", "code", "temporarily_unavailable", "RFC 6749 section 4.1.2.1"),
    Rule("passing", "code", "server_error", "RFC 6749 section 4.1.2.1"),
    Rule("passing", "code", "slow_down", "RFC 8628 section 3.5"),
    Rule("passing", "code", "internal_error", "Slack"),
    Rule("passing", "code", "fatal_error", "Slack"),
    Rule("passing", "code", "resource_exhausted", "Google's APIs"),
    Rule("passing", "error.code", "1", "Facebook: unknown"),
    Rule("passing", "error.code", "2", "Facebook: service"),
    Rule("passing", "error.code", "4", "Facebook: too many calls"),
    Rule("passing", "error.code", "17", "Facebook: too many calls of the user"),
    Rule("passing", "error.code", "341", "Facebook: limit reached"),
    Rule("passing", "error", "access denied", "Zoho: too many requests"),
    Rule("passing", "text", "too many requests", "Zoho; several, as a code"),
    Rule("passing", "text", "rate limit", "GitHub; several, as a code"),
    Rule("passing", "text", "ratelimit", "Slack"),
    Rule("passing", "text", "limit exceeded", "Salesforce; AWS"),
    Rule("passing", "text", "quota", "several"),
    Rule("passing", "text", "throttl", "Django REST framework; AWS"),
    Rule("passing", "text", "timeout", "Slack; several"),
    Rule("passing", "text", "timed out", "several"),
    Rule("passing", "text", "unavailable", "Slack; several, in place of HTTP status 503"),
    Rule("passing", "text", "maintenance", "several"),
    Rule("passing", "text", "overload", "several"),
    Rule("refused", "code", "access_denied", "RFC 6749 section 4.1.2.1"),
    Rule("refused", "code", "invalid_request", "RFC 6749 section 5.2"),
    Rule("refused", "code", "invalid_scope", "RFC 6749 section 5.2"),
    Rule("refused", "code", "unsupported_grant_type", "RFC 6749 section 5.2"),
)

CODES_BESIDE = ("error_code", "errorCode", "errcode", "errorType")
CODES_WITHIN = ("code", "type", "errorType", "error", "status", "reason", "name")


def meaning_of(fields: object, response: Response, ended: EndedErrors = None) -> Meaning:
    """Return what an answer without a token means; ``fields`` are what could be read of it.

    What is about the client, or passes, says nothing of the grant, whatever else is there. Without
    an error of OAuth, only an answer with a status of RFC 6749 section 5.2 is about the grant:
    others come from what stands between, such as a gateway.

    Args:
        fields: The answer's object, or anything else if there is none.
        response: The answer.
        ended: The blueprint's ``ended_errors``.
    """
    status = response.status_code
    said = set(_said_in(fields)) if isinstance(fields, Mapping) else set()
    codes = {str(status), *(value for _, value in said)}
    said |= {("HTTP status", form) for code in codes for form in _as_status(code)}
    texts = {value for place, value in said if place in ("code", *MESSAGES)}
    texts |= {value.replace("_", " ") for value in texts}
    in_places = {rule.means for rule in RULES if (rule.place, rule.value) in said}
    in_texts = {r.means for r in RULES if r.place == "text" and any(r.value in t for t in texts)}
    for meant in (in_places, in_texts):
        if "passing" in meant:
            return "passing"
        if "client" in meant:
            return "client"
        if meant is in_places and _has_ended(said, response, ended, default="ended" in in_places):
            return "ended"
    return "refused" if status in (400, 401) or "refused" in in_places else "unclear"


def _as_status(code: str) -> tuple[str, ...]:
    """Return what a code says if it is the HTTP status of an error, as an answer's own would."""
    return (code, f"{code[0]}xx") if re.fullmatch("[45][0-9][0-9]", code) else ()


def _has_ended(
    said: set[tuple[str, str]], response: Response, ended: EndedErrors, *, default: bool
) -> bool:
    """Whether the setting, or what is known by default, says that the grant has ended."""
    if callable(ended):
        try:
            verdict = ended(response)
        except Exception as error:  # noqa: BLE001 - a function of the application's
            log.warning("ended_errors failed on an answer: %s", type(error).__name__)
            verdict = None
        return default if verdict is None else bool(verdict)
    further = {_code(each) for each in ([ended] if isinstance(ended, str) else ended or ())} - {""}
    return default or any(value in further for place, value in said if place != "HTTP status")


def _said_in(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all that an answer says, as places and values of rules."""
    for name in ("error", "errors"):
        listed = fields.get(name)
        for each in listed if name == "errors" and isinstance(listed, list) else [listed]:
            yield from _said_of(each, name)
    for name in (*CODES_BESIDE, "code"):
        yield from _said_of(fields.get(name), name)
    for name in (*MESSAGES, "status"):
        for value in _forms(fields.get(name)):
            yield name, value
            if name != "status" and not fields.get("error"):
                # Some have the code there.
                yield "code", value
    if len(fields) < 4 and all(isinstance(value, str | int) for value in fields.values()):
        yield "answer", json.dumps(fields, sort_keys=True).lower()


def _said_of(error: object, name: str) -> Iterator[tuple[str, str]]:
    """Yield what one error says, which may be an object that also says what it is about."""
    if not isinstance(error, Mapping):
        for value in _forms(error):
            yield from ((name, value), ("code", value))
        return
    for inner in CODES_WITHIN:
        for value in _forms(error.get(inner)):
            yield from ((f"{name}.{inner}", value), ("code", value))
            yield "resource.code", f"{_code(error.get('resource'))}.{value}"
    for inner in MESSAGES:
        yield from ((inner, value) for value in _forms(error.get(inner)))


def _forms(value: object) -> set[str]:
    """Return the ways in which a rule may write a value: as a code, and as it is."""
    return {_code(value), str(value)[:200].lower()} if _code(value) else set()


def _code(value: object) -> str:
    """Return what may be an error code in one way of writing; an empty text for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return re.sub(r"[^a-z0-9]+", "_", str(value)[:200].lower()).strip("_")
