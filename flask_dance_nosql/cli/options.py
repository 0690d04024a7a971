"""What several commands share: options, errors, and progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, TypeVar

import click
import msgspec

from ..consumer.app_backends import AppStore, app_stores
from ..consumer.backend.store.shard import Shard
from ..errors import FlaskDanceNoSQLError

C = TypeVar("C", bound=Callable[..., Any])
T = TypeVar("T")


def _shard(_: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    """Return the part that the option names."""
    try:
        return None if value is None else Shard.of_text(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


provider_option = click.option(
    "--provider", help="Only the tokens of this provider: the name of a blueprint."
)
user_option = click.option("--user", "user_id", help="Only the tokens of the user with this id.")
shard_option = click.option(
    "--shard",
    metavar="I/N",
    callback=_shard,
    help="Only part I of N, for N processes that work side by side, such as 1/4.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def explained(command: C) -> C:
    """Have a command end with a message, and code 1, in place of a traceback of our errors.

    A traceback shows the values of arguments in some set-ups, and its causes are a driver's.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except FlaskDanceNoSQLError as error:
            raise click.ClickException(str(error)) from None

    return run  # type: ignore[return-value] # as the decorator of functools


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


def print_json(value: Any) -> None:
    """Print a value as JSON, with dates as texts of ISO 8601."""
    text = msgspec.json.encode(value, enc_hook=str)
    click.echo(msgspec.json.format(text, indent=2).decode())


@contextmanager
def progress(items: Iterable[T], label: str) -> Iterator[Iterable[T]]:
    """Count items that are worked on, on the standard error stream if that is a terminal."""
    if not sys.stderr.isatty():
        yield items
        return
    with click.progressbar(items, label=label, show_pos=True, file=sys.stderr) as bar:
        yield bar


@contextmanager
def counted(label: str) -> Iterator[Callable[[], object] | None]:
    """Give a function that counts what is done, on the standard error stream if it is a terminal.

    Where it is none, that is ``None``.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(iter(()), label=label, show_pos=True, file=sys.stderr) as bar:
        yield partial(bar.update, 1)
