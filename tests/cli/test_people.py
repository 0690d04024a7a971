"""The commands about people, and the one that purges: what they ask, do and tell."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import click
import pytest

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.errors import BackendUnavailable

from ..fleet import Fleet, rotating, small_fleet

__all__ = ["rotating", "small_fleet"]
DESTRUCTIVE = [
    ["revoke", "--provider", "acme"],
    ["forget", "ann"],
    ["purge", "--ended", "--unreadable"],
]


@pytest.mark.parametrize("command", DESTRUCTIVE, ids=lambda each: each[0])
def test_nothing_is_destroyed_unasked(
    small_fleet: Fleet, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal it needs --yes; on one, a no or a dry run leaves all as it is."""
    before = small_fleet.kept.text()
    refused = small_fleet.run(*command)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert small_fleet.run(*command, "--dry-run").exit_code == 0
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    assert small_fleet.run(*command, input="n\n").exit_code == 1
    assert small_fleet.run(*command, input="").exit_code == 1
    assert small_fleet.kept.text() == before
    assert small_fleet.rotating.asked == []
    small_fleet.run(*command, input="y\n")
    assert small_fleet.kept.text() != before


def test_revoke_tells_what_was_not_confirmed(small_fleet: Fleet) -> None:
    """On a line each, and by its exit code."""
    done = small_fleet.run("revoke", "--user", "ann", "--yes")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "PROVIDER  USER  ACCOUNT  REASON",
        "gone      ann   -        the app has no blueprint of that name with this backend",
        "plain     ann   -        the blueprint has no revocation endpoint",
    ]
    assert done.stderr.splitlines()[-1] == "4 removed, 2 confirmed by their providers."
    done = small_fleet.run("revoke", "--user", "bob", "--provider", "acme", "--yes", "--json")
    assert done.exit_code == 0
    [line] = done.stdout.splitlines()
    assert json.loads(line) == {
        "dry_run": False,
        "provider": "acme",
        "user_id": "bob",
        "account": None,
        "is_removed": True,
        "reason": None,
    }


