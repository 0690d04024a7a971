"""``flask tokens reseal``: seal stored tokens with the current key."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..consumer.app_backends import app_backends
from ..consumer.backend.file.backend import FileBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.session import SessionBackend
from ..consumer.backend.store.shard import Shard
from ..errors import ConfigurationError
from ..operations.found import sealed_stores
from ..operations.resealing import Resealed, reseal, reseal_file
from .command import command
from .options import (
    dry_run_option,
    json_option,
    print_json,
    progress,
    provider_option,
    shard_option,
)
from .results import end, print_left, shown


@command("reseal")
@provider_option
@shard_option
@dry_run_option
@json_option
def reseal_command(provider: str | None, shard: Shard | None, dry_run: bool, as_json: bool) -> None:
    """Seal stored tokens with the current key, while the application works.

    Tokens under a key of FLASK_DANCE_TOKEN_KEY_FALLBACKS are sealed anew and, where the cipher has
    allow_plaintext, those that are not sealed. It may be stopped and run again. The exit code is 1
    if records are left, which can't be read. Tokens in visitors' sessions are out of its reach.
    """
    found = list(_resealed(provider, shard, dry_run=dry_run))
    if not found:
        raise ConfigurationError(
            "No backend with a store or a file has a cipher"
            + ("" if provider is None else f", of those of {provider!r}")
            + ". See 'Key rotation'."
        )
    if as_json:
        print_json(
            [{"blueprints": names, **shown(result, dry_run=dry_run)} for names, result in found]
        )
    else:
        for names, result in found:
            _tell(names, result, dry_run=dry_run)
    for line in _out_of_reach(provider, shard):
        click.echo(line, err=True)
    end(failed=any(result.left for _, result in found))


def _resealed(
    provider: str | None, shard: Shard | None, *, dry_run: bool
) -> Iterator[tuple[list[str], Resealed]]:
    for backend, blueprints in app_backends():
        names = [name for name in blueprints if provider in (None, name)]
        if isinstance(backend, UserScopedBackend) and names and sealed_stores(backend.store):
            with progress(f"Resealing {', '.join(blueprints)}") as told:
                result = reseal(backend, provider, shard, dry_run=dry_run, told=told)
            yield list(blueprints), result
        elif isinstance(backend, FileBackend) and backend.cipher is not None:
            for name in names:
                # With --shard, a file counts to the first part.
                is_here = shard is None or shard.number == 1
                file = reseal_file(backend, blueprints[name], dry_run=dry_run) if is_here else None
                yield [name], file or Resealed()


def _out_of_reach(provider: str | None, shard: Shard | None) -> Iterator[str]:
    """Yield what may still be under an old key when all that was looked at is not."""
    if provider is not None or shard is not None:
        yield "This was a part of the tokens. The old key can't go before all parts are done."
    for backend, blueprints in app_backends():
        if isinstance(backend, SessionBackend) and backend.cipher is not None:
            yield (
                f"{', '.join(blueprints)}: tokens are in visitors' sessions, out of reach. Each is "
                "sealed anew when it is next written. The old key can go when the sessions of "
                "before have ended; who has one by then logs in again."
            )


def _tell(blueprints: list[str], result: Resealed, *, dry_run: bool) -> None:
    done = "to be sealed with the current key" if dry_run else "sealed with the current key"
    counts = {done: result.resealed, "with it already": result.current, "ended": result.ended}
    click.echo(
        f"{', '.join(blueprints)}: {result.records} records, "
        + ", ".join(f"{count} {what}" for what, count in counts.items())
    )
    print_left(result.left)
