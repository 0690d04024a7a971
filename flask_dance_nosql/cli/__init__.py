"""The ``flask tokens`` commands: what operators do with stored tokens."""

from __future__ import annotations

from flask.cli import AppGroup

from .copy import copy_command
from .health import check, prepare
from .keys import generate_key
from .reseal import reseal_command

tokens = AppGroup("tokens", help="Work with OAuth tokens that are stored.")

for _command in (generate_key, check, prepare, reseal_command, copy_command):
    tokens.add_command(_command)
