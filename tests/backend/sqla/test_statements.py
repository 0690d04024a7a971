"""A row is inserted or overwritten by one statement, where that does all that two would do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Engine,
    Index,
    String,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthConsumerMixin,
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from flask_dance_nosql.errors import BackendError, VersionConflict
from flask_dance_nosql.testing import make_document

from .models import ADA, NEW, OLD, Composite, OAuth, load, statements

NOBODY = TokenKey("demo")


class Apart(DeclarativeBase):
    """The base of the models of this module."""


class Annotated(OAuthTokenMixin, Apart):
    """A model with columns of the application's own that have values without its help."""

    __table_args__ = unique_per_user()
    user_id: Mapped[int | None]
    note: Mapped[str | None] = mapped_column(String(50))
    made_by: Mapped[str] = mapped_column(String(50), default=lambda: "python")
    counted: Mapped[int] = mapped_column(server_default="1")


class Renamed(OAuthTokenMixin, Apart):
    """A model whose columns have other names than its attributes."""

    __table_args__ = unique_per_user("who")
    user_id: Mapped[str | None] = mapped_column("who", String(50))
    token: Mapped[dict[str, Any]] = mapped_column("secret_part", JSON)
    created_at: Mapped[datetime] = mapped_column("made", DateTime(timezone=True))
    version: Mapped[int] = mapped_column("counted", BigInteger)


class Single(OAuthConsumerMixin, Apart):
    """A model that knows no users."""

    __table_args__ = (UniqueConstraint("provider"),)


class ByIndex(OAuthConsumerMixin, Apart):
    """A model whose owners are unique by an index."""

    __table_args__ = (Index("by_owner", "provider", "user_id", unique=True),)
    user_id: Mapped[int | None]


class Touched(OAuthTokenMixin, Apart):
    """A model with a column that only an update fills."""

    __table_args__ = unique_per_user()
    user_id: Mapped[int | None]
    touched: Mapped[str | None] = mapped_column(String(50), onupdate=lambda: "touched")


class Required(OAuthTokenMixin, Apart):
    """A model with a column that a new row needs."""

    __table_args__ = unique_per_user()
    user_id: Mapped[int | None]
    account: Mapped[str] = mapped_column(String(50))


class OnePerUser(OAuthTokenMixin, Apart):
    """A model in which a user has one token of whatever provider."""

    __table_args__ = (UniqueConstraint("user_id"),)
    user_id: Mapped[int | None]


class OnePerAccount(OAuthTokenMixin, Apart):
    """A model in which an account is linked to one user, too."""

    __table_args__ = (*unique_per_user(), UniqueConstraint("provider", "provider_user_id"))
    user_id: Mapped[int | None]


class OnSQLite(DeclarativeBase):
    """The base of a model that only SQLite has."""


class IgnoringCase(OAuthTokenMixin, OnSQLite):
    """A model whose users' ids are compared without regard to case."""

    __table_args__ = unique_per_user()
    user_id: Mapped[str | None] = mapped_column(String(50, collation="NOCASE"))


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """The application's session; the tables of this module are there, too."""
    Apart.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


def saves(store: SQLAlchemyStore, engine: Engine, *keys: TokenKey) -> list[int]:
    """Save twice for each key, and return the numbers of statements."""
    counts = []
    for key in keys * 2:
        with statements(engine) as seen:
            saved = store.save(make_document(key))
        counts.append(len(seen))
        assert load(store, key).version == saved.version
    return counts


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (OAuth, [ADA, NOBODY]),
        (Annotated, [ADA, NOBODY]),
        (Renamed, [ADA, NOBODY]),
        (Composite, [ADA]),
        (Single, [NOBODY]),
        (ByIndex, [ADA]),
    ],
)
def test_one_statement(session: Session, engine: Engine, model: Any, keys: list[TokenKey]) -> None:
    """A save of a model that is unique for each owner is one statement, first or not."""
    assert set(saves(SQLAlchemyStore(model, session), engine, *keys)) == {1}


@pytest.mark.parametrize("model", [Touched, Required])
def test_two_statements(session: Session, engine: Engine, model: Any) -> None:
    """Where an upsert would leave a column out, a save is two statements, as with a version."""
    given = {"account": "x"} if model is Required else {}
    session.add(model(provider="demo", user_id=1, token=OLD, **given))
    session.commit()
    assert saves(SQLAlchemyStore(model, session), engine, ADA) == [2, 2]


