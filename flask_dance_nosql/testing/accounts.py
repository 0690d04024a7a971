"""The promises of a store that keeps several accounts of a user apart, as tests."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..errors import AccountAlreadyLinked, VersionConflict
from .conformance import StoreConformance
from .documents import KEY, at_once, hundred_account_pairs, make_document


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
        assert sorted(store.keys("a", "1"), key=str) == sorted(keys, key=str)
        store.delete(keys[1])
        assert {each.account for each in store.scan("a", "1")} == {None, "2:%{}*", "3"}
        assert {key.account for key in store.keys("a", "1")} == {None, "2:%{}*", "3"}

    def test_locks_of_accounts_are_apart(self, store: TokenStore, key: TokenKey) -> None:
        """Each account has a lock of its own, and so has the user without one."""
        locks = [store.lock(TokenKey(key.provider, key.user_id, each)) for each in (None, "1", "2")]
        assert all(locks)
        assert store.lock(TokenKey(key.provider, key.user_id, "1")) is None

    def test_an_account_is_linked_to_one_user(self, store: TokenStore, key: TokenKey) -> None:
        """Another user's document can't have it, and is not stored; its own can, any time."""
        other = TokenKey(key.provider, "43")
        assert store.linked(key.provider, "A:{}*") is None
        for _ in range(2):
            saved = store.link(document_of(key, "A:{}*"))
            assert store.load(key) == saved
            assert saved.provider_user_id == "A:{}*"
        with pytest.raises(AccountAlreadyLinked):
            store.link(document_of(other, "A:{}*"))
        assert store.load(other) is None
        assert store.load(key) == saved
        assert store.linked(key.provider, "A:{}*") == key
        assert list(store.scan()) == list(store.scan(key.provider)) == [saved]

    def test_the_same_account_of_another_provider(self, store: TokenStore, key: TokenKey) -> None:
        """Accounts of two providers with the same id are two accounts, and so are a and A."""
        for number, (provider, account) in enumerate([("a", "a"), ("a", "A"), ("b", "a")]):
            store.link(document_of(TokenKey(provider, str(number), key.account), account))
        assert store.linked("a", "a") == TokenKey("a", "0", key.account)
        assert store.linked("a", "A") == TokenKey("a", "1", key.account)
        assert store.linked("b", "a") == TokenKey("b", "2", key.account)

    def test_a_removed_document_frees_its_account(self, store: TokenStore, key: TokenKey) -> None:
        """Whoever comes next can have it, whether it was unlinked or not."""
        other = TokenKey(key.provider, "43")
        for one, two in ((key, other), (other, key)):
            store.link(document_of(one, "A"))
            store.delete(one)
            if one == other:
                store.unlink(other, "A")
                assert store.linked(key.provider, "A") is None
            saved = store.link(document_of(two, "A"))
            assert store.linked(key.provider, "A") == two
            assert store.load(two) == saved
            store.unlink(two, "A")
            assert store.linked(key.provider, "A") == two
            store.delete(two)

    def test_an_ended_record_frees_its_account(self, store: TokenStore, key: TokenKey) -> None:
        """So does one whose time is up."""
        store.link(replace(make_document(key, seconds=-10), provider_user_id="A"))
        saved = store.link(document_of(TokenKey(key.provider, "43"), "A"))
        assert store.linked(key.provider, "A") == saved.key

    def test_another_account_frees_the_last(self, store: TokenStore, key: TokenKey) -> None:
        """A user who links another account in the place of the first leaves the first free."""
        store.link(document_of(key, "A"))
        store.link(document_of(key, "B"))
        assert store.linked(key.provider, "B") == key
        store.link(document_of(TokenKey(key.provider, "43"), "A"))

    def test_a_link_compares_versions(self, store: TokenStore, key: TokenKey) -> None:
        """A link from an outdated read is refused, as a save is."""
        saved = store.link(document_of(key, "A"), if_version=0)
        for outdated in (0, saved.version + 1):
            with pytest.raises(VersionConflict):
                store.link(document_of(key, "A"), if_version=outdated)
        assert store.load(key) == saved

    def test_a_user_is_forgotten_with_accounts(self, store: TokenStore, key: TokenKey) -> None:
        """What a user had linked is found by nothing any more, and is free; others' is not."""
        other = TokenKey(key.provider, "43", key.account)
        store.link(document_of(key, "A"))
        store.link(document_of(other, "B"))
        for each in (key, other):
            store.mark(each, ["session"])
        assert store.keys(key.provider, str(key.user_id)) == [key]
        store.forget(str(key.user_id), [key])
        assert store.keys(None, str(key.user_id)) == []
        assert store.linked(key.provider, "A") is None
        assert store.linked(key.provider, "B") == other
        assert [each.key for each in store.marked(key.provider, "session")] == [other]

    def test_a_name_finds_documents(self, store: TokenStore, key: TokenKey) -> None:
        """Several documents may have it; those that are gone, or have lost it, are not found."""
        other = TokenKey(key.provider, "43", key.account)
        for each in (key, other):
            store.mark(each, ["one", "S:{}*"])
            store.save(make_document(each))
        store.mark(TokenKey(key.provider, "44"), ["S:{}*"])
        found = sorted(store.marked(key.provider, "S:{}*"), key=lambda each: str(each.user_id))
        assert [each.key for each in found] == [key, other]
        assert {each.key for each in store.scan()} == {key, other}
        store.unmark(other, ["S:{}*"])
        assert other in [each.key for each in store.marked(key.provider, "S:{}*")]
        store.delete(other)
        store.unmark(other, ["one", "S:{}*"])
        for name in ("one", "S:{}*"):
            assert [each.key for each in store.marked(key.provider, name)] == [key]
        assert list(store.marked("none", "one")) == []

    def test_one_of_many_links(self, store: TokenStore, key: TokenKey) -> None:
        """Of sixteen users who link one account at once, one has it, and the others nothing."""

        def link(number: int) -> TokenDocument | None:
            try:
                return store.link(document_of(TokenKey(key.provider, f"u{number}"), "A"))
            except AccountAlreadyLinked:
                return None

        [winner] = filter(None, at_once(16, link))
        assert store.linked(key.provider, "A") == winner.key
        assert list(store.scan()) == [winner]


def document_of(key: TokenKey, account: str) -> TokenDocument:
    """Make a document with an account at the provider."""
    return replace(make_document(key), provider_user_id=account)
