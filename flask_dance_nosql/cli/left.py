"""What commands print of records that they have left as they were."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from ..operations.found import LeftRecord, LeftRecords


def shown(result: Any) -> dict[str, Any]:
    """Return the result of an operation, a dataclass, as it is printed in JSON."""
    told: dict[str, Any] = {}
    for each in fields(result):
        value = getattr(result, each.name)
        if isinstance(value, LeftRecords):
            told[f"{each.name}_total"] = value.total
            value = [_shown_record(record) for record in value]
        told[each.name] = value
    return told


def tell_left(records: LeftRecords, what: str = "left") -> None:
    """Print a line for each of these records that is listed, and how many others there are."""
    for each in records:
        key = each.key
        parts = () if key is None else (key.provider, key.user_id, key.account)
        name = " ".join("-" if part is None else part for part in parts) or "?"
        # A user's id may be anything that a database held.
        click.echo(f"  {what}: {name!r}: {each.reason}")
    if others := records.total - len(records):
        click.echo(f"  {what}: {others} others")


def _shown_record(record: LeftRecord) -> dict[str, Any]:
    key = record.key
    return {
        "provider": None if key is None else key.provider,
        "user_id": None if key is None else key.user_id,
        "account": None if key is None else key.account,
        "reason": record.reason,
    }
