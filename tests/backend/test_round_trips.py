"""What an operation costs: one round trip, as driver and server count it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cachelib
import pytest
import redis
from flask import Flask
from pymongo.collection import Collection

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MongoBackend,
    RedisBackend,
    TokenCipher,
)
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.testing import make_document
from flask_dance_nosql.testing.documents import KEY

from ..servers import MongoCommands, RedisCommands

pytestmark = pytest.mark.usefixtures("versions_from_one")

CIPHER = TokenCipher(TokenCipher.generate_key())
TOKEN = {"access_token": "at", "a.b": 2**70}


@pytest.fixture(params=["redis_server", "redis8_server"])
def redis_pair(request: pytest.FixtureRequest) -> Iterator[tuple[redis.Redis, RedisCommands]]:
    """A client of each Redis server, and what counts its round trips."""
    url = request.getfixturevalue(request.param).url
    counter = RedisCommands(url)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client, counter
    counter.close()


def test_mongo_operations_are_one_command_each(
    mongo_collection: Collection[dict[str, Any]],
    mongo_commands: MongoCommands,
    blueprint: OAuth2ConsumerBlueprint,
) -> None:
    """A get is one find, a set one findAndModify, a delete one delete: hit or miss, new or old."""
    backend = MongoBackend(mongo_collection, create_indexes=False, user_id=1)
    backend.store.prepare()
    mongo_commands.clear()
    operations: list[Callable[[], Any]] = [
        lambda: backend.get(blueprint),
        lambda: backend.set(blueprint, TOKEN),
        lambda: backend.get(blueprint),
        lambda: backend.set(blueprint, TOKEN),
        lambda: backend.delete(blueprint),
        lambda: backend.delete(blueprint),
    ]
    for operation in operations:
        operation()
    expected = ["find", "findAndModify", "find", "findAndModify", "delete", "delete"]
    assert mongo_commands.names == expected


def test_redis_operations_are_one_command_each(
    redis_pair: tuple[redis.Redis, RedisCommands], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """Once the server knows the scripts, get, set and delete are one command each."""
    client, counter = redis_pair
    backend = RedisBackend(client, user_id=1)
    backend.set(blueprint, TOKEN)
    backend.delete(blueprint)
    for operation in (
        lambda: backend.get(blueprint),
        lambda: backend.set(blueprint, TOKEN),
        lambda: backend.delete(blueprint),
        lambda: backend.get(blueprint),
        lambda: backend.set(blueprint, TOKEN),
        lambda: backend.delete(blueprint),
        lambda: backend.delete(blueprint),
    ):
        counter.clear()
        operation()
        assert counter.total == 1


@pytest.fixture(params=["LocalCache", "shared cache"])
def cache(request: pytest.FixtureRequest) -> Any:
    """Each kind of cache; neither is on a server whose commands are counted."""
    return LocalCache() if request.param == "LocalCache" else cachelib.SimpleCache()


def test_sealed_and_cached_on_mongo(
    mongo_collection: Collection[dict[str, Any]],
    mongo_commands: MongoCommands,
    blueprint: OAuth2ConsumerBlueprint,
    cache: Any,
) -> None:
    """With cipher and cache a set is one command still, and of many gets the first is, if any."""
    options = {"cache": cache, "cipher": CIPHER, "create_indexes": False}
    backend = MongoBackend(mongo_collection, user_id=1, **options)
    backend.store.prepare()
    mongo_commands.clear()
    assert [backend.get(blueprint) for _ in range(100)] == [None] * 100
    assert mongo_commands.names == ["find"]
    backend.set(blueprint, TOKEN)
    assert [backend.get(blueprint) for _ in range(100)] == [TOKEN] * 100
    backend.delete(blueprint)
    expected = ["find", "findAndModify", "delete"]
    if not isinstance(cache, LocalCache):
        # What was written is not in a shared cache before it is read.
        expected.insert(2, "find")
    assert mongo_commands.names == expected


def test_sealed_and_cached_on_redis(
    redis_pair: tuple[redis.Redis, RedisCommands], blueprint: OAuth2ConsumerBlueprint, cache: Any
) -> None:
    """With cipher and cache a set is one command still, and a get one at most."""
    client, counter = redis_pair
    backend = RedisBackend(client, user_id=1, cache=cache, cipher=CIPHER)
    backend.set(blueprint, {"access_token": "before"})
    counter.clear()
    backend.set(blueprint, TOKEN)
    assert counter.total == 1
    counter.clear()
    assert [backend.get(blueprint) for _ in range(100)] == [TOKEN] * 100
    assert counter.total == (0 if isinstance(cache, LocalCache) else 1)
    counter.clear()
    backend.slot(blueprint).read(fresh=True)
    assert counter.total == 1


def test_cluster_operations_are_one_command_each(
    redis_cluster_client: redis.RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cluster, too, each operation is one command, sent to the right node at once."""
    sent: list[object] = []
    send = redis.Connection.send_packed_command

    def counted(connection: redis.Connection, command: Any, **options: Any) -> None:
        sent.append(command)
        send(connection, command, **options)

    store = RedisStore(redis_cluster_client)
    operations: list[Callable[[], Any]] = [
        lambda: store.load(KEY),
        lambda: store.save(make_document()),
        lambda: store.load(KEY),
        lambda: store.save(make_document(), if_version=1),
        lambda: store.acquire(KEY, "holder", 60),
        lambda: store.release(KEY, "holder"),
        lambda: store.delete(KEY),
    ]
    # Now the node has every script, and there is a connection to it.
    for operation in operations:
        operation()
    monkeypatch.setattr(redis.Connection, "send_packed_command", counted)
    for number, operation in enumerate(operations, 1):
        operation()
        assert len(sent) == number


