"""Refreshes tokens before anybody needs them, so that grants that nobody uses do not die."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, current_app

from ..consumer.app_backends import app_backends
from ..consumer.backend.base import NullBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.session import SessionBackend
from ..consumer.backend.store.shard import Shard
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..errors import ConfigurationError
from .due import PLAIN, Due, KeptFresh, look_through
from .pace import Wait
from .refreshing import MOST_THREADS, Run, Worker

RATE = 5.0
"""How many refreshes a second a provider is asked for, unless it is said otherwise."""

IDLE = timedelta(days=30)
"""After how many seconds without a write a token is refreshed, unless it is said otherwise."""

PATIENCE = 300.0
"""How many seconds a provider that asks to wait, or a store that takes nothing, is waited for."""


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
        patience: How many seconds to wait for a provider that asks for it by ``Retry-After``, and
            for a store that takes nothing.
        dry_run: Whether only to count what is due.
        stop: Ends it early when it is set: refreshes that have begun are ended.
        wait: Waits, for tests; by default for ``stop``.
        tell: Is called with how many are to be tried, and afterwards for each with 0.

    Returns:
        For each blueprint that can refresh its tokens, what was found and done.

    Raises:
        ConfigurationError: If there is no blueprint to do it for.
        BackendUnavailable: If a store did not answer while it was read through.

    .. versionadded:: 1.0
    """
    stop = threading.Event() if stop is None else stop
    counts: dict[str, KeptFresh] = {}
    runs = _found(_seconds(within), _seconds(idle), provider, shard, counts)
    if dry_run:
        return counts
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined] # a proxy's own
    tell(sum(len(run.items) for run in runs))
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
        for thread in threads:
            thread.join()
    except BaseException:
        # What has begun is ended: a refresh token may be spent.
        stop.set()
        for thread in threads:
            thread.join()
        raise
    finally:
        for worker in workers:
            worker.end()
    return counts


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _found(
    within: float | None,
    idle: float | None,
    provider: str | None,
    shard: Shard | None,
    counts: dict[str, KeptFresh],
) -> list[Run]:
    """Read through the backends, and return what is due."""
    runs: list[Run] = []
    for backend, blueprints in app_backends():
        of_backend: dict[str, Run] = {}
        for name, blueprint in blueprints.items():
            is_wanted = provider in (None, name)
            if is_wanted and _can_refresh(backend, blueprint):
                due = Due(within, idle, counts.setdefault(name, KeptFresh()))
                of_backend[name] = Run(backend, blueprint, due)
        if not of_backend:
            continue
        if isinstance(backend, UserScopedBackend):
            dues = {name: run.due for name, run in of_backend.items()}
            only = next(iter(of_backend)) if len(of_backend) == 1 else None
            look_through(backend.store.records(only, None, shard), dues, counts)
        else:
            for run in of_backend.values():
                run.due.look_at(run.slot(None).read(fresh=True), PLAIN)
        for run in of_backend.values():
            run.items = deque(run.due.in_order())
        runs += of_backend.values()
    if not counts:
        wanted = "" if provider is None else f" named {provider!r}"
        raise ConfigurationError(
            f"The app has no blueprint{wanted} that can refresh tokens: with a refresh_url, or "
            "auto_refresh=True, and a backend that keeps them outside of the visitors' sessions."
        )
    return runs


def _can_refresh(backend: Any, blueprint: Any) -> bool:
    if isinstance(backend, SessionBackend | NullBackend):
        return False
    is_oauth2 = isinstance(blueprint, OAuth2ConsumerBlueprint)
    return is_oauth2 and bool(blueprint.session.auto_refresh_url)
