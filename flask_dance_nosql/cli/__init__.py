"""The ``flask tokens`` commands: what operators do with stored tokens."""

from __future__ import annotations

from flask.cli import AppGroup

from .keep_fresh import keep_fresh_command
from .keys import generate_key

tokens = AppGroup("tokens", help="Work with OAuth tokens that are stored.")

for _command in (generate_key, keep_fresh_command):
    tokens.add_command(_command)