def test_redis_script_is_sent_once(
    redis_pair: tuple[redis.Redis, RedisCommands], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A server that has forgotten the script gets it with the next set."""
    client, _ = redis_pair
    backend = RedisBackend(client, user_id=1)
    for _ in range(2):
        client.script_flush()
        client.config_resetstat()
        for number in range(3):
            backend.set(blueprint, {"access_token": str(number)})
        stats = client.info("commandstats")
        assert (stats["cmdstat_evalsha"]["calls"], stats["cmdstat_eval"]["calls"]) == (3, 1)
    assert backend.get(blueprint) == {"access_token": "2"}


def views(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """Add a view that uses the session, and one that has nothing to do with it."""
    app.add_url_rule("/unrelated", "unrelated", lambda: "")
    app.add_url_rule(
        "/asked",
        "asked",
        lambda: {"answers": [blueprint.session.authorized for _ in range(3)]},
    )


@pytest.mark.parametrize("stored", [True, False], ids=["token", "no token"])
def test_a_request_reads_its_token_once(
    mongo_collection: Collection[dict[str, Any]],
    mongo_commands: MongoCommands,
    blueprint: OAuth2ConsumerBlueprint,
    stored: bool,
) -> None:
    """A request that asks thrice reads once, whether there is a token; an unrelated one never."""
    blueprint.backend = MongoBackend(mongo_collection, user_id=1)
    app = Flask(__name__)
    app.register_blueprint(blueprint, url_prefix="/login")
    views(app, blueprint)
    if stored:
        blueprint.backend.set(blueprint, TOKEN)
    mongo_commands.clear()
    client = app.test_client()
    client.get("/unrelated")
    assert mongo_commands.names == []
    assert client.get("/asked").json == {"answers": [stored] * 3}
    assert mongo_commands.names == ["find"]


def test_making_a_backend_asks_nothing(
    mongo_collection: Collection[dict[str, Any]],
    mongo_commands: MongoCommands,
    redis_pair: tuple[redis.Redis, RedisCommands],
) -> None:
    """Construction sends no command: an app starts whether or not the server is up."""
    client, counter = redis_pair
    counter.clear()
    MongoBackend(mongo_collection)
    RedisBackend(client)
    assert mongo_commands.names == []
    assert counter.total == 0
