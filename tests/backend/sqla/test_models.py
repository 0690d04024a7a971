"""Models as applications have them: which rows are a user's, and which models are refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    CHAR,
    JSON,
    BigInteger,
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import UUID as POSTGRESQL_UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.types import BINARY, TypeDecorator, TypeEngine

from flask_dance_nosql.consumer.backend import SQLAlchemyBackend, TokenKey
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthConsumerMixin,
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from flask_dance_nosql.errors import BackendError, ConfigurationError, VersionConflict
from flask_dance_nosql.testing import make_document

from .models import ADA, NEW, OLD, engine_of, load, statements

NOBODY = TokenKey("demo")


# S1: users who are told by several columns.


def of_tenants(**columns: Any) -> tuple[type[Any], type[Any]]:
    """Make a model of users, who are told by tenant and id, and one of tokens."""

    class Tenants(DeclarativeBase):
        pass

    class User(Tenants):
        __tablename__ = "people"
        __table_args__ = columns.pop("users_args", ())
        tenant_id = mapped_column(Integer, primary_key=True)
        id = mapped_column(Integer, primary_key=True)

    class Token(OAuthConsumerMixin, Tenants):
        locals().update(columns)

    return User, Token


BOTH = {"tenant_id": Column(Integer), "user_id": Column(Integer)}


def composite(name: str = "user_id", *more: Any, target: str = "people") -> tuple[Any, ...]:
    """Return what a table of tokens has: a foreign key of two columns, and more."""
    there = [f"{target}.tenant_id", f"{target}.id"]
    return (ForeignKeyConstraint(["tenant_id", name], there), *more)


def columns(*names: str) -> dict[str, Any]:
    """Return columns of numbers."""
    return {name: mapped_column(Integer, nullable=True) for name in names}


SEVERAL: dict[str, Callable[[], dict[str, Any]]] = {
    "a column and a relationship": lambda: {
        **columns("tenant_id", "user_id"),
        "__table_args__": composite(),
        "user": relationship("User"),
    },
    "a column": lambda: {**columns("tenant_id", "user_id"), "__table_args__": composite()},
    "a relationship": lambda: {
        **columns("tenant_id", "owner_id"),
        "__table_args__": composite("owner_id"),
        "user": relationship("User"),
    },
}


@pytest.mark.parametrize("case", SEVERAL)
def test_users_of_two_tenants_are_refused(session: Session, case: str) -> None:
    """A model that tells users by several columns is refused when the store is made."""
    _, token = of_tenants(**SEVERAL[case]())
    with pytest.raises(ConfigurationError, match=r"several columns.*unique by itself"):
        SQLAlchemyBackend(token, session, user_id=7)


LATE: dict[str, Callable[[], dict[str, Any]]] = {
    "no foreign key": lambda: {
        **columns("tenant_id", "user_id"),
        "user": relationship(
            "User",
            primaryjoin="and_(foreign(Token.user_id) == User.id, "
            "foreign(Token.tenant_id) == User.tenant_id)",
        ),
    },
    "two foreign keys": lambda: {
        **columns("tenant_id", "owner_id"),
        "other": mapped_column(ForeignKey("others.id")),
        "__table_args__": composite("owner_id"),
        "user": relationship("User"),
    },
    "a user who refers to the token": lambda: {
        "user": relationship(
            "User", primaryjoin="Token.id == foreign(User.id)", uselist=False, viewonly=True
        ),
    },
}


@pytest.mark.parametrize("case", LATE)
def test_what_is_seen_only_when_all_models_are_there(session: Session, case: str) -> None:
    """Where a relationship has to be asked, the first operation is refused."""
    user, token = of_tenants(**LATE[case]())
    Table("others", user.metadata, Column("id", Integer, primary_key=True))
    store = SQLAlchemyStore(token, session)
    for key in (ADA, NOBODY):
        for operation in (store.load, store.delete, lambda key: store.save(make_document(key))):
            with pytest.raises(ConfigurationError, match=r"several columns|no reference to one"):
                operation(key)
    with pytest.raises(ConfigurationError):
        list(store.scan())


ENOUGH: dict[str, Callable[[], dict[str, Any]]] = {
    "two foreign keys": lambda: {
        **columns("tenant_id"),
        "user_id": mapped_column(ForeignKey("people.id"), nullable=True),
        "__table_args__": composite(),
        "users_args": (UniqueConstraint("id"), UniqueConstraint("tenant_id", "id")),
    },
    "unique by itself": lambda: {
        **columns("tenant_id", "user_id"),
        "__table_args__": composite(),
        "users_args": (Index("only", "id", unique=True),),
        "user": relationship("User"),
    },
    "a text of both": lambda: {
        "user_id": mapped_column(String(50), nullable=True),
    },
}


@pytest.mark.parametrize("case", ENOUGH)
def test_users_who_are_told_by_one_column(session: Session, case: str) -> None:
    """A user's column that is unique by itself will do, whatever else there is."""
    user, token = of_tenants(**ENOUGH[case]())
    token.metadata.create_all(session.get_bind())
    session.add_all([user(tenant_id=1, id=1), user(tenant_id=1, id=2)])
    session.commit()
    store = SQLAlchemyStore(token, session)
    store.save(make_document(ADA, OLD))
    store.save(make_document(TokenKey("demo", "2"), NEW))
    assert load(store).token == OLD


