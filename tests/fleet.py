"""An application with a token in each state, for the tests of what operators do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenCipher, TokenKey, UserScopedBackend
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.store.document import RefreshFailure
from flask_dance_nosql.testing import make_document

from .kept import KEPT, Kept, of_memory
from .rotating import RotatingProvider

CLIENT_SECRET = "client-hidden-3f9a"
DAY = 86400.0
OLD_KEY, KEY = TokenCipher.generate_key(), TokenCipher.generate_key()
STATES = {
    ("acme", "ann", "A1"): "working",
    ("acme", "ann", "A2"): "working",
    ("acme", "bob", None): "failing",
    ("acme", "cat", None): "needs-login",
    ("acme", "dan", None): "unreadable",
    ("acme", "eve", None): "ended",
    ("gone", "ann", None): "working",
    ("plain", "ann", None): "expiring",
    ("plain", "bob", None): "expired",
}
"""How each record of the application stands."""


def blueprint_of(name: str, backend: Any, url: str, **options: Any) -> OAuth2ConsumerBlueprint:
    """Make a blueprint of a provider at a URL."""
    return OAuth2ConsumerBlueprint(
        name,
        __name__,
        client_id="client-id",
        client_secret=CLIENT_SECRET,
        base_url=f"{url}/",
        authorization_url=f"{url}/authorize",
        token_url=f"{url}/token",
        backend=backend,
        timeout=5,
        **options,
    )


def failed(*, needs_login: bool = False) -> RefreshFailure:
    """Return how refreshes of a token have failed."""
    now = clock.now()
    return RefreshFailure(
        count=3, since=now, next_try=now, reason="it said no", needs_login=needs_login
    )


class Fleet:
    """The application: Acme refreshes and revokes, Plain does neither, and Gone has no blueprint.

    Attributes:
        states: How each record of it stands, by provider, user and account.
        secrets: Everything that nobody may see.
    """

    def __init__(self, kept: Kept, rotating: RotatingProvider, *, sealed: bool) -> None:
        self.kept = kept
        self.sealed = sealed
        self.rotating = rotating
        self.cipher = TokenCipher(KEY, [OLD_KEY]) if sealed else None
        self.backend = UserScopedBackend(kept.store, user_id=lambda: None, cipher=self.cipher)
        self.acme = blueprint_of(
            "acme",
            self.backend,
            rotating.url,
            auto_refresh=True,
            several_accounts=True,
            revocation_url=f"{rotating.url}/revoke",
        )
        self.plain = blueprint_of("plain", self.backend, "http://127.0.0.1:1")
        self.app = Flask("tests.fleet")
        self.app.config.update(SECRET_KEY="app-hidden-77b1", TESTING=True)
        for each in (self.acme, self.plain):
            self.app.register_blueprint(each, url_prefix="/login")
        self.secrets = [CLIENT_SECRET, "app-hidden-77b1", KEY, OLD_KEY]
        self.states = dict(STATES)
        self._fill()

    def _fill(self) -> None:
        now = clock.timestamp()
        for account in ("A1", "A2"):
            self.put("acme", "ann", account, expires_at=now + 60, refreshes=True)
        self.put("acme", "bob", expires_at=now - 60, refreshes=True, failure=failed())
        self.save("acme", "cat", None, {}, refresh_failure=failed(needs_login=True))
        self.put("acme", "dan")
        self.kept.spoil(TokenKey("acme", "dan"))
        if isinstance(self.kept.store, RedisStore):
            # It removes what has ended by itself.
            del self.states["acme", "eve", None]
        else:
            self.put("acme", "eve", ends=clock.now() - timedelta(days=2))
        self.put("gone", "ann")
        self.put("plain", "ann", expires_at=now + DAY)
        self.put("plain", "bob", expires_at=now - 100 * DAY)

    def put(
        self,
        provider: str,
        user: str,
        account: str | None = None,
        *,
        refreshes: bool = False,
        failure: RefreshFailure | None = None,
        ends: Any = None,
        **token: Any,
    ) -> None:
        """Store a token whose secrets are remembered."""
        name = f"{provider}-{user}-{account}"
        granted = self.rotating.grant(name)
        if not refreshes:
            del granted["refresh_token"]
        self.secrets += [value for value in granted.values() if str(value).startswith(("at", "rt"))]
        fields = {**granted, "scope": "read write", **token}
        fields.pop("expires_in", None)
        if "expires_at" not in token:
            fields.pop("expires_at", None)
        self.save(provider, user, account, fields, refresh_failure=failure, expires_at=ends)

    def save(
        self, provider: str, user: str, account: str | None, token: dict[str, Any], **fields: Any
    ) -> None:
        """Store a token."""
        key = TokenKey(provider, user, account)
        self.backend.store.save(replace(make_document(key, token), **fields))

    def run(self, *arguments: str, **options: Any) -> Any:
        """Run a command of ``flask tokens``."""
        return self.app.test_cli_runner().invoke(tokens, list(arguments), **options)

    def left(self) -> set[tuple[str, str | None, str | None]]:
        """Return whose records there are."""
        with self.app.app_context():
            keys = [each.key for each in self.backend.store.records()]
        return {(key.provider, key.user_id, key.account) for key in keys}


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


SERVERS = {name: KEPT[name] for name in ("mongo", "redis", "postgresql", "sqlite", "memory")}


@pytest.fixture(params=SERVERS)
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Each store, on a real server, empty."""
    with contextmanager(SERVERS[request.param])(request.getfixturevalue) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def fleet(kept: Kept, rotating: RotatingProvider, request: pytest.FixtureRequest) -> Fleet:
    """The application on each store, plain and sealed."""
    return Fleet(kept, rotating, sealed=request.param)


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def small_fleet(request: pytest.FixtureRequest, rotating: RotatingProvider) -> Iterator[Fleet]:
    """The application in memory, plain and sealed."""
    with contextmanager(of_memory)(request.getfixturevalue) as made:
        yield Fleet(made, rotating, sealed=request.param)
