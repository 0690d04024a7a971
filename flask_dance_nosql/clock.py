"""The one place that asks what time it is, and reads what others say of it."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

LATEST = 10.0**11
"""What is above that is no moment in seconds since the epoch, but one in milliseconds."""


def now() -> datetime:
    """Return the current time as an aware UTC datetime, in whole milliseconds.

    Milliseconds are what every supported store can keep exactly.
    """
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


timestamp = time.time
"""Returns the current time in seconds since the epoch, as tokens state it in ``expires_at``."""


def first_version() -> int:
    """Return the version of a document that is stored now for the first time.

    Microseconds since the epoch: two documents that follow each other under one key, with a
    deletion between them, never have the same. Below 2**53, so that every number type keeps it.
    """
    return int(timestamp() * 1_000_000)


def seconds_of(value: object) -> float | None:
    """Return a number, or what a text says as a number; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf if isinstance(value, int) and value > 0 else -math.inf
    return None if math.isnan(seconds) else seconds


def moment_of(value: object) -> float | None:
    """Return a moment in seconds since the epoch, or ``None`` if a value tells none.

    It may be a number, also as text, of seconds, milliseconds, microseconds or nanoseconds, a
    ``datetime``, or text as of ISO 8601. What states no offset from UTC is taken as UTC.
    """
    seconds = seconds_of(value)
    if seconds is not None:
        for factor in (1e9, 1e6, 1e3):
            if seconds > LATEST / 1e3 * factor:
                return seconds / factor
        return seconds
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def monotonic() -> float:
    """Return seconds since some moment of this process, for ages of things that it keeps."""
    return time.monotonic()
