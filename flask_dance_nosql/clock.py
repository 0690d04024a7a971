"""The one place that asks what time it is."""

from __future__ import annotations

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
