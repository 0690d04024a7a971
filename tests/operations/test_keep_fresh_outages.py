"""Tokens are kept fresh while stores and providers are away, and nothing is blamed on the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendError, BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations.due import KeptFresh
from flask_dance_nosql.operations.keeping import keep_fresh

from ..rotating import RotatingProvider
from .many import PROVIDER, app_of, blueprint_of, document_of

FAST = 1e6
HIDDEN = "database-hidden-77"
AWAY = BackendUnavailable("load", "Ailing", "no answer")


class Ailing(MemoryStore):
    """A store that fails as it is told.

    Attributes:
        when_listed: Is called before each record that is listed, and may raise.
        when_used: Is called when a token is read or its lock is taken, and may raise.
        refuses: Whether it refuses what refreshes save.
    """

    when_listed: Callable[[], object] = staticmethod(lambda: None)
    when_used: Callable[[], object] = staticmethod(lambda: None)
    refuses = False

    def records(self, *arguments: Any) -> Iterator[Any]:
        """Yield the records."""
        self.when_listed()
        for record in super().records(*arguments):
            yield record
            self.when_listed()

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Read a document."""
        self.when_used()
        return super().load_fresh(key)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take a lock."""
        self.when_used()
        return super().acquire(key, holder, seconds)

    def save_apart(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save a document."""
        if self.refuses:
            raise AWAY
        return super().save_apart(document, if_version)


class Falling:
    """Raises an error from the first call it gets after some, and so often as it is told."""

    def __init__(self, error: Exception, after: int = 0, times: float = float("inf")) -> None:
        self._error, self._after, self._until = error, after, after + times
        self._calls = 0
        self._mutex = threading.Lock()

    def __call__(self) -> None:
        with self._mutex:
            self._calls += 1
            calls = self._calls
        if self._after < calls <= self._until:
            raise self._error


class Site:
    """An app with the blueprints ``ailing`` and ``acme``, each with its own store."""

    def __init__(self, provider: RotatingProvider, count: int) -> None:
        self.provider, self.count = provider, count
        self.ailing, self.other = Ailing(), Ailing()
        self.first = blueprint_of(provider.url, self.ailing, name="ailing")
        self.app = app_of(self.first, blueprint_of(provider.url, self.other))
        for number in range(count):
            document = document_of(provider, f"a{number}")
            self.ailing.save(replace(document, provider="ailing"))
            self.other.save(document_of(provider, f"b{number}"))

    def run(self, **options: Any) -> dict[str, dict[str, int]]:
        """Keep all fresh, and return the counts that are not 0."""
        with self.app.app_context():
            counts = keep_fresh(**{"rate": FAST, "wait": lambda _: None, **options})
        return {name: told(each) for name, each in counts.items()}


def told(counts: KeptFresh) -> dict[str, int]:
    """Return the counts that are not 0."""
    names = counts.__struct_fields__
    return {name: getattr(counts, name) for name in names if getattr(counts, name)}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The app, with 30 tokens of each."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield Site(provider, 30)


ALL = {"due": 30, "refreshed": 30}


