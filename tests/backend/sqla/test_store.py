"""SQLAlchemy: what is special to it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import traceback
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask_dance.consumer.storage.sqla import OAuthConsumerMixin as FlaskDanceMixin
from flask_dance.consumer.storage.sqla import SQLAlchemyStorage
from flask_sqlalchemy import SQLAlchemy
from hypothesis import HealthCheck, given, settings
from sqlalchemy import (
    JSON,
    DateTime,
    Engine,
    ForeignKey,
    String,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    SQLAlchemyBackend,
    TokenDocument,
    TokenKey,
)
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
    VersionConflict,
)
from flask_dance_nosql.testing import at_once, make_document, tokens
from flask_dance_nosql.testing.documents import same

from .models import (
    ADA,
    NEW,
    OLD,
    Base,
    Binary,
    Composite,
    Demanding,
    OAuth,
    OfUuid,
    OnPostgreSQL,
    Plain,
    Related,
    Shared,
    User,
    engine_of,
    load,
    statements,
)

# The model.


def test_mixin_has_the_documented_columns() -> None:
    """The mixin has the predecessor's columns, under its table name, and no more."""
    table = Shared.__table__
    assert Shared.__tablename__ == "flask_dance_shared"
    assert list(table.columns.keys()) == ["id", "provider", "created_at", "token"]
    assert table.columns.provider.type.length == 50
    assert not any(column.nullable for column in table.columns)


def test_further_columns() -> None:
    """The further mixin adds what a document has beyond that."""
    further = {"version", "updated_at", "expires_at", "provider_user_id", "refresh_failure"}
    assert set(OAuth.__table__.columns.keys()) - set(Plain.__table__.columns.keys()) == further


def test_repr_has_no_secrets() -> None:
    """A row shows its number and its provider."""
    row = Shared(id=7, provider="github", token=OLD)
    assert repr(row) == "<Shared id=7 provider='github'>"


def test_rows_of_the_application_have_defaults(session: Session) -> None:
    """A row that the application makes, and changes, is a document, and counts its versions."""
    row = OAuth(provider="demo", user_id=1, token=OLD)
    session.add(row)
    session.commit()
    store = SQLAlchemyStore(OAuth, session)
    first = load(store)
    assert first.token == OLD
    row.token["more"] = 1
    session.commit()
    second = load(store)
    assert second.token == {**OLD, "more": 1}
    assert second.version == first.version + 1
    assert second.created_at == first.created_at <= second.updated_at


@pytest.mark.parametrize("model", [dict, object(), User, None])
def test_what_is_no_model_is_refused(session: Session, model: Any) -> None:
    """A model without the two columns, or something else, is a clear error at once."""
    with pytest.raises(ConfigurationError):
        SQLAlchemyStore(model, session)


@pytest.mark.parametrize("wrong", [None, 5, object(), "no url"])
def test_what_is_no_session_is_refused(wrong: Any) -> None:
    """Something that is no session is a clear error, at the first use at the latest."""
    with pytest.raises((ConfigurationError, BackendError)):
        SQLAlchemyStore(OAuth, wrong).ping()


# Whose row it is.


@pytest.mark.parametrize("model", [OAuth, Plain, Related])
def test_users_are_kept_apart(session: Session, blueprint: Any, model: Any) -> None:
    """By ``user_id``, or by the relationship: each user has a row of their own."""
    backend = SQLAlchemyBackend(model, session, session.get(User, 1))
    backend.set(blueprint, OLD)
    backend.set(blueprint, NEW, user_id=2)
    assert backend.get(blueprint) == OLD
    assert backend.get(blueprint, user=session.get(User, 2)) == NEW
    backend.delete(blueprint, user_id="2")
    assert backend.get(blueprint, user_id=2) is None
    assert backend.get(blueprint) == OLD
    [document] = backend.store.scan()
    assert document.key == ADA


def test_bobs_token_while_ada_is_there(session: Session, blueprint: Any) -> None:
    """``user_id=`` for Bob writes Bob's row, whoever is logged in."""
    backend = SQLAlchemyBackend(Plain, session, user=lambda: session.get(User, 1))
    backend.set(blueprint, OLD, user_id=2)
    [row] = session.scalars(select(Plain))
    assert (row.user_id, row.user.name) == (2, "Bob")
    assert backend.get(blueprint) is None


