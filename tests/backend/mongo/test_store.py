"""What MongoDB's store does beyond what every store does."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import bson
import pymongo
import pytest
from bson import CodecOptions
from bson.int64 import Int64
from flask import Flask
from hypothesis import HealthCheck, given, settings
from pymongo.collection import Collection
from pymongo.monitoring import CommandListener
from werkzeug.local import LocalProxy

from examples.demo.embedded import MongoServer
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MongoBackend, TokenKey
from flask_dance_nosql.consumer.backend.mongo.source import _CODEC
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
    FlaskDanceNoSQLError,
)

from ..places import document
from ..strategies import exact, keys

pytestmark = pytest.mark.usefixtures("versions_from_one")

KEY = TokenKey("demo", "42")
PASSWORD = "pass-very-secret"
Tokens = Collection[dict[str, Any]]


class Commands(CommandListener):
    """Records the commands that a client sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        """Record a command."""
        self.sent.append({"name": event.command_name, **event.command})

    def succeeded(self, event: Any) -> None:
        """Nothing: it has been recorded."""

    def failed(self, event: Any) -> None:
        """Nothing: it has been recorded."""

    def last(self, name: str) -> dict[str, Any]:
        """Return the last command of a name."""
        return [command for command in self.sent if command["name"] == name][-1]


@pytest.fixture
def watched(mongo_server: MongoServer) -> Iterator[tuple[Tokens, Commands]]:
    """A collection whose commands are recorded in full."""
    commands = Commands()
    with pymongo.MongoClient[dict[str, Any]](
        mongo_server.url, event_listeners=[commands]
    ) as client:
        yield client["tests"]["watched"], commands
        client.drop_database("tests")


def test_operators_can_read_a_document(
    mongo_collection: Tokens, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A document has the documented fields, a derived ``_id`` and the token as a subdocument."""
    MongoBackend(mongo_collection, user_id=42).set(blueprint, {"access_token": "at", "n": [1]})
    (found,) = mongo_collection.find()
    assert isinstance(found.pop("created_at"), datetime)
    assert isinstance(found.pop("updated_at"), datetime)
    assert found == {
        "_id": "demo:u:42",
        "provider": "demo",
        "user_id": "42",
        "token": {"access_token": "at", "n": [1]},
        "version": 1,
        "expires_at": None,
        "provider_user_id": None,
        "format": 1,
    }


def test_the_applications_token_has_an_id_of_its_own(mongo_collection: Tokens) -> None:
    """A token that is nobody's lies under ``app``, which no user can be called."""
    for key in (TokenKey("demo"), TokenKey("demo", "app")):
        MongoStore(mongo_collection).save(document(key))
    ids = sorted(found["_id"] for found in mongo_collection.find())
    assert ids == ["demo:app", "demo:u:app"]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=keys)
def test_any_key_finds_its_document(mongo_collection: Tokens, key: TokenKey) -> None:
    """Whatever a key is made of, the server finds its document by ``_id`` and by its fields."""
    MongoStore(mongo_collection).save(document(key))
    fields = {"provider": key.provider, "user_id": key.user_id, "account": key.account}
    for query in ({"_id": key.text}, fields):
        assert mongo_collection.count_documents(query) == 1


def test_tokens_that_bson_cannot_hold_are_kept_as_text(mongo_collection: Tokens) -> None:
    """Big numbers and names with dots, dollars, NUL or nothing make the token JSON text."""
    store = MongoStore(mongo_collection)
    for token in ({"n": 2**63}, {"a": [{"a.b": 1}]}, {"$set": 1}, {"": 1}, {"a\0b": 1}):
        store.save(document(KEY, token))
        found = mongo_collection.find_one({"_id": KEY.text})
        assert found is not None
        assert isinstance(found["token"], str)
        loaded = store.load(KEY)
        assert loaded is not None
        assert exact(loaded.token) == exact(token)


