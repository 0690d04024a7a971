"""Being forgotten leaves nothing, and being told what is kept tells no secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cachelib
import pytest
from flask import Flask, current_app

from flask_dance_nosql.accounts import (
    AccountProfile,
    ErasedAccount,
    SignIn,
    export_user,
    forget_user,
)
from flask_dance_nosql.accounts.profile import with_profile
from flask_dance_nosql.consumer import (
    OAuth1ConsumerBlueprint,
    OAuth2ConsumerBlueprint,
    token_deleted,
)
from flask_dance_nosql.consumer import client as consumer_client
from flask_dance_nosql.consumer.backend import (
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.entries import linked_key, marked_key
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable, ErasureIncomplete, TokenRevoked

from ..consumer.conftest import make_app
from ..kept import KEPT, Kept, redis_text
from ..rotating import RotatingProvider

ANN, BOB = "ann-7f3a", "bob-91c4"
DOWN = "http://127.0.0.1:1"


@pytest.fixture(params=KEPT)
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Each store, on a real server, empty."""
    with contextmanager(KEPT[request.param])(request.getfixturevalue) as made:
        yield made


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


def blueprint_at(name: str, url: str, backend: Any, **options: Any) -> OAuth2ConsumerBlueprint:
    """Make a blueprint of a provider."""
    return OAuth2ConsumerBlueprint(
        name,
        __name__,
        **{
            "client_id": "client-id",
            "client_secret": "client-secret",
            "base_url": f"{url}/",
            "authorization_url": f"{url}/authorize",
            "token_url": f"{url}/token",
            "revocation_url": f"{url}/revoke",
            "backend": backend,
            "auto_refresh": True,
            "timeout": 5,
            **options,
        },
    )


