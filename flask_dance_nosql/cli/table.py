"""Tables for people, on the standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

# How many rows are looked at for the widths of the columns. Later ones are printed as they come.
_LOOKED_AT = 200
_MAX_WIDTH = 40


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below each other, in columns; there may be any number of rows.

    If what gives the rows fails, those before are printed.
    """
    texts = ([text_of(value) for value in row] for row in rows)
    first: list[Sequence[str]] = [headings]
    try:
        first.extend(islice(texts, _LOOKED_AT))
    finally:
        columns = zip(*first, strict=True)
        widths = [min(_MAX_WIDTH, max(map(len, column))) for column in columns]
        for row in first:
            _print_row(row, widths)
    for row in texts:
        _print_row(row, widths)


def _print_row(row: Sequence[str], widths: Sequence[int]) -> None:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    click.echo("  ".join(cells).rstrip())


def text_of(value: Any) -> str:
    """Return a value as text of one line, without anything that a terminal acts upon."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)
    )
