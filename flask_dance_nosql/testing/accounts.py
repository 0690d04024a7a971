"""The promises of a store that keeps several accounts of a user apart, as tests."""

from __future__ import annotations

import pytest

from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenKey
from .conformance import StoreConformance
from .documents import KEY, hundred_account_pairs, make_document


class AccountConformance(StoreConformance):
    """The same promises for keys with an account, and what accounts add to them.

    For stores whose ``require_accounts`` does nothing.
    """

    @pytest.fixture
    def key(self) -> TokenKey:
        """Return the key whose document is written."""
        return TokenKey(KEY.provider, KEY.user_id, "4:2")

    @pytest.fixture
    def some_keys(self) -> list[tuple[TokenKey, TokenKey]]:
        """Return a hundred pairs of different keys, some with an account."""
        return hundred_account_pairs()

    def test_accounts_are_kept(self, store: TokenStore) -> None:
        """The store says that it tells accounts apart."""
        store.require_accounts()

    def test_accounts_are_listed_with_their_user(self, store: TokenStore) -> None:
        """A scan gives all accounts, and a deleted one is gone while the others stay."""
        keys = [TokenKey("a", "1", account) for account in (None, "1", "2:%{}*", "3")]
        others = [TokenKey("a2", "1", "1"), TokenKey("a", "2", "1"), TokenKey("a")]
        saved = {key: store.save(make_document(key)) for key in keys + others}
        for found in (store.scan("a", "1"), (each for each in store.scan("a") if each.user_id)):
            by_key = {document.key: document for document in found if document.user_id == "1"}
            assert by_key == {key: saved[key] for key in keys}
        assert {each.key for each in store.scan(user_id="1")} == {*keys, others[0]}
        assert {each.key for each in store.scan()} == set(saved)
        store.delete(keys[1])
        assert {each.account for each in store.scan("a", "1")} == {None, "2:%{}*", "3"}

    def test_locks_of_accounts_are_apart(self, store: TokenStore, key: TokenKey) -> None:
        """Each account has a lock of its own, and so has the user without one."""
        locks = [store.lock(TokenKey(key.provider, key.user_id, each)) for each in (None, "1", "2")]
        assert all(locks)
        assert store.lock(TokenKey(key.provider, key.user_id, "1")) is None
