"""The backends as ``storage`` of Flask-Dance's own blueprints, through its real dance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from flask_dance.consumer import OAuth2ConsumerBlueprint as FlaskDanceBlueprint
from flask_login import LoginManager, UserMixin, current_user, login_user

from examples.demo.provider import CLIENT_ID, CLIENT_SECRET, create_provider, provider_state
from examples.demo.serving import LocalServer
from flask_dance_nosql.consumer.backend import MongoBackend, RedisBackend, TokenKey
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.errors import BackendUnavailable, UserRequired

from .places import Place, new_mongo_client

pytestmark = pytest.mark.usefixtures("versions_from_one")

CALLBACK = "http://localhost/login/demo/authorized"


class Member(UserMixin):
    """A user of the application."""

    def __init__(self, id: str) -> None:
        self.id = id


@pytest.fixture
def provider_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real provider on this machine, which grants everything at once."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    provider = create_provider(auto_consent="alice")
    provider_state(provider).add_redirect_uri(CLIENT_ID, CALLBACK)
    with LocalServer(provider) as server:
        yield server.url


def backend_of(place: Any, **scoping: Any) -> MongoBackend | RedisBackend:
    """Make the backend that a user would, for a place."""
    if isinstance(place.store, MongoStore):
        return MongoBackend(place.collection, **scoping)
    return RedisBackend(place.client, **scoping)


def flask_dance_blueprint(url: str, storage: Any) -> FlaskDanceBlueprint:
    """Make Flask-Dance's blueprint with one of our backends."""
    return FlaskDanceBlueprint(
        "demo",
        __name__,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        base_url=f"{url}/",
        authorization_url=f"{url}/authorize",
        token_url=f"{url}/token",
        scope=["profile", "email"],
        storage=storage,
    )


def make_app(blueprint: FlaskDanceBlueprint) -> Flask:
    """Make an app whose users can sign in, ask the provider who they are, and disconnect."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    app.testing = True
    LoginManager(app).user_loader(Member)
    app.register_blueprint(blueprint, url_prefix="/login")

    @app.post("/sign-in/<user_id>")
    def sign_in(user_id: str) -> str:
        login_user(Member(user_id))
        return ""

    @app.get("/whoami")
    def whoami() -> Any:
        if not blueprint.session.authorized:
            return {"sub": None}
        return blueprint.session.get("userinfo").json()

    @app.post("/disconnect")
    def disconnect() -> str:
        del blueprint.token
        return ""

    return app


def signed_in(app: Flask, user_id: str) -> FlaskClient:
    """Return a new browser in which a local user has signed in."""
    client = app.test_client()
    client.post(f"/sign-in/{user_id}")
    return client


def dance(client: FlaskClient, hint: str) -> None:
    """Connect an account of the provider, as a browser does, over HTTP."""
    location = client.get("/login/demo").location
    answer = requests.get(f"{location}&login_hint={hint}", allow_redirects=False, timeout=10)
    callback = answer.headers["Location"]
    assert callback.startswith(CALLBACK)
    assert client.get(callback).location == "/"


def test_a_whole_dance_of_two_users(real_place: Place, provider_url: str) -> None:
    """Two users connect; in new sessions each finds their own token; one disconnects alone."""
    storage = backend_of(real_place, user=current_user)
    app = make_app(flask_dance_blueprint(provider_url, storage))
    for user_id, account in (("1", "alice"), ("2", "bob")):
        client = signed_in(app, user_id)
        assert client.get("/whoami").json == {"sub": None}
        dance(client, account)
    assert_stored(real_place)
    for user_id, account in (("2", "bob"), ("1", "alice")):
        assert signed_in(app, user_id).get("/whoami").json["sub"] == account
    signed_in(app, "1").post("/disconnect")
    assert signed_in(app, "1").get("/whoami").json == {"sub": None}
    assert signed_in(app, "2").get("/whoami").json["sub"] == "bob"
    assert real_place.count() == 1


def assert_stored(place: Place) -> None:
    """Check that the server holds the tokens of two users, and which."""
    assert place.count() == 2
    tokens = set()
    for user_id in ("1", "2"):
        found = place.store.load(TokenKey("demo", user_id))
        assert found is not None
        assert found.version == 1
        assert found.token["token_type"].lower() == "bearer"
        tokens.add(found.token["access_token"])
    assert len(tokens) == 2


def test_a_second_dance_replaces_the_token(real_place: Place, provider_url: str) -> None:
    """The same user connecting again replaces the record and counts it."""
    storage = backend_of(real_place, user=current_user)
    app = make_app(flask_dance_blueprint(provider_url, storage))
    for account in ("alice", "bob"):
        dance(signed_in(app, "1"), account)
    found = real_place.store.load(TokenKey("demo", "1"))
    assert found is not None
    assert found.version == 2
    assert real_place.count() == 1
    assert signed_in(app, "1").get("/whoami").json["sub"] == "bob"


def test_a_visitor_is_refused(real_place: Place, provider_url: str) -> None:
    """Without a user who is signed in, the token is neither read nor given to somebody else."""
    storage = backend_of(real_place, user=current_user)
    app = make_app(flask_dance_blueprint(provider_url, storage))
    with pytest.raises(UserRequired, match="Cannot get OAuth token"):
        app.test_client().get("/whoami")
    with pytest.raises(UserRequired, match="Cannot delete OAuth token"):
        app.test_client().post("/disconnect")
    assert real_place.count() == 0


def test_one_token_for_the_whole_application(real_place: Place, provider_url: str) -> None:
    """Without a user, one dance connects the application, as it does with a storage of theirs."""
    app = make_app(flask_dance_blueprint(provider_url, backend_of(real_place)))
    dance(app.test_client(), "alice")
    assert app.test_client().get("/whoami").json["sub"] == "alice"
    assert real_place.store.load(TokenKey("demo")) is not None


def test_a_storage_that_is_down_is_an_error(closed_port: int, provider_url: str) -> None:
    """There, too, a server that does not answer is not taken for "not connected"."""
    with new_mongo_client(f"mongodb://127.0.0.1:{closed_port}") as client:
        storage = MongoBackend(client["tests"]["tokens"], user=current_user)
        app = make_app(flask_dance_blueprint(provider_url, storage))
        with pytest.raises(BackendUnavailable):
            signed_in(app, "1").get("/whoami")
