"""What commands print of records that they have left as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import click

from ..operations.found import LeftRecord


def shown(result: Any) -> dict[str, Any]:
    """Return the result of an operation, a dataclass, as it is printed in JSON."""
    found = {each.name: getattr(result, each.name) for each in fields(result)}
    return {
        name: [_shown_record(each) for each in value] if isinstance(value, list) else value
        for name, value in found.items()
    }


def tell_left(records: Iterable[LeftRecord], what: str = "left") -> None:
    """Print a line for each of these records."""
    for each in records:
        key = each.key
        parts = () if key is None else (key.provider, key.user_id, key.account)
        name = " ".join("-" if part is None else part for part in parts) or "?"
        # A user's id may be anything that a database held.
        click.echo(f"  {what}: {name!r}: {each.reason}")


def _shown_record(record: LeftRecord) -> dict[str, Any]:
    key = record.key
    return {
        "provider": None if key is None else key.provider,
        "user_id": None if key is None else key.user_id,
        "account": None if key is None else key.account,
        "reason": record.reason,
    }
