"""``flask tokens`` commands about the keys that tokens are encrypted with."""

from __future__ import annotations

import click

from .command import Command


@click.command("generate-key", cls=Command)
def generate_key() -> None:
    """Print a new key for FLASK_DANCE_TOKEN_KEY. Needs no app."""
    # Imported here since it needs an optional package.
    from ..consumer.backend import TokenCipher

    click.echo(TokenCipher.generate_key())
