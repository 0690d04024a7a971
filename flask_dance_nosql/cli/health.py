"""``flask tokens`` commands about the databases that tokens are kept in."""

from __future__ import annotations

import click

from ..consumer.backend.store.shard import Shard
from ..operations.checking import QUICK, check_stores, prepare_stores
from .command import command
from .options import (
    chosen_stores,
    dry_run_option,
    json_option,
    print_json,
    progress,
    shard_option,
)
from .results import end, shown

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}
_WORDS = {"ok": "OK", "warning": "WARNING", "problem": "PROBLEM"}


_store_option = click.option(
    "--provider", metavar="NAME", help="Only the store of this provider; all of that."
)


@command("check")
@_store_option
@click.option("--quick", is_flag=True, help=f"Look at {QUICK:,} records of each store only.")
@shard_option
@json_option
def check(provider: str | None, quick: bool, shard: Shard | None, as_json: bool) -> None:
    """Say how stores, keys and records are, and what to do.

    Ends with 1 if there is a problem; warnings are none.
    """
    stores = chosen_stores(provider)
    with progress("Checking") as told:
        reports = check_stores(stores, sample=QUICK if quick else None, shard=shard, told=told)
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            click.echo(f"{report.backend} of {', '.join(report.blueprints)}")
            for each in report.findings:
                status = click.style(f"{_WORDS[each.status]:8}", fg=_COLORS[each.status])
                click.echo(f"  {status} {each.name}: {each.message}")
                if each.advice:
                    click.echo(f"           {each.advice}")
    end(failed=any(report.has_problem for report in reports))


@command("prepare")
@_store_option
@dry_run_option
@json_option
def prepare(provider: str | None, dry_run: bool, as_json: bool) -> None:
    """Create the tables and indexes that stores need.

    Ends with 1 if something is still wrong.
    """
    done = prepare_stores(chosen_stores(provider), dry_run=dry_run)
    if as_json:
        print_json([shown(each, dry_run=dry_run) for each in done])
    else:
        for each in done:
            verb = "to be made" if dry_run else "made"
            made = f"{verb}: {'; '.join(each.made)}" if each.made else "nothing was missing"
            click.echo(f"{each.backend} of {', '.join(each.blueprints)}: {made}")
            for left in each.left:
                click.echo(f"  PROBLEM  {left.name}: {left.message}\n           {left.advice}")
    end(failed=any(each.left for each in done))