def test_arguments_by_position(session: Session, blueprint: Any) -> None:
    """The arguments have the predecessor's order."""

    class Nobody:
        id = 9

    backend = SQLAlchemyBackend(Plain, session, Nobody(), None, False, Nobody)
    backend.set(blueprint, OLD)
    assert session.scalars(select(Plain)).one().user_id is None


def test_model_without_users_refuses_them(session: Session, blueprint: Any) -> None:
    """A model that knows no users keeps the application's token, and never takes a user's."""
    SQLAlchemyBackend(Shared, session).set(blueprint, OLD)
    backend = SQLAlchemyBackend(Shared, session, user_id=1)
    for call in (backend.get, backend.delete, lambda blueprint: backend.set(blueprint, NEW)):
        with pytest.raises(ConfigurationError, match="Shared has no user_id"):
            call(blueprint)
    assert list(backend.store.scan(user_id="1")) == []
    assert SQLAlchemyBackend(Shared, session).get(blueprint) == OLD


def test_the_applications_token_is_no_users(store: SQLAlchemyStore) -> None:
    """The token of nobody is in a row without a user, which no user's token touches."""
    store.save(make_document(TokenKey("demo"), OLD))
    store.save(make_document(ADA, NEW))
    store.delete(ADA)
    assert load(store, TokenKey("demo")).token == OLD


@pytest.mark.parametrize("user_id", ["01", "+1", " 1", "1.0", "one", "1_0", "9" * 40, "\u0661"])
def test_ids_that_a_column_of_numbers_cannot_hold(store: SQLAlchemyStore, user_id: str) -> None:
    """A text that is not the canonical one of a number is nobody's, and can't be stored."""
    key = TokenKey("demo", user_id)
    store.save(make_document(ADA, OLD))
    assert store.load(key) is None
    store.delete(key)
    assert list(store.scan(user_id=user_id)) == []
    with pytest.raises(ValueError, match="can't hold"):
        store.save(make_document(key))
    assert [document.token for document in store.scan()] == [OLD]


def test_ids_that_are_uuids(session: Session) -> None:
    """A column of UUIDs takes their canonical text and nothing else."""
    store, user = SQLAlchemyStore(OfUuid, session), uuid.uuid4()
    store.save(make_document(TokenKey("demo", str(user)), OLD))
    assert session.scalars(select(OfUuid)).one().user_id == user
    assert load(store, TokenKey("demo", str(user))).token == OLD
    assert next(store.scan()).user_id == str(user)
    assert store.load(TokenKey("demo", str(user).upper())) is None
    assert store.load(TokenKey("demo", "1")) is None


def test_primary_key_of_several_columns(session: Session) -> None:
    """A model of the application's own, with a primary key of two columns, will do."""
    store = SQLAlchemyStore(Composite, session)
    for number in range(501):
        store.save(make_document(TokenKey("demo", str(number)), {"n": number}))
    store.save(make_document(TokenKey("demo", "7"), NEW))
    assert len({document.user_id for document in store.scan("demo")}) == 501
    assert load(store, TokenKey("demo", "7")).token == NEW


# Rows are updated in place.


def test_row_keeps_its_identity_and_other_columns(session: Session, blueprint: Any) -> None:
    """A new token goes into the row that is there: its number and your columns stay."""
    row = Demanding(provider="demo", user_id=1, token=OLD, provider_user_id="ada@", note="vip")
    session.add(row)
    session.commit()
    number = row.id
    SQLAlchemyBackend(Demanding, session, user_id=1).set(blueprint, NEW)
    found = session.scalars(select(Demanding)).one()
    assert (found.id, found.provider_user_id, found.note) == (number, "ada@", "vip")
    assert found.token == NEW


