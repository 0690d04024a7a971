"""Tenants who share a database: whichever way one is chosen, another's tokens are never met."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import Connection, Engine, String, create_engine, event, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.app_backends import AppStore, app_stores
from flask_dance_nosql.consumer.backend import LocalCache, SQLAlchemyBackend, TokenKey
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations import HealthCheck
from flask_dance_nosql.testing import make_document

from .models import ADA, NEW, OLD, OAuth, Plain, User, statements

TENANTS = ("a", "b")


class Tenants(DeclarativeBase):
    """The base of the models."""


class Token(OAuthTokenMixin, Tenants):
    """A token in the schema of a tenant."""

    __table_args__ = unique_per_user()
    user_id: Mapped[int | None]


class Guarded(OAuthTokenMixin, Tenants):
    """A token in a table of all tenants, whose rows PostgreSQL guards."""

    tenant: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int | None]


class Chosen:
    """The tenant of the current request."""

    tenant = "a"


@pytest.fixture
def chosen() -> Chosen:
    """The current tenant."""
    return Chosen()


@pytest.fixture
def database(postgresql_url: str) -> Iterator[tuple[Engine, str]]:
    """An engine, and what the names of the tenants' schemas begin with."""
    name = f"t{uuid.uuid4().hex}"
    engine = create_engine(postgresql_url)
    for tenant in TENANTS:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}_{tenant}"))
            connection.execution_options(schema_translate_map={None: f"{name}_{tenant}"})
            Tenants.metadata.create_all(connection, [Token.__table__])
    yield engine, name
    with engine.begin() as connection:
        for tenant in TENANTS:
            connection.execute(text(f"DROP SCHEMA {name}_{tenant} CASCADE"))
    engine.dispose()


def of_all(store: SQLAlchemyStore, chosen: Chosen, switch: Callable[[], object]) -> None:
    """Check that each operation is about the chosen tenant, whoever was chosen before."""
    saved = {}
    for tenant in TENANTS:
        chosen.tenant = tenant
        switch()
        assert store.load(ADA) is None
        assert list(store.scan()) == []
        first = store.save(make_document(ADA, {"of": tenant}))
        saved[tenant] = store.save_apart(make_document(ADA, {"of": tenant}), first.version)
        assert store.acquire(ADA, tenant, 60)
        switch()
    assert store.place != place_of(store, chosen, "a", switch)
    for tenant in TENANTS:
        chosen.tenant = tenant
        switch()
        assert store.load(ADA) == store.load_fresh(ADA) == saved[tenant]
        assert list(store.scan(user_id="1")) == [saved[tenant]]
        assert store.acquire(ADA, tenant, 60)
        store.release(ADA, tenant)
    chosen.tenant = "b"
    switch()
    store.delete(ADA)
    assert store.load(ADA) is None
    chosen.tenant = "a"
    switch()
    assert store.load(ADA) == saved["a"]


def place_of(
    store: SQLAlchemyStore, chosen: Chosen, tenant: str, switch: Callable[[], object]
) -> str:
    """Return the place of a store for another tenant, and come back."""
    before, chosen.tenant = chosen.tenant, tenant
    switch()
    place = store.place
    chosen.tenant = before
    switch()
    return place


# By options.


@contextmanager
def by_option(engine: Engine, name: str, chosen: Chosen, on: str) -> Iterator[Any]:
    """Lend a session whose tenant is chosen by a schema of its engine, connection or itself."""
    options = lambda: {"schema_translate_map": {None: f"{name}_{chosen.tenant}"}}  # noqa: E731
    if on == "engine":
        engines = {
            tenant: engine.execution_options(schema_translate_map={None: f"{name}_{tenant}"})
            for tenant in TENANTS
        }

        class ByEngine(Session):
            def get_bind(self, *args: Any, **kwargs: Any) -> Engine:
                return engines[chosen.tenant]

        with ByEngine() as session:
            yield session, session.rollback
        return
    with Session(engine) as session:

        def switch() -> None:
            session.rollback()
            if on == "session":
                session.execution_options = options()
            else:
                session.connection(execution_options=options())

        yield session, switch


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("on", ["engine", "connection", "session"])
def test_schema_of_the_session(
    database: tuple[Engine, str], chosen: Chosen, on: str, commit: bool
) -> None:
    """A schema that the session's connection has is that of the backend's own, too."""
    if on == "session" and not hasattr(Session, "execution_options"):
        pytest.skip("this SQLAlchemy has no options of a session")
    with by_option(*database, chosen, on) as (session, switch):
        store = SQLAlchemyStore(Token, session, commit=commit)

        def commit_and_switch() -> None:
            session.commit()
            switch()

        of_all(store, chosen, switch if commit else commit_and_switch)


