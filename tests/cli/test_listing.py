"""The commands that show what is stored, as people and programs read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from flask_dance_nosql.cli.options import duration_of
from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.testing import make_document

from ..fleet import STATES, Fleet, rotating, small_fleet

__all__ = ["rotating", "small_fleet"]


def test_list(small_fleet: Fleet) -> None:
    """A line for each record, in columns, below the names of these."""
    done = small_fleet.run("list")
    assert done.exit_code == 0
    heading, *lines = done.stdout.splitlines()
    assert heading.split("  ")[0] == "PROVIDER"
    assert len(lines) == len(STATES)
    shown = {tuple(line.split()[:4]) for line in lines}
    assert ("acme", "cat", "-", "needs-login") in shown
    assert ("acme", "ann", "A2", "working") in shown
    column = heading.index("STATE")
    assert {line[column:].split()[0] for line in lines} == set(STATES.values())


def test_list_as_json(small_fleet: Fleet) -> None:
    """A line of JSON for each record."""
    lines = small_fleet.run("list", "--json").stdout.splitlines()
    found = {(it["provider"], it["user_id"], it["account"]): it for it in map(json.loads, lines)}
    assert {key: each["state"] for key, each in found.items()} == STATES
    bob = found["acme", "bob", None]
    assert (bob["failures"], bob["reason"], bob["refreshable"]) == (3, "it said no", True)
    assert found["plain", "bob", None]["expires_at"].endswith("Z")


@pytest.mark.parametrize("state", sorted(set(STATES.values())))
def test_list_of_a_state(small_fleet: Fleet, state: str) -> None:
    """Only records that stand so."""
    lines = small_fleet.run("list", "--json", "--state", state).stdout.splitlines()
    assert len(lines) == list(STATES.values()).count(state)
    assert {json.loads(line)["state"] for line in lines} == {state}


def test_list_stops(small_fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many records as are asked for, no more are read."""
    read = 0

    def records(*_: Any) -> Iterator[Any]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield make_document(TokenKey("acme", str(number)))

    monkeypatch.setattr(small_fleet.kept.store, "records", records)
    assert len(small_fleet.run("list", "--json", "--limit", "3").stdout.splitlines()) == 3
    assert read == 3
    assert small_fleet.run("list", "--json", "--limit", "0").stdout == ""
    assert len(small_fleet.run("list").stdout.splitlines()) == 1001


def test_shards_share_the_records(small_fleet: Fleet) -> None:
    """Each is in one of them."""
    lines = [
        line
        for number in (1, 2, 3)
        for line in small_fleet.run("list", "--json", "--shard", f"{number}/3").stdout.splitlines()
    ]
    assert sorted(lines) == sorted(small_fleet.run("list", "--json").stdout.splitlines())


def test_a_terminal_is_told_nothing_to_do(small_fleet: Fleet) -> None:
    """An id with control characters is shown by their codes."""
    small_fleet.save("plain", "e\x1b[2J\x9b", None, {"access_token": "at", "x\x1by": "z"})
    for command in (
        ["list"],
        ["show", "e\x1b[2J\x9b"],
        ["revoke", "--provider=plain", "--dry-run"],
    ):
        printed = small_fleet.run(*command).stdout
        assert "\x1b" not in printed
        assert "\x9b" not in printed
        assert "e\\x1b[2J" in printed or command[0] == "show"


def test_show(small_fleet: Fleet) -> None:
    """All records of a user, with the names of fields, and no values."""
    done = small_fleet.run("show", "ann")
    assert done.exit_code == 0
    assert "acme, A1: working" in done.stdout
    assert f"    access_token: text, {len('at-acme-ann-A1-0')} characters" in done.stdout
    assert "  scopes:            read write" in done.stdout
    assert done.stdout.count("\n\n") == 4
    [one] = json.loads(small_fleet.run("show", "ann", "--account", "A1", "--json").stdout)
    assert one["fields"]["refresh_token"].startswith("text")
    assert one["scopes"] == ["read", "write"]
    assert "failed refreshes:  3" in small_fleet.run("show", "bob", "--provider", "acme").stdout


def test_show_of_what_can_not_be_read(small_fleet: Fleet) -> None:
    """It says why."""
    done = small_fleet.run("show", "dan")
    assert done.stdout.startswith("acme: unreadable\n")
    assert "is corrupt" in done.stdout


def test_show_of_nobody(small_fleet: Fleet) -> None:
    """Who has nothing is told apart by the exit code."""
    done = small_fleet.run("show", "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert small_fleet.run("show", "nobody", "--json").stdout == "[]\n"


def test_stats(small_fleet: Fleet) -> None:
    """Numbers of each provider, of all, and of each key."""
    lines = [line.split() for line in small_fleet.run("stats").stdout.splitlines()]
    assert lines[0][:5] == ["PROVIDER", "RECORDS", "WORKING", "EXPIRING", "EXPIRED"]
    assert lines[3] == ["plain", "2", "0", "1", "1", "0", "0", "0", "0"]
    assert lines[4] == ["total", "9", "3", "1", "1", "1", "1", "1", "1"]
    found = json.loads(small_fleet.run("stats", "--json", "--within", "1h").stdout)
    assert found["within_seconds"] == 3600
    assert found["total"]["states"]["expiring"] == 0
    if small_fleet.sealed:
        assert list(found["keys"].values()) == ["current", "fallback"]
        assert [line[2] for line in lines[7:9]] == ["current", "fallback"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7776000), ("12h", 43200), ("30m", 1800), ("45s", 45), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert duration_of(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "d", "90", "-1d", "1.5h", "1w", "1 d", "9" * 20 + "d", "²d", "1D"]
)
def test_what_is_no_duration(text: str) -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match=r"duration|dates"):
        duration_of(text)
