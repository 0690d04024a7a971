"""What is counted and timed, for whom, and what it costs where nothing is."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MovingBackend,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.entries import KINDS
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.metrics import Metrics
from flask_dance_nosql.consumer.token_endpoint import TokenEndpoint
from flask_dance_nosql.errors import (
    BackendUnavailable,
    ConfigurationError,
    MissingDependency,
    TokenRefreshError,
    TokenRevoked,
)
from flask_dance_nosql.operations.observing import LogMetrics, _provider_of, observe
from flask_dance_nosql.operations.opentelemetry import OpenTelemetryMetrics

from ..calls import way_of
from ..rotating import RotatingProvider
from ..topologies import wait_until
from .many import PROVIDER, app_of, blueprint_of

USER = "ann-who-is-a-user"


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


class Heard(Metrics):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: Counter[tuple[str, ...]] = Counter()
        self.providers: set[str] = set()
        self.seconds: list[float] = []

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Count."""
        self.providers.add(labels["provider"])
        self.told[name, labels["outcome"]] += amount

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Count, and keep the time."""
        self.providers.add(labels["provider"])
        self.seconds.append(seconds)
        self.told[name, labels.get("operation", ""), labels["outcome"]] += 1


class Broken(MemoryStore):
    """A store that can be down."""

    is_down = False

    def load(self, key: TokenKey) -> Any:
        """Load a document, or do not answer."""
        if self.is_down:
            raise BackendUnavailable("load", "Broken")
        return super().load(key)


class Observed:
    """An app with a cached and sealed store, its user connected."""

    def __init__(self, provider: RotatingProvider, **token: Any) -> None:
        self.store = Broken()
        cipher = TokenCipher(TokenCipher.generate_key())
        self.backend = UserScopedBackend(
            self.store, user_id=lambda: USER, cache=LocalCache(), cipher=cipher
        )
        self.blueprint = blueprint_of(provider.url, self.store, backend=self.backend)
        self.app = app_of(self.blueprint)
        self.backend.set(self.blueprint, {**provider.grant(), **token})

    def call(self) -> int:
        """Call the API as the user."""
        with self.app.test_request_context():
            return int(self.blueprint.session.get("api").status_code)


def test_what_is_told(rotating: RotatingProvider) -> None:
    """Reads, cache hits, refreshes and events are told with their outcomes, and no user."""
    site, heard = Observed(rotating), Heard()
    observe(site.app, heard)
    observe(site.app, heard)
    assert site.call() == 200
    assert site.call() == 200
    assert heard.told["refresh", "", "refreshed"] == 1
    assert heard.told["events", "refreshed"] == 1
    assert heard.told["events", "saved"] == 1
    assert heard.told["store", "save_apart", "ok"] == 1
    assert heard.told["store", "acquire", "ok"] >= 1
    assert heard.told["cache", "hit"] == 2
    assert heard.told["store", "load_fresh", "ok"] >= 1
    assert heard.providers == {PROVIDER}
    assert all(0 <= each < 60 for each in heard.seconds)
    assert USER not in repr(heard.told)


def test_failures_are_told(rotating: RotatingProvider) -> None:
    """So are grants that end, stores that do not answer, and misses of the cache."""
    site, heard = Observed(rotating), Heard()
    observe(site.app, heard)
    rotating.grants["ann"].has_ended = True
    with pytest.raises(TokenRevoked):
        site.call()
    assert heard.told["refresh", "", "ended"] == 1
    assert heard.told["events", "deleted"] == heard.told["events", "refresh_failed"] == 1
    site.store.is_down = True
    cached: Any = site.backend.store.inner  # type: ignore[attr-defined] # of a wrapper
    # As in a new process.
    cached.cache.inner = LocalCache()
    with pytest.raises(BackendUnavailable):
        site.call()
    assert heard.told["cache", "miss"] == 1
    assert heard.told["store", "load", "BackendUnavailable"] == 1


def outcome_of(
    site: Observed, act: Callable[[], object], error: type[Exception] | None = None
) -> str:
    """Return the one outcome of refreshes that something has, which may end in an error."""
    heard = Heard()
    observe(site.app, heard)
    with nullcontext() if error is None else pytest.raises(error):
        act()
    [outcome] = [told[-1] for told in heard.told if told[0] == "refresh"]
    return outcome


def test_outcomes_of_refreshes(rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """None but a token that somebody else has got is told as one; an outage is never that."""
    site = Observed(rotating, expires_at=time.time() + 30)
    rotating.failing = (503, "down")
    assert outcome_of(site, site.call) == "failed"
    assert outcome_of(site, site.call) == "known"
    site.backend.set(site.blueprint, rotating.grant("bob"))
    assert outcome_of(site, site.call, TokenRefreshError) == "failed"
    assert outcome_of(site, site.call, TokenRefreshError) == "known"
    rotating.failing = None
    site.backend.set(site.blueprint, rotating.grant("eve"))
    with site.app.test_request_context():
        session = site.blueprint.session
        assert session.token is not None
        site.backend.delete(site.blueprint)
        gone = outcome_of(site, lambda: session.get("api"), TokenRevoked)
        assert gone == "removed"
    site.backend.set(site.blueprint, rotating.grant("joe"))
    with site.app.test_request_context():
        session = site.blueprint.session
        assert session.token is not None
        assert outcome_of(site, site.call) == "refreshed"
        assert outcome_of(site, lambda: session.get("api")) == "adopted"

    def refuse(*_: Any) -> None:
        raise ConfigurationError("a setting")

    site.backend.set(site.blueprint, rotating.grant("kim"))
    monkeypatch.setattr(TokenEndpoint, "refresh", refuse)
    assert outcome_of(site, site.call, ConfigurationError) == "error"


class Failing(Metrics):
    """Metrics of which one method fails: before the block that is measured, or after it."""

    def __init__(self, method: str) -> None:
        self.method = method

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Fail."""
        self.fail("count")

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Fail."""
        self.fail("time")

    @contextmanager
    def measure(self, name: str, **labels: str) -> Iterator[dict[str, str]]:
        """Fail at one of the ends."""
        self.fail("begin")
        with super().measure(name, **labels) as found:
            yield found
        self.fail("end")

    def fail(self, method: str) -> None:
        """Raise an error."""
        if method == self.method:
            raise RuntimeError("a secret is in here")


class YieldsNothing(Heard):
    """Metrics whose override forgets the labels."""

    @contextmanager
    def measure(self, name: str, **labels: str) -> Iterator[Any]:
        """Do something around the block."""
        yield


def test_measure_that_yields_nothing(rotating: RotatingProvider) -> None:
    """Requests go on."""
    site = Observed(rotating)
    observe(site.app, YieldsNothing())
    assert site.call() == 200


@pytest.mark.parametrize("method", ["count", "time", "begin", "end"])
def test_metrics_that_fail(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """They break no request, leave no lock behind, hide no error, and are told of once."""
    site = Observed(rotating)
    observe(site.app, Failing(method))
    assert site.call() == 200
    assert rotating.grants["ann"].generation == 1
    with site.app.test_request_context():
        key = TokenKey(PROVIDER, USER)
        assert site.store.acquire(key, "somebody else", 1.0)
    site.store.is_down = True
    with pytest.raises(BackendUnavailable), site.app.test_request_context():
        site.backend.store.load_fresh(TokenKey(PROVIDER, USER))
    lines = [each.getMessage() for each in caplog.records if "metrics" in each.getMessage()]
    assert lines == ["The metrics of the app have failed: RuntimeError."]


def test_two_that_move(rotating: RotatingProvider) -> None:
    """Of a backend that moves, the operations of both are told."""
    site, heard = Observed(rotating, expires_at=4e9), Heard()
    old, new = (UserScopedBackend(MemoryStore(), user_id=USER) for _ in range(2))
    site.blueprint.backend = moving = MovingBackend(new, old)
    for _ in range(2):
        observe(site.app, heard)
    with site.app.test_request_context():
        moving.set(site.blueprint, {"access_token": "at"})
        assert moving.get(site.blueprint) == {"access_token": "at"}
        assert new.get(site.blueprint) == old.get(site.blueprint)
    assert heard.told["store", "save", "ok"] == heard.told["store", "put", "ok"] == 1
    assert heard.told["store", "load", "ok"] == 3


def test_apps_are_told_apart(rotating: RotatingProvider) -> None:
    """A backend that two apps share tells each app's metrics what was done in it."""
    site, heard = Observed(rotating, expires_at=4e9), Heard()
    other = app_of(site.blueprint)
    observe(site.app, heard)
    with other.test_request_context():
        assert site.blueprint.session.get("api").status_code == 200
    assert heard.told == Counter()
    assert site.call() == 200
    assert heard.told["cache", "hit"] == 1


