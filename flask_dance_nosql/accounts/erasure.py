"""Being forgotten, and being told what is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import has_request_context

from ..consumer.app_backends import app_stores
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.scoped_slot import StoreSlot
from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..consumer.backend.store.values import id_text
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..consumer.oidc.blueprint import OIDCConsumerBlueprint
from ..consumer.refresh.flights import flights_of
from ..consumer.refresh.turns import revoke as revoke_slot
from ..consumer.token import end_date, granted_scope
from ..consumer.token_endpoint import TokenEndpoint
from ..errors import BackendError, ConfigurationError, CorruptToken, ErasureIncomplete
from .profile import AccountProfile, profile_in

log = logging.getLogger(__name__)

UNREADABLE = "its record can't be read"
ENDED = "the time of its record is up"
_NOT_ASKED = "it was not asked for"
_UNCONFIRMED = "the provider has not confirmed it"
_NO_BLUEPRINT = "the app has no blueprint of that name with this backend"
_NO_ENDPOINT = "the blueprint has no revocation endpoint"
_OAUTH1 = "OAuth 1 knows no revocation"
# A login may come while the last records are removed.
_ROUNDS = 3


@dataclass(frozen=True)
class ErasedAccount:
    """A user's token at a provider that :func:`forget_user` was about.

    Attributes:
        provider: The blueprint's name.
        account: The account's id, or ``None`` where a user has one token for each provider.
        reason: Why its grant was not revoked, as a part of a sentence, or ``None``.
    """

    provider: str
    account: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Erasure:
    """What :func:`forget_user` has found and done. Nothing in it is secret.

    Attributes:
        user_id: Whose, as text.
        found: Every token that there was a record of, those that can't be read included.
        revoked: Those whose grants the provider has confirmed to be over.
        not_revoked: The others, each with its reason: the grant may live on at the provider.
        removed: Those whose records are gone.

    .. versionadded:: 1.0
    """

    user_id: str
    found: tuple[ErasedAccount, ...] = ()
    revoked: tuple[ErasedAccount, ...] = ()
    not_revoked: tuple[ErasedAccount, ...] = ()
    removed: tuple[ErasedAccount, ...] = ()


def forget_user(user_id: Any, revoke: bool = True) -> Erasure:
    """Remove everything of a user from the backends of the current app's blueprints.

    That is each token of each provider and account, records that can't be read included, the
    entries that say whose an account is, locks, what caches have, and refreshed tokens that wait
    for their store. A refresh that is in flight is waited for, and stores nothing afterwards. Of a
    provider without a blueprint, which shares a backend with those that there are, the records are
    removed, too, but nothing can be revoked.

    End the user's sessions first: who is still logged in may connect anew. It reads the whole
    store, so that it is a job for the background where there are many users. It may be called
    again at any time.

    Args:
        user_id: The user's id: a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``.
        revoke: Whether to end the grants at the providers; default: yes. A provider that does not
            answer keeps nothing from being removed.

    Returns:
        What was found and done.

    Raises:
        ErasureIncomplete: If a store did not do it. The others have, and the error's ``erasure``
            says what was done. Call it again.
        TypeError, ValueError: If the id can't be one.

    .. versionadded:: 1.0
    """
    erasing = _Erasing(id_text(user_id), revoke)
    backends, failures = app_stores(), {}
    # Several backends may have one store: each grant is revoked by its own blueprint first.
    for step in (erasing.end_own, erasing.erase):
        for backend, blueprints in backends:
            try:
                step(backend, blueprints)
            except BackendError as error:
                failures[id(backend)] = error
    erasure = erasing.result()
    if failures:
        errors = list(failures.values())
        raise ErasureIncomplete(erasure, [str(each) for each in errors]) from errors[0]
    return erasure


def export_user(user_id: Any) -> dict[str, Any]:
    """Return what the backends of the current app's blueprints keep of a user; no secrets.

    Args:
        user_id: As of :func:`forget_user`.

    Returns:
        What JSON can hold: the ``user_id``, and for each of the ``accounts`` its ``provider``,
        ``account``, ``profile``, ``scopes``, and as texts of ISO 8601 when it was ``created_at``
        and ``updated_at``, ``expires_at``, the end of the access token, and ``kept_until``, that of
        the record; ``None`` for what is not known. ``is_readable`` is false for a record that
        can't be read, which has no more than provider and account.

    Raises:
        BackendUnavailable: If a store did not answer.
        TypeError, ValueError: If the id can't be one.

    .. versionadded:: 1.0
    """
    text, accounts = id_text(user_id), []
    found: dict[tuple[str, TokenKey], tuple[UserScopedBackend, Any]] = {}
    for backend, blueprints in app_stores():
        for key in backend.store.keys(None, text):
            # Of several backends with one store, that of the blueprint can read the record.
            name, blueprint = (backend.store.place, key), blueprints.get(key.provider)
            if blueprint is not None or name not in found:
                found[name] = backend, blueprint
    for (_, key), (backend, blueprint) in sorted(found.items(), key=lambda each: each[0][1].text):
        try:
            document = backend.store.load_fresh(key)
        except CorruptToken:
            account = {"provider": key.provider, "account": key.account, "is_readable": False}
        else:
            if document is None:
                continue
            account = _exported(document, blueprint)
            if "updated_at" not in backend.store.kept_fields:
                account["updated_at"] = None
        accounts.append(account)
    return {"user_id": text, "accounts": accounts}


class _Erasing:
    """One erasure, on one backend after the other."""

    def __init__(self, user_id: str, revokes: bool) -> None:
        self.user_id = user_id
        self._revokes = revokes
        self._found: dict[TokenKey, str | None] = {}
        self._removed: set[TokenKey] = set()
        # What each backend has had, which its cache or its locks may have still.
        self._keys: dict[int, set[TokenKey]] = {}

    def end_own(self, backend: UserScopedBackend, blueprints: dict[str, Any]) -> None:
        """End the grants of a backend's own blueprints."""
        self._end_all(backend, blueprints, lambda key: key.provider in blueprints)

    def erase(self, backend: UserScopedBackend, blueprints: dict[str, Any]) -> None:
        """Remove everything else that a backend has of the user."""
        self._end_all(backend, blueprints, lambda _: True)
        keys = self._keys[id(backend)] | {TokenKey(name, self.user_id) for name in blueprints}
        flights_of(backend).get().rescue.settle_user(self.user_id)
        backend.store.forget(self.user_id, keys)
        self._removed |= keys & self._found.keys()
        for blueprint in blueprints.values():
            self._forget_visitor(blueprint)

    def _end_all(
        self,
        backend: UserScopedBackend,
        blueprints: dict[str, Any],
        is_wanted: Callable[[TokenKey], bool],
    ) -> None:
        for _ in range(_ROUNDS):
            found = [key for key in backend.store.keys(None, self.user_id) if is_wanted(key)]
            self._keys.setdefault(id(backend), set()).update(found)
            for key in found:
                self._found.setdefault(key, None)
                self._end(backend, key, blueprints.get(key.provider))
            if not found:
                break

    def _end(self, backend: UserScopedBackend, key: TokenKey, blueprint: Any) -> None:
        """Revoke one grant if that is possible, and remove its record in any case."""
        slot = StoreSlot(backend, key, is_person=True)
        self._found[key] = end_grant(blueprint, slot, revokes=self._revokes)

    def _forget_visitor(self, blueprint: Any) -> None:
        """Have the current request forget the user's token, too, if it is theirs."""
        blueprint.forget_token()
        if has_request_context():
            # Whatever a function of yours raises for a user who is gone.
            with suppress(Exception):
                if blueprint.slot(account=None).user_id == self.user_id:
                    blueprint.forget_visitor()

    def result(self) -> Erasure:
        """Return what was done."""

        def listed(keys: Iterable[TokenKey], *, tells: bool = False) -> tuple[ErasedAccount, ...]:
            return tuple(
                ErasedAccount(key.provider, key.account, self._found[key] if tells else None)
                for key in sorted(keys, key=lambda each: each.text)
            )

        done = self._removed
        return Erasure(
            self.user_id,
            found=listed(self._found),
            revoked=listed(key for key in done if self._found[key] is None),
            not_revoked=listed((k for k in done if self._found[k] is not None), tells=True),
            removed=listed(done),
        )


