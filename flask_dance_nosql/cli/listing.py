"""``flask tokens`` commands that show what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import click

from ..consumer.backend.store.shard import Shard
from ..operations import (
    STATES,
    Counts,
    RecordDetails,
    record_details,
    statistics,
    stored_records,
)
from .command import command
from .options import (
    chosen_stores,
    json_option,
    print_json,
    print_json_line,
    progress,
    provider_option,
    shard_option,
    user_argument,
    user_option,
    within_option,
)
from .results import end
from .table import print_table, text_of

_COLUMNS = {
    "PROVIDER": "provider",
    "USER": "user_id",
    "ACCOUNT": "account",
    "STATE": "state",
    "TOKEN ENDS": "expires_at",
    "RECORD ENDS": "kept_until",
    "UPDATED": "updated_at",
    "FAILURES": "failures",
}


# These stand in place of a key's id in the counts.
_ROLES = {"plain": "", "unknown": "", "current": "of its tenant", "fallback": "of its tenant"}


@command("list")
@provider_option
@user_option
@click.option("--state", type=click.Choice(STATES), help="Only records that stand so.")
@within_option
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many.")
@shard_option
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each record.")
def list_tokens(
    provider: str | None,
    user_id: str | None,
    state: str | None,
    within: timedelta,
    limit: int | None,
    shard: Shard | None,
    as_json: bool,
) -> None:
    """List the records of all stores, one after the other."""
    chosen_stores(provider)
    every = stored_records(provider, user_id, shard, within)
    wanted = (each for each in every if state in (None, each.state))
    records = islice(wanted, limit)
    if as_json:
        for each in records:
            print_json_line(each)
    else:
        names = _COLUMNS.values()
        print_table(list(_COLUMNS), ([getattr(each, name) for name in names] for each in records))


@command("show")
@user_argument
@provider_option
@click.option("--account", help="Only the account with this id.")
@within_option
@json_option
def show(
    user_id: str, provider: str | None, account: str | None, within: timedelta, as_json: bool
) -> None:
    """Show all of a user's records that is no secret."""
    chosen_stores(provider)
    found = record_details(user_id, provider, account, within)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("There is nothing.", err=True)
    for each in () if as_json else found:
        click.echo("\n".join(_shown(each)) + "\n")
    end(failed=not found)


def _shown(record: RecordDetails) -> Iterator[str]:
    """Yield the lines that show a record."""
    name = record.provider if record.account is None else f"{record.provider}, {record.account}"
    yield f"{text_of(name)}: {record.state}"
    lines: dict[str, object] = {
        "access token ends": record.expires_at,
        "record ends": record.kept_until,
        "created": record.created_at,
        "updated": record.updated_at,
        "version": record.version,
        "linked account": record.provider_user_id,
        "can be refreshed": record.refreshable,
        "scopes": " ".join(record.scopes),
        "sealed by key": record.sealed_by,
        "reason": record.reason,
    }
    failure = record.failure
    if failure is not None:
        lines["failed refreshes"] = failure.count
        lines["failing since"] = failure.since
        lines["next try"] = failure.next_try
    for label, value in lines.items():
        yield f"  {label + ':':<18} {text_of(value)}"
    yield "  token:" if record.fields else "  token:             -"
    for field, kind in record.fields.items():
        yield f"    {text_of(field)}: {kind}"


@command("stats")
@provider_option
@within_option
@shard_option
@json_option
def stats(provider: str | None, within: timedelta, shard: Shard | None, as_json: bool) -> None:
    """Count the tokens of each provider, how they stand, and by which keys they are sealed."""
    chosen_stores(provider)
    with progress("Counting") as told:
        found = statistics(provider, shard, within, told)
    if as_json:
        print_json(found)
        return
    rows = [*found.providers.items(), ("total", found.total)]
    print_table(
        ["PROVIDER", "RECORDS", *(state.upper() for state in STATES)],
        [[name, counts.records, *counts.states.values()] for name, counts in rows],
    )
    click.echo()
    print_table(["SEALED BY", "RECORDS", "KEY"], _keys(found.total, found.keys))


def _keys(total: Counts, keys: dict[str, str]) -> Iterator[tuple[str, int, str]]:
    for key in [*keys, *(each for each in sorted(total.sealed_by) if each not in keys)]:
        yield key, total.sealed_by[key], keys.get(key, _ROLES.get(key, "not at hand"))
