"""A refresh in the midst of a transaction of the application's: P12."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Mapped, mapped_column, scoped_session, sessionmaker

from flask_dance_nosql.consumer.backend import SQLAlchemyBackend
from flask_dance_nosql.errors import BackendUnavailable

from ..backend.written import Base, Written
from ..rotating import RotatingProvider
from ..topologies import wait_until
from .conftest import at_once
from .site import Browser, Site, make_site, sign_of, soon

AnySession = Any


class Entry(Base):
    """Something of the application's own."""

    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]


@pytest.fixture
def patience() -> float:
    """For how many seconds SQLite waits for its one writer."""
    return 5.0


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Any, patience: float) -> Iterator[Any]:
    """An engine of a database that has the tables."""
    if request.param == "postgresql":
        engine = request.getfixturevalue("postgresql_engine")
    else:
        engine = create_engine(f"sqlite:///{tmp_path}/t.db", connect_args={"timeout": patience})
    Base.metadata.create_all(engine)
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def session(engine: Any) -> Iterator[AnySession]:
    """A session of each thread's own, as Flask-SQLAlchemy's is of each request's."""
    session = scoped_session(sessionmaker(engine))
    yield session
    session.remove()


def make(rotating: RotatingProvider, session: AnySession, *, commit: bool) -> Site:
    """Make an app whose user 1 has a token in the database."""
    backend = SQLAlchemyBackend(Written, session, user_id=1, commit=commit)
    site = make_site(rotating, backend)
    # Whatever a view has not committed is rolled back.
    site.app.teardown_appcontext(lambda error: session.remove())
    return site


def connect(site: Site, session: AnySession, token: dict[str, Any]) -> Browser:
    """Store the token, and commit it."""
    browser = site.browser()

    def work() -> None:
        site.blueprint.backend.set(site.blueprint, token)
        session.commit()

    browser.do(work)
    return browser


def nothing(session: AnySession) -> None:
    """Do nothing before the call."""


def reads(session: AnySession) -> None:
    """Have read something."""
    session.execute(select(Entry)).all()
    session.execute(select(Written)).all()


def adds(session: AnySession) -> None:
    """Have added something, which is not flushed."""
    session.add(Entry(words="mine"))


def writes(session: AnySession) -> None:
    """Have written something, which is not committed."""
    session.add(Entry(words="mine"))
    session.flush()


def touches(session: AnySession) -> None:
    """Have written to the token's own row, which is not committed."""
    row = session.scalars(select(Written)).one()
    row.token = {**row.token, "note": "mine"}
    session.flush()


BEFORE: dict[str, Callable[[AnySession], None]] = {
    "nothing": nothing,
    "reads": reads,
    "adds": adds,
    "writes": writes,
    "touches": touches,
}
"""What a view has done in its transaction when it calls the API."""


def stored(engine: Any) -> Any:
    """Return the refresh token that is committed."""
    with engine.connect() as connection:
        return connection.execute(select(Written.token)).scalar_one()["refresh_token"]


