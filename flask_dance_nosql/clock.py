"""The one place that asks what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time as an aware UTC datetime, in whole milliseconds.

    Milliseconds are what every supported store can keep exactly.
    """
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def timestamp() -> float:
    """Return the current time in seconds since the epoch, as tokens state it in ``expires_at``."""
    return datetime.now(UTC).timestamp()


def first_version() -> int:
    """Return the version of a document that is stored now for the first time.

    Microseconds since the epoch: two documents that follow each other under one key, with a
    deletion between them, never have the same. Below 2**53, so that every number type keeps it.
    """
    return int(timestamp() * 1_000_000)


def monotonic() -> float:
    """Return seconds since some moment of this process, for ages of things that it keeps."""
    return time.monotonic()
