"""Has what an application does with tokens counted and timed. Without it, nothing is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask

from ..consumer.app_backends import app_backends
from ..consumer.backend.cache.base import CachedStore, Found, Name, Ticket, TokenCache
from ..consumer.backend.moving import MovingBackend
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..consumer.backend.store.entries import KINDS
from ..consumer.backend.store.wrapper import StoreWrapper
from ..consumer.metrics import METRICS, GuardedMetrics, Metrics, current_metrics
from ..consumer.signals import (
    oauth_authorized,
    oauth_error,
    token_deleted,
    token_recovered,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
)

_EVENTS = {
    oauth_authorized: "authorized",
    oauth_error: "login_failed",
    token_saved: "saved",
    token_deleted: "deleted",
    token_refreshed: "refreshed",
    token_refresh_failed: "refresh_failed",
    token_recovered: "recovered",
    token_save_failed: "rescued",
}
_TIMED = (
    *("load", "load_fresh", "save", "save_apart", "save_as", "put", "delete"),
    *("acquire", "release", "ping"),
    *("link", "linked", "unlink", "mark", "marked", "unmark", "keys", "forget"),
)


def observe(app: Flask, metrics: Metrics) -> None:
    """Give an app's metrics what its blueprints, backends and caches do.

    Call it when the blueprints are registered and have their backends; those that come later are
    not measured, unless it is called again. An app has one :class:`Metrics`: the last that was
    given.

    Args:
        app: The app.
        metrics: What counts and times.

    .. versionadded:: 1.0
    """
    app.extensions[METRICS] = GuardedMetrics(metrics)
    with app.app_context():
        backends = app_backends()
    for backend, blueprints in backends:
        if isinstance(backend, UserScopedBackend):
            _measure(backend)
        for blueprint in blueprints.values():
            for signal, receiver in _RECEIVERS.items():
                signal.connect(receiver, sender=blueprint)


def _receiver(event: str) -> Callable[..., None]:
    # Returns nothing, since the dance heeds what receivers return. Arguments may be secret.
    def receive(blueprint: Any, **_: Any) -> None:
        metrics = current_metrics()
        if metrics is not None:
            backend = type(blueprint.backend).__name__
            metrics.count("events", provider=blueprint.name, backend=backend, outcome=event)

    return receive


_RECEIVERS = {signal: _receiver(event) for signal, event in _EVENTS.items()}


def _measure(backend: UserScopedBackend) -> None:
    """Put what measures around the innermost store of a backend, and around its cache."""
    if isinstance(backend, MovingBackend):
        for each in (backend.new, backend.old):
            _measure(each)
        backend.store = backend.joined()
        return
    name, outer, store = type(backend).__name__, None, backend.store
    while isinstance(store, StoreWrapper) and not isinstance(store, MeasuredStore):
        if isinstance(store, CachedStore) and not isinstance(store.cache, MeasuredCache):
            store.cache = MeasuredCache(store.cache, name)
        outer, store = store, store.inner
    if isinstance(store, MeasuredStore):
        return
    measured = MeasuredStore(store, name)
    if outer is None:
        backend.store = measured
    else:
        outer.inner = measured


class MeasuredStore(StoreWrapper):
    """Times the operations of another store for the metrics of the current app.

    Those that read through the store are as long as what their caller does meanwhile, and are not
    timed.
    """

    def __init__(self, inner: TokenStore, backend: str) -> None:
        super().__init__(inner)
        self.backend = backend


def _timed(name: str) -> Callable[..., Any]:
    def operation(self: MeasuredStore, *args: Any, **kwargs: Any) -> Any:
        run, metrics = getattr(self.inner, name), current_metrics()
        if metrics is None:
            return run(*args, **kwargs)
        labels = {"operation": name, "provider": _provider_of(name, args), "backend": self.backend}
        with metrics.measure("store", **labels) as found:
            try:
                result = run(*args, **kwargs)
            except Exception as error:
                found["outcome"] = type(error).__name__
                raise
            found["outcome"] = "ok"
            return result

    operation.__name__ = name
    operation.__doc__ = "Do it with the other store, and take the time."
    return operation


for _name in _TIMED:
    setattr(MeasuredStore, _name, _timed(_name))


def _provider_of(operation: str, args: tuple[Any, ...]) -> str:
    """Return the provider that an operation is about, or an empty text; never a user."""
    first = args[0] if args else None
    if isinstance(first, TokenKey | TokenDocument):
        first = first.provider
    elif operation not in ("linked", "marked", "keys"):
        first = None
    text = first if isinstance(first, str) else ""
    for kind in KINDS:
        text = text.removeprefix(kind)
    # Names of blueprints have no dot. What is before one is the kind of an entry or lock.
    return text.rpartition(".")[2]


class MeasuredCache(TokenCache):
    """Counts what another cache has, and has not."""

    def __init__(self, inner: TokenCache, backend: str) -> None:
        self.inner = inner
        self.backend = backend

    def look(self, name: Name) -> tuple[bool, Found, Ticket]:
        """Ask the other cache, and count the answer."""
        answer, metrics = self.inner.look(name), current_metrics()
        if metrics is not None:
            outcome = "hit" if answer[0] else "miss"
            provider = name[1].provider
            metrics.count("cache", provider=provider, backend=self.backend, outcome=outcome)
        return answer

    def fill(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Tell the other cache."""
        self.inner.fill(name, ticket, document, seconds)

    def begin(self, name: Name) -> Ticket:
        """Ask the other cache."""
        return self.inner.begin(name)

    def end(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Tell the other cache."""
        self.inner.end(name, ticket, document, seconds)

    def gone(self, name: Name, ticket: Ticket, seconds: float) -> None:
        """Tell the other cache."""
        self.inner.gone(name, ticket, seconds)

    def learn(self, name: Name, ticket: Ticket, document: Found, seconds: float) -> None:
        """Tell the other cache."""
        self.inner.learn(name, ticket, document, seconds)

    def wait(self, seconds: float) -> None:
        """Wait for the other cache."""
        self.inner.wait(seconds)


class LogMetrics(Metrics):
    """Writes a line of the log for all that is counted or timed.

    Args:
        logger: Where to; by default the logger ``flask_dance_nosql.metrics``.
        level: With which level; by default ``logging.INFO``.

    .. versionadded:: 1.0
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logging.getLogger("flask_dance_nosql.metrics") if logger is None else logger
        self._level = level

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Write a line."""
        self._write(name, f"count={amount}", labels)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Write a line."""
        self._write(name, f"seconds={seconds:.6f}", labels)

    def _write(self, name: str, value: str, labels: dict[str, str]) -> None:
        shown = " ".join(f"{label}={text}" for label, text in sorted(labels.items()))
        self._logger.log(self._level, "%s %s %s", name, shown, value)