def test_account_in_a_column_of_the_same_name_stays(session: Session) -> None:
    """The account that the application has put into ``provider_user_id`` stays there."""
    session.add(OAuth(provider="demo", user_id=1, token=OLD, provider_user_id="ada@"))
    session.commit()
    store = SQLAlchemyStore(OAuth, session)
    store.save(make_document(ADA, NEW))
    assert load(store).provider_user_id == "ada@"


def test_new_row_gets_what_it_needs(session: Session, blueprint: Any) -> None:
    """``defaults`` fills the required columns of a new row, and touches no old one."""
    given: Any = {"provider_user_id": "ada@"}
    for defaults in (given, lambda document: {"provider_user_id": f"of {document.user_id}"}):
        backend = SQLAlchemyBackend(Demanding, session, user_id=1, defaults=defaults)
        backend.set(blueprint, OLD)
        backend.set(blueprint, OLD, user_id=2)
    found = {row.user_id: row.provider_user_id for row in session.scalars(select(Demanding))}
    assert found == {1: "ada@", 2: "ada@"}
    backend.set(blueprint, OLD, user_id=3)
    assert session.scalars(select(Demanding).filter_by(user_id=3)).one().provider_user_id == "of 3"


def test_default_for_a_column_that_is_not_there(session: Session, blueprint: Any) -> None:
    """A name that is no column of the model is a clear error."""
    backend = SQLAlchemyBackend(Shared, session, defaults={"nonsense": 1})
    with pytest.raises(ConfigurationError, match="no column nonsense"):
        backend.set(blueprint, OLD)


@pytest.mark.parametrize(
    ("model", "key"), [(Demanding, ADA), (OAuth, TokenKey("demo", "4711"))], ids=["null", "user"]
)
def test_row_that_the_database_refuses(session: Session, model: Any, key: TokenKey) -> None:
    """A required column without a value, or an unknown user, is told without the token."""
    if session.get_bind().dialect.name == "sqlite" and model is OAuth:
        session.get_bind().dispose()
        event.listen(session.get_bind(), "connect", _enforce_foreign_keys)
    store = SQLAlchemyStore(model, session)
    with pytest.raises(BackendError, match="IntegrityError") as caught:
        store.save(make_document(key, NEW))
    assert not isinstance(caught.value, BackendUnavailable)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__cause__)
    assert NEW["access_token"] not in shown
    assert caught.value.__cause__ is not None
    assert list(store.scan()) == []