def test_versions_are_compared_by_the_update(session: Session, engine: Engine) -> None:
    """A save with a version to compare is one statement, and keeps the date of the first write."""
    store = SQLAlchemyStore(OAuth, session)
    first = store.save(make_document(ADA))
    with statements(engine) as seen:
        saved = store.save(make_document(ADA, NEW, seconds=60), if_version=first.version)
    assert len(seen) == 1
    assert (saved.version, saved.created_at) == (first.version + 1, first.created_at)
    assert load(store) == saved
    with pytest.raises(VersionConflict):
        store.save(make_document(ADA), if_version=first.version)
    assert load(store) == saved
    higher = msgspec.structs.replace(saved, version=saved.version + 10)
    assert store.save_as(higher, if_version=saved.version).version == saved.version + 10


@pytest.mark.parametrize("broken", ["two rows", "no date"])
def test_versions_are_compared_under_a_lock(session: Session, engine: Engine, broken: str) -> None:
    """Where the table lacks the model's constraint, or a row its date, it takes more statements."""
    table = OAuth.__table__
    with engine.begin() as connection:
        table.drop(connection)
        columns = ", ".join(
            f"{c.name} {'INTEGER' if c.name == 'id' else c.type.compile(engine.dialect)}"
            for c in table.columns
        )
        connection.exec_driver_sql(f"CREATE TABLE {table.name} ({columns})")
        row = {"provider": "demo", "user_id": 1, "token": OLD, "version": 5}
        day = datetime(2026, 1, 1, tzinfo=UTC)
        dates = [None] if broken == "no date" else [day, day + timedelta(days=1)]
        for number, made in enumerate(dates, 1):
            connection.execute(table.insert().values(row | {"id": number, "created_at": made}))
    store = SQLAlchemyStore(OAuth, session)
    assert store.save(make_document(ADA, NEW), if_version=5).version == 6
    newest, *others = session.execute(select(table).order_by(table.c.id.desc())).all()
    assert (newest.token, newest.version, newest.created_at is None) == (NEW, 6, False)
    assert [other.token for other in others] == [OLD for _ in others]


def test_overwriting_keeps_what_is_not_the_tokens(session: Session, engine: Engine) -> None:
    """A row keeps its number, its first date and other columns, and gets no default anew."""
    row = Annotated(
        provider="demo", user_id=1, token=OLD, note="vip", made_by="ada", provider_user_id="ada@"
    )
    row.counted = 7
    session.add(row)
    session.commit()
    before = (row.id, row.created_at, row.note, row.made_by, row.counted, row.provider_user_id)
    version = row.version
    session.commit()
    store = SQLAlchemyStore(Annotated, session, defaults={"note": "new", "made_by": "defaults"})
    with statements(engine) as seen:
        saved = store.save(make_document(ADA, NEW, seconds=60))
    assert len(seen) == 1
    assert load(store) == saved
    assert (row.token, row.version) == (NEW, version + 1)
    after = (row.id, row.created_at, row.note, row.made_by, row.counted, row.provider_user_id)
    assert after == before
    store.save(make_document(NOBODY))
    new = session.scalars(select(Annotated).filter_by(user_id=None)).one()
    assert (new.note, new.made_by, new.counted) == ("new", "defaults", 1)


@pytest.mark.parametrize("compared", [True, False])
def test_row_in_hand_is_read_anew(session: Session, compared: bool) -> None:
    """A row that the application has loaded shows the new token, by one statement or two."""
    session.add(OAuth(provider="demo", user_id=1, token=OLD))
    session.commit()
    row = session.scalars(select(OAuth)).one()
    assert row.token == OLD
    version = row.version if compared else None
    SQLAlchemyStore(OAuth, session).save(make_document(ADA, NEW), if_version=version)
    assert row.token == NEW


def test_defaults_by_a_function_are_for_new_rows(session: Session) -> None:
    """A function for the defaults is called when a row is inserted, and not for one in place."""
    called: list[Any] = []
    store = SQLAlchemyStore(
        Required, session, defaults=lambda document: called.append(document) or {"account": "x"}
    )
    for _ in range(3):
        store.save(make_document(ADA))
    assert len(called) == 1


def test_row_of_the_application_with_a_required_column(session: Session) -> None:
    """A row that has what only the application can give is overwritten without it."""
    session.add(Required(provider="demo", user_id=1, token=OLD, account="ada@"))
    session.commit()
    store = SQLAlchemyStore(Required, session)
    store.save(make_document(ADA, NEW))
    assert load(store).token == NEW
    assert session.scalars(select(Required)).one().account == "ada@"


