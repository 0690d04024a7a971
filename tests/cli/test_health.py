"""``flask tokens check`` and ``flask tokens prepare``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from flask import Flask
from pymongo.collection import Collection
from sqlalchemy.orm import Session

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer.backend import (
    MongoBackend,
    RedisBackend,
    SQLAlchemyBackend,
    TokenCipher,
    TokenKey,
)
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.contrib.gitlab import make_gitlab_blueprint
from flask_dance_nosql.operations import checking
from tests.backend.places import document
from tests.backend.sqla.models import OAuth
from tests.topologies import RedisNode

SECRET = "at-very-secret"
KEY, OLD_KEY = TokenCipher.generate_key(), TokenCipher.generate_key()


@pytest.fixture
def app(tmp_path: Path, mongo_collection: Collection[dict[str, Any]]) -> Iterator[Flask]:
    """An app with a collection that is not prepared, and a Redis server that keeps tokens."""
    app = Flask(__name__)
    cipher = TokenCipher(KEY, [OLD_KEY])
    with RedisNode(tmp_path, "--appendonly yes") as node:
        node.client.config_set("requirepass", "hush")
        url = f"redis://:hush@127.0.0.1:{node.port}"
        for make, backend in (
            (make_github_blueprint, MongoBackend(mongo_collection, user_id="1")),
            (make_gitlab_blueprint, RedisBackend(url, user_id="1", cipher=cipher)),
        ):
            app.register_blueprint(make("id", "secret", backend=backend))
        yield app


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    """Run a command and return its exit code and what it prints. It prints no secret."""
    result = app.test_cli_runner().invoke(tokens, arguments)
    for secret in (SECRET, KEY, OLD_KEY, "hush"):
        assert secret not in result.output
    return result.exit_code, result.stdout


def test_check_and_prepare(app: Flask) -> None:
    """A check ends with 1 while there is a problem, and with 0 after it is mended."""
    code, text = run(app, "check")
    assert code == 1
    assert "MongoBackend of github\n  OK       ping: The server answers." in text
    assert "  PROBLEM  index expires_at: There is no index" in text
    assert "           Run: flask tokens prepare\n" in text
    code, text = run(app, "prepare", "--dry-run")
    assert (code, "github: to be made: index expires_at; index user_id" in text) == (0, True)
    assert run(app, "check")[0] == 1
    code, text = run(app, "prepare")
    assert code == 0
    assert text.splitlines() == [
        "MongoBackend of github: made: index expires_at; index user_id, provider",
        "RedisBackend of gitlab: nothing was missing",
    ]
    code, text = run(app, "check")
    assert code == 0
    assert "PROBLEM" not in text
    assert "  WARNING  fallback key: No token is under the fallback key" in text


def test_provider(app: Flask) -> None:
    """``--provider`` is about the store of one blueprint."""
    code, text = run(app, "check", "--provider", "gitlab")
    assert code == 0
    assert "MongoBackend" not in text
    code, text = run(app, "prepare", "--provider", "gitlab")
    assert text == "RedisBackend of gitlab: nothing was missing\n"
    assert run(app, "check", "--provider", "nobody")[0] == 1


def test_json(app: Flask) -> None:
    """With ``--json`` both print one document."""
    code, text = run(app, "check", "--json")
    reports = json.loads(text)
    assert code == 1
    assert [report["blueprints"] for report in reports] == [["github"], ["gitlab"]]
    assert reports[0]["findings"][0] == {
        "name": "ping",
        "status": "ok",
        "message": "The server answers.",
        "advice": "",
    }
    made = json.loads(run(app, "prepare", "--json")[1])
    assert made[0]["made"] == ["index expires_at", "index user_id, provider"]


def test_quick(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--quick`` looks at some of the records."""
    with app.app_context():
        backend = app.blueprints["gitlab"].backend  # type: ignore[attr-defined]
        for user in "1234":
            backend.store.save(document(TokenKey("gitlab", user), {"access_token": SECRET}))
    monkeypatch.setattr("flask_dance_nosql.cli.health.QUICK", 3)
    assert checking.QUICK == 1000
    text = run(app, "check", "--quick", "--provider", "gitlab")[1]
    assert "records: 3 records were read, and there are more." in text
    assert "records: 4 records were read." in run(app, "check", "--provider", "gitlab")[1]


def test_prepare_tells_what_is_still_wrong(
    app: Flask, mongo_collection: Collection[dict[str, Any]]
) -> None:
    """An index with other options stays, and the preparation ends with 1 and says what to do."""
    mongo_collection.create_index("expires_at")
    code, text = run(app, "prepare", "--provider", "github")
    assert code == 1
    assert "made: index user_id, provider" in text
    assert "PROBLEM  index expires_at: The index expires_at_1 does not remove" in text
    assert "Drop the index" in text


def test_prepare_without_a_server(closed_port: int) -> None:
    """A server that does not answer ends a preparation with a message, and a check with 1."""
    app = Flask(__name__)
    url = f"postgresql+psycopg://u:hush@127.0.0.1:{closed_port}/x"
    backend = SQLAlchemyBackend(OAuth, url)
    app.register_blueprint(make_github_blueprint("id", "secret", backend=backend))
    assert run(app, "check")[0] == 1
    result = app.test_cli_runner().invoke(tokens, ["prepare"])
    assert (result.exit_code, "hush" in result.output) == (1, False)
    assert result.stderr.startswith("Error: SQLAlchemyStore.ping: no answer")


def test_app_without_a_store() -> None:
    """An app whose tokens are in sessions has nothing to check, and is told so."""
    app = Flask(__name__)
    app.register_blueprint(make_github_blueprint("id", "secret"))
    result = app.test_cli_runner().invoke(tokens, ["check"])
    assert result.exit_code == 1
    assert "whose backend is a store" in result.stderr


def test_model_that_is_not_prepared(sqlite_engine: sqlalchemy.Engine) -> None:
    """Tables of a model are made, too."""
    app = Flask(__name__)
    with Session(sqlite_engine) as session:
        backend = SQLAlchemyBackend(OAuth, session)
        app.register_blueprint(make_github_blueprint("id", "secret", backend=backend))
        code, text = run(app, "check")
        assert code == 1
        assert "PROBLEM  table flask_dance_oauth: There is no such table." in text
        assert "could not be told" not in text
        assert "made: table flask_dance_oauth; table flask_dance_locks" in run(app, "prepare")[1]
        assert run(app, "check")[0] == 0


def test_parts_of_a_check(app: Flask) -> None:
    """Each record is in one of them, and none says what only all of them can."""
    with app.app_context():
        backend = app.blueprints["gitlab"].backend  # type: ignore[attr-defined]
        for user in "1234":
            backend.store.save(document(TokenKey("gitlab", user), {"access_token": SECRET}))
    total = 0
    for number in (1, 2):
        part = ("--shard", f"{number}/2", "--provider", "gitlab", "--json")
        [report] = json.loads(run(app, "check", *part)[1])
        found = {each["name"]: each["message"] for each in report["findings"]}
        assert "and there are more" in found["records"]
        assert "fallback key" not in found
        total += int(found["records"].split()[0])
    assert total == 4
