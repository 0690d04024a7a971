"""What the predecessor documents, with the names changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import responses

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import BaseBackend, FileBackend, MemoryBackend

from .conftest import PROVIDER, TOKEN, make_app, make_blueprint
from .test_oauth2 import answer_token, begin, finish


class UsersFileBackend(BaseBackend):
    """A backend that a user wrote, with the three methods of the contract and nothing else."""

    def __init__(self, filepath: Path) -> None:
        super().__init__()
        self.filepath = filepath

    def get(self, blueprint: Any) -> Any:
        if not self.filepath.exists():
            return None
        return json.loads(self.filepath.read_text())

    def set(self, blueprint: Any, token: Any) -> None:
        self.filepath.write_text(json.dumps(token))

    def delete(self, blueprint: Any) -> None:
        self.filepath.unlink(missing_ok=True)


def run_dance(blueprint: OAuth2ConsumerBlueprint, web: responses.RequestsMock) -> Any:
    """Run a dance and return the client that ran it."""
    client = make_app(blueprint).test_client()
    params = begin(client)
    answer_token(web)
    assert finish(client, code="c", state=params["state"]).location == "/"
    return client


def test_session_is_the_default(web: responses.RequestsMock) -> None:
    """Without a backend, the token lies in the Flask session under the documented key."""
    client = run_dance(make_blueprint(), web)
    with client.session_transaction() as flask_session:
        assert flask_session["acme_oauth_token"]["access_token"] == "at-secret"


@pytest.mark.parametrize("backend_class", [UsersFileBackend, FileBackend])
def test_file_backend(
    web: responses.RequestsMock, tmp_path: Path, backend_class: type[BaseBackend]
) -> None:
    """A file backend, the user's own or ours, is assigned after construction and used."""
    filepath = tmp_path / "token.json"
    blueprint = make_blueprint()
    blueprint.backend = backend_class(filepath)  # type: ignore[call-arg]
    run_dance(blueprint, web)
    assert json.loads(filepath.read_text())["access_token"] == "at-secret"
    with make_app(blueprint).test_request_context():
        assert blueprint.session.authorized
        del blueprint.token
        assert not blueprint.session.authorized
    assert os.listdir(tmp_path) == []


def test_backend_is_replaced_after_construction(web: responses.RequestsMock) -> None:
    """``blueprint.backend = X`` takes effect for the next dance."""
    blueprint = make_blueprint()
    blueprint.backend = backend = MemoryBackend()
    run_dance(blueprint, web)
    assert backend.token is not None
    assert backend.token["access_token"] == TOKEN["access_token"]


def test_memory_backend_logs_a_test_client_in(web: responses.RequestsMock) -> None:
    """An app's tests give a blueprint a token by ``MemoryBackend`` and see the user connected."""
    web.get(f"{PROVIDER}/api/me", json={"login": "x"})
    blueprint = make_blueprint()
    app = make_app(blueprint)
    app.add_url_rule("/", "home", lambda: blueprint.session.get("me").json())
    blueprint.backend = MemoryBackend({"access_token": "fake-token"})
    assert app.test_client().get("/").json == {"login": "x"}
