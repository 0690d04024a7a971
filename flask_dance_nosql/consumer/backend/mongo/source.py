"""Collections of MongoDB: given, or from a URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ....errors import ConfigurationError
from ..store.driver import DriverSource, has_sync_methods, require

if TYPE_CHECKING:
    import bson.codec_options
    import pymongo
    from pymongo.collection import Collection
else:
    _NEEDED = {"feature": "MongoBackend", "package": "pymongo", "extra": "mongodb"}
    pymongo = require("pymongo", **_NEEDED)
    bson = require("bson", **_NEEDED)

CollectionSource = Any
"""A collection, a URL with a database, or a function or proxy that returns a collection."""

COLLECTION = "flask_dance_tokens"
"""The collection of a URL's database that tokens are kept in."""

_CODEC: bson.codec_options.CodecOptions[dict[str, Any]] = bson.codec_options.CodecOptions(
    tz_aware=True
)
_WANTED = (
    "MongoBackend takes a synchronous PyMongo collection, such as client.mydb.tokens, a URL "
    "with a database, or a function or proxy that returns a collection."
)


def collection_source(collection: CollectionSource) -> DriverSource[Collection[dict[str, Any]]]:
    """Return what gives the collection whenever it is needed.

    Raises:
        ConfigurationError: If it is no such thing.
    """
    if isinstance(collection, str):
        check_url(collection)
    return DriverSource(collection, _is_collection, _WANTED, _prepared, open_url)


def _is_collection(value: object) -> bool:
    return has_sync_methods(value, "find_one_and_update", "with_options")


def check_url(url: str) -> None:
    """Make sure that a text is a MongoDB URL with a database; nothing is connected to.

    Raises:
        ConfigurationError: If it is not.
    """
    if re.match(r"mongodb(\+srv)?://[^/]+/[^/?]+", url) is None:
        raise ConfigurationError(f"{_WANTED} This is no URL like mongodb://host:port/database.")


def open_url(url: str) -> object:
    """Return the collection ``flask_dance_tokens`` of the database that a URL names."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url)
    return client.get_default_database()[COLLECTION]


def _prepared(collection: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    concern = collection.write_concern
    if concern.is_server_default:
        concern = pymongo.WriteConcern("majority")
    return collection.with_options(codec_options=_CODEC, write_concern=concern)