def test_schema_of_a_registered_session(database: tuple[Engine, str], chosen: Chosen) -> None:
    """It is so with a registry of sessions, and each cached token is its tenant's."""
    engine, name = database
    registry = scoped_session(sessionmaker(engine))
    backend = SQLAlchemyBackend(Token, registry, user_id=1, cache=LocalCache())
    names = set()

    class Blueprint:
        name = "demo"
        config: dict[str, Any] = {}

    for tenant in TENANTS * 2:
        registry.remove()
        schema = {"schema_translate_map": {None: f"{name}_{tenant}"}}
        registry.connection(execution_options=schema)
        found = backend.get(Blueprint())
        assert found in (None, {"of": tenant})
        backend.set(Blueprint(), {"of": tenant})
        assert backend.get(Blueprint()) == {"of": tenant}
        names.add(backend.slot(Blueprint()).name)
    registry.remove()
    # What is known of refreshes in this process is kept by this name.
    assert len(names) == 2


def test_no_connection_is_made_for_its_options(engine: Engine) -> None:
    """A session that has no connection yet gets none, in a transaction or not."""
    with Session(engine) as session:
        store = SQLAlchemyStore(OAuth, session)
        session.add(User(id=4))
        assert session.in_transaction()
        with statements(engine) as seen:
            store.save(make_document(ADA))
            store.load(ADA)
        assert len(seen) == 2
        transaction: Any = session.get_transaction()
        assert not transaction._connections


def test_other_options_of_the_session(engine: Engine) -> None:
    """Options of an application's own are passed on, and those that say how are not."""
    seen: list[dict[str, Any]] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda connection, *_: seen.append(dict(connection.get_execution_options())),
    )
    with Session(engine) as session:
        store = SQLAlchemyStore(Plain, session)
        session.connection(execution_options={"tenant": "a", "stream_results": True})
        place = store.place
        store.load(ADA)
        assert [options["tenant"] for options in seen] == ["a"]
        assert "stream_results" not in seen[0]
        session.rollback()
        assert store.place != place
        session.connection(execution_options={"tenant": "b"})
        assert store.place != place


# By statements on the session's connection.


def set_path(name: str, chosen: Chosen) -> Callable[[Connection], object]:
    """Return what chooses the tenant on a connection."""
    return lambda connection: connection.execute(
        text(f"SET LOCAL search_path = {name}_{chosen.tenant}")
    )


def test_search_path_of_the_session(database: tuple[Engine, str], chosen: Chosen) -> None:
    """With ``on_begin`` the backend's own connections are prepared like the session's."""
    engine, name = database
    choose = set_path(name, chosen)
    make = sessionmaker(engine)
    event.listen(make, "after_begin", lambda session, transaction, connection: choose(connection))
    with make() as session:
        store = SQLAlchemyStore(
            Token, session, on_begin=choose, tenant=lambda: f"tenant {chosen.tenant}"
        )
        of_all(store, chosen, session.rollback)


def test_search_path_in_the_session(database: tuple[Engine, str], chosen: Chosen) -> None:
    """With ``commit=False`` operations use the session's own connection, whatever it was told."""
    engine, name = database
    with Session(engine) as session:
        store = SQLAlchemyStore(Token, session, commit=False, tenant=lambda: chosen.tenant)

        def switch() -> None:
            session.commit()
            set_path(name, chosen)(session.connection())

        for tenant in TENANTS:
            chosen.tenant = tenant
            switch()
            assert store.load(ADA) is None
            first = store.save(make_document(ADA, {"of": tenant}))
            store.save_apart(make_document(ADA, {"of": f"{tenant} anew"}), first.version)
        for tenant in TENANTS:
            chosen.tenant = tenant
            switch()
            assert [found.token for found in store.scan()] == [{"of": f"{tenant} anew"}]


@pytest.mark.parametrize("target", ["instance", "factory"])
def test_event_of_the_session_is_refused(sqlite_engine: Engine, target: str) -> None:
    """A session that is prepared by an event is refused, unless the same is done to connections."""
    Tenants.metadata.create_all(sqlite_engine)
    make = sessionmaker(sqlite_engine)
    with make() as session:
        event.listen(make if target == "factory" else session, "after_begin", lambda *_: None)
        store = SQLAlchemyStore(Token, session)
        for operation in (store.load, store.delete, lambda key: store.save(make_document(key))):
            with pytest.raises(ConfigurationError, match=r"after_begin.*on_begin=.*commit=False"):
                operation(ADA)
        for store in (
            SQLAlchemyStore(Token, session, commit=False),
            SQLAlchemyStore(Token, session, on_begin=lambda _: None, tenant=lambda: "all"),
        ):
            store.save(make_document(ADA, OLD))
            version = store.save(make_document(ADA, OLD)).version
            store.save_apart(make_document(ADA, NEW), if_version=version)
            assert (store.load(ADA) or pytest.fail("none")).token == NEW
            session.commit()


def test_what_names_no_tenant_is_refused(sqlite_engine: Engine) -> None:
    """``on_begin`` alone is refused at once, and a tenant without a name when it is asked for."""
    with Session(sqlite_engine) as session:
        with pytest.raises(ConfigurationError, match="tenant="):
            SQLAlchemyBackend(Token, session, on_begin=lambda _: None)
        wrong: list[Any] = [None, "", 5, b"a"]
        for name in wrong:
            store = SQLAlchemyStore(Token, session, tenant=lambda name=name: name)
            with pytest.raises(ConfigurationError, match="name of a tenant"):
                assert store.place


