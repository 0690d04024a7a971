"""What commands print of what they have done, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import click

from ..operations.found import LeftRecord, LeftRecords
from .table import print_table


def shown(result: Any, *, dry_run: bool) -> dict[str, Any]:
    """Return the result of an operation, a dataclass or a struct, as it is printed in JSON.

    Whether all of it has only been looked at is among it.
    """
    names = [each.name for each in fields(result)] if is_dataclass(result) else None
    told: dict[str, Any] = {"dry_run": dry_run}
    for name in names or result.__struct_fields__:
        value = getattr(result, name)
        if isinstance(value, LeftRecords):
            told[f"{name}_total"] = value.total
            value = [_shown_record(record) for record in value]
        told[name] = value
    return told


def print_records(records: Iterable[Sequence[Any]], reason: str | None = None) -> None:
    """Print whose records are, in columns; nothing if there is none.

    Args:
        records: The provider, the user's id and the account of each, and the reason, if there is
            a column for it.
        reason: The heading of that column; ``None``, the default, for no such column.
    """
    rows = iter(records)
    headings = ["PROVIDER", "USER", "ACCOUNT", *([] if reason is None else [reason])]
    first = next(rows, None)
    if first is not None:
        print_table(headings, chain([first], rows))


def print_left(records: LeftRecords, heading: str = "LEFT") -> None:
    """Print those of these records that are listed, with the reasons, and how many others."""
    print_records(map(_row, records), heading)
    if others := records.total - len(records):
        click.echo(f"... and {others:,} others")


def end(*, failed: bool) -> None:
    """End the command, with 1 if something has failed or was found."""
    click.get_current_context().exit(int(failed))


def _row(record: LeftRecord) -> tuple[str | None, ...]:
    key = record.key
    whose = ("?", "?", "?") if key is None else (key.provider, key.user_id, key.account)
    return (*whose, record.reason)


def _shown_record(record: LeftRecord) -> dict[str, Any]:
    key = record.key
    return {
        "provider": None if key is None else key.provider,
        "user_id": None if key is None else key.user_id,
        "account": None if key is None else key.account,
        "reason": record.reason,
    }
