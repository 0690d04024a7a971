"""What a check of a store finds, and the checks that are the same for every store."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from .... import clock
from ....errors import FlaskDanceNoSQLError
from .document import TokenDocument, TokenKey
from .entries import PROBE

Status = Literal["ok", "warning", "problem"]

PREPARE = "Run: flask tokens prepare"
"""The beginning of the advice on what a preparation creates."""

# How long the record of a probe lasts, should the process die in the middle of it.
_PROBE_SECONDS = 60
_SKEW_WARNING, _SKEW_PROBLEM = 5.0, 30.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and how it is.

    Attributes:
        name: What was looked at, such as ``"ping"``.
        status: ``"ok"``; ``"warning"`` for what can be better, or could not be told; ``"problem"``
            for what loses tokens, or keeps them from being used.
        message: How it is. Neither this nor the advice has anything secret.
        advice: What to do; an empty text if it is ok.

    .. versionadded:: 1.0
    """

    name: str
    status: Status
    message: str
    advice: str = ""


def ok(name: str, message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, "ok", message)


def warning(name: str, message: str, advice: str) -> Finding:
    """Return a finding that something can be better."""
    return Finding(name, "warning", message, advice)


def problem(name: str, message: str, advice: str) -> Finding:
    """Return a finding that something is wrong."""
    return Finding(name, "problem", message, advice)


def untold(name: str, reason: str) -> Finding:
    """Return the finding that something could not be told."""
    advice = "Look at it by hand, or let this user of the database ask for it."
    return warning(name, f"It could not be told ({reason}).", advice)


def reason_of(error: Exception) -> str:
    """Return what may be shown of an error: a driver's message could have anything in it."""
    return str(error) if isinstance(error, FlaskDanceNoSQLError) else type(error).__name__


def guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds, and that it could not be told where it fails with an error."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - whatever the driver raises, the others go on
        yield untold(name, reason_of(error))


def pinged(ping: Callable[[], object]) -> Finding:
    """Return whether the server answers."""
    try:
        ping()
    except Exception as error:  # noqa: BLE001 - as above
        advice = (
            "Start the server, or mend its address, its password, or the network in between. "
            "Nothing else was looked at."
        )
        return problem("ping", f"The server does not answer: {reason_of(error)}", advice)
    return ok("ping", "The server answers.")


def is_answered(findings: Iterable[Finding]) -> bool:
    """Whether none of some findings is that the server does not answer."""
    return not any(each.name == "ping" and each.status == "problem" for each in findings)


def probe_document() -> TokenDocument:
    """Return a document that is no user's, no provider's, and in no scan. It ends by itself."""
    now = clock.now()
    return TokenDocument(
        provider=PROBE,
        user_id=PROBE + secrets.token_hex(8),
        token={"access_token": "none"},
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(seconds=_PROBE_SECONDS),
    )


def probed(
    save: Callable[[TokenDocument], object],
    load: Callable[[TokenKey], TokenDocument | None],
    delete: Callable[[TokenKey], object],
) -> Finding:
    """Write, read and delete a record that is nobody's, and return how that went."""
    document = probe_document()
    key, is_deleted, step = document.key, False, "written"
    try:
        save(document)
        step = "read"
        found = load(key)
        step = "deleted"
        delete(key)
        is_deleted = True
    except Exception as error:  # noqa: BLE001 - as above
        return not_probed(step, error)
    finally:
        if not is_deleted:
            # An error of a write does not say that nothing was written.
            with suppress(Exception):
                delete(key)
    if found is None or found.token != document.token:
        advice = "See that reads that must be fresh go to the server that takes the writes."
        return problem("probe", "What was written was not there when it was read.", advice)
    return ok("probe", "A record was written, read and deleted.")


def lock_probed(
    acquire: Callable[[TokenKey, str, float], bool], release: Callable[[TokenKey, str], object]
) -> Finding:
    """Take and release the lock of a key that is nobody's, and return how that went."""
    key, holder = probe_document().key, secrets.token_hex(8)
    advice = "Let this user of the database write where locks are kept: each refresh takes one."
    try:
        is_taken = acquire(key, holder, _PROBE_SECONDS)
        release(key, holder)
    except Exception as error:  # noqa: BLE001 - as above
        return problem("locks", f"No lock can be taken: {reason_of(error)}", advice)
    if not is_taken:
        return problem("locks", "A lock that nobody has could not be taken.", advice)
    return ok("locks", "A lock was taken and released.")


def not_probed(step: str, error: Exception) -> Finding:
    """Return the finding that a probe ended with an error: at "written", "read" or "deleted"."""
    advice = (
        "Let this user of the database read, write and delete where tokens are kept. If it may, "
        "the server takes no writes: it is a replica, or is full."
    )
    return problem("probe", f"No record can be {step}: {reason_of(error)}", advice)


def skew(tell: Callable[[], float]) -> Finding:
    """Compare the clock of this machine with a server's, in seconds since the epoch."""
    before = clock.timestamp()
    server = tell()
    after = clock.timestamp()
    # The server has told its time somewhere between the two.
    off = max(before - server, server - after, 0.0)
    text = f"The clocks of this machine and of the server are {off:.1f} seconds apart."
    advice = (
        "Have both keep time by NTP. Tokens are refreshed too late or too early, and records "
        "dropped, by the clock of this machine; locks end by the server's."
    )
    if off >= _SKEW_PROBLEM:
        return problem("clock", text, advice)
    return warning("clock", text, advice) if off >= _SKEW_WARNING else ok("clock", text)


def several(counted: Any, one: str, many: str = "") -> str:
    """Return a number with the word for what is counted, such as ``1,200 records``."""
    return f"{counted:,} {one if counted == 1 else many or one + 's'}"