def test_waits_are_told(rotating: RotatingProvider) -> None:
    """What a thread waits for another one's refresh is told apart from what a refresh takes."""
    site, heard = Observed(rotating), Heard()
    observe(site.app, heard)
    rotating.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.call)
        assert rotating.at_the_gate.wait(10)
        second = pool.submit(site.call)
        # It has come so far that it needs the turn.
        wait_until(lambda: heard.told["cache", "hit"] == 2, "the second has read")
        rotating.gate.set()
        assert first.result() == second.result() == 200
    assert heard.told["wait", "", "refreshed"] == 1
    assert heard.told["wait", "", "adopted"] == 1


def test_unused_it_is_not_there() -> None:
    """Without metrics a process loads no module of them but the interface, and a read none."""
    program = """
import sys
from flask import Flask
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import LocalCache, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

backend = UserScopedBackend(MemoryStore(), user_id=1, cache=LocalCache())
blueprint = OAuth2ConsumerBlueprint("acme", __name__, client_id="id", backend=backend)
app = Flask(__name__)
app.register_blueprint(blueprint)
with app.app_context():
    backend.set(blueprint, {"access_token": "at"})
    assert backend.get(blueprint) == {"access_token": "at"}
print(*[name for name in sys.modules if "operations" in name or "opentelemetry" in name])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""


def test_unused_it_calls_nothing(rotating: RotatingProvider) -> None:
    """Without metrics, a cached read calls no function of them, and with them it calls some."""
    site = Observed(rotating, expires_at=4e9)

    def files_of_a_read() -> set[str]:
        return {Path(name).name for name in way_files(read)} & {"metrics.py", "observing.py"}

    def read() -> None:
        assert site.backend.get(site.blueprint) is not None

    with site.app.test_request_context():
        read()
        assert files_of_a_read() == set()
        plain = way_of(read).calls
        observe(site.app, Heard())
        assert files_of_a_read() == {"metrics.py", "observing.py"}
        assert way_of(read).calls > plain


def way_files(work: Callable[[], object]) -> set[str]:
    """Return the files of the package whose functions are called."""
    found: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_log_line(rotating: RotatingProvider, caplog: pytest.LogCaptureFixture) -> None:
    """The log has a line for each."""
    site = Observed(rotating)
    observe(site.app, LogMetrics())
    with caplog.at_level(logging.INFO, logger="flask_dance_nosql.metrics"):
        assert site.call() == 200
    lines = [each.getMessage() for each in caplog.records if each.name.endswith(".metrics")]
    wanted = f"events backend=UserScopedBackend outcome=refreshed provider={PROVIDER} count=1"
    assert wanted in lines
    assert not [each for each in lines if USER in each or "rt-" in each or "at-" in each]


def test_opentelemetry(rotating: RotatingProvider) -> None:
    """OpenTelemetry gets counters, histograms and spans, those of the store within a refresh's."""
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    traces, meters = TracerProvider(), MeterProvider([reader])
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    site = Observed(rotating)
    observe(site.app, OpenTelemetryMetrics(meters, traces))
    assert site.call() == 200
    spans = {span.name: span for span in exporter.get_finished_spans()}
    refresh, save = spans["flask_dance_nosql refresh"], spans["flask_dance_nosql save_apart"]
    assert save.parent is not None
    assert save.parent.span_id == refresh.context.span_id
    assert dict(refresh.attributes or {}) == {
        "flask_dance_nosql.provider": PROVIDER,
        "flask_dance_nosql.backend": "UserScopedBackend",
        "flask_dance_nosql.outcome": "refreshed",
    }
    assert refresh.status.is_unset
    data = reader.get_metrics_data()
    assert data is not None
    names = {
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {
        f"flask_dance_nosql.{name}" for name in ("events", "cache", "store", "refresh", "wait")
    }
    shown = f"{data.to_json()} {[span.to_json() for span in spans.values()]}"
    assert not [secret for secret in (USER, "rt-ann", "at-ann", "client-secret") if secret in shown]
    rotating.grants["ann"].has_ended = True
    site.backend.set(site.blueprint, {**rotating.grant("bob")})
    rotating.grants["bob"].has_ended = True
    exporter.clear()
    with pytest.raises(TokenRevoked):
        site.call()
    [refresh] = [s for s in exporter.get_finished_spans() if s.name.endswith(" refresh")]
    assert not refresh.status.is_ok
    assert not refresh.status.is_unset
    assert refresh.events == ()
    meters.shutdown()
    traces.shutdown()


def test_opentelemetry_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says what to install."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)
    module = "flask_dance_nosql.operations.opentelemetry"
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(MissingDependency, match=r"opentelemetry-api.*\[opentelemetry\]"):
        __import__(module)


@pytest.mark.parametrize(
    ("operation", "first", "provider"),
    [
        ("load", TokenKey("acme", "ann"), "acme"),
        ("load", TokenKey(f"{KINDS[0]}acme", "ann"), "acme"),
        ("acquire", TokenKey(f".linked.{KINDS[0]}acme", "ann"), "acme"),
        ("linked", "acme", "acme"),
        ("forget", "ann", ""),
        ("ping", None, ""),
    ],
)
def test_label_of_an_entry(operation: str, first: Any, provider: str) -> None:
    """An entry and a lock have the provider that they are of, and no kind and no user."""
    assert _provider_of(operation, () if first is None else (first,)) == provider
