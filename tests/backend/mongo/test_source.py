"""Collections of MongoDB: which are told apart, and from where they are read."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref
from typing import Any

import mongomock
import pymongo
import pytest
from pymongo import ReadPreference
from pymongo.collection import Collection

from flask_dance_nosql.consumer.backend.mongo import MongoStore
from flask_dance_nosql.consumer.backend.mongo.source import PATIENCE, _server, open_url
from flask_dance_nosql.errors import BackendUnavailable, VersionConflict
from flask_dance_nosql.testing.documents import KEY, make_document

Tokens = Collection[dict[str, Any]]

PLACES = {
    "mongodb://ann:secret@B:2,a/?authSource=x": "mongo:a:27017,b:2%20/app.tokens",
    "mongodb://b:2,a:1/?replicaSet=rs": "mongo:a:1,b:2%20rs/app.tokens",
    "mongodb://%2Frun%2Fmongo.sock": "mongo:%2Frun%2Fmongo.sock:None%20/app.tokens",
}


def new_client(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    """Make a client that connects to nothing."""
    return pymongo.MongoClient(url, connect=False)


@pytest.mark.parametrize(("url", "place"), PLACES.items())
def test_place_is_made_of_addresses(url: str, place: str) -> None:
    """A place has the configured addresses, the database and the collection, and no login."""
    with new_client(url) as client:
        assert MongoStore(client["app"]["tokens"]).place == place


def test_place_of_a_function() -> None:
    """Where a function chooses the collection, the place is that of its choice."""
    with new_client("mongodb://a") as a, new_client("mongodb://b") as b:
        clients = [a, b]
        store = MongoStore(lambda: clients[0]["app"]["tokens"])
        assert store.place == "mongo:a:27017%20/app.tokens"
        clients.reverse()
        assert store.place == "mongo:b:27017%20/app.tokens"


def test_places_of_imitations() -> None:
    """Each server of mongomock is a place of its own, though all have the same address."""
    one, other = mongomock.MongoClient(), mongomock.MongoClient()
    assert one == other
    stores = [MongoStore(client["app"]["tokens"]) for client in (one, one, other)]
    assert stores[0].place == stores[1].place != stores[2].place


@mongomock.patch(servers=(("db.example", 27017),))
def test_places_of_patched_clients() -> None:
    """Clients that mongomock puts in place of PyMongo's have one place for one server."""
    url = "mongodb://db.example/app"
    stores = [MongoStore(pymongo.MongoClient(url)["app"]["tokens"]) for _ in range(2)]
    assert stores[0].place == stores[1].place


def remembered_client() -> weakref.ref[Any]:
    """Make a client whose place is remembered, and return a reference that does not hold it."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(connect=False)
    MongoStore(client["app"]["tokens"]).place.encode()
    client.close()
    return weakref.ref(client)


def test_places_hold_no_client() -> None:
    """What is remembered of a client goes with it."""
    gone = remembered_client()
    gc.collect()
    assert gone() is None
    assert all(reference() is not None for reference, _ in list(_server._results.values()))


def test_places_are_the_same_in_each_process() -> None:
    """Another process with the same configuration has the same place."""
    program = """
from flask_dance_nosql.consumer.backend.mongo import MongoStore
print(MongoStore("mongodb://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/app").place)
"""
    told = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert told[0].stdout == told[1].stdout
    assert "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3" in told[0].stdout


def test_decisions_are_made_by_the_primary(
    mongo_collection: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the read preference, only ``load`` and ``scan`` may read a copy that lags behind."""
    asked: list[str] = []

    def spied(name: str) -> Any:
        method = getattr(Collection, name)

        def call(collection: Tokens, *args: Any, **options: Any) -> Any:
            asked.append(collection.read_preference.name)
            return method(collection, *args, **options)

        return call

    for name in ("find_one", "find_one_and_update", "delete_one"):
        monkeypatch.setattr(Collection, name, spied(name))
    store = MongoStore(
        mongo_collection.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    )
    saved = store.save(make_document(KEY), if_version=0)
    assert store.load_fresh(KEY) == saved
    with pytest.raises(VersionConflict):
        store.save(saved, if_version=0)
    with pytest.raises(VersionConflict):
        store.delete(KEY, if_version=1)
    assert store.acquire(KEY, "me", 5)
    assert set(asked) == {"Primary"}
    asked.clear()
    assert store.load(KEY) == saved
    assert asked == ["SecondaryPreferred"]


URL_OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("?retryWrites=true", {}),
    ("?serverSelectionTimeoutMS=700", {"serverselectiontimeoutms": 0.7}),
    ("?SERVERSELECTIONTIMEOUTMS=700", {"serverselectiontimeoutms": 0.7}),
    (
        "?connectTimeoutMS=900&socketTimeoutMS=800",
        {"connecttimeoutms": 0.9, "sockettimeoutms": 0.8},
    ),
    ("?waitQueueTimeoutMS=100", {"waitqueuetimeoutms": 0.1}),
]


@pytest.mark.parametrize(("query", "said"), URL_OPTIONS)
def test_client_of_a_url_waits_for_seconds(query: str, said: dict[str, Any]) -> None:
    """What a URL does not say is bounded by seconds; what it says holds."""
    collection: Any = open_url(f"mongodb://127.0.0.1:1/app{query}")
    options = collection.database.client.options
    pool = options.pool_options
    found = {
        "serverselectiontimeoutms": options.server_selection_timeout,
        "connecttimeoutms": pool.connect_timeout,
        "sockettimeoutms": pool.socket_timeout,
        "waitqueuetimeoutms": pool.wait_queue_timeout,
    }
    assert found == {name.lower(): ms / 1000 for name, ms in PATIENCE.items()} | said
    collection.database.client.close()


def test_a_limit_of_the_url_for_all_is_the_only_one() -> None:
    """With PyMongo's ``timeoutMS`` in the URL there is no other limit."""
    collection: Any = open_url("mongodb://127.0.0.1:1/app?timeoutMS=60000")
    assert collection.database.client.options.timeout == 60
    assert collection.database.client.options.server_selection_timeout == 30
    collection.database.client.close()


@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_a_server_that_is_down_is_told_in_seconds(port: str, request: Any) -> None:
    """A URL of a server that is down, or says nothing, costs seconds, and not half a minute."""
    store = MongoStore(f"mongodb://127.0.0.1:{request.getfixturevalue(port)}/app")
    began = time.monotonic()
    with pytest.raises(BackendUnavailable):
        store.load(KEY)
    assert time.monotonic() - began < 20
    store._at.wanted.database.client.close()


def test_records_of_nobody_are_left_out(
    mongo_collection: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    """A document whose fields can be nobody's is logged, and a scan goes on."""
    store = MongoStore(mongo_collection)
    saved = store.save(make_document(KEY))
    record = mongo_collection.find_one({"_id": KEY.text})
    assert record is not None
    for number, user_id in enumerate(["4\x002", "", 5]):
        mongo_collection.insert_one({**record, "_id": str(number), "user_id": user_id})
    assert list(store.scan()) == [saved]
    assert len(caplog.records) == 3 + 1
