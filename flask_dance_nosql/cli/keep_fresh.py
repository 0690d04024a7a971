"""``flask tokens keep-fresh``: refresh tokens before they die."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
import msgspec

from ..consumer.backend.store.shard import Shard
from ..errors import ConfigurationError
from ..operations.due import KeptFresh
from ..operations.keeping import RATE, keep_fresh, require_known
from ..operations.refreshing import shown as shown_error
from .command import command
from .options import (
    DURATION,
    DURATION_OR_OFF,
    dry_run_option,
    json_option,
    print_json_line,
    progress,
    provider_option,
    shard_option,
)
from .results import end, shown

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SLOWEST, _FASTEST = 1 / 86400, 1e6

log = logging.getLogger(__name__)


class Rate(click.ParamType):  # type: ignore[type-arg] # no generic before click 8.4
    """A rate such as ``5/s`` or ``github=100/min``, as the provider or ``None``, and per second."""

    name = "[provider=]n/s"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the provider and the rate."""
        provider, _, text = str(value).rpartition("=")
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:/([a-z]+))?", text.strip())
        if found is None or (found[2] or "s") not in _UNITS:
            self.fail(f"{value!r} is no rate such as 5/s or github=100/min.", param, ctx)
        rate = float(found[1]) / _UNITS[found[2] or "s"]
        if not _SLOWEST <= rate <= _FASTEST:
            self.fail("A rate is from 1/d up to 1000000/s, such as 5/s.", param, ctx)
        return provider or None, rate


@command("keep-fresh")
@click.option(
    "--within",
    type=DURATION,
    help="Refresh what ends within this time, such as 1d. By default requests do that.",
)
@click.option(
    "--idle",
    type=DURATION_OR_OFF,
    default="30d",
    show_default=True,
    help="Refresh what was not written for this time; off for never.",
)
@provider_option
@shard_option
@click.option(
    "--rate",
    "rates",
    type=Rate(),
    multiple=True,
    help=f"How fast to ask a provider, or all of them. [default: {RATE:g}/s]",
)
@click.option("--loop", type=DURATION, help="Do it again after this time.")
@dry_run_option
@json_option
def keep_fresh_command(
    within: timedelta | None,
    idle: timedelta | None,
    provider: str | None,
    shard: Shard | None,
    rates: tuple[tuple[str | None, float], ...],
    loop: timedelta | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Refresh tokens that end soon, or were not used for long, since unused grants die.

    Two of it at once do no double work, nor do users beside it. With --json it prints a line for
    each round. The code is 1 if something has failed in the last round. SIGTERM ends it when what
    has begun is done, and a second one at once.
    """
    general, named = _rates(rates)
    with stopping() as stop:
        while True:
            has_failed = True
            try:
                with progress("Refreshing") as tell:
                    counts = keep_fresh(
                        within=within,
                        idle=idle,
                        provider=provider,
                        shard=shard,
                        rate=general,
                        rates=named,
                        dry_run=dry_run,
                        stop=stop,
                        tell=tell,
                    )
                has_failed = any(each.has_failed for each in counts.values())
                _show(counts, as_json=as_json, dry_run=dry_run)
            except Exception as error:
                if loop is None or isinstance(error, ConfigurationError | BrokenPipeError):
                    raise
                log.error("This round has failed. %s", shown_error(error))  # noqa: TRY400 - a traceback may be secret
            if loop is None or stop.wait(loop.total_seconds()):
                break
    end(failed=has_failed)


def _rates(given: tuple[tuple[str | None, float], ...]) -> tuple[float, dict[str, float]]:
    """Return the rate for all providers, and those for single ones."""
    rates = dict(given)
    if len(rates) < len(given):
        raise click.UsageError("--rate takes one value for each provider, and one for the others.")
    general = rates.pop(None, RATE)
    named = {name: rate for name, rate in rates.items() if name is not None}
    try:
        if named:
            require_known(named)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    return general, named


def _show(counts: dict[str, KeptFresh], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json_line({name: shown(each, dry_run=dry_run) for name, each in counts.items()})
        return
    for provider, each in sorted(counts.items()):
        named = msgspec.structs.asdict(each).items()
        told = [f"{count} {name.replace('_', ' ')}" for name, count in named if count]
        click.echo(f"{provider}: {', '.join(told) or 'nothing'}")


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Let a signal to end set an event, so that what has begun is ended first.

    A second signal is an interrupt, which nothing waits for.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def receive(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
