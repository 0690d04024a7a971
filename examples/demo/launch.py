"""Starts what the demo consists of: a database server, the provider, the app."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from .app import create_app
from .backends import KINDS, PROVIDER, SECOND_PROVIDER, Storage
from .embedded import MongoServer, RedisServer, Server, ServerMissing
from .provider import CLIENT_ID, create_provider, provider_state
from .serving import LocalServer

SERVERS: dict[str, type[Server]] = {"mongo": MongoServer, "redis": RedisServer}
PORTS = range(2**16)


class Settings(NamedTuple):
    """What the environment asks for."""

    backend: str
    port: int
    provider_port: int
    token_seconds: int = 60
    missing: str = ""
    """Why the backend is not the one that is usual, or an empty text."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment variables.

        Raises:
            ValueError: If one of them has no meaning; the message says which.
        """
        backend, missing = os.environ.get("BACKEND"), ""
        if not backend:
            backend, missing = usual_backend()
        if backend not in KINDS:
            raise ValueError(f"BACKEND={backend} is unknown. Choose one of: {', '.join(KINDS)}.")
        ports = _port("PORT"), _port("PROVIDER_PORT")
        return cls(backend, *ports, _seconds("TOKEN_SECONDS", 60), missing)


def usual_backend() -> tuple[str, str]:
    """Return the first backend whose server is there, and what was missing for those before it.

    SQLite, the last one, which SQLAlchemy talks to, needs no server.
    """
    missing = []
    for name, server in SERVERS.items():
        try:
            server.program()
        except ServerMissing as error:
            missing.append(str(error))
        else:
            return name, "\n  ".join(missing)
    return "sqla", "\n  ".join(missing)


def _port(name: str) -> int:
    text = os.environ.get(name) or "0"
    if not (text.isascii() and text.isdigit() and int(text) in PORTS):
        raise ValueError(f"{name}={text} is not a port number.")
    return int(text)


def _seconds(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise ValueError(f"{name}={text} is not a number of seconds.")
    return int(text)


def start(stack: ExitStack, settings: Settings) -> None:
    """Start everything and say where it is; leaving the stack ends it.

    Raises:
        OSError: If a program or a file is missing or can't be used.
        RuntimeError: If the database server does not start.
        SystemExit: If a port is taken; the reason has been said then.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flask-dance-demo-"))
    place = _place(stack, settings.backend, Path(folder))
    storage = Storage(settings.backend, place)
    client_secret = secrets.token_urlsafe(32)
    provider_app = create_provider(
        client_secret=client_secret, access_token_seconds=settings.token_seconds
    )
    provider = stack.enter_context(LocalServer(provider_app, settings.provider_port))
    app_itself = create_app(storage, provider.url, CLIENT_ID, client_secret)
    app = stack.enter_context(LocalServer(app_itself, settings.port))
    state = provider_state(provider_app)
    for name in (PROVIDER, SECOND_PROVIDER):
        state.add_redirect_uri(CLIENT_ID, f"{app.url}/login/{name}/authorized")
    state.add_logout_uri(CLIENT_ID, f"{app.url}/logged-out")
    _announce(settings, storage, (app.url, provider.url, place))


def _place(stack: ExitStack, backend: str, folder: Path) -> str:
    """Return where the tokens go, with a server started for it if it needs one."""
    if backend in SERVERS:
        return stack.enter_context(SERVERS[backend](folder)).url
    files = {"sqla": f"sqlite:///{folder}/tokens.db", "file": str(folder / "token.json")}
    return files.get(backend, "")


def _announce(settings: Settings, storage: Storage, places: tuple[str, str, str]) -> None:
    app_url, provider_url, place = places
    if settings.missing:
        print(f"\n  {settings.missing}\n  The demo takes {storage.kind.title} in its place.")
    print(
        f"""
  Flask-Dance-NoSQL demo: OAuth tokens, kept in {storage.kind.title}

  App       {app_url}/
  Provider  {provider_url}/
  Store     {place or "the browser's session cookie"}

  Open the app in a browser. Sign in as Ada, Grace or Linus, click "Connect",
  choose Alice or Bob at the provider and click "Allow". A token lives for {settings.token_seconds}
  seconds: click "End this token now" to see at once what becomes of it. Ctrl-C ends the demo.
""",
        flush=True,
    )