def test_rows_that_the_database_guards(postgresql_engine: Engine, chosen: Chosen) -> None:
    """With row-level security each operation sees the rows of the tenant that is named."""
    role, mine = f"app_{uuid.uuid4().hex}", "tenant = current_setting('app.tenant')"
    Guarded.metadata.create_all(postgresql_engine, [Guarded.__table__])
    with postgresql_engine.begin() as connection:
        schema = connection.scalar(text("SELECT current_schema()"))
        for statement in (
            f"CREATE ROLE {role}",
            f"GRANT ALL ON SCHEMA {schema} TO {role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
            "ALTER TABLE flask_dance_guarded ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY own ON flask_dance_guarded USING ({mine})",
        ):
            connection.execute(text(statement))

    def enter(connection: Connection) -> None:
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        choice = text("SELECT set_config('app.tenant', :tenant, true)")
        connection.execute(choice, {"tenant": chosen.tenant})

    with Session(postgresql_engine) as session:
        store = SQLAlchemyStore(
            Guarded,
            session,
            on_begin=enter,
            tenant=lambda: chosen.tenant,
            defaults=lambda document: {"tenant": chosen.tenant},
        )
        of_all(store, chosen, session.rollback)
    with postgresql_engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))


# A lock that the session holds.


def test_session_that_holds_the_lock_is_named(sqlite_engine: Engine, tmp_path: Any) -> None:
    """A flushed change of the session locks an SQLite file, and the message says so."""
    engine = create_engine(f"sqlite:///{tmp_path}/tokens.db", connect_args={"timeout": 0.1})
    Tenants.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Token(provider="other", token=OLD))
        session.flush()
        store = SQLAlchemyStore(Token, session)
        operations: list[Callable[[], object]] = [
            lambda: store.save(make_document(ADA)),
            lambda: store.delete(ADA),
            lambda: store.acquire(ADA, "me", 60),
        ]
        for operation in operations:
            with pytest.raises(BackendUnavailable, match=r"own session.*flushed.*Commit before"):
                operation()
        assert store.load(ADA) is None
        session.commit()
        store.save(make_document(ADA))
    engine.dispose()


@pytest.fixture
def tenants_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An app whose tenant is in ``g`` or, without a request, in the environment."""
    monkeypatch.delenv("TENANT", raising=False)
    engine = create_engine(f"sqlite:///{tmp_path / 'tenants.db'}")
    OAuth.metadata.create_all(engine)

    def tenant() -> str:
        return str(g.tenant if "tenant" in g else os.environ["TENANT"])

    def on_begin(connection: Connection) -> None:
        connection.execute(text("SELECT :tenant"), {"tenant": tenant()})

    backend = SQLAlchemyBackend(
        OAuth,
        scoped_session(sessionmaker(engine)),
        user_id=lambda: 1,
        tenant=tenant,
        on_begin=on_begin,
    )
    app = Flask(__name__)
    app.secret_key = "for tests"
    blueprint = OAuth2ConsumerBlueprint("acme", __name__, client_id="id", backend=backend)
    app.register_blueprint(blueprint, url_prefix="/login")
    app.register_blueprint(HealthCheck())

    @app.post("/<name>")
    def connect(name: str) -> str:
        g.tenant = name
        backend.set(blueprint, {"access_token": "at"})
        return ""

    yield app
    engine.dispose()


def test_health_needs_no_tenant(tenants_app: Flask) -> None:
    """The view of an app whose tenants only requests tell asks the server."""
    assert tenants_app.test_client().get("/healthz").json == {"status": "ok"}


def test_health_of_a_server_that_is_away(tenants_app: Flask, tmp_path: Path) -> None:
    """And it says so if the server does not answer."""
    (tmp_path / "tenants.db").unlink()
    (tmp_path / "tenants.db").mkdir()
    for store in (each.backend.store for each in stores_of(tenants_app)):
        store._transactions._session.get().get_bind().dispose()  # type: ignore[attr-defined] # a new connection
    assert tenants_app.test_client().get("/healthz").status_code == 503


def stores_of(app: Flask) -> list[AppStore]:
    """Return the stores of an app."""
    with app.app_context():
        return app_stores()


@pytest.mark.parametrize("command", ["stats", "list", "check"])
def test_commands_for_a_tenant(
    tenants_app: Flask, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Commands work with the tenant that the environment names; without one they say what to do."""
    assert tenants_app.test_client().post("/acme").status_code == 200
    runner = tenants_app.test_cli_runner()
    result = runner.invoke(tokens, command.split())
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True)
    assert "without a request (KeyError)" in result.output
    monkeypatch.setenv("TENANT", "acme")
    assert runner.invoke(tokens, command.split()).exit_code == 0


def test_error_of_a_tenants_function_in_a_request(tenants_app: Flask) -> None:
    """In a request, it is the application's own error."""
    with tenants_app.test_request_context(), pytest.raises(KeyError):
        stores_of(tenants_app)[0].backend.store.load_fresh(TokenKey("acme", "1"))
