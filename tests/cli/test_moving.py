"""``flask tokens reseal`` and ``flask tokens copy``, as an operator types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    FileBackend,
    MemoryBackend,
    MovingBackend,
    SessionBackend,
    SQLAlchemyBackend,
    TokenCipher,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.operations.found import LISTED
from flask_dance_nosql.testing import make_document

from ..backend.sqla.models import OAuth

OLD, NEW = (TokenCipher.generate_key() for _ in range(2))
SECRET = "at-very-secret"


def app_with(*backends: BaseBackend) -> Flask:
    """Make an app with a blueprint for each backend: github, gitlab and google."""
    app = Flask(__name__)
    app.secret_key = "not secret"
    for name, backend in zip(("github", "gitlab", "google"), backends, strict=False):
        blueprint = OAuth2ConsumerBlueprint(name, __name__, client_id="id", backend=backend)
        app.register_blueprint(blueprint, url_prefix=f"/{name}")
    return app


def run(app: Flask, *arguments: str) -> Result:
    """Run a command, which must print nothing secret."""
    result = app.test_cli_runner().invoke(tokens, arguments)
    for secret in (SECRET, OLD, NEW):
        assert secret not in result.output
    return result


def backend_of(store: MemoryStore, cipher: TokenCipher | None = None) -> UserScopedBackend:
    """Make a backend with some tokens, as its cipher seals them."""
    backend = UserScopedBackend(store, user_id=1, cipher=cipher)
    for number in range(3):
        key = TokenKey("github", str(number))
        backend.store.save(make_document(key, {"access_token": SECRET}))
    return backend


def two_keys(store: MemoryStore) -> UserScopedBackend:
    """Make a backend whose tokens are under a fallback key."""
    backend_of(store, TokenCipher(OLD))
    return UserScopedBackend(store, user_id=1, cipher=TokenCipher(NEW, [OLD]))


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store that commands find as ``places:target``, and as what ``places:made`` returns."""
    module, store = ModuleType("places"), MemoryStore()
    module.__dict__.update(target=store, made=lambda: store, number=7, unrelated=BaseBackend)
    monkeypatch.setitem(sys.modules, "places", module)
    return store


def test_reseal() -> None:
    """It says what it has done; a second run finds nothing to do."""
    store = MemoryStore()
    app = app_with(two_keys(store), MemoryBackend())
    result = run(app, "reseal", "--dry-run")
    assert (result.exit_code, "3 to be sealed with the current key" in result.output) == (0, True)
    result = run(app, "reseal")
    assert result.output == (
        "github: 3 records, 3 sealed with the current key, 0 with it already, 0 ended\n"
    )
    assert "0 sealed with the current key, 3 with it already" in run(app, "reseal").output


def test_reseal_of_files_and_sessions(tmp_path: Path) -> None:
    """A file is sealed anew, once; sessions and other parts are said to be out of reach."""
    path, cipher = tmp_path / "token.json", TokenCipher(NEW, [OLD])
    app = app_with(
        two_keys(MemoryStore()), FileBackend(path, cipher=cipher), SessionBackend(cipher=cipher)
    )
    blueprint = OAuth2ConsumerBlueprint("gitlab", __name__)
    FileBackend(path, cipher=TokenCipher(OLD)).set(blueprint, {"access_token": SECRET})
    result = run(app, "reseal", "--shard", "2/2")
    assert "This was a part" in result.stderr
    assert "gitlab: 0 records" in result.stdout
    result = run(app, "reseal")
    assert "gitlab: 1 records, 1 sealed with the current key" in result.stdout
    assert result.stderr.startswith("google: tokens are in visitors' sessions")
    assert "This was a part" not in result.stderr
    assert result.exit_code == 0
    assert FileBackend(path, cipher=TokenCipher(NEW)).get(blueprint) == {"access_token": SECRET}
    result = run(app_with(MemoryBackend(), FileBackend(path, cipher=cipher)), "reseal", "--json")
    assert json.loads(result.stdout)[0]["current"] == 1