def entries(engine: Any) -> int:
    """Return how many entries of the application are committed."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM entry")).scalar_one())


# With commit=True, a view has to commit what it does to the token's row before: see the store.
CASES = [(before, False) for before in BEFORE] + [
    (each, True) for each in BEFORE if each != "touches"
]


@pytest.mark.timeout(40)
@pytest.mark.parametrize("left", [-10, 30], ids=["dead", "early"])
@pytest.mark.parametrize(("before", "commit"), CASES)
class TestTransaction:
    """P12: a view refreshes a token in the midst of its transaction."""

    @pytest.fixture
    def patience(self) -> float:
        """Return what is enough where the writer is the view itself, which goes on to wait."""
        return 0.3

    def view(self, site: Site, session: AnySession, before: str, end: str) -> Any:
        """Do as a view does that fails in the end, or does not; return the call's status."""

        def work() -> Any:
            BEFORE[before](session)
            try:
                status = site.blueprint.session.get("api").status_code
            except BackendUnavailable as error:
                # SQLite, whose one writer is the view itself.
                status = error
            if end == "commits":
                session.commit()
            else:
                session.rollback()
            return status

        return site.browser().do(work)

    def check(self, status: Any, engine: Any, before: str) -> None:
        """Check that the call was answered, unless the view itself keeps SQLite's one writer."""
        is_locked = engine.dialect.name == "sqlite" and before in ("writes", "touches")
        assert status == 200 or (is_locked and isinstance(status, BackendUnavailable))

    def test_rollback_loses_no_token(
        self,
        rotating: RotatingProvider,
        engine: Any,
        session: AnySession,
        commit: bool,
        before: str,
        left: float,
    ) -> None:
        """P12: the view rolls back: the new token is stored all the same, and nothing else is."""
        site = make(rotating, session, commit=commit)
        browser = connect(site, session, rotating.grant(expires_at=soon(left)))
        status = self.view(site, session, before, "rolls back")
        self.check(status, engine, before)
        assert entries(engine) == 0
        assert browser.call() == 200
        wait_until(lambda: stored(engine) == "rt-ann-1", "the new token is committed", 10)
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)
        assert sign_of(rotating) == "Bearer at-ann-1"

    def test_commit_keeps_both(
        self,
        rotating: RotatingProvider,
        engine: Any,
        session: AnySession,
        commit: bool,
        before: str,
        left: float,
    ) -> None:
        """P12: the view commits: its own work is there, and so is the new token in the end."""
        site = make(rotating, session, commit=commit)
        browser = connect(site, session, rotating.grant(expires_at=soon(left)))
        status = self.view(site, session, before, "commits")
        self.check(status, engine, before)
        assert entries(engine) == (1 if before in ("adds", "writes") else 0)
        assert browser.call() == 200
        wait_until(lambda: stored(engine) == "rt-ann-1", "the new token is committed", 10)
        assert browser.call() == 200
        assert (rotating.refreshes, rotating.spent) == (1, 0)


@pytest.mark.timeout(40)
class TestOthers:
    """P12: what others see of it."""

    def test_view_that_raises(
        self, rotating: RotatingProvider, engine: Any, session: AnySession
    ) -> None:
        """P12: a view that raises after its call leaves the new token to the next request."""
        site = make(rotating, session, commit=False)
        browser = connect(site, session, rotating.grant())
        error = LookupError("the view's own")

        def work() -> None:
            site.blueprint.session.get("api")
            raise error

        with pytest.raises(LookupError):
            browser.do(work)
        assert browser.call() == 200
        wait_until(lambda: stored(engine) == "rt-ann-1", "the new token is committed", 10)
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_session_of_the_view_sees_it(
        self, rotating: RotatingProvider, engine: Any, session: AnySession
    ) -> None:
        """P12: within the view, the blueprint's token is the new one."""
        site = make(rotating, session, commit=False)
        browser = connect(site, session, rotating.grant())

        def work() -> Any:
            reads(session)
            site.blueprint.session.get("api")
            return site.blueprint.session.access_token

        assert browser.do(work) == "at-ann-1"

    def test_threads_refresh_once(
        self, rotating: RotatingProvider, engine: Any, session: AnySession
    ) -> None:
        """P12: 8 requests, each of which rolls back: one refresh, and all are answered."""
        site = make(rotating, session, commit=False)
        connect(site, session, rotating.grant())
        assert at_once(8, lambda: site.browser().call()) == [200] * 8
        wait_until(lambda: stored(engine) == "rt-ann-1", "the new token is committed", 10)
        assert (rotating.refreshes, rotating.spent) == (1, 0)

    def test_logout_that_is_rolled_back(
        self, rotating: RotatingProvider, engine: Any, session: AnySession
    ) -> None:
        """P12: a logout is part of the view's transaction, as its other writes are."""
        site = make(rotating, session, commit=False)
        browser = connect(site, session, rotating.grant(expires_at=soon()))

        def work() -> None:
            del site.blueprint.token
            session.rollback()

        browser.do(work)
        assert stored(engine) == "rt-ann-0"
