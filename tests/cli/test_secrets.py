"""No command prints a secret: not in any form, whatever goes wrong, with all logs shown.

The commands are found through their group. One that needs arguments has a row in ``ROWS``.
"""

from __future__ import annotations

import base64
import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, quote_plus

import click
import pymongo
import pytest
import redis
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer import token_deleted
from flask_dance_nosql.consumer.backend import (
    MongoBackend,
    RedisBackend,
    TenantCipher,
    TokenCipher,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import SQLAlchemyStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.operations import keep_fresh

from ..consumer.conftest import make_app
from ..fleet import (
    CLIENT_SECRET,
    KEY,
    OLD_KEY,
    Fleet,
    blueprint_of,
    fleet,
    kept,
    rotating,
    small_fleet,
)
from ..kept import OAuth

__all__ = ["fleet", "kept", "rotating", "small_fleet"]

ROWS: dict[str, list[list[str]]] = {
    "list": [[], ["--state", "unreadable"]],
    "show": [[user] for user in ("ann", "bob", "cat", "dan", "eve", "nobody")],
    "revoke": [["--provider", "acme"], ["--user", "ann"]],
    "forget": [["ann"], ["bob", "--no-revoke"], ["dan"]],
    "export": [["ann"], ["dan"]],
    "copy": [
        ["--to", "tests.cli.test_secrets:other_place"],
        ["--to", "tests.cli.test_secrets:other_place", "--verify"],
        ["--to", "tests.cli.test_secrets:other_place", "--verify", "--delete-extra"],
    ],
    "keep-fresh": [[], ["--within", "1d", "--loop", "1d"]],
    "purge": [["--ended", "--needs-login", "--unreadable", "--dead-for", "1d"]],
}
"""The arguments of commands that need some, but for the flags below."""


def other_place() -> UserScopedBackend:
    """Return where tokens are copied to."""
    return UserScopedBackend(MemoryStore(), user_id="ann", cipher=TokenCipher(KEY))


FLAGS = ("--json", "--verbose", "--dry-run", "--yes")
MAKES_A_SECRET = {"generate-key"}
"""Prints a new key, which is no one's yet."""

PASSWORD = "database-hidden-51c7"
# A driver's own logs show what it sends, at level DEBUG. They are the application's to keep.
DRIVERS = ("pymongo", "sqlalchemy", "redis")


def forms(secrets: list[str]) -> set[str]:
    """Return secrets as they are, and as encodings show them."""
    found = set()
    for secret in secrets:
        found |= {secret, quote(secret, safe=""), quote_plus(secret), secret.encode().hex()}
        # Wherever it begins in what is encoded, the middle of it looks like one of these.
        for before in range(3):
            text = base64.b64encode(b"\0" * before + secret.encode()).decode()
            middle = text[4:-4]
            found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {each for each in found if len(each) >= 8}


def variants(name: str, command: click.Command) -> Iterator[list[str]]:
    """Yield the arguments of a command: what needs no yes first, and with all its flags."""
    known = {option for parameter in command.params for option in parameter.opts}
    flags = [flag for flag in FLAGS if flag in known]
    rows = ROWS.get(name, [[]])
    destroys = "--yes" in flags
    for row in rows:
        for flag in [[], *([each] for each in flags if each != "--yes")]:
            if not destroys or "--dry-run" in flag:
                yield [name, *row, *flag]
                yield [name, *row, *flag, *(["--json"] if "--json" in flags else [])]
    for row in rows if destroys else []:
        yield [name, *row, "--yes", "--verbose"]
        yield [name, *row, "--yes", *(["--json"] if "--json" in flags else [])]


def every_call() -> list[list[str]]:
    """Return the calls of all commands, those that destroy something last."""
    calls = [
        call
        for name, command in sorted(tokens.commands.items())
        if name not in MAKES_A_SECRET
        for call in variants(name, command)
    ]
    # A refresh ends the grants, whose tokens are made up: it comes after what ends them properly.
    return sorted(calls, key=lambda call: 2 if "--within" in call else int("--yes" in call))


class Seen:
    """Runs commands and keeps all that they show, to be searched."""

    def __init__(self, app: Any, caplog: pytest.LogCaptureFixture) -> None:
        self.app = app
        self.caplog = caplog
        self.text: dict[str, str] = {}

    def run(self, call: list[str]) -> Any:
        """Run a command with all logs shown, and return its result."""
        self.caplog.clear()
        result = self.app.test_cli_runner().invoke(tokens, call)
        shown = [result.stdout, result.stderr]
        if result.exc_info is not None:
            shown.append("".join(traceback.format_exception(*result.exc_info)))
        shown += [
            logging.Formatter("%(message)s").format(record)
            for record in self.caplog.records
            if not record.name.startswith(DRIVERS)
        ]
        self.text[" ".join(call)] = "\n".join(shown)
        return result

    def found(self, secrets: list[str]) -> list[tuple[str, str]]:
        """Return in which calls a secret is to be seen, and in which form."""
        wanted = forms(secrets)
        return [(call, it) for call, text in self.text.items() for it in wanted if it in text]


@pytest.fixture(autouse=True)
def one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is done in a loop be done once."""

    def once(*, stop: threading.Event, **options: Any) -> Any:
        try:
            return keep_fresh(stop=stop, **options)
        finally:
            stop.set()

    monkeypatch.setattr("flask_dance_nosql.cli.keep_fresh.keep_fresh", once)


@pytest.fixture(autouse=True)
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Show the logs of all levels."""
    with caplog.at_level(logging.DEBUG):
        yield


def test_the_search_finds_what_there_is() -> None:
    """In each form, wherever it begins."""
    for before in ("", "a", "ab", "abc"):
        text = base64.b64encode(f'{before}"at-secret-1234567"'.encode()).decode()
        assert any(each in text for each in forms(["at-secret-1234567"]))
    assert quote("a/b c+secret", safe="") in forms(["a/b c+secret"])


def test_no_command_prints_a_secret(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """Of each store, plain and sealed, with a provider that revokes."""
    seen = Seen(fleet.app, caplog)
    for call in every_call():
        result = seen.run(call)
        assert result.exit_code in (0, 1), (call, result.output)
        assert result.exception is None or isinstance(result.exception, SystemExit), call
    assert seen.found(fleet.secrets) == []
    # What was searched is what they show.
    assert "acme" in seen.text["list"]
    assert any("revoke" in asked.path for asked in fleet.rotating.asked)


@pytest.mark.parametrize("name", sorted(set(tokens.commands) - MAKES_A_SECRET))
def test_a_provider_that_tells_what_it_was_asked(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It fails, and its answer has all that was sent to it; a receiver of a signal fails, too."""

    def tell(blueprint: Any, **_: Any) -> None:
        raise RuntimeError(f"{blueprint.client_secret} {small_fleet.secrets}")

    body = b'{"error": "{plain}", "error_description": "{asked} {header}"}'
    small_fleet.rotating.odd = (400, "application/json", body)
    seen = Seen(small_fleet.app, caplog)
    with token_deleted.connected_to(tell, small_fleet.acme):
        for call in every_call():
            if call[0] == name:
                result = seen.run(call)
                assert result.exception is None or isinstance(result.exception, SystemExit), call
    assert seen.found(small_fleet.secrets) == []


def of_mongo(port: int, stack: ExitStack) -> Any:
    """Return a backend of a MongoDB that is not there."""
    url = f"mongodb://admin:{PASSWORD}@127.0.0.1:{port}/mydb"
    client: Any = stack.enter_context(pymongo.MongoClient(url, serverSelectionTimeoutMS=50))
    return MongoBackend(client.mydb.tokens, user_id="ann", cipher=TokenCipher(KEY, [OLD_KEY]))


def of_redis(port: int, stack: ExitStack) -> Any:
    """Return a backend of a Redis that is not there."""
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    client = stack.enter_context(redis.Redis.from_url(url))
    return RedisBackend(client, user_id="ann")


def of_redis_url(port: int, _: ExitStack) -> Any:
    """Return the same, which opens its URL itself."""
    return RedisBackend(f"redis://:{PASSWORD}@127.0.0.1:{port}/0", user_id="ann")


def of_sql(port: int, stack: ExitStack) -> Any:
    """Return a backend of a PostgreSQL that is not there."""
    url = f"postgresql+psycopg://admin:{PASSWORD}@127.0.0.1:{port}/mydb?connect_timeout=2"
    session = stack.enter_context(Session(create_engine(url)))
    return UserScopedBackend(SQLAlchemyStore(OAuth, session), user_id="ann")


@pytest.mark.parametrize("make", [of_mongo, of_redis, of_redis_url, of_sql])
def test_a_store_that_is_not_there(
    make: Any, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its address is nobody's to see with the password in it, and no command ends otherwise."""
    last: dict[str, list[str]] = {call[0]: call for call in every_call()}
    with ExitStack() as stack:
        backend = make(closed_port, stack)
        seen = Seen(make_app(blueprint_of("acme", backend, "http://127.0.0.1:1")), caplog)
        for call in last.values():
            result = seen.run(call)
            assert result.exit_code in (1, 2), (call, result.output)
            assert isinstance(result.exception, SystemExit), call
    assert seen.found([PASSWORD, CLIENT_SECRET, KEY, OLD_KEY]) == []


def test_a_crash_tells_no_secret(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of a store that somebody has written ends in a line that names its kind."""
    records = small_fleet.kept.store.records

    def failing(*arguments: Any) -> Iterator[Any]:
        yield from records(*arguments)
        raise ZeroDivisionError(PASSWORD)

    monkeypatch.setattr(small_fleet.kept.store, "records", failing)
    seen = Seen(small_fleet.app, caplog)
    for call in every_call():
        assert isinstance(seen.run(call).exception, SystemExit | None), call
    assert seen.found([*small_fleet.secrets, PASSWORD]) == []
    assert "tokens list failed: ZeroDivisionError. The option --verbose" in seen.text["list"]
    seen.run(["--verbose", "list"])
    for call in ("list --verbose", "--verbose list"):
        assert "builtins.ZeroDivisionError" in seen.text[call]
        assert f"{__file__}:" in seen.text[call]
        assert "in failing" in seen.text[call]
    assert seen.found([*small_fleet.secrets, PASSWORD]) == []
    assert logging.getLogger("flask_dance_nosql").handlers == []


def failing_place(*_: Any) -> Any:
    """Fail as drivers do: with an address that has the password in it."""
    raise RuntimeError(f"no route to mongodb://admin:{PASSWORD}@127.0.0.1:1/mydb")


def place_with_arguments(url: str) -> Any:
    """Return nothing: a command has no argument to give."""


def mongo_of_a_bad_port() -> Any:
    """Return a backend of a URL whose port is none, which pymongo shows in its error."""
    return MongoBackend(f"mongodb://admin:x@127.0.0.1:{PASSWORD}/mydb.tokens", user_id="ann")


def redis_of_a_bad_port() -> Any:
    """Return a backend of a URL whose port is none, which redis-py shows in its error."""
    return RedisBackend(f"redis://:{PASSWORD}@127.0.0.1:{PASSWORD}/0", user_id="ann")


def sql_of_a_bad_url() -> Any:
    """Return a backend of a URL that SQLAlchemy does not take."""
    engine = create_engine(f"admin:{PASSWORD}@127.0.0.1/mydb")
    return UserScopedBackend(SQLAlchemyStore(OAuth, Session(engine)), user_id="ann")


HERE = __name__
WRONG_PLACES = [
    ".relative:name",
    ":name",
    f"{HERE}:",
    f"{HERE}:nothing",
    f"{HERE}:PASSWORD",
    f"{HERE}:failing_place",
    f"{HERE}:place_with_arguments",
    f"{HERE}:sql_of_a_bad_url",
    "no_such_module:name",
]


@pytest.mark.parametrize("place", WRONG_PLACES)
@pytest.mark.parametrize("option", ["--to", "--from"])
def test_a_wrong_place(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, place: str, option: str
) -> None:
    """Whatever is wrong with it, the option is told, and nothing that an error says."""
    seen = Seen(small_fleet.app, caplog)
    call = ["copy", option, place] + ([] if option == "--to" else ["--to", f"{HERE}:other_place"])
    result = seen.run(call)
    assert result.exit_code == 2, result.output
    assert f"Invalid value for {option}: " in result.stderr
    assert seen.found([*small_fleet.secrets, PASSWORD]) == []


@pytest.mark.parametrize("place", ["mongo_of_a_bad_port", "redis_of_a_bad_port"])
def test_a_place_whose_client_fails_later(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """A URL may be opened at first use."""
    seen = Seen(small_fleet.app, caplog)
    result = seen.run(["copy", "--to", f"{HERE}:{place}"])
    assert (result.exit_code in (1, 2), type(result.exception)) == (True, SystemExit)
    assert seen.found([*small_fleet.secrets, PASSWORD]) == []


def of_tenants(app: Any, kept: Any) -> Any:
    """Return an app whose function that gives keys fails."""
    backend = UserScopedBackend(kept, user_id="ann", cipher=TenantCipher(failing_place))
    return make_app(blueprint_of("acme", backend, "http://127.0.0.1:1", auto_refresh=True))


def of_teardown(app: Any, _: Any) -> Any:
    """Return the app, with a function that fails at the end of each context."""
    app.teardown_appcontext(failing_place)
    return app


def of_a_bad_url(*_: Any) -> Any:
    """Return an app whose backend opens its URL at first use, and can't."""
    return make_app(blueprint_of("acme", mongo_of_a_bad_port(), "http://127.0.0.1:1"))


BROKEN = {"keys": of_tenants, "teardown": of_teardown, "url": of_a_bad_url}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_application(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """What fails in it ends a command as what fails in a store does."""
    seen = Seen(BROKEN[name](small_fleet.app, small_fleet.kept.store), caplog)
    for call in every_call():
        result = seen.run(call)
        assert result.exit_code in (0, 1, 2), (call, result.output)
        assert isinstance(result.exception, SystemExit | None), call
        assert "cause says" not in result.output
    assert seen.found([*small_fleet.secrets, PASSWORD]) == []
    assert any("failed: " in text or "no answer" in text for text in seen.text.values())


@pytest.mark.parametrize(
    "key", ["not a key", TokenCipher.generate_key()], ids=["no key", "another"]
)
def test_a_wrong_key_is_not_shown(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """Neither one that can't be used, nor one that opens nothing."""
    store = small_fleet.kept.store
    backend = UserScopedBackend(store, user_id="ann", cipher=TokenCipher(lambda: key))
    app = make_app(blueprint_of("acme", backend, "http://127.0.0.1:1"))
    seen = Seen(app, caplog)
    for call in every_call():
        if "--yes" not in call:
            assert not isinstance(seen.run(call).exception, ValueError)
    assert seen.found([*small_fleet.secrets, key]) == []
