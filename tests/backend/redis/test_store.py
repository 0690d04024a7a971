"""What Redis' store does beyond what every store does."""

from __future__ import annotations

import asyncio
import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.local import LocalProxy

from examples.demo.embedded import RedisServer
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import RedisBackend, TokenKey
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
)

from ..places import document

pytestmark = pytest.mark.usefixtures("versions_from_one")

KEY = TokenKey("demo", "42")
NAME = "flask_dance:{u:42}:token:demo"
PASSWORD = "pass-very-secret"
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)
SERVERS = ["redis_server", "redis8_server"]


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each Redis server."""
    return str(request.getfixturevalue(request.param).url)


@pytest.fixture(params=[False, True], ids=["bytes", "text"])
def client(request: pytest.FixtureRequest, url: str) -> Iterator[redis.Redis]:
    """A client of each server, empty, that decodes responses or does not."""
    with redis.Redis.from_url(url, decode_responses=request.param) as made:
        made.flushall()
        yield made
        made.flushall()


def test_operators_can_read_a_value(
    client: redis.Redis, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A token is one string of JSON under the documented key, without an end of its own."""
    RedisBackend(client, user_id=42).set(blueprint, {"access_token": "at"})
    assert list(client.scan_iter("*:token:*")) in ([NAME], [NAME.encode()])
    record = json.loads(client.get(NAME))
    assert list(record) == [
        *("version", "created_at", "updated_at", "expires_at", "provider", "user_id"),
        *("provider_user_id", "token", "format"),
    ]
    assert (record["version"], record["provider"], record["user_id"]) == (1, "demo", "42")
    assert record["token"] == {"access_token": "at"}
    assert client.ttl(NAME) == -1


@pytest.mark.parametrize("prefix", ["", "myapp", "a:b", "prefix-é"])
def test_prefixes_keep_applications_apart(client: redis.Redis, prefix: str) -> None:
    """Two applications in one database have tokens of their own; falsy prefixes are prefixes."""
    mine, default = RedisStore(client, prefix=prefix), RedisStore(client)
    mine.save(document(KEY, {"access_token": "mine"}))
    assert default.load(KEY) is None
    default.save(document(KEY))
    default.delete(KEY)
    loaded = mine.load(KEY)
    assert loaded is not None
    assert loaded.token == {"access_token": "mine"}
    assert client.exists(f"{prefix}:{{u:42}}:token:demo") == 1


def test_both_kinds_of_client_share(url: str) -> None:
    """What a client that decodes wrote, one that does not reads, and counts on."""
    with (
        redis.Redis.from_url(url) as plain,
        redis.Redis.from_url(url, decode_responses=True) as decoding,
    ):
        plain.flushall()
        stores = [RedisStore(plain), RedisStore(decoding)]
        versions = [store.save(document(KEY, {"é": "😀"})).version for store in stores * 2]
        assert versions == [1, 2, 3, 4]
        assert stores[0].load(KEY) == stores[1].load(KEY)


CORRUPT_TEXTS: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "at-secret",
    "half": '{"version":1,"created_at":"2031-02-03T04:05:06Z","token":{"at-secret',
    "null": "null",
    "a list": '["at-secret"]',
    "an object without fields": "{}",
    "NaN": '{"version":NaN}',
    "no UTF-8": b'{"at-secret":"\xff\xfe"}',
    "no UTF-8 in its head": b'{"version":1,"created_at":"\xff","at-secret":1}',
    "nesting without end": '{"a":' * 100_000,
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00at-secret.",
}


@pytest.mark.parametrize("case", CORRUPT_TEXTS)
def test_other_text_is_corrupt(client: redis.Redis, case: str) -> None:
    """Whatever else lies under a key is a ``CorruptToken``, shows nothing and is left."""
    client.set(NAME, CORRUPT_TEXTS[case])
    before = client.dump(NAME) if not client.get_encoder().decode_responses else None
    with pytest.raises(CorruptToken, match="'demo', user '42'") as caught:
        RedisStore(client).load(KEY)
    assert "at-secret" not in "".join(traceback.format_exception(caught.value))
    assert client.exists(NAME) == 1
    assert before is None or client.dump(NAME) == before


@pytest.mark.parametrize("case", CORRUPT_TEXTS)
def test_other_text_is_replaced(client: redis.Redis, case: str) -> None:
    """A new token takes the place of whatever text was there."""
    client.set(NAME, CORRUPT_TEXTS[case])
    store = RedisStore(client)
    saved = store.save(document(KEY, {"access_token": "new"}))
    assert saved.token == {"access_token": "new"}
    assert store.load(KEY) == saved


