"""``SQLAlchemyBackend`` against Flask-Dance's ``SQLAlchemyStorage``, on one SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from flask_caching import Cache
from flask_dance.consumer.storage.sqla import OAuthConsumerMixin as FlaskDanceMixin
from flask_dance.consumer.storage.sqla import SQLAlchemyStorage
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import mapped_column

from flask_dance_nosql.consumer.backend.sqla import OAuthConsumerMixin, SQLAlchemyBackend

from .rounds import Row, compare
from .stores import BLUEPRINT, TOKEN

USER = 42


def sqla_rows() -> Iterator[Row]:
    """Measure both within one app context, on tables with the same columns.

    Flask-Dance leaves the session's transaction open after a ``get``, and ends it with the request;
    so each is measured with and without that. Most of a ``set`` is the wait for the disk, which is
    the same for both; so it is measured without that, too.
    """
    with TemporaryDirectory() as folder:
        app = Flask(__name__)
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/tokens.db"
        db, cache = SQLAlchemy(app), Cache(app, config={"CACHE_TYPE": "SimpleCache"})
        with app.app_context():
            ours, theirs = _models(db)
            db.create_all()
            try:
                yield from _rows(db, ours, theirs, cache)
            finally:
                db.session.remove()
                db.engine.dispose()


def _models(db: Any) -> tuple[Any, Any]:
    class Ours(OAuthConsumerMixin, db.Model):  # type: ignore[misc,name-defined] # Flask-SQLAlchemy's
        user_id = mapped_column(db.Integer)

    class Theirs(FlaskDanceMixin, db.Model):  # type: ignore[misc,name-defined] # as above
        user_id = mapped_column(db.Integer)

    return Ours, Theirs


def _setter(backend: Any) -> Callable[[], object]:
    # SQLite writes nothing where a row stays as it is.
    numbers = count()
    return lambda: backend.set(BLUEPRINT, {**TOKEN, "access_token": f"{next(numbers):0200}"})


def _rows(db: Any, our_model: Any, their_model: Any, cache: Any) -> Iterator[Row]:
    ours = SQLAlchemyBackend(our_model, db.session, user_id=USER)
    theirs = SQLAlchemyStorage(their_model, db.session, user_id=USER)
    ours.set(BLUEPRINT, TOKEN)
    theirs.set(BLUEPRINT, TOKEN)
    yield _row("get", lambda: ours.get(BLUEPRINT), lambda: theirs.get(BLUEPRINT))
    yield _row(
        "get, session.remove",
        lambda: (ours.get(BLUEPRINT), db.session.remove()),
        lambda: (theirs.get(BLUEPRINT), db.session.remove()),
    )
    # A transaction that Flask-Dance leaves open would keep our writes out.
    db.session.remove()
    set_ours, set_theirs = _setter(ours), _setter(theirs)
    yield _row("set", set_ours, set_theirs)
    yield _row(
        "set, session.remove",
        lambda: (set_ours(), db.session.remove()),
        lambda: (set_theirs(), db.session.remove()),
    )
    _wait_for_no_disk(db)
    yield _row("set, with PRAGMA synchronous=OFF", set_ours, set_theirs)
    cached = SQLAlchemyBackend(our_model, db.session, user_id=USER, cache=cache)
    theirs_cached = SQLAlchemyStorage(their_model, db.session, user_id=USER, cache=cache)
    yield _row("get, cached", lambda: cached.get(BLUEPRINT), lambda: theirs_cached.get(BLUEPRINT))


def _wait_for_no_disk(db: Any) -> None:
    def switch_off(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    db.session.remove()
    db.engine.dispose()
    event.listen(db.engine, "connect", switch_off)


def _row(what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> Row:
    return compare(f"SQLAlchemyBackend.{what}", ours, "the same with Flask-Dance", theirs)
