"""``flask tokens keep-fresh``, as an operator types it."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flask_dance_nosql.cli import keep_fresh as command
from flask_dance_nosql.cli import tokens
from flask_dance_nosql.cli.options import duration_of
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable
from flask_dance_nosql.operations.keeping import keep_fresh

from ..operations.many import PROVIDER, app_of, blueprint_of, document_of
from ..rotating import RotatingProvider


class Site:
    """An app with three users, and its command line."""

    def __init__(self, provider: RotatingProvider) -> None:
        self.store = MemoryStore()
        for user_id in ("ann", "bob", "cid"):
            self.store.save(document_of(provider, user_id))
        self._runner = app_of(blueprint_of(provider.url, self.store)).test_cli_runner()

    def type(self, *arguments: str) -> Any:
        """Run the command."""
        return self._runner.invoke(tokens, ["keep-fresh", *arguments])


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as made:
        yield made


@pytest.fixture
def site(provider: RotatingProvider) -> Site:
    """The app."""
    return Site(provider)


def test_refreshes(site: Site, provider: RotatingProvider) -> None:
    """It refreshes what is due, and says so."""
    result = site.type("--rate", "1000/s")
    assert (result.exit_code, result.stdout) == (0, f"{PROVIDER}: 3 due, 3 refreshed\n")
    assert provider.refreshes == 3
    assert site.type().stdout == f"{PROVIDER}: 3 fresh\n"


def test_dry_run_and_json(site: Site, provider: RotatingProvider) -> None:
    """A dry run asks nobody; JSON has all counts in a line."""
    result = site.type("--dry-run", "--json")
    assert result.exit_code == 0
    counts = json.loads(result.stdout)
    assert (counts[PROVIDER]["due"], counts[PROVIDER]["refreshed"]) == (3, 0)
    assert provider.asked == []
    assert site.type("--idle", "off", "--dry-run").stdout == f"{PROVIDER}: 3 fresh\n"
    assert site.type("--idle", "off", "--within", "1d", "--dry-run").stdout.endswith(": 3 due\n")


def test_failure_is_code_1(site: Site, provider: RotatingProvider) -> None:
    """If something has failed, the code is 1, and nothing printed is secret."""
    provider.failing = 500, {"error": "server_error", "error_description": "rt-ann-0 at-ann-0"}
    result = site.type("--rate", f"{PROVIDER}=1000/s")
    assert (result.exit_code, result.stdout) == (1, f"{PROVIDER}: 3 due, 3 failed\n")
    assert not [secret for secret in ("rt-", "at-", "client-secret") if secret in result.output]


def test_parts(site: Site) -> None:
    """Parts are disjoint and whole."""
    told = [site.type("--shard", f"{part}/3", "--dry-run", "--json").stdout for part in (1, 2, 3)]
    assert sum(json.loads(each)[PROVIDER]["due"] for each in told) == 3


def test_loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does it again and again, with a line for each round, until it is told to end."""
    rounds = []
    real = keep_fresh

    def counted(**options: Any) -> Any:
        rounds.append(options["stop"])
        if len(rounds) == 2:
            options["stop"].set()
        return real(**options)

    monkeypatch.setattr(command, "keep_fresh", counted)
    result = site.type("--loop", "0s", "--json")
    assert [json.loads(line)[PROVIDER]["refreshed"] for line in result.stdout.splitlines()] == [
        3,
        0,
    ]