# S4: models that share a table.


class Family(DeclarativeBase):
    """The base of models that share a table."""


class Credential(OAuthTokenMixin, Family):
    """What an application keeps of a user, tokens among it."""

    kind: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "credential"}


class Token(Credential):
    """A token, which is one of several kinds of credentials."""

    __mapper_args__ = {"polymorphic_identity": "token"}


class OldToken(Token):
    """A kind of token."""

    __mapper_args__ = {"polymorphic_identity": "old"}


class Secret(Credential):
    """Something else."""

    __mapper_args__ = {"polymorphic_identity": "secret"}


class Unique(OAuthTokenMixin, Family):
    """Models that are unique for each kind, provider and user."""

    kind: Mapped[int]
    user_id: Mapped[int | None]
    __table_args__ = (UniqueConstraint("kind", "provider", "user_id"),)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": 0}


class UniqueToken(Unique):
    """One of them."""

    __mapper_args__ = {"polymorphic_identity": 1}


class Once(OAuthTokenMixin, Family):
    """Models of which a user has one for a provider."""

    kind: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None]
    __table_args__ = unique_per_user()
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "once"}


class OnceToken(Once):
    """One of them."""

    __mapper_args__ = {"polymorphic_identity": "token"}


@pytest.fixture
def family(engine: Engine, session: Session) -> Session:
    """The application's session, with the tables of these models."""
    Family.metadata.create_all(engine)
    return session


@pytest.mark.parametrize("key", [ADA, NOBODY])
@pytest.mark.parametrize(("mine", "other"), [(Token, Secret), (UniqueToken, Unique)])
def test_rows_of_another_class_are_left(
    family: Session, mine: Any, other: Any, key: TokenKey
) -> None:
    """A row is one of its model's class, and those of others are neither read nor written."""
    user_id = None if key.user_id is None else int(key.user_id)
    family.add(other(provider="demo", user_id=user_id, token={"of": "other"}))
    family.commit()
    store = SQLAlchemyStore(mine, family)
    assert store.load(key) is None
    assert list(store.scan()) == list(store.scan("demo", key.user_id)) == []
    store.delete(key)
    for number in range(2):
        saved = store.save(make_document(key, {"n": number}))
    store.save(make_document(key, {"n": 2}), if_version=saved.version)
    with pytest.raises(VersionConflict):
        store.save(make_document(key), if_version=saved.version)
    assert load(store, key).token == {"n": 2}
    assert len(list(store.scan())) == 1
    [row] = family.scalars(select(mine))
    assert (type(row), row.kind) == (mine, mine.__mapper__.polymorphic_identity)
    store.delete(key)
    rows = family.scalars(select(other))
    assert [row.token for row in rows if type(row) is other] == [{"of": "other"}]