@pytest.mark.parametrize(
    "error", [AWAY, BackendError("scan", "Ailing", "refused"), RuntimeError(HIDDEN)]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_store_that_can_not_be_read_stops_no_other(
    site: Site, caplog: pytest.LogCaptureFixture, error: Exception, dry_run: bool
) -> None:
    """It is counted as failed, and named in the log; what was found before is refreshed."""
    site.ailing.when_listed = Falling(error, after=3)
    counts = site.run(dry_run=dry_run)
    done = {"due": 3, "unread_stores": 1} if dry_run else {**told_of(3), "unread_stores": 1}
    assert counts == {"ailing": done, PROVIDER: {"due": 30} if dry_run else ALL}
    assert KeptFresh(unread_stores=1).has_failed
    assert "The store of ailing can't be read through. " in caplog.text
    assert HIDDEN not in caplog.text


def told_of(count: int) -> dict[str, int]:
    """Return the counts of a run that has refreshed so many."""
    return {"due": count, "refreshed": count}


def test_a_short_outage_is_waited_for(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens are put back and refreshed when the store answers; no provider is blamed."""
    site.ailing.when_used = Falling(AWAY, after=10, times=40)
    assert site.run() == {"ailing": ALL, PROVIDER: ALL}
    assert (site.provider.refreshes, site.provider.spent) == (60, 0)
    assert caplog.text.count("The tokens of 'ailing' wait for their store. Ailing.load: ") >= 1
    assert "each time" not in caplog.text


def test_a_long_outage_leaves_the_rest(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After so long a time as is given; the log says that it is the store that does not answer."""
    site.ailing.when_used = Falling(AWAY)
    assert site.run(patience=5.0) == {"ailing": {"due": 30, "left": 30}, PROVIDER: ALL}
    assert "The tokens of 'ailing' are left for now: their store does not answer." in caplog.text


def test_a_store_that_is_away_for_some_tokens(site: Site) -> None:
    """As one part of a cluster may be: the others are refreshed."""
    load = site.ailing.load_fresh

    def partly(key: TokenKey) -> TokenDocument | None:
        if key.user_id in ("a3", "a4"):
            raise AWAY
        return load(key)

    site.ailing.load_fresh = partly  # type: ignore[method-assign] # as a cluster would
    counts = site.run(patience=50.0, provider="ailing")
    assert counts == {"ailing": {"due": 30, "refreshed": 28, "left": 2}}


FAILING: list[tuple[Exception, str]] = [
    (BackendError("load", "Ailing", "refused (OutOfMemory)."), "Ailing.load: refused"),
    (RuntimeError(HIDDEN), "RuntimeError"),
]


@pytest.mark.parametrize(("error", "name"), FAILING)
def test_what_fails_each_time_is_left(
    site: Site, caplog: pytest.LogCaptureFixture, error: Exception, name: str
) -> None:
    """A backend that answers by errors is left after ten of them, and no provider is blamed."""
    site.ailing.when_used = Falling(error)
    counts = site.run()
    assert counts[PROVIDER] == ALL
    assert 10 <= counts["ailing"]["failed"] <= 26
    assert counts["ailing"]["failed"] + counts["ailing"].get("left", 0) == 30
    assert f"A token of 'ailing' was not refreshed: {name}" in caplog.text
    assert "their backend, or a hook or setting of the blueprint, fails each time" in caplog.text
    assert "provider fails" not in caplog.text
    assert HIDDEN not in caplog.text


def test_a_provider_is_blamed_for_its_failures(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """When the store works."""
    site.provider.failing = 503, "down"
    counts = site.run()
    assert all(10 <= each["failed"] <= 26 for each in counts.values())
    assert "The tokens of 'ailing' are left for now: the provider fails each time." in caplog.text


def test_all_stores_are_waited_for_together(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """At the end there is one time for all of them, and the log says what is waited for."""
    site.ailing.refuses = site.other.refuses = True
    waits = []

    def wait(_: float) -> None:
        if threading.current_thread() is threading.main_thread():
            waits.append(1)

    counts = site.run(patience=7.0, wait=wait)
    assert len(waits) == 7
    assert all(each["unsaved"] >= 1 for each in counts.values())
    assert (
        "refreshed tokens of ailing, acme wait for their store, for up to 7 seconds" in caplog.text
    )


def test_stop_while_a_store_refuses(site: Site) -> None:
    """Nothing more is begun, and only the end waits for the store."""
    site.ailing.refuses = True
    stop, idle, rescue = threading.Event(), threading.Event(), site.first.flights.rescue
    waits = []

    def wait(_: float) -> None:
        waits.append(threading.current_thread() is threading.main_thread())
        stop.set()
        if waits[-1]:
            site.ailing.refuses = False
            while rescue.waiting:
                rescue._wake.set()
                idle.wait(0.01)

    counts = site.run(wait=wait, stop=stop, provider="ailing", rate=0.5)["ailing"]
    assert counts["refreshed"] + counts["left"] == 30
    assert counts["refreshed"] <= 2
    assert "unsaved" not in counts


def test_stop_while_a_store_is_read(site: Site) -> None:
    """Reading a large store is ended, too."""
    stop = threading.Event()
    site.ailing.when_listed = stop.set
    counts = site.run(stop=stop)
    assert counts == {"ailing": {"unread_stores": 1}, PROVIDER: {"unread_stores": 1}}


@pytest.mark.parametrize("is_told", [True, False])
def test_an_interrupt(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """The first one ends what has begun; if that was told before, it ends everything at once."""
    site.ailing.refuses = True
    stop = threading.Event()
    waits = []

    def wait(_: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        waits.append(stop.is_set())
        if len(waits) == 1:
            if is_told:
                stop.set()
            raise KeyboardInterrupt

    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        site.run(wait=wait, stop=stop, patience=5.0)
    assert stop.is_set()
    assert waits == ([False] if is_told else [False, True, True, True, True, True])


def test_a_rate_of_nobody(site: Site) -> None:
    """A rate of a name that is no blueprint's is mistyped."""
    with pytest.raises(ConfigurationError, match="'githb'"):
        site.run(rates={"githb": 1.0})
    assert site.run(rates={"acme": FAST}, provider="ailing") == {"ailing": ALL}
