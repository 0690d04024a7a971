"""Fixtures: each database with the tables of the models, a session and a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore

from .models import Base, OAuth, Plain, User


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each database, with the tables of all models and three users."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([User(id=1, name="Ada"), User(id=2, name="Bob"), User(id=3, name="Cy")])
        session.commit()
    return engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """The application's session."""
    with Session(engine) as session:
        yield session


@pytest.fixture(params=[OAuth, Plain])
def store(request: pytest.FixtureRequest, session: Session) -> SQLAlchemyStore:
    """A store, with and without the further columns and the constraint."""
    return SQLAlchemyStore(request.param, session)