def test_token_is_stored_and_not_interpreted(mongo_collection: Tokens) -> None:
    """A token that looks like an update or like paths changes no other field."""
    token = {"$set": {"user_id": "43"}, "$inc": {"version": 9}, "a.user_id": "43"}
    store = MongoStore(mongo_collection)
    store.save(document(KEY, token))
    loaded = store.load(KEY)
    assert loaded is not None
    assert (loaded.token, loaded.key, loaded.version) == (token, KEY, 1)


@pytest.mark.parametrize("number", [Int64(3), Int64(2**40)])
def test_a_long_version_is_a_version(mongo_collection: Tokens, number: Int64) -> None:
    """A version that a shell, an import or the count itself has made a 64-bit number is right."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY))
    mongo_collection.update_one({}, {"$set": {"version": number}})
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.version == number
    assert store.save(document(KEY)).version == number + 1


CORRUPT_VALUES: dict[str, tuple[str, Any]] = {
    "bytes in the token": ("token", {"access_token": b"at-secret"}),
    "a date in the token": ("token", {"access_token": datetime(2031, 1, 1, tzinfo=UTC)}),
    "an ObjectId in the token": ("token", {"access_token": bson.ObjectId()}),
    "a regular expression": ("user_id", bson.Regex("at-secret")),
    "text that nests without end": ("token", '{"a":' * 100_000),
    "text of a number that is none": ("token", '{"at-secret": NaN}'),
    "text of a token that is too deep": ("token", '{"a":' * 101 + "1" + "}" * 101),
}


@pytest.mark.parametrize("case", CORRUPT_VALUES)
def test_values_only_bson_has_are_corrupt(mongo_collection: Tokens, case: str) -> None:
    """What no store of ours writes is a ``CorruptToken``, shows nothing and is left."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY))
    name, value = CORRUPT_VALUES[case]
    mongo_collection.update_one({}, {"$set": {name: value}})
    with pytest.raises(CorruptToken, match="'demo', user '42'") as caught:
        store.load(KEY)
    assert "at-secret" not in "".join(traceback.format_exception(caught.value))
    assert mongo_collection.count_documents({}) == 1


def test_a_token_too_large_for_a_document_is_refused(mongo_collection: Tokens) -> None:
    """17 MB are more than MongoDB takes: an error of ours without them, and the old token stays."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY))
    huge = document(KEY, {"access_token": "at-secret" * 2_000_000})
    with pytest.raises(FlaskDanceNoSQLError) as caught:
        store.save(huge)
    assert len(str(caught.value)) < 500
    assert "at-secret" not in str(caught.value)
    loaded = store.load(KEY)
    assert loaded is not None
    assert (loaded.token, loaded.version) == ({"access_token": "at"}, 1)


def test_writes_wait_for_a_majority(watched: tuple[Tokens, Commands]) -> None:
    """A collection without a write concern of its own gets ``majority``; reads ask the primary."""
    collection, commands = watched
    store = MongoStore(collection)
    store.save(document(KEY))
    store.load(KEY)
    store.delete(KEY)
    assert commands.last("findAndModify")["writeConcern"] == {"w": "majority"}
    assert commands.last("delete")["writeConcern"] == {"w": "majority"}
    preference = commands.last("find").get("$readPreference", {"mode": "primary"})
    assert preference["mode"].startswith("primary")


def test_the_collections_own_options_hold(watched: tuple[Tokens, Commands]) -> None:
    """A write concern and a read preference that the application chose are kept."""
    collection, commands = watched
    chosen = collection.with_options(
        write_concern=pymongo.WriteConcern(1, wtimeout=500),
        read_preference=pymongo.ReadPreference.NEAREST,
    )
    store = MongoStore(chosen)
    store.save(document(KEY))
    store.load(KEY)
    assert commands.last("findAndModify")["writeConcern"] == {"w": 1, "wtimeout": 500}
    assert commands.last("find")["$readPreference"]["mode"] == "nearest"


@pytest.mark.parametrize(
    "options",
    [
        CodecOptions(tz_aware=False),
        CodecOptions(document_class=OrderedDict),
        CodecOptions(document_class=bson.raw_bson.RawBSONDocument),
    ],
    ids=["naive dates", "ordered dicts", "raw documents"],
)
def test_the_collections_codec_does_not_matter(mongo_collection: Tokens, options: Any) -> None:
    """However an application decodes its own documents, tokens are dicts and dates are aware."""
    store = MongoStore(mongo_collection.with_options(codec_options=options))
    store.save(document(KEY, {"a": {"b": 1}}))
    loaded = store.load(KEY)
    assert loaded == document(KEY, {"a": {"b": 1}}, version=1)
    assert type(loaded.token["a"]) is dict


def test_a_refusing_server_is_not_a_missing_one(mongo_collection: Tokens) -> None:
    """A command that the server refuses is a ``BackendError``, with the driver's as its cause."""
    mongo_collection.insert_one({"_id": "demo:u:42"})
    store = MongoStore(mongo_collection.database["$cmd.not a collection"], create_indexes=False)
    with pytest.raises(BackendError) as caught:
        store.save(document(KEY))
    assert not isinstance(caught.value, BackendUnavailable)
    assert (caught.value.operation, caught.value.backend) == ("save", "MongoStore")
    assert isinstance(caught.value.__cause__, pymongo.errors.PyMongoError)


