"""What all commands have in common: how they are made, and what they say when they fail."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from ..consumer.backend.store import base, errors
from ..errors import CorruptToken, FlaskDanceNoSQLError

log = logging.getLogger("flask_dance_nosql")

# Click handles these itself. The last one comes when a reader such as ``head`` has ended.
_OF_CLICK = (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError)
_VERBOSE = f"{__name__}.verbose"
_HINT = "The option --verbose tells where it came from."


class Group(AppGroup):
    """The group of the commands.

    An error ends a command with one line, and code 1. What an error says is shown if it is one of
    this package, which has no secret in it. Of another one, which may show the address of a
    database with its password, a token or a key, only the kind is told.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with _told_once(ctx):
                return super().invoke(ctx)
        except _OF_CLICK:
            raise
        except Exception as error:  # noqa: BLE001 - drivers, and code of yours, may raise anything
            what = f"{ctx.command_path} {ctx.invoked_subcommand} failed"
            raise click.ClickException(told(error, what)) from None


@contextmanager
def _told_once(ctx: click.Context) -> Iterator[None]:
    """Leave out of the log that records can't be read, which commands list or count themselves.

    With ``--verbose`` it is shown.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        about = record.args[0] if isinstance(record.args, tuple) and record.args else None
        return bool(ctx.meta.get(_VERBOSE)) or not isinstance(about, CorruptToken)

    logs = (base.log, errors.log)
    for each in logs:
        each.addFilter(is_shown)
    try:
        yield
    finally:
        for each in logs:
            each.removeFilter(is_shown)


def _be_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Show what is logged, until the command ends."""
    if value and not ctx.meta.get(_VERBOSE):
        ctx.meta[_VERBOSE] = True
        handler, level = logging.StreamHandler(), log.level
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)

        def be_quiet() -> None:
            log.removeHandler(handler)
            log.setLevel(level)

        ctx.find_root().call_on_close(be_quiet)


def verbose_option() -> click.Option:
    """Return the option ``--verbose``, which the group has, and each command."""
    return click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help="Show what is logged, and where an error came from; no secrets.",
    )


class Command(click.Command):
    """A command with the option ``--verbose``, and none of whose options is given twice.

    Of two values, where an option takes one, click would take the last, and say nothing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(verbose_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        rest = super().parse_args(ctx, list(args))
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for param, times in Counter(given).items():
            takes_one = isinstance(param, click.Option) and not (param.multiple or param.is_flag)
            if times > 1 and takes_one:
                raise click.UsageError(f"{param.opts[0]} takes one value. Run it for each.", ctx)
        return rest


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command of a function, which is called with an app context.

    Args:
        name: The command's name.
    """

    def decorated(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Command)(with_appcontext(function))

    return decorated


def told(error: Exception, what: str) -> str:
    """Return what may be shown of an error, with where it came from if the command is verbose.

    Args:
        error: The error.
        what: What has failed, if the error is not one of this package, which says so itself.
    """
    is_own = isinstance(error, FlaskDanceNoSQLError)
    text = str(error) if is_own else f"{what}: {type(error).__name__}."
    if click.get_current_context().meta.get(_VERBOSE):
        return "\n".join([text, *_origins(error)])
    return text if is_own and error.__cause__ is None else f"{text} {_HINT}"


def _origins(error: BaseException | None) -> Iterator[str]:
    """Yield the kinds of an error and of its causes, and the places in the code, newest last.

    Neither messages nor lines of code are among it: a driver's message, and a line that makes a
    client, may have a password in them.
    """
    while error is not None:
        yield f"{type(error).__module__}.{type(error).__qualname__}"
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
