"""Keeps a token fresh: one caller exchanges its refresh token, the others take what they get."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, Protocol

from ... import clock
from ...errors import (
    BackendError,
    FlaskDanceNoSQLError,
    TokenRefreshError,
    TokenRevoked,
    VersionConflict,
)
from ..backend.base import NOTHING, StoredToken, TokenSlot, digest_of, issued_digest
from ..backend.store.values import Token
from ..context import app_of_context
from ..refusal import MISSING, Refusal
from ..signals import (
    token_deleted,
    token_recovered,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
)
from ..token import TokenStatus, ends_later, renewed
from ..token_endpoint import TokenEndpoint
from .flights import LEASE_SECONDS, Flights, Turn
from .measured import Measured
from .remembered import failure_of, keep_failure, may_be_tried, one_more
from .rescue import Exchange, Refreshed

log = logging.getLogger(__name__)

_ROUNDS = 10
# A backend may count the end of a token anew at each reading, from whole seconds.
_PRECISION = 1.0
_TOO_LONG = "another refresh of it takes too long"
_REMOVED = "the token was removed or revoked"
_OWN = "this was asked for in the midst of its refresh"


class RefreshingBlueprint(Protocol):
    """What a refresh needs of a blueprint."""

    name: str

    @property
    def backend(self) -> Any: ...  # noqa: D102 - likewise

    @property
    def flights(self) -> Flights: ...  # noqa: D102 - as the blueprint's

    @property
    def turn_seconds(self) -> float: ...  # noqa: D102 - likewise


@dataclass(eq=False, repr=False)
class Refresh:
    """One attempt of one caller.

    Source: RFC 6749 section 6; RFC 9700 section 4.14 on rotation.

    Args:
        blueprint: The blueprint, which is the sender of signals.
        endpoint: Where refresh tokens are exchanged.
        slot: Whose token.
        held: The token that the caller has, with a refresh token.
        status_of: Tells what a token is good for now.
        adopt: Is called with what is in the slot, before any signal is sent.
        is_forced: Whether it is refreshed whatever is said of its end: the API has refused it.
        wait: How many seconds to wait for somebody else's refresh; by default as long as it may
            take, and for a token that works not at all.
        heeds_failures: Whether a token whose next try is later, by what is kept with it, is left
            alone. A request, whose user waits for it, tries all the same.
    """

    blueprint: RefreshingBlueprint
    endpoint: TokenEndpoint
    slot: TokenSlot
    held: StoredToken
    _: KW_ONLY
    status_of: Callable[[Token], TokenStatus]
    adopt: Callable[[StoredToken], object]
    is_forced: bool = False
    wait: float | None = None
    heeds_failures: bool = False

    def __post_init__(self) -> None:
        self._flights = self.blueprint.flights
        self._began, self._began_at = time.monotonic(), clock.timestamp()
        self._announcements: list[Callable[[], object]] = []
        self._measured = Measured()

    def run(self) -> StoredToken:
        """Refresh, or wait for who does, and return the token to go on with.

        A token that still works is waited for by nobody. For one that has ended it raises
        ``TokenRefreshError``, ``TokenRevoked`` or whatever the backend raises.
        """
        with self._measured.running(self.blueprint):
            return self._run()

    def _run(self) -> StoredToken:
        failure = self._failure((self.held.token or {})["refresh_token"])
        if self._works and failure and not failure.has_ended:
            self._measured.outcome = "known"
            return self.held
        with self._measured.waiting(self._flights.turn(self.slot, self._wait)) as turn:
            if turn != "ours":
                return self._without_turn(turn)
            try:
                result = self._under_lease()
                if result.token is None:
                    # Whoever has removed it has said so to the receivers.
                    raise TokenRevoked(self.blueprint.name, _REMOVED)
                self.adopt(result)
            except TokenRevoked:
                self.adopt(NOTHING)
                raise
            except Exception as error:
                # A backend, a hook or a function of your own may raise anything.
                if isinstance(error, FlaskDanceNoSQLError) and not isinstance(error, BackendError):
                    raise
                result = self._without_refresh(error)
            finally:
                # Neither under the lease nor before the session knows: receivers may call the API.
                for announce in self._announcements:
                    announce()
        return result

    def _under_lease(self) -> StoredToken:  # noqa: PLR0911 - the ways in which it ends
        slot, flights, waiting = self.slot, self._flights, self._measured.waiting
        with waiting(slot.lease(LEASE_SECONDS, self._wait)) as is_leased:
            for _ in range(_ROUNDS):
                stored = slot.read(fresh=True)
                if stored.token is None or (self.heeds_failures and not may_be_tried(stored)):
                    self._measured.outcome = "removed" if stored.token is None else "known"
                    return stored
                current = flights.newest(slot, stored.token, self._began)
                if current is None:
                    self._end(stored, Refusal(_REMOVED))
                    continue
                if self._is_fresh(stored, current):
                    self._measured.outcome = "adopted"
                    return self._keep(stored, current)
                if not is_leased:
                    return self._without_turn("taken")
                sent = current["refresh_token"]
                # Another owner's record, or another copy of a cookie, may hold the same one.
                with waiting(flights.locks.held(digest_of(sent), self._wait)) as turn:
                    if turn != "ours":
                        return self._without_turn(turn)
                    if self._has_moved(stored, current):
                        continue
                    known = self._failure(sent)
                    issued = known or self._ask(stored, current)
                    if not isinstance(issued, Refusal):
                        return self._issued(stored, sent, issued)
                    if not issued.has_ended:
                        return self._fail(stored, issued, is_known=known is not None)
                    self._end(stored, issued)
        return self._without_turn("taken")

    def _failure(self, sent: str) -> Refusal | None:
        return self._flights.failure_of(sent, self._began, works=self._works)

    def _ask(self, stored: StoredToken, current: Token) -> Token | Refusal:
        """Exchange a refresh token, and remember why there is no new token if there is none.

        A refresh token that has come all the same is kept: the one that was sent may be spent.
        """
        sent, failures = current["refresh_token"], self._flights.failures
        try:
            issued = self.endpoint.refresh(current)
        except FlaskDanceNoSQLError:
            raise
        except Exception as error:
            failures.put(digest_of(sent), Refusal(MISSING, cause=type(error).__name__))
            raise
        if not isinstance(issued, Refusal):
            return issued
        failure = replace(issued, issued={})
        rotated = issued.issued.get("refresh_token")
        if rotated and rotated != sent and not issued.has_ended:
            old = stored.token or {}
            kept: Token = {name: old[name] for name in ("expires_at", "expires_in") if name in old}
            kept["refresh_token"] = rotated
            exchange = self._flights.remember(self.slot, sent, kept)
            self._store(stored, digest_of(sent), exchange)
            failures.put(digest_of(rotated), failure)
        failures.put(digest_of(sent), failure)
        return failure

    def _issued(self, stored: StoredToken, sent: str, issued: Token) -> StoredToken:
        exchange = self._flights.remember(self.slot, sent, issued)
        result = self._store(stored, digest_of(sent), exchange)
        self._later(token_refreshed)
        self._measured.outcome = "refreshed"
        return result

    def _keep(self, stored: StoredToken, current: Token) -> StoredToken:
        """Store what this process knows to be issued in place of a stored token, if it is newer."""
        if stored.token is None or current is stored.token:
            return stored
        digest = digest_of(stored.token["refresh_token"])
        return self._store(stored, digest, Exchange(current, rotates=True))

    def _store(self, stored: StoredToken, digest: str, exchange: Exchange) -> StoredToken:
        rescue, failure = self._flights.rescue, failure_of(stored)
        signals: list[Callable[[], object]] = [self._signal(token_saved)]
        if failure is not None and (exchange.issued or {}).get("access_token"):
            signals.append(self._signal(token_recovered, failure=failure))
        refreshed = Refreshed(
            self.slot,
            stored,
            digest,
            exchange,
            app_of_context(),
            stored=lambda: [send() for send in signals],
            unwanted=partial(self.endpoint.revoke, exchange.issued or {}),
        )
        # Before anything else is tried: the provider has spent the old one.
        rescue.put(refreshed)
        try:
            result = refreshed.store()
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, the token is kept
            name = type(error).__name__
            log.error(  # noqa: TRY400 - what a backend's error shows may be secret
                "A refreshed token of provider %r could not be stored (%s). It is kept in memory, "
                "and stored when the backend answers.",
                *(self.blueprint.name, name),
            )
            rescue.try_later(refreshed)
            self._later(token_save_failed, error=name)
            return StoredToken(renewed(stored.token or {}, exchange.issued or {}), stored.document)
        rescue.settle(refreshed.key)
        if refreshed.is_in(result):
            self._announcements += signals
        elif result.token is None:
            self._announcements.append(refreshed.unwanted)
        return result

    def _end(self, stored: StoredToken, refusal: Refusal) -> None:
        """Remove a token whose grant has ended, and raise ``TokenRevoked``.

        It returns if something else is stored by now.
        """
        for _ in range(_ROUNDS):
            current = self.slot.read(fresh=True)
            if current.issued != stored.issued:
                return
            failure = one_more(failure_of(current), replace(refusal, has_ended=True))
            try:
                self.slot.keep_failure(current, failure, is_over=True)
            except VersionConflict:
                continue
            break
        reason, self._measured.outcome = refusal.reason, "ended"
        self._flights.rescue.settle_slot(self.slot)
        self._later(token_refresh_failed, error=reason)
        self._later(token_deleted)
        log.warning("A grant of provider %r has ended: %s", self.blueprint.name, reason)
        raise TokenRevoked(self.blueprint.name, reason) from refusal.as_error()

    def _fail(self, stored: StoredToken, refusal: Refusal, *, is_known: bool) -> StoredToken:
        """Go on with a token that still works; else say that it could not be refreshed."""
        reason, self._measured.outcome = refusal.reason, "known" if is_known else "failed"
        if not is_known:
            keep_failure(self.slot, stored, refusal)
            self._later(token_refresh_failed, error=reason)
            log.warning(
                "A token of provider %r could not be refreshed: %s", self.blueprint.name, reason
            )
        if self._works:
            return self.held
        error = TokenRefreshError(self.blueprint.name, reason, needs_login=refusal.is_definite)
        raise error from refusal.as_error()

    def _without_turn(self, turn: Turn) -> StoredToken:
        """Go on with the token at hand; else say that another refresh takes too long."""
        # A receiver or a hook of a refresh, which asks for another one, waits for nobody.
        reason, self._measured.outcome = _OWN if turn == "own" else _TOO_LONG, "busy"
        error = TokenRefreshError(self.blueprint.name, reason)
        return self.held if self._works else self._known(error)

    def _without_refresh(self, error: Exception) -> StoredToken:
        """Go on with the token at hand although something has failed, else raise its error."""
        self._measured.outcome = "error"
        if not self._works:
            return self._known(error)
        log.warning(
            "A token of provider %r was not refreshed; a backend, hook or setting failed: %s",
            *(self.blueprint.name, type(error).__name__),
        )
        return self._known(None)

    def _known(self, error: Exception | None) -> StoredToken:
        """Return what this process knows to be issued in place of the token at hand.

        If it knows nothing, raise the error, or return the token at hand if there is no error.
        """
        held = self.held.token or {}
        known = self._flights.newest(self.slot, held)
        if known is not None and known is not held and self.status_of(known) != "expired":
            stored = StoredToken(known, self.held.document)
            self.adopt(stored)
            return stored
        if error is not None:
            raise error
        return self.held

    def _is_fresh(self, stored: StoredToken, token: Token) -> bool:
        """Whether somebody has got this token, or a longer life of the caller's, for all who wait.

        It was issued since the caller began, whatever its end. Or it works, or can't be refreshed.
        One near its end will do: clocks differ, and callers must not refresh one after the other.
        """
        if self._flights.was_issued_since(token, self._began):
            return True
        held, document = self.held, stored.document
        is_same = issued_digest(token) == held.issued
        if is_same and not ends_later(token, held.token or {}, _PRECISION):
            return False
        if document is not None and document.updated_at.timestamp() >= self._began_at:
            # By another process.
            return True
        return self.status_of(token) != "expired" or not token.get("refresh_token")

    def _has_moved(self, stored: StoredToken, current: Token) -> bool:
        """Whether somebody has exchanged the token before it was our turn."""
        newest = self._flights.newest(self.slot, current, self._began)
        if newest is not current or self._flights.was_issued_since(current, self._began):
            return True
        # Without a lease of the slot, only the turn of the refresh token tells.
        return self.slot.name is None and self.slot.read(fresh=True).issued != stored.issued

    @property
    def _works(self) -> bool:
        return not self.is_forced and self.status_of(self.held.token or {}) != "expired"

    @property
    def _wait(self) -> float:
        if self.wait is not None:
            return self.wait
        return 0.0 if self._works else self.blueprint.turn_seconds

    def _later(self, signal: Any, **arguments: Any) -> None:
        self._announcements.append(self._signal(signal, **arguments))

    def _signal(self, signal: Any, **arguments: Any) -> Callable[[], object]:
        return partial(signal.send, self.blueprint, user_id=self.slot.user_id, **arguments)
