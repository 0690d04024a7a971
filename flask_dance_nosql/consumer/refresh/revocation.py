"""Ends a grant at the provider, and removes its token here."""

from __future__ import annotations

import logging

from ...errors import CorruptToken, VersionConflict
from ..backend.base import StoredToken, TokenSlot
from ..signals import token_deleted
from ..token_endpoint import TokenEndpoint
from .attempt import RefreshingBlueprint
from .turns import turn_of

log = logging.getLogger(__name__)

_ROUNDS = 5


def revoke(blueprint: RefreshingBlueprint, endpoint: TokenEndpoint, slot: TokenSlot) -> bool:
    """Revoke what the provider has issued last for a slot, and then empty the slot.

    Source: RFC 7009 section 2.

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
        is_over = is_ours and _revoke_and_erase(blueprint, endpoint, slot, stored)
        if not is_ours and stored is not None:
            _revoke_known(blueprint, endpoint, slot, stored)
        if not is_over:
            slot.erase()
        blueprint.flights.rescue.settle_slot(slot)
    token_deleted.send(blueprint, user_id=slot.user_id)
    return is_over


def _revoke_and_erase(
    blueprint: RefreshingBlueprint,
    endpoint: TokenEndpoint,
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
    blueprint: RefreshingBlueprint, endpoint: TokenEndpoint, slot: TokenSlot, stored: StoredToken
) -> bool:
    if stored.token is None:
        return True
    newest = blueprint.flights.newest(slot, stored.token)
    is_confirmed = newest is None or endpoint.revoke(newest)
    blueprint.flights.forget(newest, is_revoked=is_confirmed)
    return is_confirmed
