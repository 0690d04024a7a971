"""Refreshes tokens before anybody needs them, so that grants that nobody uses do not die."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, current_app

from ..consumer.app_backends import AppBackend, app_backends
from ..consumer.backend.base import NullBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.session import SessionBackend
from ..consumer.backend.store.shard import Shard
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..errors import ConfigurationError
from .due import PLAIN, Due, KeptFresh, look_through
from .found import keeps_updates
from .pace import Wait
from .refreshing import MOST_THREADS, Run, Worker, shown

log = logging.getLogger(__name__)

RATE = 5.0
"""How many refreshes a second a provider is asked for, unless it is said otherwise."""

IDLE = timedelta(days=30)
"""After what time without a write a token is refreshed, unless it is said otherwise."""

PATIENCE = 300.0
"""How many seconds a provider that asks to wait, or a store that is away, is waited for."""


def keep_fresh(
    *,
    within: timedelta | None = None,
    idle: timedelta | None = IDLE,
    provider: str | None = None,
    shard: Shard | None = None,
    rate: float = RATE,
    rates: Mapping[str, float] | None = None,
    patience: float = PATIENCE,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    wait: Wait | None = None,
    tell: Callable[[int], object] = lambda _: None,
) -> dict[str, KeptFresh]:
    """Refresh the tokens of the current app's users that are near their end, or long unused.

    Each is refreshed as a request of its owner would do it: under the same lock, so that its
    refresh token is sent once, whoever else comes, and saved in the same way. That somebody has a
    turn just now is waited for by nobody: the token is in good hands.

    Why a refresh has failed, and when it is tried again, is kept with the token, where the store
    keeps that; then it is the same for all processes. Keys alone are kept in memory.

    Args:
        within: Refresh tokens whose access token ends within this time, and within the
            second half of its life; ``None``, the default, whenever that is: a request refreshes
            what it needs by itself.
        idle: Refresh tokens that were not written for this time: refresh tokens that are
            not used may die. The default is 30 days; ``None``, however long that is.
        provider: Only the tokens of this blueprint; ``None`` for all.
        shard: Only this part of each store; ``None`` for all.
        rate: How many refreshes a second each provider is asked for, by this process.
        rates: The same for single providers.
        patience: How many seconds to wait for a provider that asks for it by ``Retry-After``, for a
            store that does not answer, and at the end for all stores that have refused a refreshed
            token.
        dry_run: Whether only to count what is due.
        stop: Ends it early when it is set: refreshes that have begun are ended, and what they have
            got is stored. An interrupt sets it, and a second one ends it at once.
        wait: Waits, for tests; by default for ``stop``.
        tell: Is called with how many are to be tried, if there is any, and afterwards for each
            with 0.

    Returns:
        For each blueprint that can refresh its tokens, what was found and done. A store that does
        not answer is told there, and by the log; the tokens in others are kept fresh.

    Raises:
        ConfigurationError: If there is no blueprint to do it for, or none for one of the rates.

    .. versionadded:: 1.0
    """
    stop = threading.Event() if stop is None else stop
    if rates:
        require_known(rates)
    counts: dict[str, KeptFresh] = {}
    runs = [
        run
        for of_backend in _backends(provider)
        for run in _found(*of_backend, _seconds(within), _seconds(idle), shard, stop, counts)
    ]
    if dry_run:
        return counts
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined] # a proxy's own
    if expected := sum(len(run.items) for run in runs):
        tell(expected)
    workers = []
    for run in runs:
        name = run.blueprint.name
        each = (rates or {}).get(name, rate)
        workers.append(Worker(app, run, counts[name], each, patience, stop, wait, tell))
    threads = [
        threading.Thread(target=worker.run, daemon=True)
        for worker in workers
        for _ in range(min(MOST_THREADS, math.ceil(2 * worker.rate), len(worker.items)))
    ]
    for thread in threads:
        thread.start()
    try:
        _end(threads, workers, patience, wait)
    except BaseException:
        # Refreshes that have begun are ended, since their refresh tokens are spent. A second signal
        # ends the wait.
        if not stop.is_set():
            stop.set()
            _end(threads, workers, patience, wait)
        raise
    return counts


def require_known(rates: Iterable[str]) -> None:
    """Refuse rates for what is no blueprint that can refresh tokens.

    Raises:
        ConfigurationError: If there is one.
    """
    known = {name for _, blueprints in _backends(None) for name in blueprints}
    for name in rates:
        if name not in known:
            raise ConfigurationError(
                f"There is a rate for {name!r}, and the app has no blueprint of that name that can "
                f"refresh tokens. It has: {', '.join(sorted(known))}."
            )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _backends(provider: str | None) -> list[AppBackend]:
    """Return the backends with tokens that can be refreshed, each with its blueprints for that."""
    found = []
    for backend, blueprints in app_backends():
        chosen = {
            name: blueprint
            for name, blueprint in blueprints.items()
            if provider in (None, name) and _can_refresh(backend, blueprint)
        }
        if chosen:
            found.append(AppBackend(backend, chosen))
    if not found:
        wanted = "" if provider is None else f" named {provider!r}"
        raise ConfigurationError(
            f"The app has no blueprint{wanted} that can refresh tokens: with a refresh_url, or "
            "auto_refresh=True, and a backend that keeps them outside of the visitors' sessions."
        )
    return found


def _found(
    backend: Any,
    blueprints: dict[str, Any],
    within: float | None,
    idle: float | None,
    shard: Shard | None,
    stop: threading.Event,
    counts: dict[str, KeptFresh],
) -> list[Run]:
    """Read through a backend, and return what is due. What it has failed at is counted."""
    keeps = not isinstance(backend, UserScopedBackend) or keeps_updates(backend.store)
    if idle is not None and not keeps:
        names = ", ".join(blueprints)
        log.warning("The store of %s does not keep when tokens were written: none is idle.", names)
        idle = None
    runs = {
        name: Run(backend, blueprint, Due(within, idle, counts.setdefault(name, KeptFresh())))
        for name, blueprint in blueprints.items()
    }
    is_whole = False
    try:
        if isinstance(backend, UserScopedBackend):
            dues = {name: run.due for name, run in runs.items()}
            only = next(iter(runs)) if len(runs) == 1 else None
            records = backend.store.records(only, None, shard)
            is_whole = look_through(records, dues, counts, stop)
        else:
            for run in runs.values():
                run.due.look_at(run.slot(None).read(fresh=True), PLAIN)
            is_whole = True
    except Exception as error:  # noqa: BLE001 - a backend may raise anything, and others go on
        names = ", ".join(runs)
        log.error("The store of %s can't be read through. %s", names, shown(error))  # noqa: TRY400
    for name, run in runs.items():
        run.items = deque(run.due.in_order())
        counts[name].unread_stores = int(not is_whole)
    return list(runs.values())


def _end(
    threads: list[threading.Thread], workers: list[Worker], patience: float, wait: Wait | None
) -> None:
    """Wait until all is done, and then for stores that have refused refreshed tokens."""
    for thread in threads:
        thread.join()
    waited = 0.0
    while (unsaved := sum(worker.unsaved for worker in workers)) and waited < patience:
        if not waited:
            log.warning(
                "%d refreshed tokens of %s wait for their store, for up to %g seconds. They are in "
                "this process only. To end it at once, and lose them, interrupt it again.",
                *(unsaved, ", ".join(each.name for each in workers if each.unsaved), patience),
            )
        # What is spent has to be stored, also if the work is to stop.
        (wait or time.sleep)(1.0)
        waited += 1.0
    for worker in workers:
        worker.end()


def _can_refresh(backend: Any, blueprint: Any) -> bool:
    if isinstance(backend, SessionBackend | NullBackend):
        return False
    is_oauth2 = isinstance(blueprint, OAuth2ConsumerBlueprint)
    return is_oauth2 and bool(blueprint.session.auto_refresh_url)
