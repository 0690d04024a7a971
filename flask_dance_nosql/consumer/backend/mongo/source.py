"""Collections of MongoDB: given, or from a URL."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote

import bson.codec_options
import pymongo
from pymongo.collection import Collection

# Tests of applications may have a function in place of pymongo.MongoClient.
from pymongo.mongo_client import MongoClient

from ....errors import ConfigurationError
from ..store.driver import DriverSource, Remembered, has_sync_methods, random_name

# A collection, a URL with a database, or a function or proxy that returns a collection.
CollectionSource = Any
# The collection of a URL's database that tokens are kept in.
COLLECTION = "flask_dance_tokens"

# What a client made from a URL waits for at most, in milliseconds: a server, also during an
# election; a connection; an answer; and a free connection of the pool.
PATIENCE = {
    "serverSelectionTimeoutMS": 5000,
    "connectTimeoutMS": 2000,
    "socketTimeoutMS": 5000,
    "waitQueueTimeoutMS": 5000,
}

_Codec = bson.codec_options.CodecOptions[dict[str, Any]]
_PLAIN: _Codec = bson.codec_options.CodecOptions(tz_aware=True)
# A date or a text that is none is read as something that is refused with its record, and with no
# other one of its batch.
_CODEC: _Codec = _PLAIN.with_options(
    datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="surrogateescape",
)
_URL = re.compile(r"mongodb(\+srv)?://[^/]+/[^/?]+")
_WANTED = (
    "MongoBackend takes a synchronous PyMongo collection, such as client.mydb.tokens, a URL "
    "with a database, or a function or proxy that returns a collection."
)


class Collections:
    """A collection that is read where it says (``wanted``), and where writes go (``primary``)."""

    def __init__(self, collection: Any) -> None:
        concern = collection.write_concern
        if concern.is_server_default:
            concern = pymongo.WriteConcern("majority")
        # mongomock, for one, refuses options that it does not know.
        codec = _CODEC if isinstance(collection, Collection) else _PLAIN
        self.wanted: Collection[dict[str, Any]] = collection.with_options(
            codec_options=codec, write_concern=concern
        )
        self.primary = self.wanted.with_options(read_preference=pymongo.ReadPreference.PRIMARY)

    @cached_property
    def place(self) -> str:
        """What tells the collection from all others, on any server."""
        return f"mongo:{_server(self.wanted.database.client)}/{self.wanted.full_name}"


def collection_source(collection: CollectionSource) -> DriverSource[Collections]:
    """Return what gives the collection whenever it is needed; nothing is connected to."""
    if isinstance(collection, str) and _URL.match(collection) is None:
        raise ConfigurationError(f"{_WANTED} This is no URL like mongodb://host:port/database.")
    return DriverSource(
        collection,
        _is_collection,
        _WANTED,
        _prepared,
        open_url,
        lambda collections: collections.wanted.database.client.close(),
        wraps="find_one_and_update",
    )


_prepared = Remembered(Collections)


def _is_collection(value: object) -> bool:
    kind: Any = type(value)
    return has_sync_methods(kind, "find_one_and_update", "with_options")


@Remembered
def _server(client: Any) -> str:
    """Return the configured addresses of a client, which are the same in each process."""
    if not isinstance(client, MongoClient):
        # Clients of mongomock that are patched to be of one server share a store.
        return random_name(getattr(client, "_store", client))
    # PyMongo tells only the discovered addresses publicly, which change while it runs. The settings
    # are not there before it has looked an SRV record up.
    settings: Any = client._topology_settings
    host = client._resolve_srv_info["fqdn"] if settings is None else settings.fqdn
    hosts = [host] if host else [f"{name}:{port}" for name, port in sorted(settings.seeds)]
    return quote(f"{','.join(hosts)} {client.options.replica_set_name or ''}", safe=":,[]")


def open_url(url: str) -> object:
    """Return the collection ``flask_dance_tokens`` of the database that a URL names.

    The client waits for seconds, as :data:`PATIENCE` says, unless the URL has options of its own.
    """
    said = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    patience: Any = {name: ms for name, ms in PATIENCE.items() if name.lower() not in said}
    # PyMongo's own limit for all of it.
    patience = {} if "timeoutms" in said else patience
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url, **patience)
    return client.get_default_database()[COLLECTION]