OPERATIONS: dict[str, Callable[[MongoStore], Any]] = {
    "load": lambda store: store.load(KEY),
    "save": lambda store: store.save(document(KEY)),
    "delete": lambda store: store.delete(KEY),
}


@pytest.fixture(params=["closed_port", "silent_port"])
def unreachable(request: pytest.FixtureRequest) -> Iterator[Tokens]:
    """A collection of a server that refuses connections, and of one that never answers."""
    port = request.getfixturevalue(request.param)
    with pymongo.MongoClient[dict[str, Any]](
        f"mongodb://ann:{PASSWORD}@127.0.0.1:{port}/tests",
        serverSelectionTimeoutMS=100,
        connectTimeoutMS=100,
        socketTimeoutMS=100,
    ) as client:
        yield client["tests"]["tokens"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_down_is_told(unreachable: Tokens, operation: str) -> None:
    """No answer is ``BackendUnavailable``, which names operation and store, and no password."""
    with pytest.raises(BackendUnavailable) as caught:
        OPERATIONS[operation](MongoStore(unreachable))
    assert (caught.value.operation, caught.value.backend) == (operation, "MongoStore")
    assert str(caught.value).startswith(f"MongoStore.{operation}: no answer")
    assert caught.value.__cause__ is not None
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_down_logs_nobody_out(
    unreachable: Tokens, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """``authorized`` is neither true nor false then: the view gets the error."""
    blueprint.backend = MongoBackend(unreachable, user_id=42)
    app = Flask(__name__)
    app.register_blueprint(blueprint)
    with app.test_request_context():
        for ask in (lambda: blueprint.session.authorized, lambda: blueprint.token):
            with pytest.raises(BackendUnavailable):
                ask()


@pytest.fixture
def async_collection() -> Any:
    """A collection of PyMongo's asynchronous client, which is not connected."""
    return pymongo.AsyncMongoClient(connect=False)["tests"]["tokens"]


def wrong_sources(client: Any, async_collection: Any) -> list[Any]:
    """Return what is no collection, though some of it looks like one."""
    database = client["tests"]
    return [
        *(None, 5, "", "tokens", "mongodb://127.0.0.1/", {}, [], object()),
        *(client, database, pymongo.MongoClient, Collection, async_collection),
    ]


def test_what_is_no_collection_is_refused(async_collection: Any) -> None:
    """A client, a database, a URL, an async collection: told at once."""
    with pymongo.MongoClient[dict[str, Any]](connect=False) as client:
        for wrong in wrong_sources(client, async_collection):
            with pytest.raises(
                ConfigurationError, match=r"synchronous PyMongo collection.* This is"
            ):
                MongoBackend(wrong)


def test_what_a_function_returns_is_checked(
    async_collection: Any, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A function that returns no collection is told when it is needed, and never called before."""
    with pymongo.MongoClient[dict[str, Any]](connect=False) as client:
        for wrong in wrong_sources(client, async_collection):
            backend = MongoBackend(lambda wrong=wrong: wrong)
            with pytest.raises(ConfigurationError, match="synchronous PyMongo collection"):
                backend.get(blueprint)


def test_collections_come_from_functions_and_proxies(
    mongo_collection: Tokens, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A collection, a function of any kind, a method and a proxy all lead to the same tokens."""

    class Extension:
        def tokens(self) -> Tokens:
            return mongo_collection

    sources: list[Any] = [
        mongo_collection,
        lambda: mongo_collection,
        partial(Extension.tokens, Extension()),
        Extension().tokens,
        LocalProxy(lambda: mongo_collection),
        cache(lambda: mongo_collection),
    ]
    for number, source in enumerate(sources):
        MongoBackend(source).set(blueprint, {"access_token": str(number)})
        read = [MongoBackend(each).get(blueprint) for each in sources]
        assert read == [{"access_token": str(number)}] * len(sources)


def stages(plan: dict[str, Any]) -> list[str]:
    """Return the stages of a query plan, from the outermost inwards."""
    inner = plan.get("inputStage")
    return [plan["stage"], *(stages(inner) if inner else [])]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"_id": "demo:u:42"}, {"_id": 1}),
        ({"user_id": "42"}, {"user_id": 1, "provider": 1}),
    ],
    ids=["load", "scan of a user"],
)
def test_look_ups_use_an_index(
    mongo_collection: Tokens, wanted: dict[str, Any], index: dict[str, int]
) -> None:
    """A load is a look-up by ``_id``, and listing a user's tokens reads an index."""
    store = MongoStore(mongo_collection)
    for user_id in range(50):
        store.save(document(TokenKey("demo", str(user_id))))
    plan = mongo_collection.find(wanted).explain()["queryPlanner"]["winningPlan"]
    assert "COLLSCAN" not in stages(plan)
    assert "IXSCAN" in stages(plan)
    assert plan["inputStage"]["keyPattern"] == index