def end_grant(blueprint: Any, slot: StoreSlot, *, revokes: bool = True) -> str | None:
    """Revoke the grant of a slot if that is possible, and empty the slot in any case.

    Returns:
        Why the provider has not confirmed that the grant is over, as a part of a sentence, or
        ``None`` if it has.

    Raises:
        BackendError: If the store did not do it.
    """
    if blueprint is None:
        slot.erase()
        return _NO_BLUEPRINT if revokes else _NOT_ASKED
    is_over, reason = False, None
    try:
        endpoint, reason = _endpoint(blueprint, slot) if revokes else (None, _NOT_ASKED)
        is_over = revoke_slot(blueprint, endpoint, slot)
    except BackendError:
        raise
    except Exception as error:  # noqa: BLE001 - a setting of yours, or a receiver, may do anything
        reason = f"it failed with {type(error).__name__}"
        slot.erase()
    return reason or (None if is_over else _UNCONFIRMED)


def _endpoint(blueprint: Any, slot: StoreSlot) -> tuple[TokenEndpoint | None, str | None]:
    """Return where a token is revoked, or why it is not."""
    try:
        stored = slot.read(fresh=True)
    except CorruptToken:
        return None, UNREADABLE
    if stored.token is None:
        # Of a grant that the provider has ended nothing is left to revoke.
        has_ended = stored.document is not None and stored.document.grant_ended
        return None, None if has_ended else ENDED
    if not isinstance(blueprint, OAuth2ConsumerBlueprint):
        return None, _OAUTH1
    try:
        blueprint.endpoint_url("revocation_url")
    except ConfigurationError:
        return None, _NO_ENDPOINT
    return blueprint.session.token_endpoint(), None


def _exported(document: TokenDocument, blueprint: Any) -> dict[str, Any]:
    profile = profile_in(document.provider, document.token)
    if profile is None and isinstance(blueprint, OIDCConsumerBlueprint):
        claims = blueprint.claims_of(document.token)
        if claims is not None:
            profile = profile_in(
                document.provider, {"account_profile": {**claims, "id": claims["sub"]}}
            )
    return {
        "provider": document.provider,
        "account": document.account or document.provider_user_id,
        "is_readable": True,
        "profile": _told(profile),
        "scopes": granted_scope(document.token),
        "created_at": _iso(document.created_at),
        "updated_at": _iso(document.updated_at),
        "expires_at": _iso(end_date(document.token)),
        "kept_until": _iso(document.expires_at),
    }


def _told(profile: AccountProfile | None) -> dict[str, Any] | None:
    return None if profile is None else asdict(profile)


def _iso(moment: datetime | None) -> str | None:
    """Return a moment as text. The beginning of 1970 stands for one that the store keeps not."""
    return moment.isoformat() if moment is not None and moment.timestamp() > 0 else None