def test_reseal_as_json() -> None:
    """It is one document, with what is left and why, and the exit code tells that there is some."""
    store = MemoryStore()
    backend = two_keys(store)
    store.save(make_document(TokenKey("github", "plain"), {"access_token": SECRET}))
    result = run(app_with(backend), "reseal", "--json", "--provider", "github", "--shard", "1/1")
    [told] = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (told["blueprints"], told["records"], told["resealed"]) == (["github"], 4, 3)
    [left] = told["left"]
    assert (left["provider"], left["user_id"], left["account"]) == ("github", "plain", None)
    assert "it is not encrypted" in left["reason"]
    _, heading, line = run(app_with(backend), "reseal").output.splitlines()
    assert heading.split() == ["PROVIDER", "USER", "ACCOUNT", "LEFT"]
    assert line.startswith("github    plain  -        ")


def test_a_thousand_of_what_is_left_are_printed() -> None:
    """And how many others there are."""
    store = MemoryStore()
    backend = two_keys(store)
    for number in range(LISTED + 5):
        store.save(make_document(TokenKey("github", f"plain-{number}")))
    result = run(app_with(backend), "reseal")
    assert result.exit_code == 1
    assert result.output.count("github    plain-") == LISTED
    assert result.output.endswith("... and 5 others\n")
    [told] = json.loads(run(app_with(backend), "reseal", "--json").stdout)
    assert (len(told["left"]), told["left_total"]) == (LISTED, LISTED + 5)


def test_reseal_needs_a_cipher() -> None:
    """Without one, and without a store, it says so."""
    for backend in (backend_of(MemoryStore()), MemoryBackend()):
        result = run(app_with(backend), "reseal")
        assert (result.exit_code, result.output[:7]) == (1, "Error: ")
        assert "Traceback" not in result.output


@pytest.mark.parametrize("to", ["places:target", "places:made"])
def test_copy(target: MemoryStore, to: str) -> None:
    """It copies to what a module has, and says what it has done."""
    app = app_with(backend_of(MemoryStore(), TokenCipher(OLD)))
    result = run(app, "copy", "--to", to, "--dry-run")
    assert "3 to be copied" in result.output
    assert list(target.records()) == []
    result = run(app, "copy", "--to", to)
    assert result.exit_code == 0
    assert result.output == (
        "github: 3 records, 3 copied, 0 there already, 0 newer there, 0 ended\n"
    )
    assert [each.token for each in target.scan()] == [{"access_token": SECRET}] * 3