@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "shared cache"])
@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_nothing_is_left(
    kept: Kept,
    sealed: bool,
    cached: bool,
    rotating: RotatingProvider,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of several providers and accounts, one down, one without a blueprint, one not readable."""
    # The only record in memory that can't be read is one that another key has sealed.
    sealed = sealed or isinstance(kept.store, MemoryStore)
    monkeypatch.setattr(consumer_client, "_MARGIN", 0.0)
    cache: Any = None
    client: Any = None
    if cached:
        client = request.getfixturevalue("redis8_client")
        cache = cachelib.RedisCache(client)
    backend = UserScopedBackend(
        kept.store,
        user_id=lambda: ANN,
        cipher=TokenCipher(TokenCipher.generate_key()) if sealed else None,
        cache=cache,
    )
    several = {"several_accounts": True, "exclusive_accounts": True, "account_id": lambda s: "A1"}
    one = blueprint_at("one", rotating.url, backend, **several)
    down = blueprint_at("down", DOWN, backend, timeout=0.1)
    odd = blueprint_at("odd", rotating.url, backend)
    old = OAuth1ConsumerBlueprint("old", __name__, backend=backend, timeout=0.1)
    gone = blueprint_at("gone", rotating.url, backend)
    app = make_app(one, down, odd, old)
    secrets = []
    with app.app_context():
        for user in (ANN, BOB):
            for account in ("A1", "A2"):
                name = f"{account}-{user}"
                token = rotating.grant(name, expires_at=9e9)
                secrets += [token["access_token"], token["refresh_token"]]
                backend.set(one, token, user_id=user, account=account, provider_user_id=name)
            for blueprint in (down, odd, old, gone):
                token = {"access_token": f"at-{blueprint.name}-{user}"}
                secrets.append(token["access_token"])
                backend.set(blueprint, token, user_id=user)
        kept.spoil(TokenKey("odd", ANN))
        for each, its in ((one, "A1"), (down, None), (old, None)):
            assert backend.get(each, user_id=ANN, account=its)
        for name in ("down", "old"):
            # A process has died with it.
            assert kept.store.lock(TokenKey(name, ANN), lease=600) is not None
        assert ANN in kept.text()
        erasure = forget_user(ANN)
        assert erasure.found == erasure.removed
        assert {(each.provider, each.account) for each in erasure.found} == {
            *(("one", "A1"), ("one", "A2")),
            *((name, None) for name in ("down", "odd", "old", "gone")),
        }
        assert {each.account for each in erasure.revoked} == {"A1", "A2"}
        assert {each.provider: each.reason for each in erasure.not_revoked} == {
            "down": "the provider has not confirmed it",
            "odd": "its record can't be read",
            "old": "OAuth 1 knows no revocation",
            "gone": "the app has no blueprint of that name with this backend",
        }
        left = kept.text()
        if client is not None:
            left += redis_text(client, {})
        digests = [TokenKey(each.provider, ANN, each.account).digest for each in erasure.found]
        for part in (ANN, *digests, *(secret for secret in secrets if ANN in secret)):
            assert part not in left
        assert BOB in left
        assert backend.get(one, user_id=BOB, account="A2") is not None
        assert backend.find_account(one, f"A1-{BOB}") is not None
        again = forget_user(ANN)
        assert again.found == again.removed == again.not_revoked == ()


def test_several_backends_with_one_store(kept: Kept, rotating: RotatingProvider) -> None:
    """Each grant is revoked, and each token told once, by the backend that can read it."""
    blueprints = []
    for name in ("one", "two"):
        cipher = TokenCipher(TokenCipher.generate_key())
        backend = UserScopedBackend(kept.store, user_id=ANN, cipher=cipher)
        blueprints.append(blueprint_at(name, rotating.url, backend))
    with make_app(*blueprints).app_context():
        for each in blueprints:
            each.token = rotating.grant(each.name, expires_at=9e9)
        told = export_user(ANN)["accounts"]
        assert [(e["provider"], e["is_readable"]) for e in told] == [("one", True), ("two", True)]
        erasure = forget_user(ANN)
    assert erasure.found == erasure.revoked == erasure.removed
    assert len(erasure.found) == 2
    assert not rotating.live("one")
    assert not rotating.live("two")


@pytest.mark.parametrize("kind", ["linked", "marked"])
def test_an_id_that_looks_like_an_entry(kept: Kept, kind: str) -> None:
    """Somebody who is called so takes nothing of others along."""
    backend = UserScopedBackend(kept.store, user_id=ANN)
    blueprint = blueprint_at("one", DOWN, backend)
    entries = {"linked": linked_key("one", "A1"), "marked": marked_key("one", "N1")}
    user_id = str(entries[kind].user_id)
    with make_app(blueprint).app_context():
        backend.set(blueprint, {"access_token": "b"}, user_id=BOB, provider_user_id="A1")
        kept.store.mark(TokenKey("one", BOB), ["N1"])
        backend.set(blueprint, {"access_token": "a"}, user_id=user_id)
        assert len(export_user(user_id)["accounts"]) == 1
        assert len(forget_user(user_id, revoke=False).found) == 1
        assert backend.get(blueprint, user_id=user_id) is None
        owner = backend.find_account(blueprint, "A1")
        assert owner is not None
        assert owner.user_id == BOB
        assert [each.user_id for each in kept.store.marked("one", "N1")] == [BOB]


def test_the_lock_of_a_sign_in_names_nobody(kept: Kept) -> None:
    """One that a process leaves behind tells of no account until it ends."""
    backend = UserScopedBackend(kept.store, user_id=ANN)
    blueprint = blueprint_at("one", DOWN, backend)
    sign_in = SignIn(blueprint, load_user=str, create_user=lambda profile: None)
    with make_app(blueprint).app_context(), sign_in._turn("account-583231"):
        assert "583231" not in kept.text()


def test_a_refresh_in_flight_stores_nothing(rotating: RotatingProvider) -> None:
    """It is waited for; what it has got is revoked, or never comes back into the store."""
    store = MemoryStore()
    backend = UserScopedBackend(store, user_id=ANN)
    blueprint = blueprint_at("one", rotating.url, backend)
    app = make_app(blueprint)
    with app.app_context():
        backend.set(blueprint, rotating.grant())
    rotating.gate.clear()

    def call() -> None:
        # The call itself may come before or after the end of the grant.
        with suppress(TokenRevoked):
            blueprint.session.get("api")

    thread = threading.Thread(target=in_app, args=(app, call))
    thread.start()
    assert rotating.at_the_gate.wait(10)
    erased: list[Any] = []
    other = threading.Thread(target=in_app, args=(app, lambda: erased.append(forget_user(ANN))))
    other.start()
    rotating.gate.set()
    thread.join(30)
    other.join(30)
    assert len(erased[0].revoked) == 1
    assert store._documents == {}
    assert not rotating.live()


def in_app(app: Flask, work: Callable[[], object]) -> None:
    """Do something within a context of the app."""
    with app.app_context():
        work()


class Refusing(MemoryStore):
    """A store that takes no writes from some time on.

    Attributes:
        refuses: Which operations fail.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()

    def save(self, document: Any, if_version: int | None = None) -> Any:
        self._try("save")
        return super().save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self._try("delete")
        super().delete(key, if_version)

    def _try(self, operation: str) -> None:
        if operation in self.refuses:
            raise BackendUnavailable(operation, "Refusing", "no answer")


def test_what_waits_for_the_store_is_gone(rotating: RotatingProvider) -> None:
    """A refreshed token that the store has refused is revoked, and not stored later."""
    store = Refusing()
    backend = UserScopedBackend(store, user_id=ANN)
    blueprint = blueprint_at("one", rotating.url, backend)
    with make_app(blueprint).app_context():
        backend.set(blueprint, rotating.grant())
        store.refuses = {"save"}
        assert blueprint.session.get("api").ok
        assert blueprint.flights.rescue._kept
        store.refuses = set()
        forget_user(ANN)
        assert not blueprint.flights.rescue._kept
        assert store._documents == {}
    assert not rotating.live()


def test_without_revoking(rotating: RotatingProvider) -> None:
    """Grants stay at the provider if that is what is asked for, and receivers are told."""
    backend = UserScopedBackend(MemoryStore(), user_id=ANN)
    blueprint = blueprint_at("one", rotating.url, backend)
    told: list[Any] = []

    def receive(sender: Any, user_id: str) -> None:
        told.append((sender, user_id))

    with make_app(blueprint).app_context(), token_deleted.connected_to(receive):
        backend.set(blueprint, rotating.grant())
        erasure = forget_user(ANN, revoke=False)
    assert erasure.not_revoked == (ErasedAccount("one", None, "it was not asked for"),)
    assert rotating.live()
    assert told == [(blueprint, ANN)]


def test_a_store_that_does_not_answer(rotating: RotatingProvider) -> None:
    """The others do it, the error has what was done, and the next call does the rest."""
    stores = [Refusing(), Refusing()]
    backends = [UserScopedBackend(store, user_id=ANN) for store in stores]
    made = [blueprint_at(f"b{n}", DOWN, backend) for n, backend in enumerate(backends)]
    with make_app(*made).app_context():
        for blueprint, backend in zip(made, backends, strict=True):
            backend.set(blueprint, {"access_token": "at"})
        stores[0].refuses = {"delete"}
        with pytest.raises(ErasureIncomplete, match="no answer") as caught:
            forget_user(ANN)
        erasure: Any = caught.value.erasure
        assert [each.provider for each in erasure.found] == ["b0", "b1"]
        assert [each.provider for each in erasure.removed] == ["b1"]
        stores[0].refuses = set()
        assert [each.provider for each in forget_user(ANN).removed] == ["b0"]


def test_what_goes_wrong_in_functions_of_yours(rotating: RotatingProvider) -> None:
    """The record goes all the same, and the reason is the name of the error."""

    def fail(fields: dict[str, Any]) -> dict[str, Any]:
        raise LookupError("at-secret")

    backend = UserScopedBackend(MemoryStore(), user_id=ANN)
    blueprint = blueprint_at("one", rotating.url, backend)
    blueprint.session_created = fail  # type: ignore[method-assign, assignment] # whatever it is
    plain = blueprint_at("plain", rotating.url, backend, revocation_url=None)
    with make_app(blueprint, plain).app_context():
        for each in (blueprint, plain):
            backend.set(each, {"access_token": "at"})
        erasure = forget_user(ANN)
    assert [each.reason for each in erasure.not_revoked] == [
        "it failed with LookupError",
        "the blueprint has no revocation endpoint",
    ]
    assert backend.store.keys(None, ANN) == []


@pytest.mark.parametrize("wrong", [None, "", {"$ne": 1}, True])
def test_an_id_that_can_be_none(wrong: Any) -> None:
    """Neither function takes it, before anything is asked."""
    with Flask(__name__).app_context():
        for function in (forget_user, export_user):
            with pytest.raises((TypeError, ValueError)):
                function(wrong)
        assert forget_user(42).found == ()
        assert current_app.extensions.get("flask_dance_nosql") is None


def test_an_export_has_no_secret(kept: Kept) -> None:
    """It has what a person may ask for, as JSON, and tells of what can't be read."""
    cipher = TokenCipher(TokenCipher.generate_key())
    backend = UserScopedBackend(kept.store, user_id=ANN, cipher=cipher)
    one, odd = (blueprint_at(name, DOWN, backend) for name in ("one", "odd"))
    token = {
        "access_token": "at-secret",
        "refresh_token": "rt-secret",
        "scope": ["mail", "read"],
        "expires_at": 1893456000,
        "id_token": "a.secret.b",
    }
    profile = AccountProfile("one", "583231", "Ann", "ann@example.test", True)
    with make_app(one, odd).app_context():
        backend.set(one, with_profile(token, profile), account="A", provider_user_id="583231")
        backend.set(odd, token)
        backend.set(odd, token, user_id=BOB)
        kept.spoil(TokenKey("odd", ANN))
        exported = export_user(ANN)
    text = json.dumps(exported)
    assert "secret" not in text
    assert exported["user_id"] == ANN
    unreadable, readable = exported["accounts"]
    assert unreadable == {"provider": "odd", "account": None, "is_readable": False}
    assert readable.pop("created_at") == readable.pop("updated_at")
    assert readable == {
        "provider": "one",
        "account": "A",
        "is_readable": True,
        "profile": {
            "provider": "one",
            "id": "583231",
            "name": "Ann",
            "email": "ann@example.test",
            "email_verified": True,
            "picture": None,
        },
        "scopes": ["mail", "read"],
        "expires_at": "2030-01-01T00:00:00+00:00",
        "kept_until": None,
    }
