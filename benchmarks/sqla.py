"""``get`` and ``set`` of ``SQLAlchemyBackend``, against Flask-Dance's storage on the same table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask
from flask_caching import Cache
from flask_dance.consumer.storage.sqla import OAuthConsumerMixin, SQLAlchemyStorage
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, UniqueConstraint

from flask_dance_nosql.consumer.backend import LocalCache, SQLAlchemyBackend

from .rounds import Row, compare
from .stores import TOKEN

BLUEPRINT: Any = SimpleNamespace(name="provider", config={})


def sqlalchemy_rows(folder: Path) -> Iterator[Row]:
    """Measure both in an app context of their own for each call, as a request has one."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/tokens.db"
    db = SQLAlchemy(app)
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})

    class OAuth(OAuthConsumerMixin, db.Model):  # type: ignore[name-defined,misc] # made at run time
        __table_args__ = (UniqueConstraint("provider", "user_id"),)
        user_id = Column(Integer)

    def ours(user_id: int, **options: Any) -> Any:
        return SQLAlchemyBackend(OAuth, db.session, user_id=user_id, **options)

    def theirs(user_id: int, **options: Any) -> Any:
        return SQLAlchemyStorage(OAuth, db.session, user_id=user_id, **options)

    def compared(what: str, one: Callable[[], object], other: Callable[[], object]) -> Row:
        return compare(what, _in_context(app, one), "Flask-Dance's", _in_context(app, other))

    with app.app_context():
        db.create_all()
    one, other = ours(1), theirs(2)
    yield compared(
        "SQLAlchemyBackend.set",
        lambda: one.set(BLUEPRINT, TOKEN),
        lambda: other.set(BLUEPRINT, dict(TOKEN)),
    )
    yield compared(
        "SQLAlchemyBackend.get", lambda: one.get(BLUEPRINT), lambda: other.get(BLUEPRINT)
    )
    local, shared = ours(1, cache=LocalCache()), ours(1, cache=cache)
    cached = theirs(2, cache=cache)
    yield compared(
        "SQLAlchemyBackend.get, from a LocalCache",
        lambda: local.get(BLUEPRINT),
        lambda: cached.get(BLUEPRINT),
    )
    yield compared(
        "SQLAlchemyBackend.get, both by Flask-Caching",
        lambda: shared.get(BLUEPRINT),
        lambda: cached.get(BLUEPRINT),
    )
    with app.app_context():
        db.engine.dispose()


def _in_context(app: Flask, work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with app.app_context():
            return work()

    return run
