"""A cache of Flask-Caching or cachelib, which may be shared by several processes."""

from __future__ import annotations

import logging
import secrets
import time
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeGuard
from urllib.parse import quote

import msgspec

from ....errors import ConfigurationError
from ..store.document import TokenDocument
from ..store.driver import Remembered
from .base import Found, Name, Ticket, TokenCache

log = logging.getLogger(__name__)

# When a turn is gone, the entry is ignored and the store is asked.
TURN_SECONDS = 7 * 24 * 3600

_QUIET_SECONDS = 60.0
_LONGEST_NAME = 200
_METHODS = ("get", "set", "add", "get_many", "delete_many")


class Entry(msgspec.Struct):
    """What is in the cache: a document or ``None``, its turn, and the name it was stored for."""

    turn: str
    of: str
    document: TokenDocument | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class SharedCache(TokenCache):
    """Keeps documents in any cache that has ``get``, ``set``, ``add``, and the two for many names.

    Such a cache has no compare-and-set, and may lose any value at any time. So each key has a
    *turn* beside its entry, a random text, and an entry counts only if it has the current turn. A
    reader stores what it found with the turn that it saw before it asked the store. A writer sets a
    new turn when it is done, after which entries with the old one are ignored.

    Errors of the cache are logged, at most once a minute, and never raised. When a new turn can't
    be set, this process ignores the entry until it can.
    """

    def __init__(self, cache: Any) -> None:
        if not all(callable(getattr(cache, name, None)) for name in _METHODS):
            raise ConfigurationError(
                "cache takes a LocalCache, a Cache of Flask-Caching or a cache of cachelib. "
                f"This is a {type(cache).__name__}."
            )
        self._cache = cache
        self._memory = _memory_of(cache)
        self._unsettled = self._memory.unsettled

    def look(self, name: Name) -> tuple[bool, Found, Ticket]:
        """Return whether there is an entry, its document, and the key's turn if not."""
        try:
            if self._unsettled and (mark := self._unsettled.get(name)) is not None:
                self._begin_turn(name, mark)
            of, entry_name, turn_name = _names(name)
            text, turn = self._cache.get_many(entry_name, turn_name)
            if not _is_turn(turn):
                return False, None, self._first_turn(turn_name)
        except Exception as error:  # noqa: BLE001 - whatever a cache raises, the store has it
            self._warn("read", error)
            return False, None, None
        entry = None if text is None else self._entry(name, of, text)
        if entry is None or entry.turn != turn:
            return False, None, turn
        return True, entry.document, None

    def fill(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Keep what a reader has found, as of the turn that it saw."""
        # These caches count whole seconds, and take 0 for "without end".
        if not isinstance(ticket, str) or seconds < 1:
            return
        try:
            of, entry_name, _ = _names(name)
            text = _encode(Entry(ticket, of, document)).decode()
            self._cache.set(entry_name, text, timeout=int(seconds))
        except Exception as error:  # noqa: BLE001 - as above
            self._warn("fill", error)

    def begin(self, name: Name) -> Ticket:  # noqa: ARG002 - only the end of a write counts here
        """Return nothing: a writer needs no ticket here."""
        return None

    def end(
        self,
        name: Name,
        ticket: Ticket,  # noqa: ARG002 - as above
        document: Found,  # noqa: ARG002 - the next reader fills it in
        seconds: float,  # noqa: ARG002 - as above
    ) -> None:
        """Set a new turn, so that entries made before are ignored."""
        mark = self._unsettled[name] = object()
        try:
            self._begin_turn(name, mark)
        except Exception as error:  # noqa: BLE001 - as above
            # Another writer may have removed the mark in the meantime.
            self._unsettled[name] = mark
            self._warn("write", error)

    def gone(self, name: Name, ticket: Ticket, seconds: float) -> None:
        """Set a new turn, and then remove it together with the entry.

        Entries without a turn are ignored, those included that a slow reader makes.
        """
        self.end(name, ticket, None, seconds)
        try:
            _, entry_name, turn_name = _names(name)
            self._cache.delete_many(turn_name, entry_name)
        except Exception as error:  # noqa: BLE001 - as above
            self._warn("delete", error)

    def learn(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Do as :meth:`end` does, or as :meth:`gone` if there is no document."""
        if document is None:
            self.gone(name, ticket, seconds)
        else:
            self.end(name, ticket, document, seconds)

    def _begin_turn(self, name: Name, mark: object) -> None:
        turn_name, turn = _names(name)[2], _new_turn()
        said = self._cache.set(turn_name, turn, timeout=TURN_SECONDS)
        # Some caches return nothing whether they succeed or not.
        if not said and self._cache.get(turn_name) != turn:
            raise CacheError("it did not take a value")
        if self._unsettled.get(name) is mark:
            self._unsettled.pop(name, None)

    def _first_turn(self, turn_name: str) -> Ticket:
        self._cache.add(turn_name, _new_turn(), timeout=TURN_SECONDS)
        # Another reader may have been first.
        turn = self._cache.get(turn_name)
        if _is_turn(turn):
            return turn
        # Some caches add nothing in place of an expired value, or the value is no turn.
        self._cache.set(turn_name, _new_turn(), timeout=TURN_SECONDS)
        turn = self._cache.get(turn_name)
        if turn is not None and not isinstance(turn, str):
            raise CacheError(f"it has a {type(turn).__name__} where text should be")
        return turn

    def _entry(self, name: Name, of: str, text: Any) -> Entry | None:
        """Return an entry, or ``None`` if it can't be one, so that the next fill replaces it."""
        try:
            if not isinstance(text, str):
                raise CacheError(f"it has a {type(text).__name__} where text should be")
            entry = _decode(text)
            document = entry.document
            if entry.of != of or not (document is None or document.is_of(name[1])):
                raise CacheError("it has another owner's entry")
        except (CacheError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._warn("read", error)
            return None
        return entry

    def _warn(self, what: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._memory.warned_at >= _QUIET_SECONDS:
            self._memory.warned_at = now
            # Its message may have the entry in it, and thus a token.
            told = error if isinstance(error, CacheError) else type(error).__name__
            log.warning(
                "The token cache could not %s (%s). The store is asked instead.", what, told
            )


class CacheError(Exception):
    """A cache does not do what it should."""


class _Memory:
    """What this process remembers of a cache, for all backends that use it."""

    def __init__(self) -> None:
        # The names whose new turn could not be set, each with a mark of the last write.
        self.unsettled: dict[Name, object] = {}
        self.warned_at = float("-inf")


_memory_of = Remembered(lambda _: _Memory())


@lru_cache(maxsize=1024)
def _names(name: Name) -> tuple[str, str, str]:
    """Return the text of a name, which no other has, and the names of its entry and its turn."""
    place, key = name
    of = f"{quote(place)}:{key.text}"
    short = sha256(of.encode()).hexdigest() if len(of) > _LONGEST_NAME else of
    # Both in one slot of a cluster.
    stem = f"flask_dance:{{{short}}}"
    return of, f"{stem}:token", f"{stem}:turn"


def _is_turn(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.isascii()


def _new_turn() -> str:
    return secrets.token_urlsafe(12)
