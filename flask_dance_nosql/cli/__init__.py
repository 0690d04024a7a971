"""The ``flask tokens`` commands: what operators do with stored tokens."""

from __future__ import annotations

from flask.cli import AppGroup

from .keys import generate_key
from .listing import list_tokens, show, stats
from .people import export, forget, revoke
from .purging import purge

tokens = AppGroup("tokens", help="Work with OAuth tokens that are stored.")

_commands = (
    *(generate_key,),
    *(list_tokens, show, stats, revoke, forget, export, purge),
)
for _command in _commands:
    tokens.add_command(_command)
