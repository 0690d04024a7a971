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
from flask_dance_nosql.consumer.backend import InvalidatedCache, RedisBackend, TokenKey
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
    VersionConflict,
)

from ..places import document

pytestmark = pytest.mark.usefixtures("versions_from_one")

KEY = TokenKey("demo", "42")
NAME = "flask_dance:{u:42}:token:demo"
PASSWORD = "pass-very-secret"
FAR_AWAY, LONG_AGO = datetime(2100, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
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


class FlaskRedis:
    """What Flask-Redis has: an object that passes on to a client, which it gets with its app."""

    def __init__(self) -> None:
        self._redis_client: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis_client, name)


def test_an_extension_that_gets_its_client_later(
    redis_client: redis.Redis, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """An extension without a client yet is accepted, and told if it never gets one."""
    extension = FlaskRedis()
    backend = RedisBackend(extension, user_id=1)
    cached = InvalidatedCache(extension)
    with pytest.raises(ConfigurationError, match="FlaskRedis, which has none yet"):
        backend.get(blueprint)
    extension._redis_client = redis_client
    backend.set(blueprint, {"access_token": "at"})
    assert RedisBackend(redis_client, user_id=1).get(blueprint) == {"access_token": "at"}
    assert RedisBackend(extension_of(redis_client), user_id=1).get(blueprint) is not None
    assert backend.store.place == RedisStore(redis_client).place
    assert cached.look((backend.store.place, KEY))[0] is False
    cached.close()
    for wrong in (redis.asyncio.Redis(), pymongo.MongoClient(connect=False), object()):
        extension._redis_client = wrong
        with pytest.raises(ConfigurationError, match="FlaskRedis"):
            backend.get(blueprint)
    extension._redis_client = redis.asyncio.Redis()
    with pytest.raises(ConfigurationError, match="FlaskRedis"):
        RedisBackend(extension)


def extension_of(client: Any) -> FlaskRedis:
    """Make one that has its client."""
    extension = FlaskRedis()
    extension._redis_client = client
    return extension


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_is_corrupt(client: redis.Redis, kind: str) -> None:
    """A list, hash or set under a token's key is a ``CorruptToken`` and is left."""
    OTHER_TYPES[kind](client)
    with pytest.raises(CorruptToken, match=r"'demo', user '42' .* another type") as caught:
        RedisStore(client).load(KEY)
    assert "at-secret" not in "".join(traceback.format_exception(caught.value))
    assert client.type(NAME) in {kind, kind.encode()}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_locks_nobody_out(client: redis.Redis, kind: str) -> None:
    """A token takes the place of a list, hash or set, unless a version was expected, as of text."""
    OTHER_TYPES[kind](client)
    store = RedisStore(client)
    for version in (0, 1):
        with pytest.raises(VersionConflict):
            store.save(document(KEY), if_version=version)
    assert client.type(NAME) in {kind, kind.encode()}
    assert list(store.scan(user_id="42")) == []
    saved = store.save(document(KEY, {"access_token": "new"}))
    assert store.load(KEY) == saved
    assert list(store.scan(user_id="42")) == [saved]


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_is_deleted(client: redis.Redis, kind: str) -> None:
    """A logout removes what it can't read, unless another version was expected."""
    OTHER_TYPES[kind](client)
    store = RedisStore(client)
    with pytest.raises(VersionConflict):
        store.delete(KEY, if_version=1)
    store.delete(KEY)
    assert client.exists(NAME) == 0


INDEX = "flask_dance:{u:42}:tokens"
OTHER_INDEXES: dict[str, Callable[[redis.Redis], Any]] = {
    "text": lambda client: client.set(INDEX, "no index"),
    "list": lambda client: client.rpush(INDEX, "no index"),
    "hash": lambda client: client.hset(INDEX, "no", "index"),
    "set": lambda client: client.sadd(INDEX, "no index"),
}


@pytest.mark.parametrize("expires_at", [None, FAR_AWAY, LONG_AGO])
@pytest.mark.parametrize("kind", OTHER_INDEXES)
def test_an_index_of_another_type(
    client: redis.Redis, kind: str, expires_at: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else in the place of a user's index is left, and every operation works."""
    store, other = RedisStore(client), TokenKey("other", "42")
    store.save(document(other))
    client.delete(INDEX)
    OTHER_INDEXES[kind](client)
    before = client.type(INDEX)
    saved = store.save(document(KEY, expires_at=expires_at))
    saved = store.save(document(KEY, expires_at=expires_at), if_version=None)
    ended = expires_at == LONG_AGO
    assert store.load(KEY) == (None if ended else saved)
    assert ("should be a sorted set" in caplog.text) is not ended
    found = {each.key for each in store.scan(user_id="42")}
    assert found == ({other} if ended else {KEY, other})
    assert [each.key for each in store.scan("other", "42")] == [other]
    store.delete(KEY)
    store.delete(other)
    assert client.exists(NAME) == 0
    assert client.type(INDEX) == before


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_lock_of_another_type_is_nobodys(client: redis.Redis, kind: str) -> None:
    """A list, hash or set in the place of a lock keeps nobody from taking it."""
    name = NAME.replace(":token:", ":lock:")
    OTHER_TYPES[kind](client)
    client.rename(NAME, name)
    store = RedisStore(client)
    store.release(KEY, "me")
    assert store.acquire(KEY, "me", 60)
    assert not store.acquire(KEY, "you", 60)
    store.release(KEY, "me")
    assert client.exists(name) == 0


ODD_HEADS = {
    "a date that is none": ("created_at", "9999-99-99T99:99:99Z"),
    "a day that is none": ("created_at", "2031-02-29T00:00:00Z"),
    "no year": ("created_at", "0000-01-01T00:00:00Z"),
    "an hour that is none": ("created_at", "2031-01-01T24:00:00Z"),
    "a second that is none": ("created_at", "2031-01-01T00:00:60Z"),
    "half a fraction": ("created_at", "2031-01-01T00:00:00.Z"),
    "dots": ("created_at", "2031-01-01T00:00:00...Z"),
    "a long fraction": ("created_at", "2031-01-01T00:00:00.12345678901234Z"),
    "a number": ("created_at", 5),
    "nothing": ("created_at", None),
    "a version that can't be counted": ("version", 2**60),
    "a version without end": ("version", 10**40),
    "a negative version": ("version", -1),
}


@pytest.mark.parametrize("case", ODD_HEADS)
def test_an_odd_head_is_mended(client: redis.Redis, case: str) -> None:
    """Garbage where the version or the first date should be is replaced with the next save."""
    store = RedisStore(client)
    store.save(document(KEY))
    name, value = ODD_HEADS[case]
    record = json.loads(client.get(NAME)) | {name: value}
    client.set(NAME, json.dumps(record, separators=(",", ":")))
    saved = store.save(document(KEY, {"access_token": "new"}))
    assert store.load(KEY) == saved
    assert saved.created_at == document(KEY).created_at
    assert store.save(document(KEY)).version == saved.version + 1


@pytest.mark.parametrize(
    "text", ["2030-12-31T23:59:59Z", "2028-02-29T00:00:00.5Z", "0001-01-01T00:00:00.123456Z"]
)
def test_a_first_date_stays(client: redis.Redis, text: str) -> None:
    """Any date that the store can read is kept, whoever has written it."""
    store = RedisStore(client)
    store.save(document(KEY))
    record = json.loads(client.get(NAME)) | {"created_at": text}
    client.set(NAME, json.dumps(record, separators=(",", ":")))
    found = store.load(KEY) or pytest.fail("nothing is stored")
    assert store.save(document(KEY)).created_at == found.created_at < document(KEY).created_at


@pytest.mark.parametrize("command", ["zadd", "zremrangebyscore", "set", "persist", "time"])
def test_a_command_that_is_not_allowed(redis_server: RedisServer, command: str) -> None:
    """Where a right is missing, a token is stored as a whole or not at all."""
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.flushall()
        RedisStore(admin).save(document(KEY))
        before = admin.dump(NAME)
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", f"-{command}")
        try:
            options: Any = {"username": "app", "password": "pw"}
            with (
                redis.Redis.from_url(redis_server.url, **options) as client,
                pytest.raises(BackendError),
            ):
                RedisStore(client).save(document(KEY, {"access_token": "new"}))
            assert admin.dump(NAME) == before
        finally:
            admin.acl_deluser("app")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
@pytest.mark.parametrize("decode", [True, False])
def test_encoding_of_a_client_does_not_matter(url: str, encoding: str, decode: bool) -> None:
    """A client with another encoding keeps tokens, users and prefixes exactly, for all others."""
    key, token = TokenKey("démo", "Zürich 😀"), {"access_token": "at", "näme": "Zoë 漢"}
    options: Any = {"decode_responses": decode, "encoding": encoding}
    with redis.Redis.from_url(url) as plain, redis.Redis.from_url(url, **options) as other:
        plain.flushall()
        stores = [RedisStore(client, "präfix") for client in (other, plain)]
        for number, store in enumerate(stores * 2, 1):
            saved = store.save(document(key, {**token, "n": number}))
            assert saved.version == number
            for each in stores:
                assert each.load(key) == each.load_fresh(key) == saved
                assert list(each.scan()) == list(each.scan(user_id="Zürich 😀")) == [saved]
        assert stores[0].acquire(key, "hölder", 60)
        assert not stores[1].acquire(key, "other", 60)
        stores[1].release(key, "hölder")
        assert stores[1].acquire(key, "other", 60)
        stores[0].delete(key)
        assert stores[1].load(key) is None


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


ODD_NAMES = [
    b"{u:4%002}:token:demo",
    b"{app}:token:",
    b"{u:}:token:demo",
    b"{u:\xff}:token:demo",
    b"{u:42}:token:d\xe9mo",
    b"{u:%4142}:token:demo",
    b"{u:%ff}:token:demo",
    b"{u:4 2}:token:demo",
    b"{42}:token:demo",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_nobody_are_left_out(
    client: redis.Redis, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis key that can be nobody's is logged, and a scan goes on."""
    store = RedisStore(client)
    store.save(document(KEY))
    client.set(b"flask_dance:" + name, "{}")
    odd: Any = [b"de%00mo", b"\xff\xfe", b"%ff", b"", "é", b"no such provider"]
    client.zadd("flask_dance:{u:42}:tokens", dict.fromkeys(odd, 1))
    assert [found.key for found in store.scan()] == [KEY]
    assert [found.key for found in store.scan(user_id="42")] == [KEY]
    assert "names nobody" in caplog.text
    assert "left 1 records out" in caplog.text