def test_values_of_an_update_are_made(session: Session) -> None:
    """A column with ``onupdate`` is filled when its row is overwritten, and not before."""
    store = SQLAlchemyStore(Touched, session)
    store.save(make_document(ADA))
    assert session.scalars(select(Touched.touched)).one() is None
    session.commit()
    store.save(make_document(ADA))
    assert session.scalars(select(Touched.touched)).one() == "touched"


def test_ended_and_unreadable_rows_are_overwritten(session: Session, engine: Engine) -> None:
    """A row whose time is up, or that holds no token, is overwritten, and its version counted."""
    store = SQLAlchemyStore(OAuth, session)
    first = store.save(make_document(ADA, OLD, seconds=-10))
    second = store.save(make_document(ADA, OLD))
    assert (second.version, second.created_at) == (first.version + 1, first.created_at)
    broken = {
        "token": "'nonsense'" if engine.dialect.name == "sqlite" else "'[1]'",
        "version": "-3",
    }
    if engine.dialect.name == "sqlite":
        broken["created_at"] = "'yesterday'"
    with engine.begin() as connection:
        changes = ", ".join(f"{name} = {value}" for name, value in broken.items())
        connection.execute(text(f"UPDATE flask_dance_oauth SET {changes}"))
    saved = store.save(make_document(ADA, NEW))
    assert load(store) == saved
    assert saved.version > second.version


def test_case_is_not_ignored(sqlite_engine: Engine) -> None:
    """A collation that ignores case makes no user overwrite another one's token."""
    OnSQLite.metadata.create_all(sqlite_engine)
    with Session(sqlite_engine) as session:
        store, ann = SQLAlchemyStore(IgnoringCase, session), TokenKey("demo", "ann")
        store.save(make_document(ann, OLD))
        with pytest.raises(BackendError, match="IntegrityError"):
            store.save(make_document(TokenKey("demo", "Ann"), NEW))
        assert load(store, ann).token == OLD


def test_unique_by_less_than_the_owner(session: Session) -> None:
    """A token of another provider is not overwritten where a user may have one only."""
    store = SQLAlchemyStore(OnePerUser, session)
    store.save(make_document(ADA, OLD))
    with pytest.raises(BackendError, match="IntegrityError"):
        store.save(make_document(TokenKey("other", "1"), NEW))
    assert load(store).token == OLD


def test_another_constraint_refuses(session: Session) -> None:
    """A row that another constraint refuses is refused, and overwrites none."""
    session.add(OnePerAccount(provider="demo", user_id=1, token=OLD, provider_user_id="ada@"))
    session.commit()
    store = SQLAlchemyStore(OnePerAccount, session, defaults={"provider_user_id": "ada@"})
    with pytest.raises(BackendError, match="IntegrityError"):
        store.save(make_document(TokenKey("demo", "2"), NEW))
    assert [document.token for document in store.scan()] == [OLD]


def test_table_without_the_models_constraint(session: Session, engine: Engine) -> None:
    """A table that was made without the constraint goes on working."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("DROP TABLE flask_dance_annotated"))
            columns = "id INTEGER PRIMARY KEY, provider, created_at, token, version, updated_at, "
            columns += "expires_at, provider_user_id, refresh_failure, user_id, note, made_by, "
            columns += "counted DEFAULT 1"
            connection.execute(text(f"CREATE TABLE flask_dance_annotated ({columns})"))
        else:
            name = "flask_dance_annotated_provider_user_id_key"
            connection.execute(text(f"ALTER TABLE flask_dance_annotated DROP CONSTRAINT {name}"))
    store = SQLAlchemyStore(Annotated, session)
    for number in range(3):
        store.save(make_document(ADA, {"n": number}))
    assert load(store).token == {"n": 2}
    assert session.scalar(select(func.count()).select_from(Annotated)) == 1


def test_times_of_a_row_made_by_an_upsert(session: Session) -> None:
    """What a save returns is what is stored, in a column with a time zone, too."""
    store = SQLAlchemyStore(Renamed, session)
    saved = store.save(make_document(ADA, seconds=60))
    assert load(store) == saved
    assert saved.created_at.tzinfo is UTC
    assert store.save(make_document(ADA)).created_at == saved.created_at
