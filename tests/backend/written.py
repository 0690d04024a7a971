"""The model of the table that several processes write to."""

from __future__ import annotations

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_dance_nosql.consumer.backend.sqla import OAuthTokenMixin, unique_per_user


class Base(DeclarativeBase):
    """The base of the model."""


class Written(OAuthTokenMixin, Base):
    """A token of a user who is known by a text."""

    __table_args__ = (*unique_per_user(), UniqueConstraint("provider", "provider_user_id"))

    user_id: Mapped[str | None] = mapped_column(String(50))
