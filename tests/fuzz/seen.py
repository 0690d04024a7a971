"""What is seen of one input: what was answered, logged, sent and raised, and how long it took."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy
from oauthlib.oauth2 import TokenExpiredError
from requests import PreparedRequest

from flask_dance_nosql.consumer import oauth_error
from flask_dance_nosql.consumer.signals import token_refresh_failed, token_save_failed
from flask_dance_nosql.errors import CorruptToken, TokenRefreshError

THREAD = "fuzz"
DETAILS = " (details)"
"""After the name of a logger, for what a record has beside its message."""

LIMIT_SECONDS = 60.0
"""After how long an input counts as one that hangs.

Most take some milliseconds, and on a machine with other work some seconds now and then.
"""

DOCUMENTED = (CorruptToken, TokenRefreshError, TokenExpiredError)
"""What an application has to expect of a token that it reads or calls the provider with."""


class Answer(NamedTuple):
    """What a view answered."""

    path: str
    status: int
    location: str | None


class Text(NamedTuple):
    """A text that somebody gets to see: where it was, and what it says."""

    source: str
    text: str


@dataclass
class Seen:
    """All that was seen of one input.

    Attributes:
        secrets: What nobody may get to see.
        answers: What the application's views answered.
        errors: What was raised and is documented nowhere.
        texts: Log records, the arguments of signals, and the messages of documented errors.
        given: The tokens that the first of two users was given, or that went out in their name.
        sent: The requests to the provider, and to whomever else.
        wrong: What else was not as it has to be.
        hangs_at: Where it hangs, if it does.
    """

    secrets: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    sent: list[PreparedRequest] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    hangs_at: str | None = None

    def note(self, error: BaseException) -> None:
        """Note a documented error, with all that caused it."""
        cause: BaseException | None = error
        while cause is not None:
            self.texts.append(Text(f"{type(error).__name__}", f"{cause} {cause!r}"))
            cause = cause.__cause__


class Surface(NamedTuple):
    """Something that others decide: what may come in there, and what is done with one input."""

    inputs: SearchStrategy[Any]
    run: Callable[[Any, Seen], object]


def observe(surface: Surface, given: Any) -> Seen:
    """Try one input, in a thread that is waited for some seconds, and return what was seen."""
    seen = Seen()

    def run() -> None:
        try:
            surface.run(given, seen)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            seen.errors.append(error)

    before = set(threading.enumerate())
    with listening(seen):
        thread = Thread(target=run, name=THREAD, daemon=True)
        thread.start()
        thread.join(LIMIT_SECONDS)
        if thread.is_alive():
            frame = sys._current_frames().get(thread.ident or 0)
            seen.hangs_at = "".join(traceback.format_stack(frame)[-8:])
    for other in set(threading.enumerate()) - before - {thread}:
        # A token that can't be stored is tried again, which none of the inputs is a reason for.
        other.join(10)
        if other.is_alive():
            seen.wrong.append(f"the thread {other.name} goes on")
    return seen


class _Collector(logging.Handler):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._texts = seen.texts

    def emit(self, record: logging.LogRecord) -> None:
        # A message that can't be formatted is shown by its parts, as logging itself does.
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - whatever an argument's own code raises
            message = f"{record.msg} {error!r}"
        error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._texts.append(Text(record.name, message))
        self._texts.append(Text(f"{record.name}{DETAILS}", f"{record.args!r} {error}"))


@contextmanager
def listening(seen: Seen) -> Iterator[None]:
    """Collect the records of all loggers, at every level, and what signals tell of failures."""
    root, handler = logging.getLogger(), _Collector(seen)
    level = root.level
    signals = (oauth_error, token_refresh_failed, token_save_failed)

    def hear(sender: Any, **arguments: Any) -> None:
        told = [value for name, value in arguments.items() if name.startswith("error")]
        seen.texts += [Text("signal", value) for value in told if value is not None]

    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for signal in signals:
        signal.connect(hear)
    try:
        yield
    finally:
        for signal in signals:
            signal.disconnect(hear)
        root.setLevel(level)
        root.removeHandler(handler)
