"""The two example applications, with providers that give canned answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from flask.testing import FlaskClient
from pymongo import MongoClient

from examples import sign_in_with_google
from examples.demo.embedded import MongoServer
from examples.link_several_providers import User, db
from examples.link_several_providers import create_app as create_linking

from ..contrib.openid import signed

TOKEN = {"access_token": "at", "token_type": "bearer"}


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """GitHub and Google; the applications are clients of both."""
    monkeypatch.setenv("FLASK_SECRET_KEY", "for tests")
    for name in ("GITHUB", "GOOGLE"):
        monkeypatch.setenv(f"FLASK_{name}_OAUTH_CLIENT_ID", "the id")
        monkeypatch.setenv(f"FLASK_{name}_OAUTH_CLIENT_SECRET", "the secret")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.post("https://github.com/login/oauth/access_token", json=TOKEN)
        mocked.get("https://api.github.com/user", json={"id": 583231, "login": "octocat"})
        mocked.get("https://api.github.com/user/emails", status=404)
        user = {"sub": "1001", "name": "Ann", "email": "ann@example.test", "email_verified": True}
        mocked.get("https://openidconnect.googleapis.com/v1/userinfo", json=user)
        yield mocked


def dance(client: FlaskClient, web: responses.RequestsMock, blueprint: Any) -> Any:
    """Sign a browser in, and return the answer of the callback."""
    begun = client.get(f"/login/{blueprint.name}?retry=").location
    answer = {**TOKEN, **signed(web, blueprint, begun)}
    if blueprint.name == "google":
        web.upsert("POST", "https://oauth2.googleapis.com/token", json=answer)
    query = {"code": "the code", "state": parse_qs(urlsplit(begun).query)["state"][0]}
    return client.get(f"/login/{blueprint.name}/authorized", query_string=query)


def test_sign_in_with_google(
    web: responses.RequestsMock, mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer becomes a user, logs out, and is the same user later; "Cancel" is no 500."""
    clients: list[Any] = []

    def connect(url: str) -> Any:
        clients.append(MongoClient(url))
        return clients[-1]

    monkeypatch.setattr(sign_in_with_google, "MongoClient", {dict[str, Any]: connect})
    url = f"{mongo_server.url}/t{uuid.uuid4().hex}"
    monkeypatch.setenv("FLASK_MONGODB_URL", url)
    app = sign_in_with_google.create_app()
    client = app.test_client()
    assert "Sign in with Google" in client.get("/").text
    assert dance(client, web, app.blueprints["google"]).location == "/"
    assert "Hello" in client.get("/").text
    assert client.post("/log-out").location == "/"
    assert "Sign in with Google" in client.get("/").text
    assert dance(app.test_client(), web, app.blueprints["google"]).location == "/"
    database = clients[0].get_default_database()
    [user] = database.users.find()
    [token] = database.tokens.find({"user_id": str(user["_id"])})
    assert user["account"] == "google:ann"
    assert token["provider_user_id"] == "ann"
    begun = client.get("/login/google?retry=").location
    state = parse_qs(urlsplit(begun).query)["state"][0]
    answer = client.get(f"/login/google/authorized?state={state}&error=access_denied")
    assert answer.status_code in (302, 403)
    clients[0].close()


def test_link_several_providers(
    web: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor signs in with GitHub and links Google, which signs them in for ever."""
    monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path}/app.db")
    app = create_linking()
    providers: Any = app.blueprints
    github, google = providers["github"], providers["google"]
    client, other = app.test_client(), app.test_client()
    assert client.get("/").text.count("Sign in with") == 2
    assert dance(client, web, github).location == "/"
    assert "Hello octocat!" in client.get("/").text
    assert dance(client, web, google).location == "/"
    assert "Connect<" not in client.get("/").text
    assert dance(other, web, google).location == "/"
    assert "Hello octocat!" in other.get("/").text
    assert client.post("/log-out").location == "/"
    assert "Sign in with GitHub" in client.get("/").text
    with app.app_context():
        # As when the provider has ended the grants.
        for each in (github, google):
            each.backend.delete(each, user_id=1)
    for each in (github, google):
        assert dance(app.test_client(), web, each).location == "/"
    with app.app_context():
        assert [each.id for each in db.session.scalars(db.select(User))] == [1]
        db.session.remove()
        db.engine.dispose()