def test_rows_of_the_classes_below_are_read(family: Session) -> None:
    """A model has the rows of the models that are based on it, too, as in SQLAlchemy."""
    family.add(OldToken(provider="demo", user_id=1, token=OLD))
    family.commit()
    store = SQLAlchemyStore(Token, family)
    assert load(store).token == OLD
    store.save(make_document(ADA, NEW))
    [row] = family.scalars(select(Credential))
    assert (type(row), row.token) == (OldToken, NEW)
    assert SQLAlchemyStore(OldToken, family).load(ADA) is not None
    assert SQLAlchemyStore(Secret, family).load(ADA) is None


def test_constraint_of_all_classes(family: Session) -> None:
    """Where a user has one row of whatever class, another class's row is not overwritten."""
    family.add(Once(provider="demo", user_id=1, token={"of": "other"}))
    family.commit()
    store = SQLAlchemyStore(OnceToken, family)
    with pytest.raises(BackendError, match="IntegrityError"):
        store.save(make_document(ADA, NEW))
    assert [row.token for row in family.scalars(select(Once))] == [{"of": "other"}]


def test_one_statement_by_class(family: Session, engine: Engine) -> None:
    """With a constraint that has the class in it, a save is one statement."""
    store = SQLAlchemyStore(UniqueToken, family)
    for _ in range(2):
        with statements(engine) as seen:
            store.save(make_document(ADA))
        assert len(seen) == 1


def joined() -> type[Any]:
    """Make a model that is kept in two tables."""

    class Joined(DeclarativeBase):
        pass

    class Parent(Joined):
        __tablename__ = "parents"
        id = mapped_column(Integer, primary_key=True)
        kind = mapped_column(String(20))
        provider = mapped_column(String(20))
        token = mapped_column(JSON)
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}

    class Child(Parent):
        __tablename__ = "children"
        id = mapped_column(ForeignKey(Parent.id), primary_key=True)
        user_id = mapped_column(Integer)
        __mapper_args__ = {"polymorphic_identity": "child"}

    return Child


def of_a_join() -> type[Any]:
    """Make a model of two joined tables."""

    class Joined(DeclarativeBase):
        pass

    one = Table("one", Joined.metadata, Column("id", Integer, primary_key=True), Column("provider"))
    two = Table("two", Joined.metadata, Column("one_id", ForeignKey("one.id")), Column("token"))

    class Both(Joined):
        __table__ = one.join(two)

    return Both


def without_identity() -> type[Any]:
    """Make a model whose rows of its own have no kind."""

    class Apart(DeclarativeBase):
        pass

    class Nameless(OAuthConsumerMixin, Apart):
        kind = mapped_column(String(20))
        __mapper_args__ = {"polymorphic_on": "kind"}

    return Nameless


def by_expression() -> type[Any]:
    """Make a model whose kind is no column."""

    class Apart(DeclarativeBase):
        pass

    class Computed(OAuthConsumerMixin, Apart):
        kind = mapped_column(String(20))
        __mapper_args__ = {"polymorphic_on": func.lower(kind.column), "polymorphic_identity": "a"}

    return Computed


@pytest.mark.parametrize("make", [joined, of_a_join, without_identity, by_expression])
def test_models_that_will_not_do(session: Session, make: Callable[[], type[Any]]) -> None:
    """A model of several tables, or without a kind of its own, is refused when a store is made."""
    with pytest.raises(ConfigurationError, match=r"several tables|polymorphic_identity"):
        SQLAlchemyStore(make(), session)


# S5: types of the application's own.


