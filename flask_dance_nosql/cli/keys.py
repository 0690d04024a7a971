"""``flask tokens`` commands about the keys that tokens are encrypted with."""

from __future__ import annotations

import click

from ..errors import ConfigurationError


@click.command("generate-key")
def generate_key() -> None:
    """Print a new key for FLASK_DANCE_TOKEN_KEY. Needs no app."""
    try:
        from ..consumer.backend import TokenCipher
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    click.echo(TokenCipher.generate_key())
