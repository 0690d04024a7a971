"""What all commands have in common: how they are made, and what they say when they fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from ..errors import FlaskDanceNoSQLError

# What click itself makes of these is right; the last one is the end of a reader such as ``head``.
_OF_CLICK = (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError)

_TRACEBACK = f"{__name__}.traceback"


class Group(AppGroup):
    """The group of the commands.

    An error ends a command with one line, and code 1. What an error says is shown if it is one of
    this package, which has no secret in it. Of another one, which may show the address of a
    database with its password, a token or a key, only the kind is told.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            ctx.meta[_TRACEBACK] = ctx.params.get("traceback")
            return super().invoke(ctx)
        except _OF_CLICK:
            raise
        except Exception as error:
            if shows_tracebacks(ctx):
                raise
            what = f"{ctx.command_path} {ctx.invoked_subcommand} failed"
            raise click.ClickException(told(error, what)) from None


class Command(click.Command):
    """A command none of whose options is given twice, unless it takes several values.

    Click would take the last one, and say nothing.
    """

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

    def made(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Command)(with_appcontext(function))

    return made


def told(error: Exception, what: str) -> str:
    """Return what may be shown of an error.

    Args:
        error: The error.
        what: What has failed, if the error is not one of this package, which says so itself.
    """
    hint = "The option --traceback, before the command's name, shows more; that may be secret."
    if not isinstance(error, FlaskDanceNoSQLError):
        return f"{what}: {type(error).__name__}. {hint}"
    return str(error) if error.__cause__ is None else f"{error} {hint}"


def shows_tracebacks(ctx: click.Context) -> bool:
    """Whether the operator has asked for tracebacks, in the context of the group or a command."""
    return bool(ctx.meta.get(_TRACEBACK))
