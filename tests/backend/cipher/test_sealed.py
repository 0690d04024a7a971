"""Sealed tokens: what lies in the stores, the caches, the session and the files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from pymongo.collection import Collection
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    FileBackend,
    LocalCache,
    MongoBackend,
    RedisBackend,
    SessionBackend,
    SQLAlchemyBackend,
    TokenCipher,
)
from flask_dance_nosql.consumer.backend.cache.base import CachedStore
from flask_dance_nosql.consumer.backend.cipher.sealed import SealedStore
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import TokenDecryptError
from flask_dance_nosql.testing import make_document

from ..places import DictStore, scoped
from ..written import Base, Written

CIPHER = TokenCipher(TokenCipher.generate_key())
SECRET = 'at-"very"-secret-é-0123456789'
TOKEN = {"access_token": SECRET, "nested": [{"more": SECRET}]}

Dumped = tuple[Any, Callable[[], bytes]]


def forms(secret: str) -> list[bytes]:
    """Return what a secret could look like in a dump: as text, JSON, base64 and hex."""
    plain = secret.encode()
    # Base64 of a part has three forms, by where in a group of three bytes it begins.
    shifted = [base64.b64encode(plain[start : start + 12]) for start in range(3)]
    urlsafe = [base64.urlsafe_b64encode(plain[start : start + 12]) for start in range(3)]
    escaped = json.dumps(secret)[1:-1].encode()
    return [plain, plain[:9], escaped, *shifted, *urlsafe, plain[:9].hex().encode()]


@pytest.fixture
def mongo(mongo_collection: Collection[dict[str, Any]]) -> Dumped:
    """MongoDB, and a dump of its collection."""
    backend = MongoBackend(mongo_collection, user_id=1, cipher=CIPHER)
    return backend, lambda: repr(list(mongo_collection.find())).encode()


@pytest.fixture
def redis(redis_client: Redis) -> Dumped:
    """Redis, and a dump of its strings."""
    backend = RedisBackend(redis_client, user_id=1, cipher=CIPHER)
    return backend, lambda: dump_of(redis_client)


def dump_of(client: Redis) -> bytes:
    """Return all strings of a Redis server."""
    names = [name for name in client.scan_iter() if client.type(name) == b"string"]
    return b"\n".join(bytes(client.get(name) or b"") for name in names)


@pytest.fixture
def sqlite(sqlite_engine: Engine, tmp_path: Path) -> Iterator[Dumped]:
    """SQLite, and its file."""
    Base.metadata.create_all(sqlite_engine)
    with Session(sqlite_engine) as session:
        backend = SQLAlchemyBackend(Written, session, user_id=1, cipher=CIPHER)
        yield backend, (tmp_path / "tokens.db").read_bytes


@pytest.fixture
def postgresql(postgresql_engine: Engine) -> Iterator[Dumped]:
    """PostgreSQL, and a dump of its table."""
    Base.metadata.create_all(postgresql_engine)

    def dump() -> bytes:
        with postgresql_engine.connect() as connection:
            return repr(
                connection.execute(text("SELECT * FROM flask_dance_written")).all()
            ).encode()

    with Session(postgresql_engine) as session:
        yield SQLAlchemyBackend(Written, session, user_id=1, cipher=CIPHER), dump


@pytest.fixture
def file(tmp_path: Path) -> Dumped:
    """One file."""
    backend = FileBackend(tmp_path / "token.json", cipher=CIPHER)
    return backend, (tmp_path / "token.json").read_bytes


@pytest.fixture
def shared_cache(redis_client: Redis, redis_cache: Any) -> Dumped:
    """A cache on Redis, and a dump of it."""
    backend = scoped(DictStore(), user_id=1, cipher=CIPHER, cache=redis_cache)
    return backend, lambda: dump_of(redis_client)


@pytest.fixture
def flask_caching(redis_client: Redis, flask_cache: Any) -> Dumped:
    """A cache of Flask-Caching on Redis, and a dump of it."""
    backend = scoped(DictStore(), user_id=1, cipher=CIPHER, cache=flask_cache)
    return backend, lambda: dump_of(redis_client)


PLACES = [
    *("mongo", "redis", "sqlite", "postgresql", "file", "shared_cache", "flask_caching"),
]


@pytest.mark.parametrize("place", PLACES)
def test_dump_has_no_part_of_the_token(
    place: str, request: pytest.FixtureRequest, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """Whoever dumps the place finds the token in no form; its owner reads it."""
    backend, dump = request.getfixturevalue(place)
    backend.set(blueprint, TOKEN)
    assert backend.get(blueprint) == TOKEN
    found = dump()
    assert b"sealed" in found
    assert [form for form in forms(SECRET) if form in found] == []
    backend.delete(blueprint)
    assert backend.get(blueprint) is None


def test_session_cookie_has_no_part_of_the_token() -> None:
    """The visitor's cookie has the sealed token only, and a request reads it."""
    app = Flask(__name__)
    app.secret_key = "secret"
    blueprint = OAuth2ConsumerBlueprint(
        "demo", __name__, client_id="id", backend=SessionBackend(cipher=CIPHER)
    )
    app.register_blueprint(blueprint)
    app.add_url_rule("/set", "set", lambda: str(blueprint.backend.set(blueprint, TOKEN)))
    app.add_url_rule("/get", "get", lambda: blueprint.backend.get(blueprint) or {})
    client = app.test_client()
    client.get("/set")
    with client.session_transaction() as session:
        held = json.dumps(dict(session)).encode()
    assert b"sealed" in held
    assert [form for form in forms(SECRET) if form in held] == []
    assert client.get("/get").json == TOKEN


