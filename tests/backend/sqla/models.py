"""Models of an application, and helpers for the tests on them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import JSON, Engine, ForeignKey, String, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthConsumerMixin,
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)

OLD, NEW = {"access_token": "at-old"}, {"access_token": "at-new"}
ADA = TokenKey("demo", "1")


class Base(DeclarativeBase):
    """The base of the models."""


class User(Base):
    """A user of the application."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), default="")


class OAuth(OAuthTokenMixin, Base):
    """The model that the documentation advises."""

    __table_args__ = unique_per_user()

    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))


class Plain(OAuthConsumerMixin, Base):
    """The predecessor's columns, a user, and no constraint."""

    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    user: Mapped[User | None] = relationship()


class Related(OAuthConsumerMixin, Base):
    """A model whose user is known as a relationship only."""

    owner_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    user: Mapped[User | None] = relationship()


class Shared(OAuthConsumerMixin, Base):
    """A model that knows no users."""


class Demanding(OAuthConsumerMixin, Base):
    """A model with columns of the application's own, one of which is required."""

    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    provider_user_id: Mapped[str] = mapped_column(String(50))
    note: Mapped[str | None] = mapped_column(String(50))


class OfUuid(OAuthConsumerMixin, Base):
    """A model whose users have UUIDs."""

    user_id: Mapped[uuid.UUID]


class Composite(Base):
    """A model of the application's own, with a primary key of two columns and nothing else."""

    __tablename__ = "composite"

    provider: Mapped[str] = mapped_column(String(50), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(50), primary_key=True)
    token: Mapped[dict[str, Any]] = mapped_column(JSON)


class OnPostgreSQL(DeclarativeBase):
    """The base of models that only PostgreSQL has."""


class Binary(OAuthTokenMixin, OnPostgreSQL):
    """A model that keeps tokens as PostgreSQL's parsed JSON."""

    user_id: Mapped[str | None]
    token: Mapped[dict[str, Any]] = mapped_column(JSONB)


def load(store: SQLAlchemyStore, key: TokenKey = ADA) -> TokenDocument:
    """Return the document under a key, which must be there."""
    found = store.load(key)
    assert found is not None
    return found


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that the database is sent."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def engine_of(store: Any) -> Engine:
    """Return the engine of a store, which it may have made from a URL."""
    with store._transactions.read() as connection:
        engine: Engine = connection.engine
    return engine
