"""What a check looks at in MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pymongo.errors

from .... import clock
from ..store.findings import PREPARE, Finding, guarded, ok, problem, skew, untold, warning
from .source import Collections

Answer = Mapping[str, Any]
Keys = tuple[tuple[str, Any], ...]

EXPIRY: Keys = (("expires_at", 1),)
LISTING: Keys = (("user_id", 1), ("provider", 1))
_NO_COLLECTION = 26
_AGAIN = "Drop the index, then run: flask tokens prepare"


def server_checks(at: Collections) -> Iterator[Finding]:
    """Yield how the collection's server, its options and its indexes are."""
    yield from guarded("indexes", partial(_indexes, at))
    yield _write_concern(at)
    yield _read_preference(at)
    yield from guarded("collation", partial(_collation, at))
    yield from guarded("replica", partial(_replica, at))
    yield from guarded("clock", partial(_clock, at))


def _indexes(at: Collections) -> Iterator[Finding]:
    try:
        found: list[Answer] = list(at.primary.list_indexes())
    except pymongo.errors.OperationFailure as error:
        if error.code != _NO_COLLECTION:
            raise
        found = []
    by_keys: dict[Keys, list[Answer]] = {}
    for each in found:
        by_keys.setdefault(tuple(dict(each["key"]).items()), []).append(each)
    yield _expiry(by_keys.pop(EXPIRY, []))
    yield _listing(by_keys.pop(LISTING, []))
    others = [each for same in by_keys.values() for each in same if each["name"] != "_id_"]
    in_the_way = [finding for each in others if (finding := _in_the_way(each)) is not None]
    yield from in_the_way or [ok("other indexes", "No other index is in the way.")]


def _expiry(same: list[Answer]) -> Finding:
    name = "index expires_at"
    if not same:
        message = "There is no index on expires_at, so that expired records stay for ever."
        return problem(name, message, PREPARE)
    # Two of the same keys differ in their options, and the first that is right is enough.
    if any(each.get("expireAfterSeconds") == 0 and not _is_part(each) for each in same):
        return ok(name, "Expired records are removed.")
    index = same[0]
    if _is_part(index):
        message = f"The index {index['name']} has a part of the records only."
        return problem(name, message, _AGAIN)
    if "expireAfterSeconds" not in index:
        message = f"The index {index['name']} does not remove expired records."
        return problem(name, message, _AGAIN)
    message = (
        f"The index {index['name']} removes records {index['expireAfterSeconds']} seconds after "
        "their end, in place of 0."
    )
    return problem(name, message, _AGAIN)


def _listing(same: list[Answer]) -> Finding:
    name = "index user_id, provider"
    if not same:
        message = (
            "There is no index on user_id and provider, so that a listing of one user's tokens "
            "reads all records."
        )
        return problem(name, message, PREPARE)
    unique = [each for each in same if each.get("unique")]
    if unique:
        message = (
            f"The index {unique[0]['name']} is unique, so that a user can't have several accounts "
            "at one provider."
        )
        return problem(name, message, _AGAIN)
    if all(map(_is_part, same)):
        message = f"The index {same[0]['name']} has a part of the records only."
        return problem(name, message, _AGAIN)
    return ok(name, "One user's tokens are found quickly.")


def _is_part(index: Answer) -> bool:
    """Whether an index lacks records."""
    return bool(index.get("sparse") or index.get("partialFilterExpression"))


def _in_the_way(index: Answer) -> Finding | None:
    """Return what an index does that is none of ours, if that is anything but to help reading."""
    name, fields = index["name"], ", ".join(index["key"])
    if "expireAfterSeconds" in index:
        message = f"The index {name} removes records by {fields}, which is not when they end."
        return problem("other indexes", message, f"Drop the index {name}.")
    if index.get("unique"):
        message = f"The index {name} refuses records whose {fields} another one has."
        advice = f"Drop the index {name}, unless it is meant so: the _id keeps owners apart."
        return warning("other indexes", message, advice)
    return None


def _write_concern(at: Collections) -> Finding:
    concern = at.wanted.write_concern.document
    wanted = concern.get("w", "majority")
    advice = "Leave the collection's write concern out, or set it to majority."
    if wanted == 0:
        message = "Writes are not acknowledged: one that fails is taken for done."
        return problem("write concern", message, advice)
    if wanted == 1:
        message = (
            "Writes wait for one server only. A new token can be lost if it fails, and with a "
            "provider that rotates refresh tokens its user has to log in again."
        )
        return warning("write concern", message, advice)
    return ok("write concern", f"Writes wait for: {wanted}.")


def _read_preference(at: Collections) -> Finding:
    mode = at.wanted.read_preference.mongos_mode
    if mode == "primary":
        return ok("read preference", "Reads ask the primary.")
    message = f"Reads ask by {mode}: a user who has just connected may seem not to be."
    advice = "Leave the read preference out, unless the load asks for it. Refreshes are safe."
    return warning("read preference", message, advice)


def _collation(at: Collections) -> Iterator[Finding]:
    collation = at.primary.options().get("collation") or {}
    if collation.get("locale", "simple") == "simple":
        yield ok("collation", "The ids of two users are never the same.")
        return
    message = "The collection has a default collation, by which two users may share a document."
    yield problem("collation", message, "Move the tokens to a collection without a collation.")


def _hello(at: Collections) -> Answer:
    database = at.primary.database
    answer: Answer = database.command("hello", codec_options=at.primary.codec_options)
    return answer


def _replica(at: Collections) -> Iterator[Finding]:
    hello = _hello(at)
    if not hello.get("isWritablePrimary", hello.get("ismaster")):
        message = "The client talks to a secondary, which takes no writes."
        advice = (
            "Give the URL all members and replicaSet=, and leave directConnection out, so that the "
            "driver finds the primary."
        )
        yield problem("replica", message, advice)
    else:
        yield ok("replica", "The client talks to a server that takes writes.")


def _clock(at: Collections) -> Iterator[Finding]:
    if "localTime" not in _hello(at):
        yield untold("clock", "the server does not tell its time")
        return
    yield skew(lambda: float(clock.moment_of(_hello(at)["localTime"]) or 0))