def test_record_that_was_copied_is_nobody_elses(
    mongo_collection: Collection[dict[str, Any]], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A sealed token in another user's record does not open, is logged, and stays as it is."""
    backend = MongoBackend(mongo_collection, user_id=1, cipher=CIPHER)
    backend.set(blueprint, TOKEN)
    backend.set(blueprint, {"access_token": "of 2"}, user_id=2)
    [stolen] = mongo_collection.find({"user_id": "1"})
    mongo_collection.update_one({"user_id": "2"}, {"$set": {"token": stolen["token"]}})
    before = list(mongo_collection.find())
    for _ in range(2):
        with pytest.raises(TokenDecryptError, match="'demo', user '2'") as caught:
            backend.get(blueprint, user_id=2)
        assert SECRET not in str(caught.value)
    assert list(mongo_collection.find()) == before
    assert [document.user_id for document in backend.store.scan()] == ["1"]
    backend.set(blueprint, {"access_token": "new"}, user_id=2)
    assert backend.get(blueprint, user_id=2) == {"access_token": "new"}


def test_error_is_one_log_line(
    mongo_collection: Collection[dict[str, Any]],
    blueprint: OAuth2ConsumerBlueprint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A plain record is told once for each read, and not its content."""
    MongoBackend(mongo_collection, user_id=1).set(blueprint, TOKEN)
    with pytest.raises(TokenDecryptError, match="not encrypted"):
        MongoBackend(mongo_collection, user_id=1, cipher=CIPHER).get(blueprint)
    [record] = caplog.records
    assert "demo" in record.getMessage()
    assert SECRET not in record.getMessage()


def test_metadata_stays_readable(
    mongo_collection: Collection[dict[str, Any]], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """Provider, user, dates and version are as they are without a cipher."""
    MongoBackend(mongo_collection, user_id=1, cipher=CIPHER).set(blueprint, TOKEN)
    [found] = mongo_collection.find()
    assert (found["provider"], found["user_id"], found["format"]) == ("demo", "1", 1)
    assert found["version"] > 0
    assert found["created_at"] == found["updated_at"]
    assert list(found["token"]) == ["sealed"]


@pytest.mark.parametrize("save", ["save", "save_apart"])
@pytest.mark.parametrize("load", ["load", "load_fresh"])
def test_each_way_in_seals_and_each_way_out_opens(save: str, load: str) -> None:
    """A refresh saves and loads by ways of its own, past the view's transaction and the cache."""
    inner, cache = MemoryStore(), LocalCache()
    key = TokenCipher.generate_key()
    store = SealedStore(CachedStore(inner, cache, 300, 30), TokenCipher(key))
    first, second = make_document(token={"n": 1}), make_document(token={"n": 2})
    for document in (first, second):
        saved = getattr(store, save)(document)
        assert saved.token == document.token
        stored = inner.load(document.key)
        assert stored is not None
        assert list(stored.token) == ["sealed"]
        # The cache was told: neither way gives what was there before.
        for name in (load, "load"):
            found = getattr(store, name)(document.key)
            assert found is not None
            assert found.token == document.token