# An operator's own indexes.

FOREIGN_INDEXES: dict[str, tuple[Any, dict[str, Any]]] = {
    "no TTL": ("expires_at", {}),
    "another TTL": ("expires_at", {"expireAfterSeconds": 3600}),
    "partial": ("expires_at", {"partialFilterExpression": {"token": {"$exists": True}}}),
    "unique": ([("user_id", 1), ("provider", 1)], {"unique": True}),
    "sparse": ([("user_id", 1), ("provider", 1)], {"sparse": True}),
    "another name": ([("user_id", 1), ("provider", 1)], {"name": "by_user"}),
    "its name for another": ("token", {"name": "expires_at_1"}),
}


@pytest.mark.parametrize("case", FOREIGN_INDEXES)
def test_index_of_the_operator_is_left(
    mongo_collection: Tokens, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An index with other options is left, told once, and everything works; the other is made."""
    keys, options = FOREIGN_INDEXES[case]
    mongo_collection.create_index(keys, **options)
    before = mongo_collection.index_information()
    store = MongoStore(mongo_collection)
    saved = store.save(document(KEY))
    for user_id in (None, "43"):
        store.save_apart(document(TokenKey("demo", user_id)))
    told = [record for record in caplog.records if "can't be made" in record.getMessage()]
    assert len(told) == 1
    assert store.load(KEY) == saved
    assert len(list(store.scan())) == 3
    assert [store.lock(TokenKey("demo", str(number))) is not None for number in range(3)] == [
        True
    ] * 3
    now = mongo_collection.index_information()
    assert before.items() <= now.items()
    assert len(now) == len(before) + 1
    store.prepare()


def test_right_to_make_indexes_is_missing(
    mongo_collection: Tokens, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may not make indexes stores tokens all the same; ``prepare`` says that it has failed."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise pymongo.errors.OperationFailure("no", 13, {"codeName": "Unauthorized"})

    monkeypatch.setattr(Collection, "create_index", refuse)
    store = MongoStore(mongo_collection)
    assert store.load(KEY) != store.save(document(KEY)) == store.load(KEY)
    store.save(document(KEY))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "Unauthorized" in caplog.text
    with pytest.raises(BackendError, match="prepare"):
        store.prepare()


def test_each_collection_gets_its_indexes(mongo_collection: Tokens, mongo_commands: Any) -> None:
    """Where a function chooses the collection, each has its indexes made once, and is checked."""
    others = [mongo_collection, mongo_collection["other"], mongo_collection["third"]]
    chosen = others * 3
    store = MongoStore(lambda: chosen[0])
    while chosen:
        store.save(document(KEY))
        chosen.pop(0)
    assert mongo_commands.names.count("createIndexes") == 2 * len(others)
    for collection in others:
        assert "expires_at_1" in collection.index_information()
    for collection in others[1:]:
        collection.drop()


COLLATIONS: list[tuple[dict[str, Any], bool]] = [
    ({"locale": "en", "strength": 2}, True),
    ({"locale": "de"}, True),
    ({"locale": "simple"}, False),
]


@pytest.mark.parametrize(("collation", "is_refused"), COLLATIONS)
def test_collection_that_ignores_case(
    mongo_collection: Tokens, collation: dict[str, Any], is_refused: bool
) -> None:
    """A collection in which two users' ids may be equal is refused before anything is stored."""
    database, name = mongo_collection.database, f"{mongo_collection.name}_collated"
    collated = database.create_collection(name, collation=collation)
    store = MongoStore(collated)
    if not is_refused:
        store.save(document(KEY))
        return
    for operation in (store.prepare, lambda: store.save(document(KEY))):
        with pytest.raises(ConfigurationError, match="default collation"):
            operation()
    assert collated.count_documents({}) == 0
    collated.drop()


UNIQUE_INDEXES: list[Any] = [
    [("user_id", 1), ("provider", 1)],
    [("provider", 1), ("user_id", 1)],
    [("provider", 1), ("provider_user_id", 1), ("user_id", 1)],
    "user_id",
    "provider_user_id",
]


@pytest.mark.parametrize("keys", UNIQUE_INDEXES, ids=str)
def test_locks_are_apart_in_a_unique_index(mongo_collection: Tokens, keys: Any) -> None:
    """Any number of locks is held at once, whatever of a token is unique; none is a document."""
    mongo_collection.create_index(keys, unique=True)
    store = MongoStore(mongo_collection, create_indexes=False)
    locked = [TokenKey(provider, user) for provider in "ab" for user in (None, "1", "2")]
    assert all(store.acquire(key, "me", 60) for key in locked)
    assert not any(store.acquire(key, "you", 60) for key in locked)
    assert (
        list(store.scan()) == list(store.scan(provider="a")) == list(store.scan(user_id="1")) == []
    )
    for key in locked:
        store.release(key, "me")
    assert mongo_collection.count_documents({}) == 0


@pytest.mark.parametrize("until", [None, "later", [], {"$gt": 1}, True])
def test_lock_that_ends_at_no_time_is_free(mongo_collection: Tokens, until: Any) -> None:
    """A lock whose end is no number keeps nobody waiting."""
    store = MongoStore(mongo_collection)
    assert store.acquire(KEY, "me", 60)
    mongo_collection.update_one({}, {"$set": {"until": until}})
    assert store.acquire(KEY, "you", 60)
    assert not store.acquire(KEY, "me", 60)


# Odd records.


def as_read(record: dict[str, Any], change: Callable[[bytes], bytes]) -> Any:
    """Return a record as the driver reads it from changed bytes.

    MongoDB stores such bytes. SecantusDB, the server of the tests, refuses them.
    """
    return bson.decode(change(bson.encode(record)), _CODEC)


ODD_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "a text": lambda raw: raw.replace(b"at-secret", b"at-\xff\xfe\xfdret"),
    "an account": lambda raw: raw.replace(b"account", b"\xffccount"),
    "a name": lambda raw: raw.replace(b"access_token", b"access_\xfeoken"),
    "a user": lambda raw: raw.replace(b"42\0\2provider_user_id", b"\xff2\0\2provider_user_id"),
}
ODD_DATES: dict[str, Any] = {
    "too late": bson.DatetimeMS(2**60),
    "too early": bson.DatetimeMS(-(2**60)),
    "text": "x",
    "a number": 5,
}