def test_loop_outlives_a_failure(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is away, or whatever else fails, ends no loop; the last round gives the code."""
    records, failures = site.store.records, [BackendUnavailable("scan", "MemoryStore"), None]

    def failing(*arguments: Any) -> Any:
        if (error := failures.pop(0)) is not None:
            raise error
        return records(*arguments)

    monkeypatch.setattr(site.store, "records", failing)
    rounds = []

    def counted(**options: Any) -> Any:
        rounds.append(options["stop"])
        if len(rounds) == 2:
            raise RuntimeError("very secret")
        counts = keep_fresh(**options)
        if not failures:
            options["stop"].set()
        return counts

    monkeypatch.setattr(command, "keep_fresh", counted)
    result = site.type("--loop", "0s")
    assert result.stdout == f"{PROVIDER}: 1 unread stores\n{PROVIDER}: 3 due, 3 refreshed\n"
    assert (result.exit_code, len(rounds)) == (0, 3)
    assert "This round has failed. RuntimeError" in caplog.text
    assert "very secret" not in caplog.text
    rounds.clear()
    failures[:] = [None, BackendUnavailable("scan", "MemoryStore")]
    assert site.type("--loop", "0s").exit_code == 1


def test_two_signals(
    site: Site, provider: RotatingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lets a refreshed token wait for its store; the second ends even that at once."""

    def refuse(*_: Any) -> Any:
        raise BackendUnavailable("save", "MemoryStore")

    waits = []

    class Insists(logging.Handler):
        """Sends a second signal when the first one is not enough."""

        def emit(self, record: logging.LogRecord) -> None:
            if "interrupt it again" in record.getMessage():
                waits.append(record.getMessage())
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(site.store, "save_apart", refuse)
    signals = iter([signal.SIGTERM])

    def end() -> None:
        for each in signals:
            os.kill(os.getpid(), each)

    provider.when_asked = end
    handler = Insists()
    logger = logging.getLogger("flask_dance_nosql.operations.keeping")
    logger.addHandler(handler)
    began = time.monotonic()
    try:
        result = site.type("--rate", "1/s")
    finally:
        logger.removeHandler(handler)
    assert (result.exit_code, result.stderr.strip()) == (1, "Aborted!")
    assert time.monotonic() - began < 30
    assert len(waits) == 1


ODD_TIMES = ["soon", "3x", "5", "-1d", "1.5h", "d", "", "36501d", "9" * 30 + "d", "9" * 5000 + "s"]


@pytest.mark.parametrize("option", ["--within", "--idle", "--loop"])
@pytest.mark.parametrize("text", ODD_TIMES)
def test_odd_times(site: Site, option: str, text: str) -> None:
    """All durations are read by one reader, which refuses what is none or too long."""
    result = site.type(option, text)
    assert result.exit_code == 2
    assert "A duration is " in result.stderr
    assert ("Or it is off." in result.stderr) == (option == "--idle")


def test_the_longest_times(site: Site) -> None:
    """The longest of each is none too long, for dates and for threads."""
    for option in ("--within", "--idle"):
        assert site.type(option, "36500d", "--dry-run").exit_code == 0
    assert duration_of("36500d").total_seconds() < threading.TIMEOUT_MAX


ODD_RATES = [
    ("--rate", "a=0/s"),
    ("--rate", "0.00000000001/s"),
    ("--rate", "9" * 400),
    ("--rate", "fast"),
    ("--rate", "5/week"),
]


@pytest.mark.parametrize("arguments", ODD_RATES)
def test_odd_arguments(site: Site, arguments: tuple[str, ...]) -> None:
    """What is no rate is refused."""
    result = site.type(*arguments)
    assert result.exit_code == 2
    assert "such as" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "githb=1/s"), "'githb'"),
        (("--rate", "1/s", "--rate", "2/s"), "--rate takes one value for each provider"),
        (("--rate", "acme=1/s", "--rate", "acme=2/s"), "--rate takes one value for each provider"),
        (("--provider", "acme", "--provider", "acme"), "--provider takes one value"),
        (("--idle", "1d", "--idle=2d"), "--idle takes one value"),
    ],
)
def test_options_that_would_be_passed_over(
    site: Site, arguments: tuple[str, ...], message: str
) -> None:
    """They are errors, and nothing is done."""
    result = site.type(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert (
        site.type("--rate", "100/s", "--rate", "acme=1/s", "--dry-run", "--dry-run").exit_code == 0
    )


def test_unknown_provider(site: Site) -> None:
    """It says that there is no such blueprint."""
    result = site.type("--provider", "nobody")
    assert result.exit_code == 1
    assert "'nobody'" in result.output
