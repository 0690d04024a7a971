"""The turn in which a login or a revocation finds what is stored, and replaces or removes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ...errors import BackendError, BackendUnavailable, CorruptToken, UserRequired
from ..backend.base import NOTHING, StoredToken, TokenSlot
from .attempt import RefreshingBlueprint
from .flights import LEASE_SECONDS, digest_of

log = logging.getLogger(__name__)

_ROUNDS = 10


@contextmanager
def turn_of(
    blueprint: RefreshingBlueprint, slot: TokenSlot, *, locks: bool = True
) -> Iterator[tuple[bool, StoredToken | None]]:
    """Take the turn of a slot, among threads and processes, and read what is there past any cache.

    Yields whether it is our turn, for it is not waited for without end; and what is stored, or
    ``None`` if it can't be read. With ``locks=False`` it only reads.
    """
    flights, wait = blueprint.flights, blueprint.turn_seconds
    with ExitStack() as stack:
        is_ours = True
        if locks:
            is_ours = stack.enter_context(flights.turn(slot, wait)) != "taken"
            try:
                is_ours &= stack.enter_context(slot.lease(LEASE_SECONDS, wait))
            except BackendUnavailable:
                raise
            except BackendError as error:
                log.warning("A token is written without its lock. %s", error)
                is_ours = False
        stored = _read(slot)
        for _ in range(_ROUNDS):
            sent = None if stored is None else (stored.token or {}).get("refresh_token")
            if not locks or not sent or slot.name is not None:
                break
            # The backend has no lease: a refresh holds the lock of the refresh token.
            turn = stack.enter_context(flights.locks.held(digest_of(sent), wait))
            is_ours &= turn != "taken"
            again = _read(slot)
            if turn != "ours" or again is None or again.issued == (stored and stored.issued):
                break
            stored = again
        yield is_ours, stored


def _read(slot: TokenSlot) -> StoredToken | None:
    try:
        return slot.read(fresh=True)
    except CorruptToken:
        return None
    except UserRequired:
        # Nobody has nothing. What follows says what can't be done for nobody.
        return NOTHING