@pytest.mark.parametrize("case", ODD_BYTES)
def test_bytes_that_are_no_text(mongo_collection: Tokens, case: str) -> None:
    """A record with broken text is corrupt by itself: the driver can read the rest of its batch."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY, {"access_token": "at-secret"}, provider_user_id="account"))
    record: Any = mongo_collection.find_one({"_id": KEY.text})
    found = as_read(record, ODD_BYTES[case])
    assert found != record
    with pytest.raises(CorruptToken):
        store._decode("load", KEY, found)


@pytest.mark.parametrize("name", ["created_at", "updated_at", "expires_at"])
@pytest.mark.parametrize("case", ODD_DATES)
def test_dates_that_are_none(mongo_collection: Tokens, name: str, case: str) -> None:
    """A date that Python can't hold, or that is none, makes its record corrupt, and no other."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY))
    record: Any = mongo_collection.find_one({"_id": KEY.text})
    with pytest.raises(CorruptToken):
        store._decode("load", KEY, as_read({**record, name: ODD_DATES[case]}, lambda raw: raw))
    if isinstance(ODD_DATES[case], bson.DatetimeMS):
        return
    mongo_collection.update_one({"_id": KEY.text}, {"$set": {name: ODD_DATES[case]}})
    with pytest.raises(CorruptToken):
        store.load(KEY)
    assert list(store.scan()) == []
    new = store.save(document(KEY))
    assert store.load(KEY) == new


