"""The promises of a store about what goes wrong, as tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.document import TokenKey
from ..errors import BackendUnavailable, CorruptToken
from .documents import KEY, make_document


class CorruptRecords:
    """Records that are no documents, as tests; for stores that others can write to.

    Override the fixtures ``store`` and ``raw``.
    """

    @pytest.fixture
    def store(self) -> TokenStore:
        """Return an empty store, prepared."""
        raise NotImplementedError("override the fixture `store`")

    @pytest.fixture
    def raw(self) -> Callable[[TokenKey, str], None]:
        """Return a function that puts text in the place of a key's record, past the store."""
        raise NotImplementedError("override the fixture `raw`")

    @pytest.fixture
    def key(self) -> TokenKey:
        """Return the key whose document is written."""
        return KEY

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "at-secret",
            "null",
            "[]",
            "{}",
            '{"token": {"access_token": "at-secret"}}',
            '{"version": 1, "provider": "provider", "user_id": "42", "token": "at-secret"}',
        ],
    )
    def test_a_corrupt_record_is_told_and_left(
        self, store: TokenStore, key: TokenKey, raw: Callable[[TokenKey, str], None], text: str
    ) -> None:
        """What is no document is told by provider and user, without its content, and left."""
        raw(key, text)
        for _ in range(2):
            with pytest.raises(CorruptToken) as caught:
                store.load(key)
            assert (caught.value.provider, caught.value.user_id) == (key.provider, key.user_id)
            assert "at-secret" not in str(caught.value)
        assert list(store.scan()) == []
        assert store.keys(None, str(key.user_id)) == [key]
        saved = store.save(make_document(key))
        assert store.load(key) == saved


class ServerDown:
    """A server that does not answer, as a test; for stores that have one.

    Override the fixture ``unreachable_store``.
    """

    @pytest.fixture
    def unreachable_store(self) -> TokenStore:
        """Return a store whose server is down."""
        raise NotImplementedError("override the fixture `unreachable_store`")

    @pytest.fixture
    def key(self) -> TokenKey:
        """Return the key that is asked for."""
        return KEY

    def test_a_server_that_is_down_is_told(
        self, unreachable_store: TokenStore, key: TokenKey
    ) -> None:
        """Each operation of a store whose server is down raises ``BackendUnavailable``."""
        store = unreachable_store
        operations: list[Callable[[], Any]] = [
            lambda: store.load(key),
            lambda: store.save(make_document(key)),
            lambda: store.save(make_document(key), if_version=1),
            lambda: store.delete(key),
            lambda: list(store.scan()),
            lambda: store.lock(key),
            store.ping,
        ]
        for operation in operations:
            with pytest.raises(BackendUnavailable) as caught:
                operation()
            assert caught.value.backend == type(store).__name__
            assert caught.value.__cause__ is not None
