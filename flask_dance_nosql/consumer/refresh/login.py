"""Stores the token of a login, in turn with whoever refreshes or revokes the last one."""

from __future__ import annotations

import logging

from ..backend.base import StoredToken, TokenSlot
from ..backend.store.values import Token
from ..token import same_account
from .attempt import RefreshingBlueprint
from .turns import turn_of

log = logging.getLogger(__name__)


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
        elif previous is not None and not token.get("refresh_token"):
            kept = (flights.newest(slot, previous) or {}).get("refresh_token")
            if kept and same_account(previous, token, default=slot.is_person):
                token = {**token, "refresh_token": kept}
        written = slot.write(token)
    if previous is not None and previous.get("refresh_token") != token.get("refresh_token"):
        flights.rescue.settle_slot(slot)
        flights.forget(previous)
    return written
