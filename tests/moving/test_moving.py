"""The guide for moving: its steps, on a copy of an application that Flask-Dance runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GUIDE = (HERE.parents[1] / "docs" / "moving-from-flask-dance.rst").read_text()
APP = (HERE / "app.txt").read_text()

# What the guide's table says, as somebody would do it with search and replace.
STEPS = [
    ("flask_dance.consumer.storage.sqla", "flask_dance_nosql.consumer.backend.sqla"),
    ("SQLAlchemyStorage", "SQLAlchemyBackend"),
    ("from flask_dance.", "from flask_dance_nosql."),
]

VISIT = """
import sys
from urllib.parse import parse_qs, urlsplit

import responses

namespace = {"__name__": "moved"}
exec(compile(open(sys.argv[1]).read(), "app.py", "exec"), namespace)
app, db, OAuth = namespace["app"], namespace["db"], namespace["OAuth"]


def login(client, provider, url, path="/"):
    location = client.get(f"/login/{provider}").location
    query = parse_qs(urlsplit(location).query)
    assert query["client_id"] == [f"{provider}-id"], query
    answer = {"code": "the code", "state": query["state"][0]}
    return client.get(f"/login/{provider}/authorized", query_string=answer), query


with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
    token = {"access_token": "at-github", "token_type": "bearer", "scope": "read:user"}
    web.post("https://github.com/login/oauth/access_token", json=token)
    web.get("https://api.github.com/user", json={"id": 7, "login": "ada"})
    issued = {
        "access_token": "at-google", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "rt-google",
        "scope": "openid https://www.googleapis.com/auth/userinfo.email",
    }
    for url in ("https://accounts.google.com/o/oauth2/token", "https://oauth2.googleapis.com/token"):
        web.post(url, json=issued)
    web.get("https://www.googleapis.com/oauth2/v2/userinfo", json={"email": "ada@example.com"})

    client = app.test_client()
    assert client.get("/").text == "nobody"
    stranger = app.test_client()
    denied = stranger.get("/login/github").location
    state = parse_qs(urlsplit(denied).query)["state"][0]
    query = {"error": "access_denied", "state": state}
    assert stranger.get("/login/github/authorized", query_string=query).status_code == 302
    answer, _ = login(client, "github", "x")
    assert answer.status_code == 302, answer.text
    assert client.get("/").text == "ada ada False" if sys.argv[2] == "first" else True
    if sys.argv[2] == "first":
        assert client.get("/mail").location.endswith("/login/google")
        answer, query = login(client, "google", "x")
        assert answer.status_code == 302, answer.text
        assert (query["access_type"], query["prompt"]) == (["offline"], ["consent"])
    # What was stored before the move is there, too.
    assert client.get("/mail").text == "ada@example.com"
    assert client.get("/").text == "ada ada True"
    sent = web.calls[-1].request.headers["Authorization"]
    with app.app_context():
        rows = OAuth.query.order_by(OAuth.provider).all()
        assert [row.provider for row in rows] == ["github", "google"]
        assert rows[1].token["refresh_token"] == "rt-google"
        db.session.remove()
        db.engine.dispose()
print("all is well", "flask_dance" in sys.modules, "flask_dance_nosql" in sys.modules)
"""


def moved(text: str) -> str:
    """Apply the guide's steps."""
    for old, new in STEPS:
        assert old in text
        text = text.replace(old, new)
    return text


def visit(folder: Path, text: str, which: str) -> str:
    """Run an application in a process of its own, with a visitor, and return what that prints."""
    path = folder / f"{which}.py"
    path.write_text(text)
    (folder / "visit.py").write_text(VISIT)
    command = [sys.executable, str(folder / "visit.py"), str(path), which]
    environment = {
        "DATABASE_URL": f"sqlite:///{folder}/app.db",
        "OAUTHLIB_RELAX_TOKEN_SCOPE": "1",
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_application_that_moves(tmp_path: Path) -> None:
    """Flask-Dance runs it; after the steps this package does, with the tokens of before."""
    assert "all is well True False" in visit(tmp_path, APP, "first")
    assert "all is well False True" in visit(tmp_path, moved(APP), "second")


def test_application_that_begins_here(tmp_path: Path) -> None:
    """The moved application also begins with an empty database."""
    assert "all is well False True" in visit(tmp_path, moved(APP), "first")


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_steps_are_the_guides(old: str, new: str) -> None:
    """The guide has each step, on the same row of its table."""
    rows = re.split(r"\n   \* - ", GUIDE)
    assert any(old.strip(".") in row and new.strip(".") in row for row in rows)
