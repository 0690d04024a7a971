"""Sealing stored tokens with the current key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import cachelib
import pytest
from msgspec.structs import replace

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    FileBackend,
    MovingBackend,
    RefreshFailure,
    Shard,
    TenantCipher,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    TokenDecryptError,
)
from flask_dance_nosql.operations.resealing import reseal, reseal_file
from flask_dance_nosql.testing import make_document

from .places import EVERY_KIND, key_of, store_of_kind

OLD, NEW = (TokenCipher.generate_key() for _ in range(2))
NEW_ID = TokenCipher(NEW).key_ids()[0]
LONG_AGO = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture(params=EVERY_KIND)
def store(request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """A store of each kind, empty."""
    with store_of_kind(request.param, request) as made:
        yield made


def backend(store: TokenStore, cipher: TokenCipher | None, **options: Any) -> UserScopedBackend:
    """Make a backend of users' tokens."""
    return UserScopedBackend(store, cipher=cipher, user_id=1, **options)


def rotating(store: TokenStore, **options: Any) -> UserScopedBackend:
    """Make a backend with a new key, whose fallback is the old one."""
    return backend(store, TokenCipher(NEW, [OLD]), **options)


def fill(store: TokenStore, count: int = 10, cipher: TokenCipher | None = None) -> None:
    """Write tokens under the old key, or with another cipher."""
    place = backend(store, TokenCipher(OLD) if cipher is None else cipher).store
    for number in range(count):
        place.save(make_document(key_of(number), {"access_token": f"at-{number}"}))


def key_ids(store: TokenStore) -> set[str | None]:
    """Return the ids of the keys that the tokens of a store are sealed with."""
    return {TokenCipher.key_id_of(each.token) for each in store.scan()}


def test_all_is_sealed_with_the_new_key(store: TokenStore) -> None:
    """Without the old key, every token opens afterwards; a second run has nothing to do."""
    fill(store)
    result = reseal(rotating(store))
    assert (result.records, result.resealed, result.current, result.left) == (10, 10, 0, [])
    found = {each.key: each.token for each in backend(store, TokenCipher(NEW)).store.scan()}
    assert found == {key_of(n): {"access_token": f"at-{n}"} for n in range(10)}
    again = reseal(rotating(store))
    assert (again.resealed, again.current) == (0, 10)


def test_nothing_but_the_seal_changes(store: TokenStore) -> None:
    """Dates, account, end and failure of a record stay."""
    failure = RefreshFailure(count=2, since=LONG_AGO, next_try=LONG_AGO, reason="refused")
    document = replace(
        make_document(key_of(1), seconds=3600),
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
        provider_user_id="7",
        refresh_failure=failure,
    )
    before = backend(store, TokenCipher(OLD)).store.save(document)
    reseal(rotating(store))
    after = backend(store, TokenCipher(NEW)).store.load(key_of(1))
    assert after is not None
    assert replace(after, version=0) == replace(before, version=0)
    assert key_ids(store) == {NEW_ID}


def test_plain_tokens_are_sealed(store: TokenStore) -> None:
    """Turning encryption on is the same walk, with ``allow_plaintext``; else they are left."""
    store.save(make_document(key_of(1)))
    result = reseal(backend(store, TokenCipher(NEW)))
    assert (result.resealed, [each.key for each in result.left]) == (0, [key_of(1)])
    assert reseal(backend(store, TokenCipher(NEW, allow_plaintext=True))).resealed == 1
    assert key_ids(store) == {NEW_ID}


def test_a_dry_run_writes_nothing(store: TokenStore) -> None:
    """It tells how many would be sealed."""
    fill(store)
    before = {each.key: each for each in store.records() if isinstance(each, TokenDocument)}
    assert reseal(rotating(store), dry_run=True).resealed == 10
    assert {each.key: each for each in store.records()} == before


def test_what_can_not_be_opened_is_listed_and_left(store: TokenStore) -> None:
    """A record under a lost key stays as it is, and the rest is done."""
    fill(store, 4)
    lost = backend(store, TokenCipher(TokenCipher.generate_key())).store
    lost.save(make_document(key_of(9), {"access_token": "very secret"}))
    before = store.load(key_of(9))
    result = reseal(rotating(store))
    assert (result.records, result.resealed) == (5, 4)
    assert [each.key for each in result.left] == [key_of(9)]
    assert "secret" not in repr(result)
    assert store.load(key_of(9)) == before


