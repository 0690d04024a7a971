"""Columns for a model that keeps tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, String, UniqueConstraint, column, text
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, declared_attr, has_inherited_table, mapped_column

from .... import clock


def _utc_now() -> datetime:
    return clock.now().replace(tzinfo=None)


class OAuthConsumerMixin:
    """The columns that a model for tokens needs: those that Flask-Dance's model of this name has.

    Add a ``user_id`` of your own, or a ``user`` relationship, if tokens belong to users::

        class OAuth(OAuthConsumerMixin, db.Model):
            user_id = mapped_column(ForeignKey(User.id), nullable=False)

    Attributes:
        id: The row's number.
        provider: The blueprint's name, up to 50 characters.
        created_at: When the row was first stored, in UTC without a time zone; default: now.
        token: The token, as JSON.
    """

    @declared_attr.directive
    def __tablename__(cls) -> str | None:  # noqa: N805 - a class property
        """``flask_dance_`` and the name of the class; none if it shares the table of its base."""
        if has_inherited_table(cls):  # type: ignore[arg-type] # as below
            return None
        return f"flask_dance_{cls.__name__.lower()}"  # type: ignore[attr-defined] # cls is a class

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(default=_utc_now)
    token: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} id={self.id} provider={self.provider!r}>"


class OAuthTokenMixin(OAuthConsumerMixin):
    """Those columns, and the ones with which a row can do all that a token document can.

    Attributes:
        id: The row's number, of 64 bits: PostgreSQL counts one for each write without a version,
            too, which in 32 bits comes to an end.
        version: Counts the writes, so that none is replaced by one that began before it.
        updated_at: When the row was last written, in UTC without a time zone; default: now.
        expires_at: When the row counts as gone, likewise, or ``None``; see ``ttl``.
        provider_user_id: The account at the provider, or ``None`` if it is not known.
        refresh_failure: How refreshes of the token fail, as JSON, or ``None`` if they don't.
    """

    # SQLite numbers the rows of an INTEGER only.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    version: Mapped[int] = mapped_column(
        BigInteger, default=clock.first_version, onupdate=text("version + 1")
    )
    updated_at: Mapped[datetime] = mapped_column(default=_utc_now, onupdate=_utc_now)
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    provider_user_id: Mapped[str | None] = mapped_column(String(256))
    refresh_failure: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class OAuthAccountMixin(OAuthTokenMixin):
    """Those columns, and one by which a user may have several accounts at one provider.

    Attributes:
        account: The account at the provider, up to 255 characters; an empty text, the default, for
            a token that is kept without one.

    .. versionadded:: 1.0
    """

    account: Mapped[str] = mapped_column(String(255), default="", server_default="")


def unique_per_user(user: str = "user_id") -> tuple[UniqueConstraint, Index]:
    """Return the ``__table_args__`` by which the database keeps to one token for each owner.

    A constraint on provider and user, and, where the database has partial indexes (PostgreSQL and
    SQLite), a unique index on the provider for the token that belongs to no user::

        class OAuth(OAuthTokenMixin, db.Model):
            __table_args__ = unique_per_user()
            user_id = mapped_column(ForeignKey(User.id))

    Args:
        user: The name of the user's column.
    """
    return UniqueConstraint("provider", user), _unique_of_nobody(user, "provider")


def unique_per_account(user: str = "user_id") -> tuple[UniqueConstraint, Index, UniqueConstraint]:
    """Return the ``__table_args__`` for a model with several accounts for each user.

    One token for each provider, user and account, as :func:`unique_per_user` has one for each
    provider and user; and one row for each ``provider_user_id`` of a provider, so that an account
    that is linked to one user is linked to nobody else::

        class OAuth(OAuthAccountMixin, db.Model):
            __table_args__ = unique_per_account()
            user_id = mapped_column(ForeignKey(User.id))

    Args:
        user: The name of the user's column.

    .. versionadded:: 1.0
    """
    return (
        UniqueConstraint("provider", user, "account"),
        _unique_of_nobody(user, "provider", "account"),
        UniqueConstraint("provider", "provider_user_id"),
    )


def _unique_of_nobody(user: str, *columns: str) -> Index:
    nobody = column(user).is_(None)
    partial = Index(None, *columns, unique=True, sqlite_where=nobody, postgresql_where=nobody)
    # Another database would make the index a whole one.
    has_partial = lambda *_, dialect, **__: dialect.name in ("postgresql", "sqlite")  # noqa: E731
    return partial.ddl_if(callable_=has_partial)
