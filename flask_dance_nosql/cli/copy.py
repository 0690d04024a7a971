"""``flask tokens copy``: copy tokens to another database."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ..consumer.app_backends import app_backends
from ..consumer.backend.moving import MovingBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.shard import Shard
from ..errors import BackendError, BackendUnavailable
from ..operations.comparing import Compared, Place, compare_tokens
from ..operations.copying import Copied, copy_tokens
from ..operations.found import store_of
from .command import command, told
from .options import (
    chosen_stores,
    confirm,
    dry_run_option,
    json_option,
    print_json,
    progress,
    provider_option,
    shard_option,
    yes_option,
)
from .results import end, print_left, shown


@command("copy")
@click.option(
    "--to",
    "target",
    metavar="MODULE:NAME",
    help="The backend or store to copy to, or a function that returns one. Default: the new one "
    "of the app's MovingBackend and, if that leads, the old one afterwards.",
)
@click.option(
    "--from",
    "source",
    metavar="MODULE:NAME",
    help="The one to copy from, likewise. Default: those of the app's blueprints.",
)
@provider_option
@shard_option
@click.option("--verify", is_flag=True, help="Copy nothing, and say where they differ.")
@click.option(
    "--delete-extra",
    is_flag=True,
    help="With --verify: remove from the target what the source has not.",
)
@dry_run_option
@json_option
@yes_option
def copy_command(
    target: str | None,
    source: str | None,
    provider: str | None,
    shard: Shard | None,
    verify: bool,
    delete_extra: bool,
    dry_run: bool,
    as_json: bool,
    yes: bool,
) -> None:
    """Copy tokens to another database, while the application works.

    The tables and indexes that the target needs are created. What it has in a newer form stays. It
    may be stopped and run again, and passes over what is there. The exit code is 1 if records are
    left or, with --verify, if the stores differ.
    """
    if delete_extra and not verify:
        raise click.UsageError("--delete-extra goes with --verify.")
    removes = delete_extra and not dry_run
    pairs = _pairs(source, target, provider, verify=verify)
    if removes:
        confirm("Remove from the target what the source has not?", yes=yes)
    found: list[tuple[str, Copied | Compared]] = []
    for name, here, there in pairs:
        with progress(f"{'Comparing' if verify else 'Copying'} {name}") as told:
            result: Copied | Compared
            if verify:
                result = compare_tokens(
                    here, there, provider, shard, delete_extra=removes, told=told
                )
            else:
                _make_ready(there, dry_run=dry_run)
                result = copy_tokens(here, there, provider, shard, dry_run=dry_run, told=told)
        found.append((name, result))
    if as_json:
        print_json([{"source": name, **shown(result, dry_run=dry_run)} for name, result in found])
    else:
        for name, result in found:
            _tell(name, result, dry_run=dry_run)
    end(failed=any(_is_failure(result) for _, result in found))


def _pairs(
    source: str | None, target: str | None, provider: str | None, *, verify: bool
) -> list[tuple[str, Place, Place]]:
    """Return the sources, each with its name and where to copy it."""
    wanted = None if target is None else _imported(target, "--to")
    if source is not None:
        if wanted is None:
            raise click.UsageError("--from needs --to.")
        found = _imported(source, "--from")
        _require_known(found, source, provider)
        return [(source, found, wanted)]
    pairs: list[tuple[str, Place, Place]] = []
    for backend, blueprints in chosen_stores(provider):
        name = ", ".join(blueprints)
        if wanted is not None:
            pairs.append((name, backend, wanted))
        elif isinstance(backend, MovingBackend):
            pairs += _of_moving(name, backend, verify=verify)
    if not pairs:
        raise click.UsageError("Say where to copy to with --to, such as --to myapp.tokens:new.")
    return pairs


def _of_moving(
    name: str, backend: MovingBackend, *, verify: bool
) -> list[tuple[str, Place, Place]]:
    """Return from where to where a MovingBackend wants it: from the one that leads, above all."""
    forth, back = (name, backend.old, backend.new), (name, backend.new, backend.old)
    if backend.leads == "old" or backend.falls_through:
        return [forth]
    # A process in which the old one led may have died before the new one had what it wrote.
    return [back] if verify else [forth, back]


def _imported(name: str, option: str) -> Place:
    module, _, attribute = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        is_maker = callable(found) and not isinstance(found, type | UserScopedBackend | TokenStore)
        place: Any = found() if is_maker else found
    except Exception as error:  # noqa: BLE001 - it is code of the application's
        message = told(error, f"{name} can't be had as MODULE:NAME")
        raise click.BadParameter(message, param_hint=option) from None
    if not isinstance(place, UserScopedBackend | TokenStore):
        message = f"{name} is neither a backend with a store, nor a store, nor returns one."
        raise click.BadParameter(message, param_hint=option)
    return place


def _require_known(source: Place, name: str, provider: str | None) -> None:
    """Refuse a provider of which neither the app has a blueprint, nor the source a record."""
    known = {blueprint for _, blueprints in app_backends() for blueprint in blueprints}
    if provider is None or provider in known:
        return
    if next(iter(store_of(source).records(provider)), None) is None:
        raise click.ClickException(
            f"The app has no blueprint named {provider!r}, and {name} no record of it."
        )


def _make_ready(target: Place, *, dry_run: bool) -> None:
    """Create the tables and indexes that a target needs, or see whether it can be read."""
    store = store_of(target)
    if not dry_run:
        store.prepare()
        return
    try:
        next(iter(store.records()), None)
    except BackendUnavailable:
        raise
    except BackendError as error:
        raise click.ClickException(
            f"{error} Its tables may be missing. A dry run creates none; the copy does."
        ) from None


def _is_failure(result: Copied | Compared) -> bool:
    return not result.is_complete if isinstance(result, Compared) else bool(result.left)


def _tell(name: str, result: Copied | Compared, *, dry_run: bool) -> None:
    if isinstance(result, Compared):
        click.echo(
            f"{name}: {result.same} the same, {result.missing} missing or outdated in the target, "
            f"{result.newer} newer there, {result.extra} there only ({result.removed} removed)"
        )
        print_left(result.differences, "DIFFERENT")
    else:
        click.echo(
            f"{name}: {result.records} records, {result.copied} "
            f"{'to be copied' if dry_run else 'copied'}, {result.same} there already, "
            f"{result.newer} newer there, {result.ended} ended"
        )
    print_left(result.left)
