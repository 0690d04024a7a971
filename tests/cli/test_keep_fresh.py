"""``flask tokens keep-fresh``, as an operator types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flask_dance_nosql.cli import keep_fresh as command
from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
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


@pytest.mark.parametrize(
    "arguments",
    [("--within", "soon"), ("--idle", "3x"), ("--rate", "fast"), ("--rate", "a=0/s")],
)
def test_odd_arguments(site: Site, arguments: tuple[str, ...]) -> None:
    """What is no time or rate is refused."""
    result = site.type(*arguments)
    assert result.exit_code == 2
    assert "such as" in result.output


def test_unknown_provider(site: Site) -> None:
    """It says that there is no such blueprint."""
    result = site.type("--provider", "nobody")
    assert result.exit_code == 1
    assert "'nobody'" in result.output
