"""The promises of a store, as tests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from .. import clock
from ..consumer.backend.store.base import SCAN_BATCH, TokenStore
from ..consumer.backend.store.document import RefreshFailure, TokenDocument, TokenKey
from ..consumer.backend.store.shard import Shard
from ..errors import VersionConflict
from .documents import KEY, TOKEN, at_once, hundred_pairs, make_document, same, thousand_tokens


class StoreConformance:
    """The promises of a :class:`~flask_dance_nosql.consumer.backend.TokenStore`, as tests.

    Override the fixture ``store``.
    """

    @pytest.fixture
    def store(self) -> TokenStore:
        """Return an empty store, prepared."""
        raise NotImplementedError("override the fixture `store`")

    @pytest.fixture
    def key(self) -> TokenKey:
        """Return the key whose document is written; ``AccountConformance`` has another."""
        return KEY

    @pytest.fixture
    def some_tokens(self) -> list[dict[str, Any]]:
        """Return a thousand tokens that Hypothesis has made."""
        return thousand_tokens()

    @pytest.fixture
    def some_keys(self) -> list[tuple[TokenKey, TokenKey]]:
        """Return a hundred pairs of different keys that Hypothesis has made."""
        return hundred_pairs()

    @pytest.fixture
    def writes_each(self) -> int:
        """Return how often each of sixteen threads writes at once."""
        return 50

    @pytest.fixture
    def many(self) -> int:
        """Return how many documents a scan goes over: more than a batch."""
        return SCAN_BATCH + 51

    def test_nothing_is_none(self, store: TokenStore, key: TokenKey) -> None:
        """Loading what was never saved gives ``None``."""
        assert store.load(key) is None

    def test_what_is_saved_is_loaded(self, store: TokenStore, key: TokenKey) -> None:
        """A document comes back with every field, and ``save`` returns it as it is stored."""
        document = make_document(key, seconds=3600)
        saved = store.save(document)
        assert store.load(key) == saved
        assert saved.version > 0
        assert saved.token == TOKEN
        assert (saved.expires_at, saved.updated_at) == (document.expires_at, document.updated_at)

    def test_tokens_come_back_exactly(
        self, store: TokenStore, key: TokenKey, some_tokens: list[dict[str, Any]]
    ) -> None:
        """Of a thousand JSON objects each comes back exactly, or is refused and changes nothing."""
        for token in some_tokens:
            before = store.load(key)
            try:
                store.save(make_document(key, token=token))
            except ValueError:
                assert store.load(key) == before, token
                continue
            loaded = store.load(key) or pytest.fail("nothing is stored")
            assert same(loaded.token, token), token

    def test_deep_tokens_come_back_exactly(self, store: TokenStore, key: TokenKey) -> None:
        """Fifty levels of nesting come back exactly."""
        token: dict[str, Any] = {"deep": None}
        for _ in range(49):
            token = {"a": [token]} if len(str(token)) % 2 else {"b": token}
        store.save(make_document(key, token=token))
        loaded = store.load(key) or pytest.fail("nothing is stored")
        assert loaded.token == token

    def test_what_is_loaded_is_the_callers_own(self, store: TokenStore, key: TokenKey) -> None:
        """Changing a loaded token changes nothing that is stored."""
        store.save(make_document(key, token={"a": {"b": [1]}}))
        for _ in range(2):
            loaded = store.load(key) or pytest.fail("nothing is stored")
            assert loaded.token == {"a": {"b": [1]}}
            loaded.token["a"]["b"].append(2)

    def test_keys_do_not_mix(
        self, store: TokenStore, some_keys: list[tuple[TokenKey, TokenKey]]
    ) -> None:
        """Two different keys never share a document, whatever characters they have."""
        for one, other in some_keys:
            store.save(make_document(one, {"of": "one"}))
            store.delete(other)
            store.save(make_document(other, {"of": "other"}))
            loaded = store.load(one) or pytest.fail(f"{other} has taken {one} away")
            assert loaded.token == {"of": "one"}, (one, other)
            store.delete(one)
            assert store.load(one) is None
            assert store.load(other) is not None, (one, other)
            store.delete(other)

    def test_replacing_counts_and_keeps_the_first_date(
        self, store: TokenStore, key: TokenKey
    ) -> None:
        """A second save replaces the token, counts the version and keeps ``created_at``."""
        first = store.save(make_document(key, token={"old": 1, "gone": 1}))
        second = store.save(make_document(key, token={"new": 1}))
        assert second.version == first.version + 1
        assert second.created_at == first.created_at
        assert store.load(key) == second
        assert second.token == {"new": 1}

    def test_deleting_is_idempotent(self, store: TokenStore, key: TokenKey) -> None:
        """A deleted document is gone; deleting it again, or what never was, is no error."""
        store.save(make_document(key))
        for _ in range(2):
            store.delete(key)
            assert store.load(key) is None
        store.delete(TokenKey("never"))

    def test_written_anew_it_has_another_version(self, store: TokenStore, key: TokenKey) -> None:
        """A document written after a deletion never has a version that its predecessor had."""
        versions = []
        for _ in range(3):
            versions += [
                store.save(make_document(key)).version,
                store.save(make_document(key)).version,
            ]
            store.delete(key)
        assert len(set(versions)) == 6

    def test_an_ended_record_is_none(self, store: TokenStore, key: TokenKey) -> None:
        """A record whose time is up is not loaded and not scanned."""
        store.save(make_document(key, seconds=-10))
        assert store.load(key) is None
        assert list(store.scan()) == []

    def test_an_ended_record_can_be_written_anew(self, store: TokenStore, key: TokenKey) -> None:
        """A record whose time is up does not stand in the way of a first write."""
        store.save(make_document(key, seconds=-10))
        store.save(make_document(key, token={"new": 1}), if_version=0)
        loaded = store.load(key) or pytest.fail("nothing is stored")
        assert loaded.token == {"new": 1}

    def test_a_later_save_can_lift_the_end(self, store: TokenStore, key: TokenKey) -> None:
        """A record saved without an end has none, though the one before had."""
        store.save(make_document(key, seconds=3600))
        store.save(make_document(key))
        loaded = store.load(key) or pytest.fail("nothing is stored")
        assert loaded.expires_at is None

    def test_save_if_version(self, store: TokenStore, key: TokenKey) -> None:
        """A save from an outdated read is refused, and what is stored stands."""
        first = store.save(make_document(key), if_version=0)
        second = store.save(make_document(key, token={"n": 2}), if_version=first.version)
        for outdated in (first.version, 0, second.version + 1):
            with pytest.raises(VersionConflict):
                store.save(make_document(key, token={"n": 3}), if_version=outdated)
        assert store.load(key) == second

    def test_save_if_version_of_nothing(self, store: TokenStore, key: TokenKey) -> None:
        """A save from a read of a document that is gone is refused, and makes none."""
        first = store.save(make_document(key))
        store.delete(key)
        with pytest.raises(VersionConflict):
            store.save(make_document(key), if_version=first.version)
        assert store.load(key) is None

    def test_delete_if_version(self, store: TokenStore, key: TokenKey) -> None:
        """A deletion from an outdated read is refused; of nothing, it is no error."""
        first = store.save(make_document(key))
        second = store.save(make_document(key))
        with pytest.raises(VersionConflict):
            store.delete(key, if_version=first.version)
        assert store.load(key) == second
        store.delete(key, if_version=second.version)
        assert store.load(key) is None
        store.delete(key, if_version=second.version)

    def test_no_write_is_lost(self, store: TokenStore, key: TokenKey, writes_each: int) -> None:
        """16 threads x 50 writes to one key: one document, its version exactly 800 higher."""
        start = store.save(make_document(key)).version

        def write(by: int) -> list[TokenDocument]:
            return [
                store.save(make_document(key, token={"by": [by, n]})) for n in range(writes_each)
            ]

        saved = [document for documents in at_once(16, write) for document in documents]
        counted = list(range(start + 1, start + 1 + 16 * writes_each))
        assert sorted(document.version for document in saved) == counted
        assert store.load(key) == max(saved, key=lambda document: document.version)
        assert len(list(store.scan())) == 1

    def test_first_writes_at_once_make_one_document(self, store: TokenStore, key: TokenKey) -> None:
        """Of sixteen first writes at once, all are counted and one document is there."""
        saved = at_once(16, lambda n: store.save(make_document(key, token={"by": n})))
        assert len({document.version for document in saved}) == 16
        assert store.load(key) == max(saved, key=lambda document: document.version)
        assert len(list(store.scan())) == 1

    @pytest.mark.parametrize("there_is_one", [True, False])
    def test_one_of_many_wins(self, store: TokenStore, key: TokenKey, there_is_one: bool) -> None:
        """Of sixteen saves from the same read exactly one succeeds."""
        version = store.save(make_document(key)).version if there_is_one else 0

        def write(thread: int) -> TokenDocument | None:
            try:
                return store.save(make_document(key, token={"by": thread}), if_version=version)
            except VersionConflict:
                return None

        [winner] = filter(None, at_once(16, write))
        assert store.load(key) == winner

    def test_a_lock_has_one_holder(self, store: TokenStore, key: TokenKey) -> None:
        """Of sixteen who ask at once one gets the lock; when released, the next one can."""
        leases = list(filter(None, at_once(16, lambda _: store.lock(key))))
        assert len(leases) == 1
        assert store.lock(TokenKey("other", "42")) is not None
        leases[0].release()
        assert store.lock(key) is not None

    def test_a_lock_is_waited_for(self, store: TokenStore, key: TokenKey) -> None:
        """Those who wait get the lock one after the other, and never two at once."""
        inside: list[int] = []
        most: list[int] = []

        def work(number: int) -> None:
            with store.lock(key, wait=60) or pytest.fail("the lock is taken"):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

        at_once(8, work)
        assert most == [1] * 8

    def test_a_lock_ends_by_itself(self, store: TokenStore, key: TokenKey) -> None:
        """A lock that nobody releases is free after its lease; its old holder can't undo that."""
        lost = store.lock(key, lease=0.2)
        assert lost is not None
        assert store.lock(key) is None
        taken = store.lock(key, lease=60, wait=30)
        assert taken is not None
        assert not lost.renew()
        lost.release()
        assert store.lock(key) is None
        assert taken.renew()

    def test_a_lock_and_its_document_do_not_disturb_each_other(
        self, store: TokenStore, key: TokenKey
    ) -> None:
        """A lock makes no document and hides none, and writing goes on under it."""
        with store.lock(key) or pytest.fail("the lock is taken"):
            assert store.load(key) is None
            assert list(store.scan()) == []
            saved = store.save(make_document(key))
        assert store.load(key) == saved
        assert list(store.scan()) == [saved]

    def test_scan_selects(self, store: TokenStore) -> None:
        """A scan gives all documents, or those of a provider, a user, or both."""
        everybody = [TokenKey(p, u) for p in ("a", "b:{}*") for u in (None, "1", "2%:{}*")]
        saved = {key: store.save(make_document(key)) for key in everybody}
        for provider in (None, "a", "b:{}*", "none"):
            for user_id in (None, "1", "2%:{}*", "none"):
                found = {document.key: document for document in store.scan(provider, user_id)}
                assert found == {
                    key: document
                    for key, document in saved.items()
                    if provider in (None, key.provider) and user_id in (None, key.user_id)
                }

    def test_scan_takes_ids_as_keys_do(self, store: TokenStore) -> None:
        """A user's number is their text, and what is no id is refused before anybody is listed."""
        saved = store.save(make_document(TokenKey("a", "42")))
        wanted: Any = {"user_id": 42}
        assert list(store.scan(**wanted)) == [saved]
        refused: list[Any] = [{"user_id": {"$ne": None}}, {"user_id": ""}, {"provider": 5}]
        for wrong in refused:
            with pytest.raises((TypeError, ValueError)):
                list(store.scan(**wrong))

    def test_records_are_all_that_is_stored(self, store: TokenStore, key: TokenKey) -> None:
        """Records of parts are together what is stored, each in one part, those that ended too."""
        keys = [msgspec.structs.replace(key, user_id=f"user {n}") for n in range(40)]
        saved = {store.save(make_document(one, seconds=3600)).key for one in keys}
        whole = [each for each in store.records() if isinstance(each, TokenDocument)]
        assert len(whole) == 40
        assert {each.key for each in whole} == saved
        parts = [[each.key for each in store.records(shard=Shard(n, 3))] for n in (1, 2, 3)]
        assert sorted(len(part) > 0 for part in parts) == [True] * 3
        assert sorted(one.text for part in parts for one in part) == sorted(
            one.text for one in saved
        )
        wanted = {"provider": key.provider, "user_id": "user 7"}
        found = [each.key for n in (1, 2, 3) for each in store.records(**wanted, shard=Shard(n, 3))]
        assert found == [keys[7]]

    def test_a_failure_is_kept_until_the_next_save(self, store: TokenStore, key: TokenKey) -> None:
        """How refreshes fail is kept with a document, and gone once one is saved without it."""
        failure = RefreshFailure(
            count=3, since=clock.now(), next_try=clock.now(), reason="temporarily_unavailable"
        )
        document = msgspec.structs.replace(make_document(key), refresh_failure=failure)
        saved = store.save(document)
        assert saved.refresh_failure == (failure if store.keeps_failures else None)
        assert store.load(key) == saved
        assert list(store.scan()) == [saved]
        again = store.save(make_document(key), if_version=saved.version)
        assert again.refresh_failure is None
        assert store.load(key) == again

    def test_scan_follows_deletions(self, store: TokenStore) -> None:
        """What was deleted is no longer listed under its user."""
        for provider in ("a", "b"):
            store.save(make_document(TokenKey(provider, "1")))
        store.delete(TokenKey("a", "1"))
        assert [document.provider for document in store.scan(user_id="1")] == ["b"]

    def test_a_user_is_forgotten(self, store: TokenStore) -> None:
        """Records and locks of one user are gone, and those of others are as they were."""
        gone = [TokenKey(provider, "4%:{}*") for provider in ("a", "b:{}*", "ab")]
        others = [TokenKey("a"), TokenKey("a", "4"), TokenKey("a", "4%:{}*4"), TokenKey("4%:{}*")]
        saved = {key: store.save(make_document(key)) for key in gone + others}
        assert set(store.keys(None, "4%:{}*")) == set(gone)
        assert store.keys("a", "4%:{}*") == gone[:1]
        for _ in range(2):
            store.forget("4%:{}*", gone)
            assert [store.load(key) for key in gone] == [None] * 3
            assert store.keys(None, "4%:{}*") == []
            assert {each.key: each for each in store.scan()} == {k: saved[k] for k in others}

    def test_scan_of_many(self, store: TokenStore, many: int) -> None:
        """A scan over several batches gives each document once."""
        for number in range(many):
            store.save(make_document(TokenKey("many", str(number)), {"n": number}))
        found = [document.user_id for document in store.scan("many")]
        assert len(found) == many
        assert len(set(found)) == len(found)

    def test_prepare_and_ping(self, store: TokenStore) -> None:
        """Preparing again is no error, and a store that works answers."""
        store.prepare()
        store.prepare()
        store.ping()
