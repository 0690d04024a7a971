"""Keeps a token fresh: one caller exchanges its refresh token, the others take what they get."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from oauthlib.oauth2 import OAuth2Error
from requests import RequestException

from ..errors import BackendUnavailable, TokenRefreshError, TokenRevoked, VersionConflict
from .backend.slot import StoredToken
from .context import app_of_context
from .rescue import Refused
from .signals import (
    token_deleted,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
)
from .token import renewed, with_expires_at

if TYPE_CHECKING:
    from .requests import OAuth2Session

log = logging.getLogger(__name__)

Token = dict[str, Any]

LEASE_SECONDS = 30.0
"""After how long others go on if a process dies while it refreshes."""

_WITHOUT_TIMEOUT = 300.0
_MARGIN = 10.0

_ENDED = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token"})
"""The error of RFC 6749 section 5.2 for a grant that has ended, and what some providers say."""


def keep_fresh(session: OAuth2Session) -> None:
    """See to it that the session's token can be used, if there is a way to.

    A token that was assigned to the session is not stored: it need not be the current user's.

    Source: RFC 6749 section 6; RFC 9700 section 4.14 on rotation.

    Raises:
        TokenRefreshError: If the token has ended and the provider gives no new one.
        TokenRevoked: If the provider says that there will be none without a new login.
        BackendUnavailable: If the token has ended and the store did not answer.
    """
    status = session.token_status
    if status in ("active", "none") or not session.refreshable:
        return
    if not session.has_assigned_token:
        Refresh(session, is_dead=status == "expired").run()
    elif status == "expired":
        _refresh_assigned(session)


def _refresh_assigned(session: OAuth2Session) -> None:
    token = session.token or {}
    try:
        session.token = _exchanged(session, token)
    except (OAuth2Error, RequestException, ValueError) as error:
        raise TokenRefreshError(session.provider, _reason(error)) from error


class Refresh:
    """One attempt of one caller.

    Args:
        session: Whose token is near its end.
        is_dead: Whether it has ended.
    """

    def __init__(self, session: OAuth2Session, *, is_dead: bool) -> None:
        assert session.blueprint is not None  # noqa: S101 - a session without one has no stored token
        self._session = session
        self._blueprint = session.blueprint
        self._flights = session.blueprint.flights
        self._slot = session.blueprint.slot(**session.who)
        self._digest = cast(str, StoredToken(session.token).digest)
        self._is_dead = is_dead
        self._began = time.monotonic()
        self._is_done = False

    def run(self) -> None:
        """Refresh, or wait for who does. A token that still works is waited for by nobody."""
        if not self._is_dead and self._flights.failures.get(self._digest):
            return
        with self._flights.locks.held(self._digest, self._wait) as is_ours:
            if is_ours:
                self._take_turn()
            else:
                self._give_up()

    @property
    def _wait(self) -> float:
        """How many seconds to wait for somebody else's refresh."""
        if not self._is_dead:
            return 0.0
        timeout = self._blueprint.timeout
        parts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        return _MARGIN + sum(_WITHOUT_TIMEOUT if part is None else part for part in parts)

    def _give_up(self) -> None:
        if self._is_dead:
            raise TokenRefreshError(self._blueprint.name, "another refresh of it takes too long")

    def _take_turn(self) -> None:
        failure = self._flights.failures.get(self._digest)
        if failure is not None and failure[0] >= self._began:
            # Who has waited for a refresh shares in its failure.
            self._fail(failure[1], None)
            return
        try:
            with self._slot.lease(LEASE_SECONDS, self._wait) as is_ours:
                self._refresh(is_ours)
        except BackendUnavailable as error:
            self._go_without_store(error)

    def _go_without_store(self, error: BackendUnavailable) -> None:
        if self._is_done:
            return
        rescued = self._flights.rescue.get(self._digest)
        if rescued is not None:
            self._session.use(rescued)
        elif self._is_dead:
            raise error
        else:
            log.warning("A token of provider %r was not refreshed. %s", self._blueprint.name, error)

    def _refresh(self, is_leased: bool) -> None:
        seen = self._slot.current()
        if seen.token is None or self._is_fresh(seen.token, seen.digest):
            self._adopt(seen)
        elif not is_leased:
            self._give_up()
        else:
            known = self._successor(cast(str, seen.digest))
            new = self._exchange(seen) if known is None else known
            if new is not None:
                self._save(seen, new)
                if known is None:
                    self._send(token_refreshed)

    def _is_fresh(self, token: Token, digest: str | None) -> bool:
        """Whether this is another token than the caller had, and works, or can't be refreshed.

        One near its end will do: clocks differ, and callers must not refresh one after the other.
        """
        if digest == self._digest:
            return False
        return self._session.status_of(token) != "expired" or not token.get("refresh_token")

    def _adopt(self, stored: StoredToken) -> None:
        self._session.use(stored.token)
        self._is_done = True

    def _successor(self, digest: str) -> Token | None:
        recent = self._flights.successors.get(digest)
        return self._flights.rescue.get(digest) if recent is None else recent[1]

    def _exchange(self, seen: StoredToken) -> Token | None:
        token = seen.token or {}
        try:
            new = _exchanged(self._session, token)
        except (OAuth2Error, RequestException, ValueError) as error:
            if _reason(error) in _ENDED:
                self._accept_end(seen, error)
            else:
                self._fail(_reason(error), error)
            return None
        return new

    def _fail(self, reason: str, error: Exception | None) -> None:
        """Go on with a token that still works; else say that it could not be refreshed."""
        if error is not None:
            self._flights.failures.put(self._digest, reason)
            self._send(token_refresh_failed, error=reason)
            log.warning(
                "A token of provider %r could not be refreshed: %s", self._blueprint.name, reason
            )
        if self._is_dead:
            raise TokenRefreshError(self._blueprint.name, reason) from error

    def _accept_end(self, seen: StoredToken, error: Exception) -> None:
        """Drop a token whose grant has ended, unless somebody else has got a new one for it."""
        stored = self._slot.current()
        if stored.digest != seen.digest:
            self._adopt(stored)
            return
        try:
            self._slot.drop(stored)
        except VersionConflict:
            self._adopt(self._slot.current())
            return
        reason = _reason(error)
        self._session.use(None)
        self._send(token_refresh_failed, error=reason)
        self._send(token_deleted)
        log.warning("A grant of provider %r has ended: %s", self._blueprint.name, reason)
        raise TokenRevoked(self._blueprint.name, reason) from error

    def _save(self, seen: StoredToken, new: Token) -> None:
        digest = cast(str, seen.digest)
        if not self._slot.is_shared:
            self._flights.successors.put(digest, new)
        try:
            self._slot.replace(seen, new)
        except VersionConflict:
            self._flights.rescue.settle(digest)
            stored = self._slot.current()
            if stored.token is not None and stored.digest == digest:
                # Somebody has added to the token that is spent by now.
                self._save(stored, renewed(stored.token, new))
            else:
                # A login or logout has landed meanwhile: it stands.
                self._adopt(stored)
            return
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, the token is kept
            self._adopt(StoredToken(new))
            self._rescue(digest, seen, new, error)
        else:
            self._adopt(StoredToken(new))
            self._flights.rescue.settle(digest)
            self._send(token_saved)

    def _rescue(self, digest: str, seen: StoredToken, new: Token, error: Exception) -> None:
        say_so = partial(token_saved.send, self._blueprint, user_id=self._slot.user_id)
        app = app_of_context()
        self._flights.rescue.put(digest, Refused(self._slot, seen, new, app, say_so))
        self._send(token_save_failed, error=type(error).__name__)
        log.error(
            "A refreshed token of provider %r could not be stored (%s). It is kept in memory, and "
            "stored when the backend answers.",
            self._blueprint.name,
            type(error).__name__,
        )

    def _send(self, signal: Any, **arguments: Any) -> None:
        signal.send(self._blueprint, user_id=self._slot.user_id, **arguments)


def _exchanged(session: OAuth2Session, token: Token) -> Token:
    return renewed(token, with_expires_at(session.exchange_refresh_token(token)))


def _reason(error: Exception) -> str:
    return str(getattr(error, "error", None) or type(error).__name__)