class GuidChar(TypeDecorator[uuid.UUID]):
    """UUIDs as CHAR(36), by a type that takes nothing but UUIDs."""

    impl = CHAR(36)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(uuid.UUID(hex=value.hex))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(value)


class GuidBytes(TypeDecorator[uuid.UUID]):
    """UUIDs as 16 bytes."""

    impl = BINARY(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> TypeEngine[Any]:
        return dialect.type_descriptor(
            LargeBinary() if dialect.name == "postgresql" else BINARY(16)
        )

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.bytes

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(bytes=value)


class Guid(TypeDecorator[uuid.UUID]):
    """UUIDs as the database's own, or CHAR(32): the recipe of SQLAlchemy's documentation."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> TypeEngine[Any]:
        is_postgresql = dialect.name == "postgresql"
        return dialect.type_descriptor(POSTGRESQL_UUID() if is_postgresql else CHAR(32))

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        if value is None or dialect.name == "postgresql":
            return value if value is None else str(value)
        return f"{(value if isinstance(value, uuid.UUID) else uuid.UUID(value)).int:032x}"

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value if value is None or isinstance(value, uuid.UUID) else uuid.UUID(value)


class TextOfUuid(TypeDecorator[str]):
    """UUIDs as 16 bytes in the database, and text in Python."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(value).bytes

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(uuid.UUID(bytes=value))


class Prefixed(TypeDecorator[str]):
    """Numbers that are texts in Python."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(value.removeprefix("user-"))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else f"user-{value}"


class Nothing(TypeDecorator[Any]):
    """A type that changes nothing."""

    impl = String(50)
    cache_ok = True


class Numbers(TypeDecorator[int]):
    """A type of numbers that changes nothing."""

    impl = Integer
    cache_ok = True


ONE, TWO = uuid.UUID("abcdef01-2345-6789-abcd-ef0123456789"), uuid.uuid4()
UUIDS = ([str(ONE), str(TWO)], [str(ONE).upper(), ONE.hex, "ada", "1", "{" + str(ONE) + "}"])

KINDS: dict[str, tuple[TypeEngine[Any], tuple[list[str], list[str]]]] = {
    # a type; ids that it can hold, and ids that it can't
    "CHAR(36)": (GuidChar(), UUIDS),
    "BINARY(16)": (GuidBytes(), UUIDS),
    "recipe": (Guid(), UUIDS),
    "text of bytes": (TextOfUuid(), UUIDS),
    "Uuid": (Uuid(), UUIDS),
    "Uuid as text": (Uuid(as_uuid=False), UUIDS),
    "Uuid not native": (Uuid(native_uuid=False), UUIDS),
    "bytes": (LargeBinary(16), UUIDS),
    "text": (String(50), ([str(ONE), "ada", "Ada", "007", "7"], [])),
    "a type that changes nothing": (Nothing(), ([str(ONE), "ada", "007"], [])),
    "numbers by a type": (Numbers(), (["1", "-7"], ["01", "ada", "1.0", str(ONE)])),
    "texts of numbers": (Prefixed(), (["user-1", "user-7"], ["1", "ada", "user-01", "user-x"])),
}


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize("unique", [True, False])
def test_ids_as_a_type_wants_them(engine: Engine, case: str, unique: bool) -> None:
    """Whatever type a user's column has, a user is bound as it wants, and read as text again."""
    kind, (right, wrong) = KINDS[case]

    class Apart(DeclarativeBase):
        pass

    class Token(OAuthTokenMixin, Apart):
        __table_args__ = unique_per_user() if unique else ()
        user_id: Mapped[Any] = mapped_column(kind, nullable=True)

    Apart.metadata.create_all(engine)
    with Session(engine) as session:
        store = SQLAlchemyStore(Token, session)
        for user_id in right:
            key = TokenKey("demo", user_id)
            assert store.load(key) is None
            first = store.save(make_document(key, {"of": "first"}))
            saved = store.save(make_document(key, {"of": user_id}), if_version=first.version)
            assert load(store, key) == saved
            assert [found.user_id for found in store.scan(user_id=user_id)] == [user_id]
        assert sorted(str(found.user_id) for found in store.scan()) == sorted(right)
        for user_id in wrong:
            key = TokenKey("demo", user_id)
            assert store.load(key) is None
            store.delete(key)
            assert list(store.scan(user_id=user_id)) == []
            with pytest.raises(ValueError, match="can't hold"):
                store.save(make_document(key))
        for user_id in right:
            key = TokenKey("demo", user_id)
            assert load(store, key).token == {"of": user_id}
            store.delete(key)
            assert store.load(key) is None
        assert list(store.scan()) == []


# S6: collations that ignore case.


def ignoring_case(engine: Engine, unique: bool) -> type[Any]:
    """Make a model whose texts are compared without regard to case."""
    # The PostgreSQL of the tests has no such collation.
    collation = "NOCASE"

    class Apart(DeclarativeBase):
        pass

    class Token(OAuthTokenMixin, Apart):
        __table_args__ = unique_per_user() if unique else ()
        provider: Mapped[str] = mapped_column(String(50, collation=collation))
        user_id: Mapped[str | None] = mapped_column(String(50, collation=collation))

    Apart.metadata.create_all(engine)
    return Token


ALIKE = [
    (TokenKey("demo", "ann"), TokenKey("demo", "Ann")),
    (TokenKey("demo", "ann"), TokenKey("DEMO", "ann")),
    (TokenKey("demo"), TokenKey("Demo")),
]


@pytest.mark.parametrize(("key", "other"), ALIKE, ids=str)
@pytest.mark.parametrize("commit", [True, False])
def test_nobody_alike_is_touched(
    sqlite_engine: Engine, key: TokenKey, other: TokenKey, commit: bool
) -> None:
    """Every operation compares exactly, in a column that ignores case: a deletion does, too."""
    model = ignoring_case(sqlite_engine, unique=True)
    with Session(sqlite_engine) as session:
        store = SQLAlchemyStore(model, session, commit=commit)
        saved = store.save(make_document(key, OLD))
        for version in (None, saved.version):
            store.delete(other, if_version=version)
            assert store.load(key) == saved
        assert store.load(other) is store.load_fresh(other) is None
        assert list(store.scan(other.provider, other.user_id)) == []
        assert list(store.scan(key.provider, key.user_id)) == [saved]
        session.commit()
        for version in (None, 0):
            with pytest.raises(BackendError):
                store.save(make_document(other, NEW), if_version=version)
            session.rollback()
        assert store.load(key) == saved
        store.delete(key)
        assert store.load(key) is None


def test_of_several_alike_one_is_deleted(sqlite_engine: Engine) -> None:
    """Where there is a row for each, the one is deleted and the others stay."""
    model = ignoring_case(sqlite_engine, unique=False)
    with Session(sqlite_engine) as session:
        store = SQLAlchemyStore(model, session)
        alike = [TokenKey("demo", user) for user in ("ann", "Ann", "ANN")]
        for key in alike:
            store.save(make_document(key, {"of": key.user_id}))
        store.delete(alike[1])
        assert [store.load(key) is None for key in alike] == [False, True, False]
        assert load(store, alike[0]).token == {"of": "ann"}


def test_deletion_is_one_statement(sqlite_engine: Engine) -> None:
    """Where nobody alike is there, a deletion costs one statement."""
    model = ignoring_case(sqlite_engine, unique=True)
    with Session(sqlite_engine) as session:
        store = SQLAlchemyStore(model, session)
        key = TokenKey("demo", "ann")
        store.save(make_document(key))
        for _ in range(2):
            with statements(engine_of(store)) as seen:
                store.delete(key)
            assert len(seen) == 1
