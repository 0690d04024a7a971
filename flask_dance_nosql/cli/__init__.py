"""The ``flask tokens`` commands: what operators do with stored tokens."""

from __future__ import annotations

from .command import Group, verbose_option
from .copy import copy_command
from .health import check, prepare
from .keep_fresh import keep_fresh_command
from .keys import generate_key
from .listing import list_tokens, show, stats
from .people import export, forget, revoke
from .purging import purge
from .reseal import reseal_command

tokens = Group("tokens", help="Work with OAuth tokens that are stored.", params=[verbose_option()])

_commands = (
    *(list_tokens, show, stats, check, prepare),
    *(generate_key, reseal_command, copy_command, keep_fresh_command),
    *(revoke, forget, export, purge),
)
for _command in _commands:
    tokens.add_command(_command)