OTHER_TYPES: dict[str, Callable[[redis.Redis], Any]] = {
    "list": lambda client: client.rpush(NAME, "at-secret"),
    "hash": lambda client: client.hset(NAME, "access_token", "at-secret"),
    "set": lambda client: client.sadd(NAME, "at-secret"),
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_is_corrupt(client: redis.Redis, kind: str) -> None:
    """A list, hash or set under a token's key is a ``CorruptToken`` and is left."""
    OTHER_TYPES[kind](client)
    with pytest.raises(CorruptToken, match=r"'demo', user '42' .* another type") as caught:
        RedisStore(client).load(KEY)
    assert "at-secret" not in "".join(traceback.format_exception(caught.value))
    assert client.type(NAME) in {kind, kind.encode()}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_is_not_overwritten(client: redis.Redis, kind: str) -> None:
    """A list, hash or set under a token's key is somebody else's: saving is refused, it stays."""
    OTHER_TYPES[kind](client)
    with pytest.raises(CorruptToken, match="another type"):
        RedisStore(client).save(document(KEY, {"access_token": "new"}))
    assert client.type(NAME) in {kind, kind.encode()}


def test_a_token_that_looks_like_a_record_changes_nothing(client: redis.Redis) -> None:
    """Text in a token that looks like the head of a record is not taken for it."""
    head = '{"version":99,"created_at":"1999-01-01T00:00:00Z",'
    token = {head: head, "version": 99, "created_at": "1999-01-01T00:00:00Z", "%1": "%s %d %"}
    store = RedisStore(client)
    for version in (1, 2, 3):
        assert store.save(document(KEY, token)).version == version
    assert store.load(KEY) == document(KEY, token, version=3)


def test_version_counts_beyond_what_lua_prints(client: redis.Redis) -> None:
    """A version of sixteen digits is counted up exactly, and not turned into ``1e+15``."""
    store = RedisStore(client)
    store.save(document(KEY))
    record = json.loads(client.get(NAME)) | {"version": 10**15}
    client.set(NAME, json.dumps(record, separators=(",", ":")))
    assert store.save(document(KEY)).version == 10**15 + 1
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.version == 10**15 + 1


def test_a_large_token_is_one_value(client: redis.Redis) -> None:
    """A token of several megabytes is stored and replaced like any other."""
    store = RedisStore(client)
    token = {"access_token": "é" * 2_000_000}
    assert [store.save(document(KEY, token)).version for _ in range(2)] == [1, 2]
    assert store.load(KEY) == document(KEY, token, version=2)


OPERATIONS: dict[str, Callable[[RedisStore], Any]] = {
    "load": lambda store: store.load(KEY),
    "save": lambda store: store.save(document(KEY)),
    "delete": lambda store: store.delete(KEY),
}


@pytest.fixture(params=["closed_port", "silent_port"])
def unreachable(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client of a server that refuses connections, and of one that never answers."""
    port = request.getfixturevalue(request.param)
    with redis.Redis.from_url(
        f"redis://ann:{PASSWORD}@127.0.0.1:{port}/0",
        socket_timeout=0.1,
        socket_connect_timeout=0.1,
        retry=Retry(NoBackoff(), 0),
    ) as made:
        yield made


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_down_is_told(unreachable: redis.Redis, operation: str) -> None:
    """No answer is ``BackendUnavailable``, which names operation and store, and no password."""
    with pytest.raises(BackendUnavailable) as caught:
        OPERATIONS[operation](RedisStore(unreachable))
    assert (caught.value.operation, caught.value.backend) == (operation, "RedisStore")
    assert str(caught.value).startswith(f"RedisStore.{operation}: no answer")
    assert isinstance(caught.value.__cause__, redis.RedisError)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_full_server_refuses_and_keeps_what_it_has(client: redis.Redis) -> None:
    """Out of memory is a ``BackendError`` of the save alone: the old token is still read."""
    store = RedisStore(client)
    store.save(document(KEY))
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BackendError) as caught:
            store.save(document(KEY, {"access_token": "new"}))
        assert (caught.value.operation, caught.value.backend) == ("save", "RedisStore")
        assert store.load(KEY) == document(KEY, version=1)
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("operation", ["save", "delete"])
def test_a_replica_is_not_available_for_writing(
    client: redis.Redis, closed_port: int, operation: str
) -> None:
    """A master that a failover has made a replica answers again soon: ``BackendUnavailable``."""
    store = RedisStore(client)
    store.save(document(KEY))
    client.replicaof("127.0.0.1", closed_port)
    try:
        with pytest.raises(BackendUnavailable):
            OPERATIONS[operation](store)
        assert store.load(KEY) is not None
    finally:
        client.replicaof("NO", "ONE")


@pytest.mark.parametrize("operation", ["save", "delete"])
def test_a_master_without_its_replicas_is_not_available_for_writing(
    client: redis.Redis, operation: str
) -> None:
    """What a server refuses only for now, from within a script, is ``BackendUnavailable``."""
    store = RedisStore(client)
    store.save(document(KEY))
    client.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(BackendUnavailable) as caught:
            OPERATIONS[operation](store)
        assert str(caught.value.__cause__) == "NOREPLICAS"
        assert store.load(KEY) is not None
    finally:
        client.config_set("min-replicas-to-write", 0)


def test_what_is_no_client_is_refused(redis_client: redis.Redis) -> None:
    """A URL, a pool, a class, an async client: told at once, with what is accepted."""
    wrong_ones: list[Any] = [
        *(None, 5, "", "http://127.0.0.1:6379/0", {}, [], object(), redis.Redis),
        *(redis_client.connection_pool, redis_client.pubsub()),
        *(redis.asyncio.Redis(), pymongo.MongoClient(connect=False)),
    ]
    for wrong in wrong_ones:
        with pytest.raises(ConfigurationError, match=r"synchronous redis-py client.* This is"):
            RedisBackend(wrong)


def test_a_pipeline_is_no_client(redis_client: redis.Redis) -> None:
    """A pipeline has a client's methods and answers none of them: it is refused as well."""
    with redis_client.pipeline() as pipeline, pytest.raises(ConfigurationError, match="Pipeline"):
        RedisBackend(pipeline)


def test_a_function_of_an_async_client_is_told(blueprint: OAuth2ConsumerBlueprint) -> None:
    """What a function returns is looked at when it is needed, before it is used."""
    made = redis.asyncio.Redis()
    for wrong in (made, None, "redis://127.0.0.1"):
        backend = RedisBackend(lambda wrong=wrong: wrong)
        for operation in (backend.get, backend.delete):
            with pytest.raises(ConfigurationError, match="synchronous redis-py client"):
                operation(blueprint)
    asyncio.run(made.aclose())


def test_clients_come_from_functions_and_proxies(
    redis_client: redis.Redis, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A client, a function, a partial, a method and a proxy all lead to the same tokens."""

    class Extension:
        def client(self) -> redis.Redis:
            return redis_client

    sources: list[Any] = [
        redis_client,
        lambda: redis_client,
        partial(Extension.client, Extension()),
        Extension().client,
        LocalProxy(lambda: redis_client),
    ]
    for number, source in enumerate(sources):
        RedisBackend(source).set(blueprint, {"access_token": str(number)})
        read = [RedisBackend(each).get(blueprint) for each in sources]
        assert read == [{"access_token": str(number)}] * len(sources)


def test_rights_that_the_documentation_names(redis_server: RedisServer) -> None:
    """A user of the server who may do what the documentation says can do all that a store does."""
    page = Path(__file__).parents[3] / "docs" / "redis-topologies.rst"
    rights = page.read_text().partition("these commands:")[2].partition("in a cluster")[0]
    commands = [f"+{name.lower()}" for name in re.findall(r"``([A-Z]+)``", rights)]
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.flushall()
        admin.acl_setuser("app", enabled=True, passwords=["+pw"], keys=["flask_dance:*"])
        admin.execute_command("ACL", "SETUSER", "app", *commands)
        try:
            with redis.Redis.from_url(redis_server.url, username="app", password="pw") as client:
                store = RedisStore(client)
                saved = store.save(document(TokenKey("demo", "1"), expires_at=None))
                store.save(saved, if_version=saved.version)
                store.save(document(TokenKey("demo", "1"), expires_at=FAR_AWAY))
                assert [len(list(store.scan(**by))) for by in ({}, {"user_id": "1"})] == [1, 1]
                with store.lock(TokenKey("demo", "1")) or pytest.fail("the lock is taken"):
                    store.delete(TokenKey("demo", "1"))
                assert store.load(TokenKey("demo", "1")) is None
                store.ping()
        finally:
            admin.acl_deluser("app")


@pytest.mark.parametrize("name", ["{u:4%002}:token:demo", "{app}:token:", "{u:}:token:demo"])
def test_names_of_nobody_are_left_out(
    client: redis.Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis key that can be nobody's is logged, and a scan goes on."""
    store = RedisStore(client)
    store.save(document(KEY))
    client.set(f"flask_dance:{name}", "{}")
    client.zadd("flask_dance:{u:42}:tokens", {"de%00mo": 1})
    assert [found.key for found in store.scan()] == [KEY]
    assert [found.key for found in store.scan(user_id="42")] == [KEY]
    assert "names nobody" in caplog.text
