"""A login replaces and a revocation removes a token, each in its turn with refreshes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ...errors import BackendError, BackendUnavailable, CorruptToken, UserRequired, VersionConflict
from ..backend.base import NOTHING, StoredToken, TokenSlot, digest_of
from ..backend.store.values import Token
from ..signals import token_deleted, token_recovered
from ..token import same_account, with_granted
from ..token_endpoint import TokenEndpoint
from .attempt import RefreshingBlueprint
from .flights import LEASE_SECONDS
from .remembered import failure_of

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
            turn = stack.enter_context(flights.turn(slot, wait))
            is_ours = turn != "taken"
            if turn == "own":
                # A hook or a receiver of this thread's own refresh must not wait for its lease.
                wait = 0.0
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


def store_login(
    blueprint: RefreshingBlueprint, slot: TokenSlot, token: Token, *, takes_turns: bool
) -> StoredToken:
    """Store a new token in place of whatever the slot has, unreadable records included.

    If it comes without a refresh token, the stored one is kept, unless it may be of another account
    at the provider. Google, for one, sends it at the first consent only. ``takes_turns`` says
    whether the blueprint's tokens are refreshed or revoked. Raises what :meth:`TokenSlot.write`
    does.
    """
    flights = blueprint.flights
    if not takes_turns and token.get("refresh_token"):
        return slot.write(token)
    with turn_of(blueprint, slot, locks=takes_turns) as (_, stored):
        previous = None if stored is None else stored.token
        if stored is None:
            log.warning(
                "The record of provider %r that can't be read is replaced by a new login.",
                blueprint.name,
            )
        elif previous is not None and same_account(previous, token, default=slot.is_person):
            token = with_granted(previous, token)
            kept = (flights.newest(slot, previous) or {}).get("refresh_token")
            if kept and not token.get("refresh_token"):
                token = {**token, "refresh_token": kept}
        written = slot.write(token)
    # Whatever was said of its refresh token before, the provider stands by it now.
    for known in (flights.failures, flights.exchanges):
        known.remove(digest_of(token.get("refresh_token")))
    if previous is not None and previous.get("refresh_token") != token.get("refresh_token"):
        flights.rescue.settle_slot(slot)
        flights.forget(previous)
    failure = failure_of(stored)
    if failure is not None:
        token_recovered.send(blueprint, user_id=slot.user_id, failure=failure)
    return written


def revoke(blueprint: RefreshingBlueprint, endpoint: TokenEndpoint | None, slot: TokenSlot) -> bool:
    """Revoke what the provider has issued last for a slot, and then empty the slot.

    Source: RFC 7009 section 2. Without an endpoint nothing is revoked.

    Returns:
        Whether the provider has confirmed that nothing is left. It is ``False``, and a warning is
        logged, if it has not, if the record can't be read, or if somebody else's refresh takes too
        long; that one then revokes what it gets.
    """
    with turn_of(blueprint, slot) as (is_ours, stored):
        if not is_ours:
            log.warning(
                "A token of provider %r is revoked while it is being refreshed.", blueprint.name
            )
        is_over = False
        try:
            is_over = is_ours and _revoke_and_erase(blueprint, endpoint, slot, stored)
            if not is_ours and stored is not None:
                _revoke_known(blueprint, endpoint, slot, stored)
        finally:
            # Whatever went wrong, the token goes.
            if not is_over:
                slot.erase()
        blueprint.flights.rescue.settle_slot(slot)
    token_deleted.send(blueprint, user_id=slot.user_id)
    return is_over


def _revoke_and_erase(
    blueprint: RefreshingBlueprint,
    endpoint: TokenEndpoint | None,
    slot: TokenSlot,
    stored: StoredToken | None,
) -> bool:
    """Revoke and remove what is stored, and whatever takes its place meanwhile."""
    is_confirmed, revoked = True, None
    for _ in range(_ROUNDS):
        if stored is None:
            log.warning(
                "A record of provider %r that can't be read is removed, and nothing is revoked.",
                blueprint.name,
            )
            return False
        if stored.issued != revoked:
            revoked = stored.issued
            is_confirmed &= _revoke_known(blueprint, endpoint, slot, stored)
        try:
            slot.erase(stored)
        except VersionConflict:
            try:
                stored = slot.read(fresh=True)
            except CorruptToken:
                stored = None
            continue
        return is_confirmed
    return False


def _revoke_known(
    blueprint: RefreshingBlueprint,
    endpoint: TokenEndpoint | None,
    slot: TokenSlot,
    stored: StoredToken,
) -> bool:
    if stored.token is None:
        return True
    newest = blueprint.flights.newest(slot, stored.token)
    is_confirmed = newest is None or (endpoint is not None and endpoint.revoke(newest))
    blueprint.flights.forget(newest, is_revoked=is_confirmed)
    return is_confirmed