def test_parts_make_the_whole(store: TokenStore) -> None:
    """Several processes that take a part each do it all, and none does another's."""
    fill(store)
    results = [reseal(rotating(store), shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert sum(result.resealed for result in results) == 10
    assert key_ids(store) == {NEW_ID}


def test_only_a_provider(store: TokenStore) -> None:
    """With a provider, others are left out."""
    fill(store)
    assert reseal(rotating(store), "github").resealed == 5


class Interrupted(MemoryStore):
    """A store in which something happens just before a record is written with its version."""

    happens: Callable[[], object] | None = None

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        if if_version and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().save(document, if_version)


@pytest.mark.parametrize("key", [OLD, NEW], ids=["under the old key", "under the new one"])
def test_a_write_meanwhile_is_not_lost(key: str) -> None:
    """A token that is written while it is sealed anew stays, and is under the new key then."""
    store = Interrupted()
    fill(store, 1)
    newer = make_document(key_of(0), {"access_token": "newer"})
    store.happens = lambda: backend(store, TokenCipher(key)).store.save(newer)
    result = reseal(rotating(store))
    assert (result.resealed + result.current, result.left) == (1, [])
    found = backend(store, TokenCipher(NEW)).store.load(key_of(0))
    assert found is not None
    assert found.token == newer.token


def test_a_removal_meanwhile_stays() -> None:
    """A token that is removed while it is sealed anew does not come back."""
    store = Interrupted()
    fill(store, 1)
    store.happens = lambda: store.delete(key_of(0))
    assert reseal(rotating(store)).ended == 1
    assert list(store.records()) == []


def test_a_cache_gives_nothing_under_the_old_key() -> None:
    """What a shared cache had from before is not served, once the old key is gone."""
    store, cache = MemoryStore(), cachelib.SimpleCache()
    fill(store, 1)
    before = rotating(store, cache=cache)
    assert before.store.load(key_of(0)) is not None
    reseal(before)
    assert backend(store, TokenCipher(NEW), cache=cache).store.load(key_of(0)) is not None


def test_without_a_cipher() -> None:
    """It is an error that says what to do."""
    with pytest.raises(ConfigurationError, match="allow_plaintext=True"):
        reseal(backend(MemoryStore(), None))


def test_while_tokens_move() -> None:
    """Of a backend that moves, both databases are sealed anew, each with its own key."""
    old, new = MemoryStore(), MemoryStore()
    fill(old, 2)
    fill(new, 2)
    result = reseal(MovingBackend(rotating(new), rotating(old)))
    assert (result.resealed, result.current) == (2, 2)
    assert (key_ids(old), key_ids(new)) == ({NEW_ID}, {NEW_ID})


@pytest.mark.parametrize("sealed", ["old", "new", "both"])
@pytest.mark.parametrize("leads", ["old", "new"])
def test_what_is_sealed_anew_while_tokens_move_does_not_get_ahead(
    leads: Literal["old", "new"], sealed: str
) -> None:
    """After any number of new keys, what is written afterwards is what both stores have.

    That is so for a process with one of the stores alone, too.
    """
    blueprint = OAuth2ConsumerBlueprint("demo", __name__)
    old, new = MemoryStore(), MemoryStore()
    keys = [TokenCipher.generate_key() for _ in range(4)]

    def moving(number: int) -> MovingBackend:
        cipher = TokenCipher(keys[number], keys[:number])
        ciphers = {name: cipher if sealed in (name, "both") else None for name in ("old", "new")}
        return MovingBackend(
            backend(new, ciphers["new"]), backend(old, ciphers["old"]), leads=leads
        )

    document = make_document(TokenKey("demo", "1"), {"access_token": "long ago"})
    moving(0).store.save(replace(document, created_at=LONG_AGO, updated_at=LONG_AGO))
    for number in range(1, 4):
        reseal(moving(number))
        [one], [other] = list(old.scan()), list(new.scan())
        assert one.version == other.version
    for backend_of in (moving(3), getattr(moving(3), leads), moving(3)):
        token = {"access_token": f"at-{backend_of!r}"}
        backend_of.set(blueprint, token)
        slot = moving(3).slot(blueprint)
        assert slot.read(fresh=True).token == moving(3).get(blueprint) == token
    assert moving(3).old.get(blueprint) == moving(3).new.get(blueprint) == token


def test_what_one_of_two_stores_has_alone_is_sealed_anew_there() -> None:
    """What was not copied yet stays where it is, and is brought nowhere."""
    old, new = MemoryStore(), MemoryStore()
    fill(old, 2)
    result = reseal(MovingBackend(rotating(new), rotating(old), leads="new"))
    assert (result.resealed, key_ids(old), list(new.records())) == (2, {NEW_ID}, [])


def test_keys_of_tenants() -> None:
    """Each tenant's tokens are sealed with that tenant's new key, and only where that is needed."""
    store, keys = MemoryStore(), {str(n): [TokenCipher.generate_key()] for n in range(2)}
    cipher = TenantCipher(lambda key: keys[str(key.user_id)], seconds=0)
    fill(store, 2, cipher)
    keys["1"].insert(0, TokenCipher.generate_key())
    result = reseal(backend(store, cipher))
    assert (result.resealed, result.current) == (1, 1)
    del keys["1"][1]
    opened = backend(store, cipher).store.load(key_of(1))
    assert opened is not None
    keys["1"] = [TokenCipher.generate_key()]
    with pytest.raises(TokenDecryptError):
        backend(store, cipher).store.load(TokenKey("gitlab", "1"))


def test_a_tenant_without_keys() -> None:
    """The records of a tenant who was forgotten are listed, and those of all others are done."""
    store, keys = MemoryStore(), {str(n): [TokenCipher.generate_key()] for n in range(3)}
    cipher = TenantCipher(lambda key: keys[str(key.user_id)], seconds=0)
    fill(store, 3, cipher)
    del keys["0"]
    for each in keys.values():
        each.insert(0, TokenCipher.generate_key())
    for dry_run in (True, False):
        result = reseal(backend(store, cipher), dry_run=dry_run)
        assert (result.resealed, [each.key for each in result.left]) == (2, [key_of(0)])
    readable = [each for each in backend(store, cipher).store.records() if each.key != key_of(0)]
    assert all(isinstance(each, TokenDocument) for each in readable)


@pytest.mark.parametrize("error", [KeyError("very secret"), ConfigurationError("no key")])
def test_a_tenant_without_a_key(error: Exception) -> None:
    """Whatever the function for keys raises, the tokens of other tenants are sealed anew."""
    store, keys = MemoryStore(), {str(n): [TokenCipher.generate_key()] for n in range(3)}

    def keys_for(key: TokenKey) -> list[str]:
        if key.user_id not in keys:
            raise error
        return keys[key.user_id]

    cipher = TenantCipher(keys_for, seconds=0)
    fill(store, 3, cipher)
    for each in keys.values():
        each.insert(0, TokenCipher.generate_key())
    del keys["1"]
    result = reseal(backend(store, cipher))
    assert (result.records, result.resealed) == (3, 2)
    assert [each.key for each in result.left] == [key_of(1)]
    assert "very secret" not in repr(result)


@pytest.mark.parametrize(
    ("error", "is_left"),
    [(BackendError("save", "Failing", "no"), True), (BackendUnavailable("save", "Failing"), False)],
)
def test_a_record_that_can_not_be_written(error: Exception, is_left: bool) -> None:
    """It is left, and the others are done; a store that does not answer ends it."""
    store = Interrupted()
    fill(store, 3)

    def fails() -> None:
        raise error

    store.happens = fails
    if is_left:
        result = reseal(rotating(store))
        assert (result.resealed, len(result.left)) == (2, 1)
    else:
        with pytest.raises(BackendUnavailable):
            reseal(rotating(store))


def test_a_file(tmp_path: Path) -> None:
    """The token of a file is sealed with the new key, once; a dry run writes nothing."""
    path, blueprint = tmp_path / "token.json", OAuth2ConsumerBlueprint("acme", __name__)
    new = FileBackend(path, cipher=TokenCipher(NEW, [OLD]))
    assert reseal_file(new, blueprint).records == 0
    FileBackend(path, cipher=TokenCipher(OLD)).set(blueprint, {"access_token": "at"})
    before = path.read_bytes()
    assert reseal_file(new, blueprint, dry_run=True).resealed == 1
    assert path.read_bytes() == before
    assert reseal_file(new, blueprint).resealed == 1
    assert FileBackend(path, cipher=TokenCipher(NEW)).get(blueprint) == {"access_token": "at"}
    assert reseal_file(new, blueprint).current == 1
    FileBackend(path, cipher=TokenCipher(TokenCipher.generate_key())).set(blueprint, {"a": "b"})
    left = reseal_file(new, blueprint).left
    assert [each.key for each in left] == [TokenKey("acme")]
    with pytest.raises(ConfigurationError, match="no cipher"):
        reseal_file(FileBackend(path), blueprint)
