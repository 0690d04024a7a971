"""Refreshes the tokens of one blueprint that are due, in several threads, at a bounded rate."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from flask import Flask

from ..consumer.backend.base import StoredToken, TokenSlot
from ..consumer.backend.scoped_slot import StoreSlot
from ..consumer.backend.store.document import TokenKey
from ..consumer.backend.store.values import Token
from ..consumer.refresh.attempt import Refresh
from ..consumer.refresh.flights import RETRY_SECONDS
from ..consumer.refresh.remembered import may_be_tried
from ..consumer.refusal import Refusal
from ..consumer.token_endpoint import TokenEndpoint
from ..consumer.transport import quiet
from ..errors import (
    BackendUnavailable,
    FlaskDanceNoSQLError,
    TokenRefreshError,
    TokenRevoked,
)
from .due import Due, KeptFresh, fingerprint, unpacked
from .pace import Pace, Wait

log = logging.getLogger(__name__)

MOST_THREADS = 16
# So many failures in a row mean that the provider, or the backend, is down.
_OUTAGE = 10
_EACH_TIME = {
    "failed": "the provider fails each time",
    "broken": "their backend, or a hook or setting of the blueprint, fails each time",
}
# How many times in a row a provider may ask to wait before it is left for this run.
_MOST_HOLDS = 5


class Run:
    """One blueprint, and the tokens of it that are due."""

    def __init__(self, backend: Any, blueprint: Any, due: Due) -> None:
        self.backend = backend
        self.blueprint = blueprint
        self.due = due
        self.items: deque[bytes] = deque()

    def slot(self, key: TokenKey | None) -> TokenSlot:
        """Return a token of the blueprint; that of a backend without keys has none."""
        if key is None:
            plain: TokenSlot = self.blueprint.slot()
            return plain
        return StoreSlot(self.backend, key, is_person=self.backend.scope == "user")


class _Endpoint(TokenEndpoint):
    """A token endpoint of which is known what it has answered, if it was asked."""

    answer: Token | Refusal | None = None

    def refresh(self, token: Token) -> Token | Refusal:
        """Exchange a refresh token."""
        self.answer = super().refresh(token)
        return self.answer


class Worker:
    """Refreshes the tokens of one blueprint, in several threads."""

    def __init__(
        self,
        app: Flask,
        run: Run,
        counts: KeptFresh,
        rate: float,
        patience: float,
        stop: threading.Event,
        wait: Wait | None,
        tell: Callable[[int], object],
    ) -> None:
        self.items, self.rate = run.items, rate
        self._app, self._run, self._counts = app, run, counts
        self._patience, self._stop, self._tell = patience, stop, tell
        self._wait = wait or stop.wait
        self._pace = Pace(rate, self._wait)
        self._rescue = run.blueprint.flights.rescue
        self._mutex = threading.Lock()
        # In a row: a success, or a grant that has ended, sets them to 0.
        self._failures: Counter[str] = Counter()
        self._holds = 0
        self._is_out = self._is_store_away = False

    def run(self) -> None:
        """Refresh one token after the other, the most urgent first."""
        waited = 0.0
        while not self._is_over():
            try:
                item = self.items.pop()
            except IndexError:
                return
            try:
                with self._app.app_context(), quiet():
                    outcome = self._refresh(item)
            except BackendUnavailable as error:
                # Below the others: it may be out for some of them only.
                self.items.appendleft(item)
                waited = self._wait_for_store(waited, error)
                continue
            except Exception as error:  # noqa: BLE001 - a backend or a setting may raise anything
                log.warning("A token of %r was not refreshed: %s", self.name, shown(error))
                outcome = "broken"
            waited, self._is_store_away = 0.0, False
            if outcome is None:
                # Above the others, since it was more urgent.
                self.items.append(item)
            else:
                self._count(outcome)

    @property
    def name(self) -> str:
        """The blueprint's name."""
        name: str = self._run.blueprint.name
        return name

    @property
    def unsaved(self) -> int:
        """How many refreshed tokens the store has refused so far."""
        waiting: int = self._rescue.waiting
        return waiting

    def end(self) -> None:
        """Count what is left."""
        with self._mutex:
            self._counts.left += len(self.items)
            self._counts.unsaved = self.unsaved

    def _is_over(self) -> bool:
        return self._is_out or self._stop.is_set()

    def _count(self, outcome: str) -> None:
        with self._mutex:
            self._counts.add("failed" if outcome == "broken" else outcome)
            if outcome in _EACH_TIME:
                self._failures[outcome] += 1
                if self._failures[outcome] >= _OUTAGE:
                    self._give_up(_EACH_TIME[outcome])
            elif outcome in ("refreshed", "ended"):
                self._failures.clear()
                self._holds = 0
        self._tell(0)

    def _give_up(self, reason: str) -> None:
        if not self._is_out:
            log.error("The tokens of %r are left for now: %s.", self.name, reason)
        self._is_out = True

    def _wait_for_store(self, waited: float, error: BackendUnavailable) -> float:
        """Wait a second for a store that does not answer, or give it up. Returns the new sum."""
        with self._mutex:
            if waited >= self._patience:
                self._give_up("their store does not answer")
            elif not self._is_store_away:
                self._is_store_away = True
                log.warning("The tokens of %r wait for their store. %s", self.name, error)
        self._wait(1.0)
        return waited + 1.0

    def _refresh(self, item: bytes) -> str | None:
        """Refresh a token. Returns what has become of it, or ``None`` if it is to be tried again.

        What changes while this waits for its turn is seen under the lock of the refresh.
        """
        known, key = unpacked(item)
        slot = self._run.slot(key)
        held = slot.read(fresh=True)
        if held.token is None or fingerprint(held.token) != known:
            return "skipped"
        if not may_be_tried(held):
            return "waiting"
        # While the store does not take new tokens, no further refresh token is spent.
        if not self._store_takes():
            self._give_up("their store takes nothing")
        return self._ask(slot, held) if self._pace.take(self._is_over) else None

    def _ask(self, slot: TokenSlot, held: StoredToken) -> str | None:
        session = self._run.blueprint.session
        endpoint = session.token_endpoint()
        asked = _Endpoint(endpoint.provider, endpoint.session, endpoint.settings)
        refresh = Refresh(
            *(self._run.blueprint, asked, slot, held),
            status_of=session.status_of,
            adopt=lambda _: None,
            is_forced=True,
            wait=0.0,
            heeds_failures=True,
        )
        try:
            refresh.run()
        except TokenRevoked:
            return "ended" if isinstance(asked.answer, Refusal) else "skipped"
        except TokenRefreshError as error:
            refusal = vars(error.__cause__ or error).get("refusal")
            if not isinstance(refusal, Refusal):
                # Somebody else has the turn.
                return "skipped"
            may_wait = refusal.retry_after is not None and self._holds_on(refusal.retry_after)
            return None if may_wait else "failed"
        return "refreshed" if isinstance(asked.answer, dict) else "skipped"

    def _holds_on(self, seconds: float) -> bool:
        """Have all wait until the provider may be asked again. Returns whether that is soon."""
        # This process does not ask again for the same token within RETRY_SECONDS.
        is_first = self._pace.hold(max(seconds, RETRY_SECONDS))
        with self._mutex:
            self._holds += is_first
            if seconds > self._patience or self._holds > _MOST_HOLDS:
                self._give_up("the provider asks to wait")
        return not self._is_out

    def _store_takes(self) -> bool:
        """Wait while the store refuses refreshed tokens. Returns whether it takes them.

        That this is to stop is no reason to say that it does not.
        """
        waited = 0.0
        while self.unsaved and waited < self._patience and not self._is_over():
            self._wait(1.0)
            waited += 1.0
        return not self.unsaved or self._is_over()


def shown(error: Exception) -> str:
    """Return what may be shown of an error: only those of this package have no secret in them."""
    return str(error) if isinstance(error, FlaskDanceNoSQLError) else type(error).__name__
