"""The ``flask tokens`` commands."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from ..errors import ConfigurationError

tokens = AppGroup("tokens", help="Work with OAuth tokens that are stored.")


@tokens.command("generate-key", with_appcontext=False)
def generate_key() -> None:
    """Print a new key for FLASK_DANCE_TOKEN_KEY. Needs no app."""
    try:
        from ..consumer.backend import TokenCipher
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(TokenCipher.generate_key())
