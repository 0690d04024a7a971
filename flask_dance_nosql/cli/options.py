"""What several commands share: options, questions, and progress."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import click
import msgspec

from ..consumer.app_backends import AppStore, app_stores
from ..consumer.backend.store.shard import Shard
from ..consumer.backend.store.values import id_text

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
# A date so long ago, or ahead, exists, and a thread can wait so long.
_LONGEST = timedelta(days=36500)


def _shard(_: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    """Return the part that the option names."""
    try:
        return None if value is None else Shard.of_text(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def _user(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a user's id, if it can be one."""
    try:
        return None if value is None else id_text(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def duration_of(text: str) -> timedelta:
    """Return a duration that is given as a number and a unit, such as ``90d``.

    The units are ``d`` for days, ``h``, ``m`` for minutes, and ``s``.

    Raises:
        ValueError: If it is none, or longer than 36500 days.
    """
    number, unit = text.strip()[:-1], _UNITS.get(text.strip()[-1:])
    if unit is None or not (number.isascii() and number.isdecimal()):
        raise ValueError("A duration is a number with a unit, such as 90d, 12h, 30m or 45s.")
    try:
        duration = timedelta(**{unit: int(number)})
    except (OverflowError, ValueError):
        duration = timedelta.max
    if duration > _LONGEST:
        raise ValueError(f"A duration is at most {_LONGEST.days}d.")
    return duration


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore] # newer ones are generic
    """A duration, see :func:`duration_of`.

    Args:
        or_off: Whether ``off`` is one, too: ``None``.
    """

    name = "duration"

    def __init__(self, *, or_off: bool = False) -> None:
        self._or_off = or_off

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        """Return the duration."""
        if self._or_off and value == "off":
            return None
        try:
            return value if isinstance(value, timedelta) else duration_of(value)
        except ValueError as error:
            self.fail(f"{error} Or it is off." if self._or_off else str(error), param, ctx)


DURATION = Duration()
"""The type of options that take a duration."""

DURATION_OR_OFF = Duration(or_off=True)
"""The type of those that can be switched off."""

provider_option = click.option(
    "--provider", help="Only the tokens of this provider: the name of a blueprint."
)
user_option = click.option(
    "--user", "user_id", callback=_user, help="Only the tokens of the user with this id."
)
user_argument = click.argument("user_id", metavar="USER", callback=_user)
shard_option = click.option(
    "--shard",
    metavar="I/N",
    callback=_shard,
    help="Only part I of N, for N processes that work side by side, such as 1/4.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
within_option = click.option(
    "--within",
    type=DURATION,
    default="7d",
    show_default=True,
    help="How near its end a token is for it to count as expiring.",
)


def chosen_stores(provider: str | None = None) -> list[AppStore]:
    """Return the stores of the current app, or those of one blueprint.

    Raises:
        click.ClickException: If there is none.
    """
    found = [each for each in app_stores() if provider is None or provider in each.blueprints]
    if not found:
        wanted = "" if provider is None else f" named {provider!r}"
        raise click.ClickException(
            f"The app has no blueprint{wanted} whose backend is a store, such as a MongoBackend, a "
            "RedisBackend or an SQLAlchemyBackend. Tokens in sessions are with their visitors."
        )
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, on a terminal, unless that was answered by ``--yes``.

    Raises:
        click.UsageError: If there is nobody to ask.
        click.Abort: If the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at. If you mean it, add --yes.")
    click.confirm(question, abort=True, err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, with dates as texts of ISO 8601."""
    text = msgspec.json.encode(value, enc_hook=str)
    click.echo(msgspec.json.format(text, indent=2).decode())


def print_json_line(value: Any) -> None:
    """Print a value as JSON in one line, for listings that may be long."""
    click.echo(msgspec.json.encode(value, enc_hook=str))


@contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """Give a function that counts what is done, on the standard error stream if it is a terminal.

    It is called after each; before the first, it may be called with how many there are. Threads
    may share it.
    """
    if not sys.stderr.isatty():
        yield lambda _=0: None
        return
    mutex = threading.Lock()
    bars: list[Any] = []
    with ExitStack() as stack:

        def step(expected: int = 0) -> None:
            with mutex:
                if not bars:
                    # A generator does not say how many there are.
                    bar: Any = click.progressbar(
                        (_ for _ in ()),
                        length=expected or None,
                        label=label,
                        show_pos=True,
                        file=sys.stderr,
                    )
                    bars.append(stack.enter_context(bar))
                if not expected:
                    bars[0].update(1)

        yield step
