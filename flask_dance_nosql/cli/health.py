"""``flask tokens`` commands about the databases that tokens are kept in."""

from __future__ import annotations

import click

from ..operations.checking import QUICK, check_stores, prepare_stores
from .command import command
from .options import chosen_stores, json_option, print_json

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}
_WORDS = {"ok": "OK", "warning": "WARNING", "problem": "PROBLEM"}


_store_option = click.option(
    "--provider", metavar="NAME", help="Only the store of this provider; all of that."
)


@command("check")
@_store_option
@click.option("--quick", is_flag=True, help=f"Look at {QUICK:,} records of each store only.")
@json_option
def check(provider: str | None, quick: bool, as_json: bool) -> None:
    """Say how stores, keys and records are, and what to do.

    Ends with 1 if there is a problem; warnings are none.
    """
    reports = check_stores(chosen_stores(provider), sample=QUICK if quick else None)
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
    if any(report.has_problem for report in reports):
        raise click.exceptions.Exit(1)


@command("prepare")
@_store_option
@json_option
def prepare(provider: str | None, as_json: bool) -> None:
    """Create the tables and indexes that stores need.

    Ends with 1 if something is still wrong.
    """
    done = prepare_stores(chosen_stores(provider))
    if as_json:
        print_json(done)
    else:
        for each in done:
            made = f"made: {'; '.join(each.made)}" if each.made else "nothing was missing"
            click.echo(f"{each.backend} of {', '.join(each.blueprints)}: {made}")
            for left in each.left:
                click.echo(f"  PROBLEM  {left.name}: {left.message}\n           {left.advice}")
    if any(each.left for each in done):
        raise click.exceptions.Exit(1)
