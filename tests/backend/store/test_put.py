"""Storing what another store has, as it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer.backend import (
    LocalCache,
    OAuthConsumerMixin,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.errors import AccountAlreadyLinked, VersionConflict
from flask_dance_nosql.testing import at_once, make_document

from ...operations.places import EVERY_KIND, store_of_kind

KEY = TokenKey("github", "1")
LONG_AGO = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture(params=EVERY_KIND)
def store(request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """A store of each kind, empty, with a cipher and a cache."""
    with store_of_kind(request.param, request) as made:
        cipher = TokenCipher(TokenCipher.generate_key())
        yield UserScopedBackend(made, user_id=1, cipher=cipher, cache=LocalCache()).store


def document(version: int, key: TokenKey = KEY, **fields: Any) -> TokenDocument:
    """Make a document that another store has had for long."""
    made = make_document(key, {"access_token": f"at-{version}"})
    return replace(made, version=version, created_at=LONG_AGO, updated_at=LONG_AGO, **fields)


@pytest.mark.parametrize("operation", ["save_as", "put"])
@pytest.mark.parametrize("if_version", [0, None])
def test_the_version_is_kept(store: TokenStore, operation: str, if_version: int | None) -> None:
    """So are the dates; what is returned is what is stored."""
    saved = getattr(store, operation)(document(1234), if_version)
    assert saved == store.load(KEY) == store.load_fresh(KEY) == document(1234)


@pytest.mark.parametrize(("there", "given", "expected"), [(50, 7, 51), (50, 50, 51), (50, 90, 90)])
@pytest.mark.parametrize("is_compared", [True, False])
def test_the_version_never_goes_backwards(
    store: TokenStore, there: int, given: int, expected: int, is_compared: bool
) -> None:
    """It is the document's, or one more than that of the document in its place."""
    store.put(document(there))
    saved = store.put(document(given), there if is_compared else None)
    assert saved.version == expected
    found = store.load_fresh(KEY)
    assert found is not None
    assert (found.version, found.token) == (expected, {"access_token": f"at-{given}"})


@pytest.mark.parametrize("if_version", [0, 7, 51])
def test_another_version_is_a_conflict(store: TokenStore, if_version: int) -> None:
    """What was written meanwhile stays."""
    store.put(document(50))
    with pytest.raises(VersionConflict):
        store.put(document(60), if_version)
    assert store.load_fresh(KEY) == document(50)


def test_one_of_many_is_first(store: TokenStore) -> None:
    """Of eight that insert at the same time one does, and the others are told."""

    def insert(number: int) -> bool:
        try:
            store.put(document(100 + number), 0)
        except VersionConflict:
            return False
        return True

    assert sum(at_once(8, insert)) == 1


def test_its_account_is_linked(store: TokenStore) -> None:
    """A document with an account is found by it, and nobody else's document gets the account."""
    saved = store.put(document(50, provider_user_id="7"), 0)
    assert saved.version == 50
    assert store.linked("github", "7") == KEY
    with pytest.raises(AccountAlreadyLinked):
        store.put(document(50, TokenKey("github", "2"), provider_user_id="7"), 0)


def test_a_table_without_versions(sqlite_engine: Engine) -> None:
    """It keeps what it has columns for, and says which fields those are."""

    class Base(DeclarativeBase):
        pass

    class OAuth(OAuthConsumerMixin, Base):
        user_id: Mapped[str | None] = mapped_column()

    Base.metadata.create_all(sqlite_engine)
    with Session(sqlite_engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        assert store.kept_fields == {"created_at"}
        saved = store.put(document(50, provider_user_id="7"), 0)
        found = store.load(KEY)
        assert found is not None
        assert (found.created_at, found.token) == (LONG_AGO, saved.token)
        assert store.put(document(60), saved.version).token == {"access_token": "at-60"}
