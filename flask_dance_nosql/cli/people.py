"""``flask tokens`` commands about people: what they have, and the end of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import msgspec

from ..accounts.erasure import ErasedAccount, Erasure, export_user, forget_user
from ..consumer.backend.store.shard import Shard
from ..errors import ErasureIncomplete
from ..operations import Revocation, revoke_tokens, stored_records
from .command import command
from .options import (
    chosen_stores,
    confirm,
    dry_run_option,
    json_option,
    print_json,
    print_json_line,
    progress,
    provider_option,
    shard_option,
    user_argument,
    user_option,
    yes_option,
)
from .results import end, print_records, shown


@command("revoke")
@provider_option
@user_option
@shard_option
@dry_run_option
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each token.")
def revoke(
    provider: str | None,
    user_id: str | None,
    shard: Shard | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Have providers end grants, and remove their tokens: a user's, a provider's, or both.

    A token is removed also if its provider does not confirm it. Each of those is told, and the exit
    code is 1 then.
    """
    if provider is None and user_id is None:
        raise click.UsageError("Name a --provider, a --user, or both.")
    chosen_stores(provider)
    if not dry_run:
        whose = "all users" if user_id is None else f"user {user_id!r}"
        where = "all providers" if provider is None else f"provider {provider!r}"
        confirm(f"Revoke and remove the tokens of {whose} at {where}?", yes=yes)
    counted: Counter[str] = Counter()
    with progress("Revoking") as step:
        done = _counted(revoke_tokens(provider, user_id, shard, dry_run=dry_run), counted, step)
        if as_json:
            for each in done:
                print_json_line(shown(each, dry_run=dry_run))
        else:
            told = (each for each in done if dry_run or each.reason is not None)
            rows = ((each.provider, each.user_id, each.account, each.reason) for each in told)
            print_records(rows, "REASON")
    found, doubtful = counted["found"], counted["doubtful"]
    if dry_run:
        click.echo(f"{found} would be revoked.", err=True)
    else:
        confirmed = f"{found - doubtful} confirmed by their providers"
        click.echo(f"{counted['removed']} removed, {confirmed}.", err=True)
    end(failed=doubtful > 0)


def _counted(
    every: Iterable[Revocation], counted: Counter[str], step: Callable[[], object]
) -> Iterator[Revocation]:
    for each in every:
        counted["found"] += 1
        counted["removed"] += each.is_removed
        counted["doubtful"] += each.reason is not None
        step()
        yield each


@command("forget")
@user_argument
@click.option("--no-revoke", is_flag=True, help="Ask no provider to end a grant.")
@dry_run_option
@yes_option
@json_option
def forget(user_id: str, no_revoke: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove everything of a user from all stores, and end the grants at the providers."""
    chosen_stores()
    if dry_run:
        every = (ErasedAccount(it.provider, it.account) for it in stored_records(user_id=user_id))
        found = sorted(every, key=lambda each: (each.provider, each.account or ""))
        if as_json:
            print_json(shown(Erasure(user_id, found=tuple(found)), dry_run=True))
        else:
            print_records((each.provider, user_id, each.account) for each in found)
            click.echo(f"{len(found)} would be removed.", err=True)
        return
    confirm(f"Remove everything of user {user_id!r}?", yes=yes)
    try:
        erasure = forget_user(user_id, revoke=not no_revoke)
    except ErasureIncomplete as error:
        if isinstance(error.erasure, Erasure):
            _tell(error.erasure, as_json=as_json)
        raise
    _tell(erasure, as_json=as_json)


def _tell(erasure: Erasure, *, as_json: bool) -> None:
    if as_json:
        print_json(shown(erasure, dry_run=False))
        return
    click.echo(f"{len(erasure.removed)} removed, {len(erasure.revoked)} ended at their providers.")
    left = ((it.provider, erasure.user_id, it.account, it.reason) for it in erasure.not_revoked)
    print_records(left, "NOT ENDED")


@command("export")
@user_argument
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this new file, which only you can read, in place of the standard output.",
)
def export(user_id: str, output: Path | None) -> None:
    """Print what is kept of a user, without secrets, as JSON that can be handed to them."""
    chosen_stores()
    exported = export_user(user_id)
    if output is None:
        print_json(exported)
        return
    try:
        number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"There is a file {output} already. It is left alone.") from None
    except OSError as error:
        raise click.ClickException(f"{output} can't be written: {error.strerror}.") from None
    with open(number, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(exported), indent=2) + b"\n")
    click.echo(f"Written to {output}.", err=True)