@pytest.mark.parametrize(
    "command",
    [
        ["revoke", "--yes"],
        ["purge", "--yes"],
        ["purge", "--dead-for", "soon", "--yes"],
        ["forget", "--yes"],
        ["forget", "", "--yes"],
        ["revoke", "--user", "", "--yes"],
        ["list", "--shard", "5/4"],
        ["list", "--state", "odd"],
    ],
)
def test_a_wrong_use_is_told(small_fleet: Fleet, command: list[str]) -> None:
    """It ends with 2, and nothing is done."""
    before = small_fleet.kept.text()
    done = small_fleet.run(*command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert small_fleet.kept.text() == before


@pytest.mark.parametrize("command", ["list", "stats", "revoke"])
def test_an_unknown_provider_is_told(small_fleet: Fleet, command: str) -> None:
    """A slip of the pen does not look like a provider without tokens."""
    done = small_fleet.run(command, "--provider", "acmee")
    assert done.exit_code == 1
    assert "'acmee'" in done.stderr


def test_forget(small_fleet: Fleet) -> None:
    """A user is gone from all stores, and what goes on at providers is told."""
    dry = small_fleet.run("forget", "ann", "--dry-run")
    assert [line.split() for line in dry.stdout.splitlines()] == [
        ["PROVIDER", "USER", "ACCOUNT"],
        *(["acme", "ann", "A1"], ["acme", "ann", "A2"]),
        *(["gone", "ann", "-"], ["plain", "ann", "-"]),
    ]
    dry_told = json.loads(small_fleet.run("forget", "ann", "--dry-run", "--json").stdout)
    assert (dry_told["dry_run"], dry_told["removed"]) == (True, [])
    done = small_fleet.run("forget", "ann", "--yes", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told.keys() == dry_told.keys()
    assert (told["dry_run"], told["removed"]) == (False, dry_told["found"])
    assert [each["account"] for each in told["revoked"]] == ["A1", "A2"]
    assert [each["provider"] for each in told["not_revoked"]] == ["gone", "plain"]
    assert "ann" not in small_fleet.kept.text().replace("acme-ann", "")
    assert small_fleet.run("forget", "ann", "--yes").stdout.startswith("0 removed")


def test_forget_without_revoking(small_fleet: Fleet) -> None:
    """No provider is asked."""
    done = small_fleet.run("forget", "bob", "--yes", "--no-revoke")
    assert done.exit_code == 0
    assert "acme      bob   -        it was not asked for" in done.stdout.splitlines()
    assert small_fleet.rotating.asked == []


def test_forget_that_is_not_complete(small_fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is told, and the exit code says that it has to be run again."""

    def down(*_: Any) -> None:
        raise BackendUnavailable("forget", "MemoryStore")

    monkeypatch.setattr(small_fleet.kept.store, "forget", down)
    done = small_fleet.run("forget", "ann", "--yes")
    assert done.exit_code == 1
    assert "Not everything of a user is removed" in done.stderr
    assert "removed" in done.stdout


def test_export(small_fleet: Fleet, tmp_path: Path) -> None:
    """It is JSON; a file is new, and its owner's alone."""
    printed = json.loads(small_fleet.run("export", "ann").stdout)
    assert len(printed["accounts"]) == 4
    path = tmp_path / "ann.json"
    previous = os.umask(0)
    try:
        done = small_fleet.run("export", "ann", "--output", str(path))
    finally:
        os.umask(previous)
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(path.read_text()) == printed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = small_fleet.run("export", "bob", "--output", str(path))
    assert again.exit_code == 1
    assert json.loads(path.read_text()) == printed
    assert small_fleet.run("export", "ann", "--output", "/no/such/file").exit_code == 1


def test_purge(small_fleet: Fleet) -> None:
    """It counts what it removes, or would."""
    command = ["purge", "--needs-login", "--dead-for", "90d"]
    dry = small_fleet.run(*command, "--dry-run")
    assert dry.stdout.splitlines() == [
        "needs-login: 1 would be removed",
        "dead: 1 would be removed",
    ]
    done = json.loads(small_fleet.run(*command, "--yes", "--json").stdout)
    assert done == {
        "dry_run": False,
        "removed": {"needs-login": 1, "dead": 1},
        "kept": 0,
        "left": 0,
        "read": 9,
    }
    again = small_fleet.run(*command, "--yes")
    assert again.stdout.splitlines() == ["needs-login: 0 removed", "dead: 0 removed"]


def test_a_user_without_records(small_fleet: Fleet) -> None:
    """It is no failure that there is nothing to do any more; only show tells it by its code."""
    for command in (
        ["forget", "nobody", "--yes"],
        ["export", "nobody"],
        ["revoke", "--user", "nobody", "--yes"],
        ["purge", "--user", "nobody", "--ended", "--yes"],
    ):
        assert small_fleet.run(*command).exit_code == 0
    assert small_fleet.run("show", "nobody").exit_code == 1


def test_revoke_that_fails_tells_what_it_has_done(
    small_fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not confirmed before is printed, though a store does not answer any more."""
    records = small_fleet.kept.store.records

    def ends_early(*arguments: Any) -> Any:
        yield from list(records(*arguments))
        raise BackendUnavailable("records", "MemoryStore")

    monkeypatch.setattr(small_fleet.kept.store, "records", ends_early)
    done = small_fleet.run("revoke", "--user", "ann", "--yes")
    assert done.exit_code == 1
    assert "plain     ann   -        the blueprint has no revocation endpoint" in done.stdout
    assert "MemoryStore.records" in done.stderr


WITH_DRY_RUN = [
    ["prepare"],
    ["keep-fresh"],
    ["revoke", "--provider", "acme"],
    ["forget", "ann"],
    ["purge", "--ended"],
    ["copy", "--to", "tests.cli.test_secrets:other_place"],
    ["reseal"],
]


@pytest.mark.parametrize("command", WITH_DRY_RUN, ids=lambda each: each[0])
def test_json_tells_a_dry_run(small_fleet: Fleet, command: list[str]) -> None:
    """Each result says that nothing was done."""
    known = {name for name, each in tokens.commands.items() if "dry_run" in names_of(each)}
    assert known == {each[0] for each in WITH_DRY_RUN}
    done = small_fleet.run(*command, "--dry-run", "--json")
    if command == ["reseal"] and not small_fleet.sealed:
        assert done.exit_code == 1
        return
    lines = done.stdout.splitlines() if command[0] == "revoke" else [done.stdout]
    told = [each for line in lines for each in results_in(json.loads(line))]
    assert told
    assert all(each["dry_run"] is True for each in told)


def names_of(command: click.Command) -> set[str | None]:
    """Return the names of a command's parameters."""
    return {each.name for each in command.params}


def results_in(told: Any) -> list[dict[str, Any]]:
    """Return the results in a document: of each store, of each provider, or a single one."""
    if isinstance(told, list):
        return told
    return [told] if "dry_run" in told else list(told.values())


@pytest.mark.parametrize(
    "command", ["list", "show dan", "stats", "revoke --provider=acme --dry-run"]
)
def test_what_can_not_be_read_is_told_once(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    """A command tells it itself, and shows with --verbose alone that it was logged."""
    if not small_fleet.sealed:
        pytest.skip("What a store in memory can't read, it does not log.")
    small_fleet.run(*command.split())
    assert "corrupt" not in caplog.text
    assert "is corrupt" in small_fleet.run(*command.split(), "--verbose").stderr


@pytest.mark.parametrize(
    ("command", "label"),
    [
        *((["stats"], "Counting"), (["check"], "Checking")),
        *((["purge", "--ended", "--dry-run"], "Purging"),),
        *((["revoke", "--user=ann", "--dry-run"], "Revoking"),),
        *((["keep-fresh", "--within=1d"], "Refreshing"),),
    ],
)
def test_progress_on_a_terminal(
    small_fleet: Fleet, command: list[str], label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown on the standard error stream, and nowhere else."""
    with monkeypatch.context() as terminal:
        terminal.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
        done = small_fleet.run(*command)
    assert label in done.stderr
    assert label not in done.stdout
    assert label not in small_fleet.run(*command).output