def _enforce_foreign_keys(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


# Several rows, and none.


def test_of_several_rows_the_newest_wins(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows that should be one are read as the newest, and one warning says how to mend it."""
    for day, name in [(1, "first"), (3, "newest"), (2, "second")]:
        moment = datetime(2030, 1, day, tzinfo=UTC).replace(tzinfo=None)
        session.add(
            Plain(provider="demo", user_id=1, token={"access_token": name}, created_at=moment)
        )
    session.commit()
    store = SQLAlchemyStore(Plain, session)
    for _ in range(2):
        assert load(store).token == {"access_token": "newest"}
    [record] = caplog.records
    assert record.getMessage().startswith("3 rows of Plain hold")
    assert "unique_per_user()" in record.getMessage()
    store.save(make_document(ADA, NEW))
    assert load(store).token == NEW
    store.delete(ADA)
    assert store.load(ADA) is None


@pytest.mark.parametrize("key", [ADA, TokenKey("demo")], ids=["user", "nobody"])
@pytest.mark.parametrize("model", [OAuth, Plain])
def test_first_writes_at_once_leave_one_row(engine: Engine, model: Any, key: TokenKey) -> None:
    """Of sixteen first writes at once one inserts and the others update, constraint or not."""
    store = SQLAlchemyStore(model, scoped_session(sessionmaker(engine)))
    at_once(16, lambda number: store.save(make_document(key, {"access_token": str(number)})))
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(model)) == 1


@pytest.mark.parametrize("user_id", [1, None])
def test_database_keeps_to_one_row(session: Session, user_id: int | None) -> None:
    """With ``unique_per_user()`` the database refuses a second row, of nobody's too."""
    session.add_all([OAuth(provider="demo", user_id=user_id, token=OLD) for _ in range(2)])
    with pytest.raises(Exception, match=r"(?i)unique"):
        session.commit()


def test_partial_index_is_for_those_who_have_it() -> None:
    """A database that would make the index a whole one does not get it."""
    [index] = [index for index in OAuth.__table__.indexes if index.unique]
    assert index._ddl_if is not None
    for name, wanted in [("mysql", False), ("sqlite", True), ("postgresql", True)]:
        dialect = type("Dialect", (), {"name": name})
        assert index._ddl_if.callable_(None, None, None, dialect=dialect) is wanted


# Transactions.


def test_only_its_own_work_is_committed(session: Session, blueprint: Any, engine: Engine) -> None:
    """What the application has not committed is neither committed nor undone with a token."""
    session.add(User(id=4, name="pending"))
    backend = SQLAlchemyBackend(Plain, session, user_id=1)
    backend.set(blueprint, OLD)
    assert backend.get(blueprint) == OLD
    backend.delete(blueprint)
    with Session(engine) as other:
        assert other.get(User, 4) is None
    session.commit()
    with Session(engine) as other:
        assert other.get(User, 4) is not None


def test_without_commit_it_only_flushes(session: Session, blueprint: Any, engine: Engine) -> None:
    """With ``commit=False`` all is part of the session's transaction, which decides."""
    backend = SQLAlchemyBackend(Plain, session, user_id=4, commit=False)
    other = SQLAlchemyBackend(Plain, scoped_session(sessionmaker(engine)), user_id=4)
    session.add(User(id=4, name="pending"))
    session.flush()
    backend.set(blueprint, OLD)
    assert backend.get(blueprint) == OLD
    session.rollback()
    assert backend.get(blueprint) is None
    session.add(User(id=4, name="pending"))
    session.flush()
    backend.set(blueprint, NEW)
    session.commit()
    assert other.get(blueprint) == NEW


def test_without_commit_there_is_no_cache(session: Session) -> None:
    """A cache would keep what the session rolls back."""
    with pytest.raises(ConfigurationError, match="commit=False and a cache"):
        SQLAlchemyBackend(Plain, session, user_id=4, cache=LocalCache(), commit=False)


def test_failure_leaves_the_sessions_transaction_whole(session: Session, engine: Engine) -> None:
    """A row that the database refuses does not undo what the session has flushed."""
    store = SQLAlchemyStore(Demanding, session, commit=False)
    session.add(User(id=4, name="pending"))
    session.flush()
    with pytest.raises(BackendError):
        store.save(make_document(ADA, OLD))
    session.commit()
    with Session(engine) as other:
        assert other.get(User, 4) is not None


def test_rows_that_the_session_has_are_read_anew(session: Session) -> None:
    """A row that the application has in hand shows the token that was stored meanwhile."""
    session.add(OAuth(provider="demo", user_id=1, token=OLD))
    session.commit()
    row = session.scalars(select(OAuth)).one()
    assert row.token == OLD
    session.commit()
    row.provider_user_id = "changed, not flushed"
    SQLAlchemyStore(OAuth, session).save(make_document(ADA, NEW))
    assert row.token == NEW
    assert row.provider_user_id == "changed, not flushed"


def test_in_memory_sqlite_has_one_connection(blueprint: Any) -> None:
    """With an in-memory database all is part of the session's transaction, and committed."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(User(id=1, name="pending"))
        session.flush()
        backend = SQLAlchemyBackend(Plain, session, user_id=1)
        assert backend.get(blueprint) is None
        backend.set(blueprint, OLD)
        session.rollback()
        assert session.get(User, 1) is not None
        assert backend.get(blueprint) == OLD
        with backend.store.lock(ADA) or pytest.fail("the lock is taken"):
            assert backend.store.lock(ADA) is None
    engine.dispose()


def test_session_on_a_connection(engine: Engine, blueprint: Any) -> None:
    """A session within a test's own transaction works in it, and all of it can be undone."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection) as session:
            backend = SQLAlchemyBackend(Plain, session, user_id=1)
            backend.set(blueprint, OLD)
            assert backend.get(blueprint) == OLD
        transaction.rollback()
    with Session(engine) as session:
        assert list(SQLAlchemyStore(Plain, session).scan()) == []


def test_kinds_of_sessions(engine: Engine, blueprint: Any) -> None:
    """A session, a registry of sessions, a function that returns one, and a URL are the same."""
    registry = scoped_session(sessionmaker(engine))
    sources: list[Any] = [registry, registry(), lambda: registry]
    if engine.dialect.name == "sqlite":
        sources.append(str(engine.url))
    backends = [SQLAlchemyBackend(Plain, source, user_id=1) for source in sources]
    for number, backend in enumerate(backends):
        backend.set(blueprint, {"n": number})
        for other in backends:
            assert other.get(blueprint) == {"n": number}
    registry.remove()
    for backend in backends:
        engine_of(backend.store).dispose()


# Costs.


def test_statements_of_each_operation(store: SQLAlchemyStore, engine: Engine) -> None:
    """A load is one statement, a deletion one, and a save one, or two without a constraint."""
    key = TokenKey("demo", "1")
    is_unique = store._columns.name == "OAuth"
    # On PostgreSQL the turn to be the first has to be waited for, if there is no constraint.
    first = 1 if is_unique else 4 if engine.dialect.name == "postgresql" else 2
    operations = {
        "load": (lambda: store.load(key), 1),
        "save": (lambda: store.save(make_document(key)), first),
        "save again": (lambda: store.save(make_document(key)), 1 if is_unique else 2),
        "load again": (lambda: store.load(key), 1),
        "outdated": (
            lambda: refused(lambda: store.save(make_document(key), if_version=5)),
            1 + is_unique,
        ),
        "save a version": (
            lambda: store.save(make_document(key), load(store).version),
            1 + (1 if is_unique else 2),
        ),
        "delete": (lambda: store.delete(key), 1),
    }
    for name, (operation, count) in operations.items():
        with statements(engine) as seen:
            operation()
        assert len(seen) == count, name


def test_load_asks_sqlite_for_nothing_else(sqlite_engine: Engine) -> None:
    """SQLite is sent the selection alone: no option of a connection is set and reset for it."""
    seen: list[str] = []
    sqlite_engine.dispose()
    event.listen(sqlite_engine, "connect", lambda one, _: one.set_trace_callback(seen.append))
    Base.metadata.create_all(sqlite_engine)
    store = SQLAlchemyStore(OAuth, scoped_session(sessionmaker(sqlite_engine)))
    for number in range(2):
        seen.clear()
        assert store.load(TokenKey("demo", str(number))) is None
        [statement] = seen
        assert statement.startswith("SELECT")


def refused(operation: Any) -> None:
    """Check that an operation is refused for the sake of a newer version."""
    with pytest.raises(VersionConflict):
        operation()


# Versions and times.


def test_versions_without_a_column(session: Session) -> None:
    """Without a version column another token is another version, and outdated writers lose."""
    store = SQLAlchemyStore(Plain, session)
    first = store.save(make_document(ADA, OLD), if_version=0)
    assert load(store).version == first.version > 0
    second = store.save(make_document(ADA, NEW), if_version=first.version)
    assert second.version == load(store).version != first.version
    for outdated in (0, first.version):
        refused(lambda v=outdated: store.save(make_document(ADA, {"n": 3}), if_version=v))
    refused(lambda: store.delete(ADA, if_version=first.version))
    assert load(store).token == NEW
    store.delete(ADA, if_version=second.version)
    refused(lambda: store.save(make_document(ADA, OLD), if_version=second.version))


def test_one_of_many_wins_without_a_column(engine: Engine) -> None:
    """Of sixteen saves from the same read exactly one succeeds, by the row's lock."""
    store = SQLAlchemyStore(Plain, scoped_session(sessionmaker(engine)))
    version = store.save(make_document(ADA, OLD)).version

    def write(number: int) -> TokenDocument | None:
        try:
            return store.save(make_document(ADA, {"n": number}), if_version=version)
        except VersionConflict:
            return None

    [winner] = filter(None, at_once(16, write))
    assert load(store).token == winner.token


def test_record_ends_only_with_a_column(session: Session) -> None:
    """A ``ttl`` on a model without ``expires_at`` is an error at once."""
    with pytest.raises(ConfigurationError, match="OAuthTokenMixin"):
        SQLAlchemyBackend(Plain, session, user_id=1, ttl=60)
    SQLAlchemyBackend(OAuth, session, user_id=1, ttl=60)


def test_times_are_utc(session: Session) -> None:
    """A column without a time zone has UTC in it."""
    saved = SQLAlchemyStore(OAuth, session).save(make_document(ADA, seconds=60))
    row = session.scalars(select(OAuth)).one()
    found = (row.created_at, row.updated_at, row.expires_at)
    wanted = (saved.created_at, saved.updated_at, saved.expires_at)
    assert found == tuple(moment.replace(tzinfo=None) for moment in wanted if moment)


# Values.


def test_null_token_is_corrupt(engine: Engine) -> None:
    """A row whose token is ``null`` is told by provider and user, and is no stop to the others."""
    with engine.begin() as connection:
        insert = "INSERT INTO flask_dance_plain (provider, user_id, token, created_at)"
        connection.execute(text(f"{insert} VALUES ('demo', 1, 'null', '2030-01-01 00:00:00')"))
    with Session(engine) as session:
        store = SQLAlchemyStore(Plain, session)
        store.save(make_document(TokenKey("demo", "2"), OLD))
        with pytest.raises(CorruptToken, match="'demo', user '1'"):
            store.load(ADA)
        assert [document.user_id for document in store.scan()] == ["2"]
        assert session.scalar(select(func.count()).select_from(Plain)) == 2


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(token=tokens())
def test_parsed_json_keeps_tokens_exactly(postgresql_engine: Engine, token: dict[str, Any]) -> None:
    """PostgreSQL's ``jsonb`` keeps any token exactly: as text where it would change it."""
    OnPostgreSQL.metadata.create_all(postgresql_engine)
    with Session(postgresql_engine) as session:
        store = SQLAlchemyStore(Binary, session)
        store.save(make_document(ADA, token))
        assert same(load(store).token, token)


@pytest.mark.parametrize("value", ["a\0b", 2**64, 1e22, -0.0, 1.5, "\x10", "\x100"])
def test_values_that_need_care(store: SQLAlchemyStore, value: Any) -> None:
    """What some database's JSON changes comes back as it went in."""
    store.save(make_document(ADA, {"v": value, "nested": [{"v": value}]}))
    assert same(load(store).token, {"v": value, "nested": [{"v": value}]})


# Locks.


def test_table_of_locks_is_the_models(engine: Engine) -> None:
    """Migrations see the table of locks, since it belongs to the model's metadata."""

    class Apart(DeclarativeBase):
        pass

    class Token(OAuthTokenMixin, Apart):
        user_id: Mapped[int | None]

    with Session(engine) as session:
        SQLAlchemyStore(Token, session)
        SQLAlchemyStore(Token, session)
    assert set(Apart.metadata.tables) == {"flask_dance_token", "flask_dance_locks"}


def test_table_of_locks_is_made_when_needed(engine: Engine) -> None:
    """The first lock makes the table, and nothing else does."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS flask_dance_locks"))
    with Session(engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        store.save(make_document(ADA))
        assert not inspect(engine).has_table("flask_dance_locks")
        with store.lock(ADA) or pytest.fail("the lock is taken"):
            assert inspect(engine).has_table("flask_dance_locks")


def test_locks_are_seen_at_once_without_commit(session: Session, engine: Engine) -> None:
    """A lock is no part of the session's transaction: others would not see it."""
    store = SQLAlchemyStore(OAuth, session, commit=False)
    with Session(engine) as other, store.lock(ADA) or pytest.fail("the lock is taken"):
        assert SQLAlchemyStore(OAuth, other).lock(ADA) is None


# Errors.


def test_missing_table_is_no_outage(session: Session) -> None:
    """A table that is not there is a mistake of the set-up, and no reason to try again."""
    session.execute(text("DROP TABLE flask_dance_shared"))
    session.commit()
    with pytest.raises(BackendError) as caught:
        SQLAlchemyStore(Shared, session).load(TokenKey("demo"))
    assert not isinstance(caught.value, BackendUnavailable)


def test_password_of_the_url_is_not_told(closed_port: int) -> None:
    """A database that does not answer is told without the password of its URL."""
    store = SQLAlchemyStore(OAuth, f"postgresql+psycopg://me:pw-secret@127.0.0.1:{closed_port}/db")
    with pytest.raises(BackendUnavailable) as caught:
        store.load(ADA)
    assert "pw-secret" not in "".join(traceback.format_exception(caught.value))


# In an application.


def test_with_flask_sqlalchemy(tmp_path: Any) -> None:
    """An app with Flask-SQLAlchemy, as the documentation has it."""
    db = SQLAlchemy()

    class Account(db.Model):  # type: ignore[name-defined,misc] # Flask-SQLAlchemy's own base
        id = mapped_column(db.Integer, primary_key=True)

    class Token(OAuthTokenMixin, db.Model):  # type: ignore[name-defined,misc] # as above
        __table_args__ = unique_per_user()
        user_id = mapped_column(db.ForeignKey(Account.id))

    app = Flask(__name__)
    app.secret_key = "secret"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/app.db"
    db.init_app(app)
    backend = SQLAlchemyBackend(Token, db.session, user_id=lambda: 1)
    blueprint = OAuth2ConsumerBlueprint("demo", __name__, client_id="id", backend=backend)
    app.register_blueprint(blueprint)
    with app.app_context():
        db.create_all()
        db.session.add(Account(id=1))
        db.session.commit()
    with app.test_request_context():
        assert not blueprint.session.authorized
        blueprint.token = OLD
        assert blueprint.session.authorized
    with app.test_request_context():
        assert blueprint.token == OLD
        assert db.session.scalars(select(Token)).one().token == OLD
        del blueprint.token
        assert db.session.scalars(select(Token)).all() == []
        db.session.remove()
        db.engine.dispose()


# Their model asks for the time in a way that newer Pythons warn of.
@pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow\(\) is deprecated")
def test_tables_of_flask_dance_go_on_working(engine: Engine, blueprint: Any) -> None:
    """A row that Flask-Dance has written is read and updated here, and is read there again."""

    class Apart(DeclarativeBase):
        pass

    class Account(Apart):
        __tablename__ = "accounts"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Theirs(FlaskDanceMixin, Apart):
        user_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
        user: Mapped[Account] = relationship()

    Apart.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Account(id=1))
        session.commit()
        theirs = SQLAlchemyStorage(Theirs, session, user_id=1)
        ours = SQLAlchemyBackend(Theirs, session, user_id=1)
        theirs.set(blueprint, OLD)
        number = session.scalars(select(Theirs)).one().id
        session.commit()
        assert ours.get(blueprint) == OLD
        ours.set(blueprint, NEW)
        assert theirs.get(blueprint) == NEW
        row = session.scalars(select(Theirs)).one()
        assert (row.id, row.user_id, row.provider) == (number, 1, "demo")
        session.commit()
        ours.delete(blueprint)
        assert theirs.get(blueprint) is None


@pytest.mark.parametrize("aware", [True, False])
def test_renamed_columns_and_time_zones(engine: Engine, aware: bool) -> None:
    """Columns may have other names than their attributes, and times a time zone or none."""

    class Apart(DeclarativeBase):
        pass

    class Token(OAuthTokenMixin, Apart):
        user_id: Mapped[str | None] = mapped_column("who", String(50))
        token: Mapped[dict[str, Any]] = mapped_column("secret_part", JSON)
        created_at: Mapped[datetime] = mapped_column("made", DateTime(timezone=aware))
        expires_at: Mapped[datetime | None] = mapped_column("ends", DateTime(timezone=aware))

    Apart.metadata.create_all(engine)
    with Session(engine) as session:
        store = SQLAlchemyStore(Token, session)
        saved = store.save(make_document(TokenKey("demo", "ada"), NEW, seconds=60))
        assert load(store, TokenKey("demo", "ada")) == saved
        assert next(store.scan(user_id="ada")) == saved
        assert store.save(make_document(TokenKey("demo", "ada"))).created_at == saved.created_at
