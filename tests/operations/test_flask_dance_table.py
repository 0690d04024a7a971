"""Tokens that Flask-Dance itself has stored move to another database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint
from flask_dance.consumer.storage.sqla import OAuthConsumerMixin, SQLAlchemyStorage
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, ForeignKey, text
from sqlalchemy.orm import Session, close_all_sessions

from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.backend.sqla import store_of_table
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations.comparing import compare_tokens
from flask_dance_nosql.operations.copying import copy_tokens
from flask_dance_nosql.testing import make_document

TOKEN = {"access_token": "at", "refresh_token": "rt", "expires_at": 1700000000.5}

# That of Flask-Dance, for the date of a row.
pytestmark = pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow:DeprecationWarning")


@pytest.fixture(params=["sqlite_engine", "postgresql_engine"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine of each database."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def app(engine: Engine) -> Iterator[Flask]:
    """An application of Flask-Dance, with a token for each of three users and for nobody."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = engine.url.render_as_string(hide_password=False)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            schema = connection.exec_driver_sql("SHOW search_path").scalar()
        connect = {"options": f"-c search_path={schema}"}
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": connect}
    db = SQLAlchemy(app)
    model: Any = db.Model

    class User(model):  # type: ignore[misc] # made at run time
        id = db.Column(db.Integer, primary_key=True)

    class OAuth(OAuthConsumerMixin, model):  # type: ignore[misc] # likewise
        user_id = db.Column(db.Integer, ForeignKey(User.id))
        user = db.relationship(User)

    blueprint = FlaskDanceBlueprint("github", __name__)
    with app.app_context():
        db.create_all()
        db.session.add_all([User(id=number) for number in range(1, 4)])
        db.session.commit()
        storage = SQLAlchemyStorage(OAuth, db.session, user_required=False)
        # First for nobody: that removes the tokens of all others, in Flask-Dance.
        for user in (None, *db.session.query(User)):
            storage.set(blueprint, {**TOKEN, "of": None if user is None else user.id}, user=user)
        app.extensions["session"] = db.session
        yield app
        close_all_sessions()
        db.engine.dispose()


def test_its_table_is_copied(app: Flask) -> None:
    """Every user's token is in the target, and a second run, or a look, finds no difference."""
    source, target = store_of_table(app.extensions["session"]), MemoryStore()
    result = copy_tokens(source, target)
    assert (result.records, result.copied, result.left) == (4, 4, [])
    for user_id in ("1", "2", "3", None):
        found = target.load(TokenKey("github", user_id))
        assert found is not None
        assert found.token == {**TOKEN, "of": user_id and int(user_id)}
        assert found.created_at.year > 2020
    assert copy_tokens(source, target).same == 4
    assert compare_tokens(source, target).is_complete


def test_a_login_in_the_new_application_stays(app: Flask) -> None:
    """A token that a user has got since is not replaced by the one in the table."""
    source, target = store_of_table(app.extensions["session"]), MemoryStore()
    copy_tokens(source, target)
    target.save(make_document(TokenKey("github", "1"), {"access_token": "since"}))
    assert copy_tokens(source, target).newer == 1
    found = target.load(TokenKey("github", "1"))
    assert found is not None
    assert found.token == {"access_token": "since"}


def test_another_table(engine: Engine) -> None:
    """The names of the table and of its users' column may be others, and the token may be text."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE grants (id INTEGER PRIMARY KEY, provider TEXT, token TEXT, owner TEXT)"
        )
        row = {"token": '{"access_token": "at"}'}
        insert = text("INSERT INTO grants VALUES (1, 'github', :token, 'ada')")
        connection.execute(insert, row)
    with Session(engine) as session:
        store = store_of_table(session, "grants", user="owner")
        [document] = store.scan()
        assert (document.key, document.token) == (TokenKey("github", "ada"), {"access_token": "at"})
        with pytest.raises(ConfigurationError, match="no table 'nothing'"):
            store_of_table(session, "nothing")
        with pytest.raises(ConfigurationError, match="It has: id, provider, token, owner"):
            store_of_table(session, "grants", user="person")


def test_a_database_out_of_reach() -> None:
    """It is the package's error, without the password."""
    with pytest.raises(BackendUnavailable) as caught:
        store_of_table("postgresql+psycopg://me:hush@127.0.0.1:1/db?connect_timeout=1")
    assert "hush" not in repr(caught.value)
