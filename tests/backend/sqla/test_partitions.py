"""A table that PostgreSQL keeps in partitions, as the page on growth has it."""

from __future__ import annotations

import pytest
from sqlalchemy import DDL, BigInteger, Engine, Identity, UniqueConstraint, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer.backend import Shard, TokenKey
from flask_dance_nosql.consumer.backend.sqla import OAuthTokenMixin, SQLAlchemyStore
from flask_dance_nosql.errors import VersionConflict
from flask_dance_nosql.testing import make_document

from .models import statements

PARTITIONS = 4


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthTokenMixin, Base):
    """A table that is split by a hash of the user's id."""

    __table_args__ = (
        UniqueConstraint("provider", "user_id"),
        {"postgresql_partition_by": "HASH (user_id)"},
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


for _number in range(PARTITIONS):
    event.listen(
        OAuth.__table__,
        "after_create",
        DDL(
            f"CREATE TABLE part_{_number} PARTITION OF flask_dance_oauth "
            f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {_number})"
        ),
    )


def test_partitions(postgresql_engine: Engine) -> None:
    """Each operation is one statement, the rows are spread, and a check finds nothing."""
    with Session(postgresql_engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        store.prepare()
        keys = [TokenKey("demo", str(number)) for number in range(40)]
        with statements(postgresql_engine) as seen:
            saved = [store.save(make_document(key)) for key in keys]
        assert len(seen) == len(keys)
        with statements(postgresql_engine) as seen:
            again = store.save(saved[0], if_version=saved[0].version)
        assert len(seen) == 1
        with pytest.raises(VersionConflict):
            store.save(saved[0], if_version=saved[0].version)
        assert store.load(keys[0]) == again
        with postgresql_engine.connect() as connection:
            count = [
                connection.scalar(text(f"SELECT count(*) FROM part_{number}")) or 0
                for number in range(PARTITIONS)
            ]
        assert sum(count) == len(keys)
        assert min(count) > 0
        parts = [store.records(shard=Shard(number, 3)) for number in (1, 2, 3)]
        assert sorted(each.key.text for part in parts for each in part) == sorted(
            key.text for key in keys
        )
        assert {each.status for each in store.checks()} == {"ok"}
        store.delete(keys[3])
        assert store.load(keys[3]) is None