@pytest.mark.parametrize("number", [2**53, 2**63 - 1, 1e300, -(2**62)])
def test_version_that_cannot_be_counted(mongo_collection: Tokens, number: Any) -> None:
    """A version that is too large to be counted begins anew."""
    store = MongoStore(mongo_collection)
    store.save(document(KEY))
    value = Int64(number) if isinstance(number, int) else number
    mongo_collection.update_one({}, {"$set": {"version": value}})
    first = store.save(document(KEY))
    assert store.load(KEY) == first
    assert store.save(document(KEY)).version == first.version + 1


ODD_RECORDS: list[dict[str, Any]] = [
    {"token": {}},
    {"token": {}, "provider": "", "user_id": "42"},
    {"token": {}, "provider": "demo"},
    {"token": {}, "provider": "demo", "user_id": {"$ne": 1}},
    {"token": None, "provider": 5, "user_id": None},
    {"token": [], "provider": "demo", "user_id": "42"},
    {"token": {"a": bson.DBRef("a", 1)}, "provider": "demo", "user_id": "42"},
]


def test_odd_records_are_counted(
    mongo_collection: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else lies in the collection is logged, counted, left out, and no stop to others."""
    store = MongoStore(mongo_collection)
    saved = store.save(document(KEY))
    mongo_collection.insert_many([dict(record) for record in ODD_RECORDS])
    assert list(store.scan()) == [saved]
    assert f"left {len(ODD_RECORDS)} records out" in caplog.text
    caplog.clear()
    assert list(store.scan(user_id="42")) == [saved]
    assert "left 3 records out" in caplog.text
