"""Purging removes what was chosen, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.operations import keep_fresh, purge, purging, stored_records
from flask_dance_nosql.testing import make_document

from ..fleet import Fleet, failed, fleet, kept, rotating, small_fleet
from ..rotating import RotatingProvider

__all__ = ["fleet", "kept", "rotating", "small_fleet"]
Key = tuple[str, str | None, str | None]
CHOICES: list[tuple[dict[str, Any], str, Key]] = [
    ({"ended": True}, "ended", ("acme", "eve", None)),
    ({"needs_login": True}, "needs-login", ("acme", "cat", None)),
    ({"unreadable": True}, "unreadable", ("acme", "dan", None)),
    ({"dead_for": timedelta(days=90)}, "dead", ("plain", "bob", None)),
]


def present(fleet: Fleet) -> set[Key]:
    """Return whose records there are, those that can't be read included."""
    with fleet.app.app_context():
        keys = [each.key for each in fleet.backend.store.records()]
    return {(key.provider, key.user_id, key.account) for key in keys}


def test_only_what_was_chosen_goes(fleet: Fleet) -> None:
    """Each choice removes its records and no others; a dry run removes none."""
    left = set(fleet.states)
    assert present(fleet) == left
    for choice, reason, key in CHOICES:
        with fleet.app.app_context():
            wanted = {reason: int(key in left)}
            assert purge(**choice, dry_run=True).removed == wanted
            assert present(fleet) == left
            done = purge(**choice)
        assert (done.removed, done.kept, done.left) == (wanted, 0, 0)
        assert done.read == len(left)
        left.discard(key)
        assert present(fleet) == left


def test_all_choices_at_once(small_fleet: Fleet) -> None:
    """Each removes what is its, and the rest is left."""
    choices = {name: value for choice, _, _ in CHOICES for name, value in choice.items()}
    with small_fleet.app.app_context():
        done = purge(**choices)
    assert done.removed == {reason: 1 for _, reason, _ in CHOICES}
    assert present(small_fleet) == set(small_fleet.states) - {key for _, _, key in CHOICES}


def test_nothing_without_a_choice(small_fleet: Fleet) -> None:
    """Who chooses nothing is told."""
    with small_fleet.app.app_context(), pytest.raises(ConfigurationError, match="chosen"):
        purge()


def test_a_dead_token_is_one_that_ended_so_long_ago(small_fleet: Fleet) -> None:
    """Not one that ended later, may be refreshed, never ends, or is of OAuth 1."""
    now = clock.timestamp()
    tokens: dict[str, dict[str, Any]] = {
        "later": {"access_token": "at", "expires_at": now - 98 * 86400},
        "refreshed": {"access_token": "at", "expires_at": 5.0, "refresh_token": "rt"},
        "endless": {"access_token": "at"},
        "odd": {"nothing": "else"},
        "old": {"oauth_token": "t", "expires_at": 5.0},
    }
    for name, token in tokens.items():
        small_fleet.save("plain", name, None, token)
    with small_fleet.app.app_context():
        assert purge(dead_for=timedelta(days=99)).removed == {"dead": 1}
    assert {("plain", name, None) for name in tokens} <= present(small_fleet)
    assert ("plain", "bob", None) not in present(small_fleet)


def test_only_old_records(small_fleet: Fleet) -> None:
    """With an age, what was written lately stays, and what does not say when it was."""
    with small_fleet.app.app_context():
        assert purge(ended=True, older_than=timedelta(hours=1)).removed == {"ended": 0}
        assert purge(ended=True, older_than=timedelta(0)).removed == {"ended": 1}


def test_an_age_counts_from_the_end_of_a_grant(small_fleet: Fleet) -> None:
    """Not from the last write of the token, nor from the first failure, which came before."""
    now = clock.now()
    for user_id, days in (("long", 31), ("short", 0)):
        small_fleet.save(
            *("acme", user_id, None, {}),
            updated_at=now - timedelta(days=90),
            refresh_failure=replace(failed(needs_login=True), since=now - timedelta(days=days)),
        )
    with small_fleet.app.app_context():
        assert purge(needs_login=True, older_than=timedelta(days=30)).removed == {"needs-login": 1}
    assert ("acme", "long", None) not in present(small_fleet)
    assert {("acme", "short", None), ("acme", "cat", None)} <= present(small_fleet)


def test_a_grant_that_has_just_ended(small_fleet: Fleet) -> None:
    """It stays for the time that is given, however long its refreshes have failed before."""
    rotating = small_fleet.rotating
    old, start = timedelta(days=60), clock.now()
    with time_machine.travel(start - old, tick=False):
        small_fleet.put("acme", "bob", expires_at=1.0, refreshes=True, failure=failed())
    rotating.grants["acme-bob-None"].has_ended = True
    purged: dict[str, Any] = {"needs_login": True, "provider": "acme", "user_id": "bob"}
    with small_fleet.app.app_context():
        assert keep_fresh(provider="acme", rate=1e6)["acme"].ended >= 1
        assert purge(**purged, older_than=timedelta(days=30)).removed == {"needs-login": 0}
        with time_machine.travel(start + timedelta(days=31), tick=False):
            done = purge(**purged, older_than=timedelta(days=30))
    assert done.removed == {"needs-login": 1}


def test_a_token_whose_refresh_was_refused_stays(small_fleet: Fleet) -> None:
    """It may work still, and be refreshed after its application is mended at the provider."""
    small_fleet.put("acme", "fay", refreshes=True, failure=failed(needs_login=True))
    with small_fleet.app.app_context():
        assert [each.state for each in stored_records(user_id="fay")] == ["needs-login"]
        assert purge(user_id="fay", needs_login=True).removed == {"needs-login": 0}


def test_only_of_a_provider(small_fleet: Fleet) -> None:
    """Or of a user."""
    with small_fleet.app.app_context():
        assert purge("plain", unreadable=True, ended=True).removed == {"unreadable": 0, "ended": 0}
        assert purge(user_id="eve", unreadable=True, ended=True).removed["ended"] == 1


@pytest.mark.parametrize(("choice", "key"), [(c, key) for c, _, key in CHOICES])
def test_a_login_meanwhile_stays(
    fleet: Fleet, choice: dict[str, Any], key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written between reading and removing is kept, and counted."""
    if key not in fleet.states:
        pytest.skip("This store removes by itself what has ended.")
    remove = purging._remove

    def login_first(found: Any) -> bool:
        fleet.backend.store.save(make_document(TokenKey(*key), {"access_token": "at-new"}))
        return remove(found)

    monkeypatch.setattr(purging, "_remove", login_first)
    with fleet.app.app_context():
        done = purge(**choice)
        assert (sum(done.removed.values()), done.kept) == (0, 1)
        document = fleet.backend.store.load(TokenKey(*key))
    assert document is not None
    assert document.token == {"access_token": "at-new"}


def test_the_account_of_what_is_removed_is_free(
    small_fleet: Fleet, rotating: RotatingProvider
) -> None:
    """Nothing that pointed to it is left."""
    backend, key = small_fleet.backend, TokenKey("acme", "fay", "F1")
    backend.links = True
    document = replace(make_document(key, {"access_token": "at", "expires_at": 5.0}))
    backend.store.link(replace(document, provider_user_id="F1"))
    assert backend.store.linked("acme", "F1") == key
    with small_fleet.app.app_context():
        assert purge("acme", dead_for=timedelta(days=1)).removed == {"dead": 1}
    assert backend.store.linked("acme", "F1") is None
    assert rotating.asked == []