def test_copy_creates_what_the_target_lacks(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new database needs no preparation; a dry run creates nothing, and says so."""
    with Session(sqlite_engine) as session:
        place = SQLAlchemyBackend(OAuth, session, user_id=lambda: 1)
        module = ModuleType("places")
        module.__dict__.update(fresh=place)
        monkeypatch.setitem(sys.modules, "places", module)
        app = app_with(backend_of(MemoryStore()))
        dry = run(app, "copy", "--to", "places:fresh", "--dry-run")
        assert (dry.exit_code, "A dry run creates none" in dry.output) == (1, True)
        assert not inspect(sqlite_engine).has_table(OAuth.__tablename__)
        result = run(app, "copy", "--to", "places:fresh")
        assert (result.exit_code, "3 copied" in result.output) == (0, True)


def test_copy_from_another_store(target: MemoryStore) -> None:
    """The source may be another one than the app's."""
    target.save(make_document(TokenKey("github", "1"), {"access_token": SECRET}))
    result = run(Flask(__name__), "copy", "--from", "places:target", "--to", "places:made")
    assert "places:target: 1 records, 0 copied, 1 there already" in result.output


def test_copy_of_a_provider_that_nobody_knows(target: MemoryStore) -> None:
    """One of which the app has a blueprint may have no records; another one is mistyped."""
    target.save(make_document(TokenKey("gone", "1"), {"access_token": SECRET}))
    app = app_with(backend_of(MemoryStore()))
    call = ("copy", "--from", "places:target", "--to", "places:made", "--provider")
    for verify in ((), ("--verify",)):
        for known in ("gone", "github"):
            assert run(app, *call, known, *verify).exit_code == 0
        result = run(app, *call, "githb", *verify)
        assert (result.exit_code, "'githb'" in result.output) == (1, True)


def test_verify_tells_what_differs(target: MemoryStore) -> None:
    """The exit code is 1 until both have the same; what is there only is removed on demand."""
    app = app_with(backend_of(MemoryStore()))
    to = ("copy", "--to", "places:target")
    result = run(app, *to, "--verify")
    assert (result.exit_code, "3 missing" in result.output) == (1, True)
    assert "PROVIDER  USER  ACCOUNT  DIFFERENT\n" in result.output
    assert "github    0     -        the target has none\n" in result.output
    run(app, *to)
    assert run(app, *to, "--verify").exit_code == 0
    target.save(make_document(TokenKey("github", "extra"), {"access_token": SECRET}))
    [told] = json.loads((found := run(app, *to, "--verify", "--json")).stdout)
    assert (found.exit_code, told["extra"], told["differences"][0]["user_id"]) == (1, 1, "extra")
    refused = run(app, *to, "--verify", "--delete-extra")
    assert (refused.exit_code, "add --yes" in refused.output) == (2, True)
    assert run(app, *to, "--verify", "--delete-extra", "--yes").exit_code == 0
    assert {each.user_id for each in target.scan()} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copy"], "Say where to copy to with --to"),
        (["copy", "--from", "places:target"], "--from needs --to"),
        (
            ["copy", "--to", "no.such:thing"],
            "no.such:thing can't be had as MODULE:NAME: ModuleNotFoundError.",
        ),
        (["copy", "--to", "places:nothing"], "AttributeError"),
        (["copy", "--to", "places:number"], "places:number is neither"),
        (["copy", "--to", "places:unrelated"], "places:unrelated is neither"),
        (["copy", "--to", "places"], "can't be had"),
        (["copy", "--to", "places:target", "--to", "places:made"], "--to takes one value"),
        (["copy", "--to", "places:target", "--delete-extra"], "goes with --verify"),
        (["copy", "--to", "places:target", "--shard", "5/4"], "no part 5 of 4"),
    ],
)
def test_what_is_mistyped_is_told(target: MemoryStore, arguments: list[str], message: str) -> None:
    """The exit code of a wrong command line is 2, and the message says what is wrong with it."""
    result = run(app_with(backend_of(MemoryStore())), *arguments)
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert message in result.output


@pytest.mark.parametrize("options", [{}, {"leads": "new"}, {"leads": "new", "fall_through": True}])
def test_copy_of_a_moving_backend(options: dict[str, Any]) -> None:
    """It goes from the store that has all to the other one, without being told where."""
    leads = "new" if len(options) == 1 else "old"
    stores = {"old": MemoryStore(), "new": MemoryStore()}
    backend_of(stores[leads])
    new, old = (UserScopedBackend(stores[name], user_id=1) for name in ("new", "old"))
    app = app_with(MovingBackend(new, old, **options))
    assert run(app, "copy", "--verify").exit_code == 1
    assert "3 copied" in run(app, "copy").output
    assert run(app, "copy", "--verify").exit_code == 0
    assert len(list(stores["new"].scan())) == len(list(stores["old"].scan())) == 3


def test_copy_of_a_moving_backend_whose_new_one_leads() -> None:
    """What either has alone, since a process has died or the other one was down, is in both."""
    old, new = (UserScopedBackend(MemoryStore(), user_id=1) for _ in range(2))
    app = app_with(MovingBackend(new, old, leads="new"))
    old.store.save(make_document(TokenKey("github", "7"), {"access_token": SECRET}))
    new.store.save(make_document(TokenKey("github", "8"), {"access_token": SECRET}))
    assert run(app, "copy", "--verify").exit_code == 1
    assert run(app, "copy").exit_code == 0
    assert run(app, "copy", "--verify").exit_code == 0
    for store in (old.store, new.store):
        assert {each.user_id for each in store.scan()} == {"7", "8"}
