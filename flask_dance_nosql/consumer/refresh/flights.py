"""What the threads of one process know of each other's refreshes."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from ...process import PerProcess
from ..backend.base import TokenSlot, digest_of, issued_digest
from ..backend.store.values import Token
from ..refusal import Refusal
from ..token import ends_later, renewed
from .rescue import Exchange, Rescue

V = TypeVar("V")

MAX_RECENT = 10_000
# After how long others go on if a process dies while it has the turn of a slot.
LEASE_SECONDS = 30.0
# How long nobody tries again to refresh a token after it has failed.
RETRY_SECONDS = 10.0
# How long nobody asks again for a token that has ended, after a refusal that will not change.
REFUSED_SECONDS = 60.0

Turn = Literal["ours", "own", "taken"]
"""Whose turn it is: the caller's; the same thread's, further up; or another thread's."""


class _Owned:
    """A lock that knows which thread holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None


class KeyedLocks:
    """A lock for each key, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: WeakValueDictionary[Hashable, _Owned] = WeakValueDictionary()

    @contextmanager
    def held(self, key: Hashable, seconds: float) -> Iterator[Turn]:
        """Hold a key's lock, waiting for it at most this long. Gives whose it is.

        A thread that holds it already does not get it again, and does not wait for itself.
        """
        with self._mutex:
            owned = self._locks.get(key)
            if owned is None:
                owned = self._locks[key] = _Owned()
        me = threading.get_ident()
        if owned.owner == me:
            yield "own"
        elif not owned.lock.acquire(timeout=seconds):
            yield "taken"
        else:
            owned.owner = me
            try:
                yield "ours"
            finally:
                owned.owner = None
                owned.lock.release()


class Recent(Generic[V]):
    """The newest entries of a mapping, at most 10,000. Safe under threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def get(self, key: str) -> tuple[float, V] | None:
        """Return when an entry was made, by the monotonic clock, and what it is."""
        return self._entries.get(key)

    def put(self, key: str, value: V) -> None:
        """Make an entry; the oldest leaves if there are too many."""
        with self._mutex:
            self._entries.pop(key, None)
            self._entries[key] = (time.monotonic(), value)
            if len(self._entries) > MAX_RECENT:
                self._entries.popitem(last=False)

    def remove(self, key: str) -> None:
        """Remove an entry, if there is one."""
        with self._mutex:
            self._entries.pop(key, None)

    def change(self, change: Callable[[V], V | None]) -> None:
        """Replace each entry by what a function makes of it; ``None`` removes it."""
        with self._mutex:
            changed = ((key, at, change(value)) for key, (at, value) in self._entries.items())
            kept = [(key, (at, value)) for key, at, value in changed if value is not None]
            self._entries = OrderedDict(kept)


_NOBODYS = Exchange(None, rotates=True)


class Flights:
    """The refreshes of one blueprint in one process.

    Attributes:
        locks: One for each slot, and one for each refresh token, in use.
        exchanges: What refresh tokens were exchanged for, by their digests. With it a refresh token
            is sent once, also where an old copy of it turns up: in a cookie, in a record of another
            owner, or in a store that has not taken the new one.
        issued: What was got for them, by the digest of what the provider has issued: it tells when.
        failures: Why refresh tokens could not be exchanged, by their digests.
        forced: Access tokens, by their digests, that the API has refused although they should work.
        rescue: New tokens that the backend has refused.
    """

    def __init__(self) -> None:
        self.locks = KeyedLocks()
        self.exchanges: Recent[Exchange] = Recent()
        self.issued: Recent[bool] = Recent()
        self.failures: Recent[Refusal] = Recent()
        self.forced: Recent[bool] = Recent()
        self.rescue = Rescue()

    def turn(self, slot: TokenSlot, seconds: float) -> Any:
        """Take the turn of a slot among the threads of this process, as a context manager."""
        # Where owners are not told apart, others take turns for each refresh token.
        return self.locks.held(slot.name or threading.get_ident(), seconds)

    def newest(self, slot: TokenSlot, token: Token, since: float = math.inf) -> Token | None:
        """Return what is known to be issued in place of a token, with what the token had before.

        That is the token itself if nothing is known, and ``None`` if it is nobody's any more. What
        leaves the refresh token as it was counts if it ends later, or was issued since a moment.
        """
        seen = set()
        while (sent := token.get("refresh_token")) and (digest := digest_of(sent)) not in seen:
            seen.add(digest)
            entry = self.exchanges.get(digest)
            known = entry[1] if entry is not None else self.rescue.get(slot, digest)
            if known is None:
                break
            if known.issued is None:
                return None
            if not known.rotates and not ends_later(known.issued, token):
                is_other = issued_digest(known.issued) != issued_digest(token)
                if not is_other or not self.was_issued_since(known.issued, since):
                    break
            token = renewed(token, known.issued)
        return token

    def was_issued_since(self, token: Token, moment: float) -> bool:
        """Whether the provider has issued a token to this process since a moment."""
        at, _ = self.issued.get(issued_digest(token)) or (-math.inf, None)
        return at >= moment

    def failure_of(self, sent: str, moment: float, *, works: bool) -> Refusal | None:
        """Return why a refresh token was refused, if it is too early at a moment to ask again.

        ``works`` says whether the token that it came with can still be used.
        """
        at, failure = self.failures.get(digest_of(sent)) or (-math.inf, None)
        is_lasting = failure is not None and failure.is_definite and not works
        pause = REFUSED_SECONDS if is_lasting else RETRY_SECONDS
        return failure if moment - at < pause else None

    def was_refused(self, token: Token) -> bool:
        """Whether the provider has just refused a refresh token in a way that will not change."""
        failure = self.failure_of(token["refresh_token"], time.monotonic(), works=False)
        return failure is not None and failure.is_definite

    def was_forced(self, token: Token) -> bool:
        """Whether the API has refused a token already although it should work."""
        return self.forced.get(digest_of(token.get("access_token"))) is not None

    def mark_forced(self, token: Token | None) -> None:
        """Remember that it has."""
        self.forced.put(digest_of((token or {}).get("access_token")), True)

    def remember(self, slot: TokenSlot, sent: str, issued: Token) -> Exchange:
        """Remember what a refresh token was exchanged for."""
        exchange = Exchange(issued, rotates=issued.get("refresh_token", sent) != sent)
        self.issued.put(issued_digest(issued), True)
        # One that can be used again need not be remembered where each request reads the new token.
        if exchange.rotates or not slot.is_shared:
            self.exchanges.put(digest_of(sent), exchange)
        return exchange

    def forget(self, token: Token | None, *, is_revoked: bool = False) -> None:
        """Give a token that was removed to nobody any more who has a copy of its predecessors.

        If it was revoked, too, it is not sent again either.
        """
        last = (token or {}).get("refresh_token")
        if not last:
            return

        def change(exchange: Exchange) -> Exchange | None:
            if (exchange.issued or {}).get("refresh_token") != last:
                return exchange
            return _NOBODYS if exchange.rotates else None

        self.exchanges.change(change)
        if is_revoked:
            self.exchanges.put(digest_of(last), _NOBODYS)


_of_backends: WeakKeyDictionary[Any, PerProcess[Flights]] = WeakKeyDictionary()


def flights_of(backend: object) -> PerProcess[Flights]:
    """Return what gives the flights of a backend: blueprints that share it share them."""
    made = PerProcess(Flights)
    try:
        return _of_backends.setdefault(backend, made)
    except TypeError:
        # It can't be a key.
        return made
