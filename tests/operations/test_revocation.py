"""Revoking many tokens: each is removed, and what was not confirmed is told."""

from __future__ import annotations

from flask_dance_nosql.consumer import token_deleted
from flask_dance_nosql.consumer.backend import TokenKey, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.backend.store.wrapper import StoreWrapper
from flask_dance_nosql.operations import revoke_tokens
from flask_dance_nosql.testing import make_document

from ..consumer.conftest import make_app
from ..fleet import Fleet, blueprint_of, fleet, kept, rotating, small_fleet
from ..rotating import RotatingProvider

__all__ = ["fleet", "kept", "rotating", "small_fleet"]


def test_a_provider_is_revoked(fleet: Fleet) -> None:
    """All grants of a provider end, those of others stay, and each doubt has its reason."""
    before = fleet.left()
    with fleet.app.app_context():
        done = list(revoke_tokens("acme"))
    told = {(each.user_id, each.account): each.reason for each in done}
    wanted: dict[tuple[str, str | None], str | None] = {
        ("ann", "A1"): None,
        ("ann", "A2"): None,
        ("bob", None): None,
        # Its provider has ended it already.
        ("cat", None): None,
        ("dan", None): "its record can't be read",
        ("eve", None): "the time of its record is up",
    }
    if ("acme", "eve", None) not in fleet.states:
        del wanted["eve", None]
    assert told == wanted
    assert all(each.is_removed for each in done)
    for name in ("acme-ann-A1", "acme-ann-A2", "acme-bob-None"):
        assert not fleet.rotating.live(name)
    assert fleet.left() == {each for each in before if each[0] != "acme"}


def test_a_user_is_revoked(small_fleet: Fleet) -> None:
    """At each provider, also at one of which the app has no blueprint any more."""
    with small_fleet.app.app_context():
        done = {(each.provider, each.account): each for each in revoke_tokens(user_id="ann")}
    assert {name: each.reason for name, each in done.items()} == {
        ("acme", "A1"): None,
        ("acme", "A2"): None,
        ("gone", None): "the app has no blueprint of that name with this backend",
        ("plain", None): "the blueprint has no revocation endpoint",
    }
    assert "ann" not in {user for _, user, _ in small_fleet.left()}
    assert ("plain", "bob", None) in small_fleet.left()


def test_a_dry_run_does_nothing(small_fleet: Fleet, rotating: RotatingProvider) -> None:
    """It yields the same tokens, asks no provider, and removes nothing."""
    before = small_fleet.kept.text()
    with small_fleet.app.app_context():
        done = list(revoke_tokens("acme", dry_run=True))
    assert len(done) == 6
    assert not any(each.is_removed or each.reason for each in done)
    assert small_fleet.kept.text() == before
    assert rotating.asked == []


class Alias(StoreWrapper):
    """A store by another name, such as that of a server with two."""

    place = "another name"


def test_one_store_by_two_names(rotating: RotatingProvider) -> None:
    """Each grant is revoked by its own blueprint, whichever store is read first."""
    store = MemoryStore()
    backends = UserScopedBackend(store), UserScopedBackend(Alias(store))
    blueprints = [
        blueprint_of(name, backend, rotating.url, revocation_url=f"{rotating.url}/revoke")
        for name, backend in zip(("acme", "other"), backends, strict=True)
    ]
    app = make_app(*blueprints)
    for name in ("acme", "other"):
        store.save(make_document(TokenKey(name, "ann"), rotating.grant(name)))
    with app.app_context():
        done = list(revoke_tokens(user_id="ann"))
    assert [(each.provider, each.reason) for each in done] == [("acme", None), ("other", None)]
    assert not rotating.live("acme")
    assert not rotating.live("other")
    assert list(store.records()) == []


def test_signal_names_the_user(fleet: Fleet) -> None:
    """What is told of a removal has the user's id, as after a request of theirs."""
    users: list[object] = []

    def receive(sender: object, user_id: object, **_: object) -> None:
        users.append(user_id)

    with token_deleted.connected_to(receive), fleet.app.app_context():
        done = list(revoke_tokens("acme", "bob"))
    assert len(done) == 1
    assert users == ["bob"]
