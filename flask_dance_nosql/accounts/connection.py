"""What may be shown of a user's account at a provider."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ..consumer.backend.store.document import RefreshFailure
from ..consumer.backend.store.values import Token
from ..consumer.oauth1 import OAuth1ConsumerBlueprint
from ..consumer.refresh.remembered import failure_of
from ..consumer.token import can_be_refreshed, scopes_of, token_status
from ..errors import CorruptToken
from .profile import known_profile

State = Literal["connected", "expiring", "ended", "unreadable"]
"""How an account stands: it works, it ends within a day, it needs a new login, it can't be read."""

_SOON = 86400.0
_MAX_SCOPES, _MAX_SCOPE = 50, 200
# A store may note the two times of one write a moment apart.
_SAME_TIME = timedelta(seconds=1)


@dataclass(frozen=True)
class Connection:
    """An account of a user, without anything secret.

    Attributes:
        provider: The blueprint's name.
        account: The account's id, or ``None`` for the token that is kept without one.
        state: ``"connected"``, ``"expiring"`` (within a day), ``"ended"`` (it needs a new login) or
            ``"unreadable"``.
        name: What the account is called, as far as that is known.
        picture: The URL of a picture, or ``None``.
        scopes: What the provider has granted.
        since: When it was connected, as aware UTC time; ``None`` if the backend does not tell.
        renewed: When it was last refreshed or connected anew, likewise; ``None`` if it was not.
        is_in_use: Whether it is the one of several accounts with which calls are made.
        can_be_chosen: Whether it is another of several accounts, and has a token that can be read.

    .. versionadded:: 1.0
    """

    provider: str
    account: str | None
    state: State
    name: str | None = None
    picture: str | None = None
    scopes: tuple[str, ...] = ()
    since: datetime | None = None
    renewed: datetime | None = None
    is_in_use: bool = False
    can_be_chosen: bool = False


def connections_of(blueprint: Any) -> list[Connection]:
    """Return the current user's accounts at a blueprint's provider, the newest first.

    Raises:
        ConfigurationError: If the backend keeps no token for each user.
        BackendUnavailable: If the store did not answer.
    """
    accounts = blueprint.account_ids() if blueprint.several_accounts else [None]
    known = [each for each in (_read(blueprint, account) for account in accounts) if each]
    if len(known) > 1:
        used = blueprint.slot().key.account
        known = [
            replace(
                each,
                is_in_use=each.account == used,
                can_be_chosen=each.account != used and each.can_be_chosen,
            )
            for each in known
        ]
    else:
        known = [replace(each, can_be_chosen=False) for each in known]
    return sorted(known, key=lambda each: -each.since.timestamp() if each.since else 0.0)


def _read(blueprint: Any, account: str | None) -> Connection | None:
    name = blueprint.name
    try:
        stored = blueprint.account(account).slot().read()
    except CorruptToken:
        return Connection(name, account, "unreadable", name=account)
    token, document = stored.token, stored.document
    if token is None and (document is None or not document.grant_ended):
        return None
    profile = None if token is None else known_profile(blueprint, token)
    since = None if document is None else document.created_at
    written = None if document is None else document.updated_at
    is_renewed = since is not None and written is not None and written - since > _SAME_TIME
    return Connection(
        name,
        account,
        # The provider has ended the grant, and a record is left to tell.
        "ended" if token is None else _state_of(blueprint, token, failure_of(stored)),
        name=(profile and (profile.name or profile.email)) or account,
        picture=None if profile is None else profile.picture,
        scopes=() if token is None else _scopes_in(token),
        since=since,
        renewed=written if is_renewed and token is not None else None,
        can_be_chosen=token is not None,
    )


def _state_of(blueprint: Any, token: Token, failure: RefreshFailure | None) -> State:
    if isinstance(blueprint, OAuth1ConsumerBlueprint):
        return "connected" if token.get("oauth_token") else "ended"
    if can_be_refreshed(token) and blueprint.refresh_url:
        # By this process or, as the failure that is kept with the token tells, by another one.
        was_refused = blueprint.flights.was_refused(token) or (failure and failure.needs_login)
        if not was_refused:
            return "connected"
    status = token_status(token, _SOON, token.get("expires_in"))
    states: dict[str, State] = {"active": "connected", "expiring": "expiring"}
    return states.get(status, "ended")


def _scopes_in(token: Token) -> tuple[str, ...]:
    scopes = scopes_of(token.get("scope"))[:_MAX_SCOPES]
    return tuple(each[:_MAX_SCOPE] for each in scopes if each.isprintable())
