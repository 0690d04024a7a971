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
    - ``text``: any part of any message;
    - ``answer``: the whole answer, as JSON with sorted keys;
    - ``HTTP status``: also ``5xx``.

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
    Rule("client", "message", "invalid client secret", "Twitch"),
    Rule("client", "resource.code", "application.invalid", "Strava"),
    Rule("client", "error.code", "101", "Facebook"),
    Rule("client", "answer", '{"error": 401, "message": "unauthorized"}', "Reddit"),
    Rule("passing", "HTTP status", "5xx", "RFC 9110 section 15.6"),
    Rule("passing", "HTTP status", "408", "RFC 9110 section 15.5.9"),
    Rule("passing", "HTTP status", "421", "RFC 9110 section 15.5.20"),
    Rule("passing", "HTTP status", "425", "RFC 8470 section 5.2"),
    Rule("passing", "HTTP status", "429", "RFC 6585 section 4"),
    Rule("passing", "code", "temporarily_unavailable", "RFC 6749 section 4.1.2.1"),
    Rule("passing", "code", "server_error", "RFC 6749 section 4.1.2.1"),
    Rule("passing", "code", "slow_down", "RFC 8628 section 3.5"),
    Rule("passing", "code", "ratelimited", "Slack"),
    Rule("passing", "code", "internal_error", "Slack"),
    Rule("passing", "code", "fatal_error", "Slack"),
    Rule("passing", "code", "service_unavailable", "Slack"),
    Rule("passing", "code", "request_timeout", "Slack"),
    Rule("passing", "code", "rate_limited", "several"),
    Rule("passing", "code", "rate_limit_exceeded", "several"),
    Rule("passing", "code", "too_many_requests", "several"),
    Rule("passing", "error.code", "1", "Facebook: unknown"),
    Rule("passing", "error.code", "2", "Facebook: service"),
    Rule("passing", "error.code", "4", "Facebook: too many calls"),
    Rule("passing", "error.code", "17", "Facebook: too many calls of the user"),
    Rule("passing", "error.code", "341", "Facebook: limit reached"),
    Rule("passing", "error", "access denied", "Zoho: too many requests"),
    Rule("passing", "text", "too many requests", "Zoho"),
    Rule("passing", "text", "rate limit", "GitHub"),
)

CODES_BESIDE = ("error_code", "errorCode", "errcode", "errorType")
CODES_WITHIN = ("code", "type", "errorType", "error", "status", "reason", "name")


def meaning_of(fields: object, response: Response, ended: EndedErrors = None) -> Meaning:
    """Return what an answer without a token means; ``fields`` are what could be read of it.

    What is about the client, or passes, says nothing of the grant, whatever else is there.

    Args:
        fields: The answer's object, or anything else if there is none.
        response: The answer.
        ended: The blueprint's ``ended_errors``.
    """
    status = response.status_code
    said = set(_said_in(fields)) if isinstance(fields, Mapping) else set()
    said |= {("HTTP status", str(status)), ("HTTP status", f"{status // 100}xx")}
    meant = {rule.means for rule in RULES if _holds(rule, said)}
    for meaning in ("passing", "client"):
        if meaning in meant:
            return meaning
    if _has_ended(said, response, ended, default="ended" in meant):
        return "ended"
    # A page or a text with another status than section 5.2's is by something that stands between.
    is_answer = status in (400, 401) or isinstance(fields, Mapping)
    return "refused" if status >= 400 and is_answer else "unclear"


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


def _holds(rule: Rule, said: set[tuple[str, str]]) -> bool:
    if rule.place == "text":
        return any(rule.value in value for place, value in said if place in MESSAGES)
    return (rule.place, rule.value) in said


def _said_in(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all that an answer says, as places and values of rules."""
    for name in ("error", "errors"):
        listed = fields.get(name)
        for each in listed if name == "errors" and isinstance(listed, list) else [listed]:
            yield from _said_of(each, name)
    for name in CODES_BESIDE:
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
