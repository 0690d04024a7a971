"""MongoDB's form of a token document, and what BSON can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from .... import clock
from ..store.document import TokenDocument
from ..store.values import Token, is_plain

_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_INT64 = range(-(2**63), 2**63)
# A server takes 100 levels, and the token itself is one level down.
_BSON_DEPTH = 90
_SWEEP_SECONDS = 60
_NONE_IS_ABSENT = ("account", "refresh_failure")
_UNIQUE_TOGETHER = ("provider", "user_id", "provider_user_id")
# The largest version that can be counted: JSON and Lua know no larger integers.
_LARGEST = 2**53 - 1


def replacement(document: TokenDocument, least: int = 0) -> list[dict[str, Any]]:
    """Return the update that puts a document in place of another and counts its version.

    The version is ``least`` at least.
    """
    fields = {name: getattr(document, name) for name in document.__struct_fields__}
    fields["token"] = encode_token(document.token)
    left_out = [name for name in _NONE_IS_ABSENT if fields[name] is None]
    for name in left_out:
        del fields[name]
    if document.refresh_failure is not None:
        fields["refresh_failure"] = msgspec.structs.asdict(document.refresh_failure)
    first = least or clock.first_version()
    # The document in place may be corrupt; then count from the start.
    is_whole = {"$eq": [{"$toLong": "$version"}, "$version"]}
    counted = {"$cond": [is_whole, {"$add": ["$version", 1]}, first]}
    # Only then, since $toLong is an error for what is too large.
    is_small = {"$and": [{"$gte": ["$version", 0]}, {"$lt": ["$version", _LARGEST]}]}
    counted = {"$cond": [is_small, counted, first]}
    counted = {"$cond": [{"$isNumber": "$version"}, counted, first]}
    if least:
        counted = {"$max": [counted, least]}
    # BSON sorts values by type first, so that whatever lies between two dates is a date.
    is_date = {"$and": [{"$gte": ["$created_at", _FIRST]}, {"$lte": ["$created_at", _LAST]}]}
    created_at = {"$cond": [is_date, "$created_at", {"$literal": document.created_at}]}
    # $literal, or a user called "$token" would be read as the name of a field.
    literal = {name: {"$literal": value} for name, value in fields.items()}
    update: list[dict[str, Any]]
    update = [{"$set": {**literal, "version": counted, "created_at": created_at}}]
    if left_out:
        # The record in place may have them. mongomock knows no $unset here.
        update.append({"$project": dict.fromkeys(left_out, 0)})
    return update


def taking(name: str, holder: str, seconds: float, now: Any) -> list[dict[str, Any]]:
    """Return the update by which a holder takes a lock that is free, has ended or is its own."""
    ours = {"$eq": ["$holder", {"$literal": holder}]}
    # Whatever is no number is no time, either.
    until = {"$ifNull": ["$until", 0]}
    ended = {"$cond": [{"$isNumber": until}, {"$lte": [until, now]}, True]}
    may = {"$or": [ours, ended]}
    # The operator may have an index for which documents without these fields are all the same. No
    # token has such values in them.
    apart = {name_of: {"$literal": {"lock": name}} for name_of in _UNIQUE_TOGETHER}
    end = {"$add": [now, int(seconds * 1000)]}
    taken = {
        **apart,
        "holder": {"$cond": [may, {"$literal": holder}, "$holder"]},
        "until": {"$cond": [may, end, "$until"]},
        # For the TTL index, which removes the locks that nobody released.
        "expires_at": {"$literal": clock.now() + timedelta(seconds=seconds + _SWEEP_SECONDS)},
    }
    return [{"$set": taken}]


def encode_token(token: Token) -> Token | str:
    """Return a token as a subdocument, or as JSON text if BSON can't hold it exactly."""
    fits = is_plain(token, _BSON_DEPTH, _is_field_name, _is_bson_value)
    return token if fits else json.dumps(token)


def _is_field_name(name: str) -> bool:
    return bool(name) and not name.startswith("$") and "." not in name and "\0" not in name


def _is_bson_value(value: object) -> bool:
    return not isinstance(value, int) or value in _INT64
