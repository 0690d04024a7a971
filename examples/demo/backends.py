"""The backends to choose from: how each is built, and a look at what it has really stored.

The functions at the top are what an application copies. The rest only serves the page that
shows the stored record: it asks the server past the library.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import session
from flask_login import current_user
from pymongo import MongoClient
from redis import Redis
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    FileBackend,
    MongoBackend,
    OAuthAccountMixin,
    RedisBackend,
    SessionBackend,
    SQLAlchemyBackend,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.sqla import unique_per_account

PROVIDER, SECOND_PROVIDER = "demo", "notes"


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthAccountMixin, Base):
    """The model whose rows are the tokens."""

    __table_args__ = unique_per_account()

    user_id: Mapped[str] = mapped_column(String(50))


def mongo_backend(url: str) -> MongoBackend:
    """One document for each user and account, in the collection ``tokens``."""
    tokens = MongoClient(url)["demo"]["tokens"]
    return MongoBackend(tokens, user=current_user)


def redis_backend(url: str) -> RedisBackend:
    """One key for each user and account."""
    client = Redis.from_url(url)
    return RedisBackend(client, user=current_user)


def sqla_backend(url: str) -> SQLAlchemyBackend:
    """One row for each user and account, in the table of a model."""
    backend = SQLAlchemyBackend(OAuth, url, user=current_user)
    backend.store.prepare()
    return backend


def file_backend(path: str) -> FileBackend:
    """One file with one token, for the whole application."""
    return FileBackend(path)


def session_backend(_: str) -> SessionBackend:
    """Each visitor's token in their own session cookie."""
    return SessionBackend()


Record = dict[str, Any] | None
Reader = Callable[[TokenKey], Record]


def _read_mongo(url: str) -> Reader:
    tokens: Any = MongoClient(url)["demo"]["tokens"]
    return lambda key: tokens.find_one({"_id": key.text})


def _read_redis(url: str) -> Reader:
    client: Any = Redis.from_url(url)
    return lambda key: _parsed(client.get(_redis_key(key)))


def _redis_key(key: TokenKey) -> str:
    return f"flask_dance:{{{key.owner_text}}}:token:{key.token_text}"


def _read_sqla(url: str) -> Reader:
    engine = create_engine(url)

    def read(key: TokenKey) -> Record:
        own = select(OAuth.__table__).where(
            OAuth.provider == key.provider,
            OAuth.user_id == key.user_id,
            OAuth.account == (key.account or ""),
        )
        with engine.connect() as connection:
            row = connection.execute(own).mappings().first()
        return None if row is None else dict(row)

    return read


def _read_file(path: str) -> Reader:
    file = Path(path)
    return lambda _: _parsed(file.read_text()) if file.exists() else None


def _read_session(_: str) -> Reader:
    return lambda _: session.get(f"{PROVIDER}_oauth_token")


def _parsed(text: str | bytes | None) -> Record:
    return None if text is None else json.loads(text)


@dataclass(frozen=True)
class BackendKind:
    """One choice of backend: its pieces, and the words in which the page speaks of it."""

    title: str
    build: Callable[[str], BaseBackend]
    reader: Callable[[str], Reader]
    record: str
    place: Callable[[str, TokenKey], str]
    note: str
    shared: bool = False

    @property
    def source(self) -> str:
        """The lines that build it, without the docstring."""
        lines = inspect.getsource(self.build).splitlines()
        return "\n".join([lines[0], *lines[2:]])


KINDS = {
    "mongo": BackendKind(
        title="MongoDB",
        build=mongo_backend,
        reader=_read_mongo,
        record="document",
        place=lambda *_: "demo.tokens",
        note="Each user of the app has documents of their own, one for each account.",
    ),
    "redis": BackendKind(
        title="Redis",
        build=redis_backend,
        reader=_read_redis,
        record="value",
        place=lambda _, key: _redis_key(key),
        note="Each user of the app has keys of their own, one for each account.",
    ),
    "sqla": BackendKind(
        title="SQLite",
        build=sqla_backend,
        reader=_read_sqla,
        record="row",
        place=lambda *_: OAuth.__tablename__,
        note="Each user of the app has rows of their own, written through SQLAlchemy.",
    ),
    "file": BackendKind(
        title="a file",
        build=file_backend,
        reader=_read_file,
        record="file",
        place=lambda path, _: Path(path).name,
        note="This backend keeps ONE token for the whole app: Ada, Grace and Linus share it.",
        shared=True,
    ),
    "session": BackendKind(
        title="the session",
        build=session_backend,
        reader=_read_session,
        record="session value",
        place=lambda *_: f"session['{PROVIDER}_oauth_token']",
        note="The token is in this browser's cookie, signed but readable, and ends with it.",
    ),
}


class Storage:
    """The backend chosen, at a place.

    Args:
        name: A key of :data:`KINDS`.
        place: The URL of a server or a database, the file's path, or an empty text for the session.
    """

    def __init__(self, name: str, place: str = "") -> None:
        self.kind = KINDS[name]
        self.backend = self.kind.build(place)
        self._place = place
        self._read = self.kind.reader(place)

    @property
    def has_users(self) -> bool:
        """Whether each user has tokens of their own, and may have several accounts."""
        return isinstance(self.backend, UserScopedBackend)

    def place(self, key: TokenKey) -> str:
        """Return where a record lies."""
        return self.kind.place(self._place, key)

    def record(self, key: TokenKey) -> Record:
        """Return a record as it is stored, secrets and all, or ``None``."""
        return self._read(key)
