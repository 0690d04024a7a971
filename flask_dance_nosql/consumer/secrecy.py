"""Keeps secrets out of other libraries' debug logs.

requests-oauthlib and oauthlib write tokens, client secrets and signatures to their loggers at level
DEBUG. While one of our dances or API calls runs, those records are dropped; whoever else uses the
two libraries in the same process keeps theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TALKATIVE = (
    "requests_oauthlib.oauth1_auth",
    "requests_oauthlib.oauth1_session",
    "requests_oauthlib.oauth2_session",
    "oauthlib.oauth1.rfc5849",
    "oauthlib.oauth1.rfc5849.signature",
)

_quiet: ContextVar[bool] = ContextVar("flask_dance_nosql_quiet", default=False)


def _speaks(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG or not _quiet.get()


for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_speaks)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop debug records that could hold a secret, in this thread or task, while the block runs."""
    reset = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(reset)
