"""The ``flask tokens`` commands: what operators do with stored tokens."""

from __future__ import annotations

from flask.cli import AppGroup

from .health import check, prepare
from .keys import generate_key

tokens = AppGroup("tokens", help="Work with OAuth tokens that are stored.")

for _command in (generate_key, check, prepare):
    tokens.add_command(_command)
