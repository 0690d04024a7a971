"""Refreshes the tokens of one blueprint that are due, in several threads, at a bounded rate."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask

from ..consumer.backend.base import StoredToken, TokenSlot
from ..consumer.backend.scoped_slot import StoreSlot
from ..consumer.backend.store.document import TokenKey
from ..consumer.backend.store.values import Token
from ..consumer.refresh.attempt import Refresh
from ..consumer.refresh.flights import RETRY_SECONDS
from ..consumer.refresh.remembered import failure_of, may_be_tried, one_more
from ..consumer.refusal import Refusal
from ..consumer.token_endpoint import TokenEndpoint
from ..consumer.transport import quiet
from ..errors import BackendError, TokenRefreshError, TokenRevoked, VersionConflict
from .due import Due, KeptFresh, fingerprint, unpacked
from .pace import Pace, Wait

log = logging.getLogger(__name__)

MOST_THREADS = 16
# After so many failures one after the other it is the provider that fails.
_OUTAGE = 10
# After having been asked so often, one time after the other, to wait.
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
        # What is spent has to be stored, also if the work is to stop.
        self._wait_for_store = wait or time.sleep
        self._pace = Pace(rate, wait or stop.wait)
        self._rescue = run.blueprint.flights.rescue
        self._mutex = threading.Lock()
        # Since the last success, or end of a grant.
        self._failures = self._holds = 0
        self._is_out = False

    def run(self) -> None:
        """Refresh one token after the other, the most urgent first."""
        while not self._is_over():
            try:
                item = self.items.pop()
            except IndexError:
                return
            try:
                with self._app.app_context(), quiet():
                    outcome = self._refresh(item)
            except Exception as error:  # noqa: BLE001 - a backend or a setting may raise anything
                # What it shows may be secret.
                kind = type(error).__name__
                log.warning("A token of %r was not refreshed: %s", self._run.blueprint.name, kind)
                outcome = "failed"
            if outcome is None:
                # Above the others, since it was more urgent.
                self.items.append(item)
            else:
                self._count(outcome)

    def end(self) -> None:
        """Wait until refreshed tokens that the store has refused are stored, and count the rest."""
        self._store_answers()
        with self._mutex:
            self._counts.left += len(self.items)
            self._counts.unsaved = self._rescue.waiting

    def _is_over(self) -> bool:
        return self._is_out or self._stop.is_set()

    def _count(self, outcome: str) -> None:
        with self._mutex:
            self._counts.add(outcome)
            if outcome == "failed":
                self._failures += 1
                if self._failures >= _OUTAGE:
                    self._give_up("it fails each time")
            elif outcome in ("refreshed", "ended"):
                self._failures = self._holds = 0
        self._tell(0)

    def _give_up(self, reason: str) -> None:
        if not self._is_out:
            log.error("Provider %r is left for now: %s.", self._run.blueprint.name, reason)
        self._is_out = True

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
        # Were the store to lose what it is given, no more may be spent.
        if not self._store_answers():
            self._give_up("its store takes nothing")
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
            remember=partial(self._remember, slot),
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
        # So long this process does not ask again for the same token.
        is_first = self._pace.hold(max(seconds, RETRY_SECONDS))
        with self._mutex:
            self._holds += is_first
            if seconds > self._patience or self._holds > _MOST_HOLDS:
                self._give_up("it asks to wait")
        return not self._is_out

    def _remember(self, slot: TokenSlot, stored: StoredToken, refusal: Refusal) -> None:
        """Keep a failure with the token, unless a login came meanwhile.

        That a provider asks to wait says nothing of the token, which is tried again.
        """
        if refusal.retry_after is not None:
            return
        try:
            slot.keep_failure(stored, one_more(failure_of(stored), refusal))
        except VersionConflict:
            return
        except BackendError as error:
            log.warning("How a refresh has failed is not kept. %s", error)

    def _store_answers(self) -> bool:
        """Wait while the store refuses refreshed tokens. Returns whether it takes them."""
        waited = 0.0
        while self._rescue.waiting and waited < self._patience:
            self._wait_for_store(1.0)
            waited += 1.0
        return not self._rescue.waiting
