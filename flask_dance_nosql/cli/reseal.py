"""``flask tokens reseal``: seal stored tokens with the current key."""

from __future__ import annotations

import click

from ..consumer.backend.store.shard import Shard
from ..errors import ConfigurationError
from ..operations.found import sealed_stores
from ..operations.resealing import Resealed, reseal
from .command import command
from .options import (
    chosen_stores,
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
    if records are left, which can't be read.
    """
    chosen = [each for each in chosen_stores(provider) if sealed_stores(each.backend.store)]
    if not chosen:
        raise ConfigurationError("No backend of the app has a cipher. See 'Key rotation'.")
    found = []
    for backend, blueprints in chosen:
        with progress(f"Resealing {', '.join(blueprints)}") as told:
            result = reseal(backend, provider, shard, dry_run=dry_run, told=told)
        found.append((list(blueprints), result))
    if as_json:
        print_json(
            [{"blueprints": names, **shown(result, dry_run=dry_run)} for names, result in found]
        )
    else:
        for names, result in found:
            _tell(names, result, dry_run=dry_run)
    end(failed=any(result.left for _, result in found))


def _tell(blueprints: list[str], result: Resealed, *, dry_run: bool) -> None:
    done = "to be sealed with the current key" if dry_run else "sealed with the current key"
    counts = {done: result.resealed, "with it already": result.current, "ended": result.ended}
    click.echo(
        f"{', '.join(blueprints)}: {result.records} records, "
        + ", ".join(f"{count} {what}" for what, count in counts.items())
    )
    print_left(result.left)
