"""The ``flask tokens`` command that removes what is of no use."""

from __future__ import annotations

from datetime import timedelta

import click

from ..consumer.backend.store.shard import Shard
from ..operations import purge as purge_records
from .command import command
from .options import (
    DURATION,
    chosen_stores,
    confirm,
    dry_run_option,
    json_option,
    print_json,
    progress,
    provider_option,
    shard_option,
    user_option,
    yes_option,
)
from .results import end, shown


@command("purge")
@click.option("--ended", is_flag=True, help="Remove records whose own time is up.")
@click.option(
    "--needs-login",
    is_flag=True,
    help="Remove what is left, without a token, of grants that providers have ended.",
)
@click.option(
    "--unreadable",
    is_flag=True,
    help="Remove records that can't be read, or not be decrypted with the keys at hand.",
)
@click.option(
    "--dead-for",
    type=DURATION,
    help="Remove tokens that ended so long ago and have no refresh token, such as 90d.",
)
@click.option(
    "--older-than",
    type=DURATION,
    help="Of these, only records last written, or of grants that ended, so long ago.",
)
@provider_option
@user_option
@shard_option
@dry_run_option
@yes_option
@json_option
def purge(
    ended: bool,
    needs_login: bool,
    unreadable: bool,
    dead_for: timedelta | None,
    older_than: timedelta | None,
    provider: str | None,
    user_id: str | None,
    shard: Shard | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove records that nobody has any use for: at least one choice of which is needed."""
    chosen = {
        "records that have ended": ended,
        "records of ended grants": needs_login,
        "unreadable records": unreadable,
        "tokens that are dead": dead_for is not None,
    }
    if not any(chosen.values()):
        raise click.UsageError(
            "Choose what to remove: --ended, --needs-login, --unreadable or --dead-for."
        )
    chosen_stores(provider)
    if not dry_run:
        what = ", ".join(name for name, is_chosen in chosen.items() if is_chosen)
        more = " A missing key would make them readable again." if unreadable else ""
        confirm(f"Remove {what}?{more}", yes=yes)
    with progress("Purging") as told:
        done = purge_records(
            provider,
            user_id,
            shard,
            ended=ended,
            needs_login=needs_login,
            unreadable=unreadable,
            dead_for=dead_for,
            older_than=older_than,
            dry_run=dry_run,
            told=told,
        )
    if as_json:
        print_json(shown(done, dry_run=dry_run))
    else:
        verb = "would be removed" if dry_run else "removed"
        for reason, count in done.removed.items():
            click.echo(f"{reason}: {count} {verb}")
        if done.kept:
            click.echo(f"kept, since they were written meanwhile: {done.kept}")
        if done.left:
            click.echo(f"left, since it can't be read whose they are: {done.left}")
    end(failed=bool(done.left))
