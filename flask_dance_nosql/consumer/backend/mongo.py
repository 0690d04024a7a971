"""Tokens in MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from .document import TokenDocument, TokenKey
from .mongo_document import decode_token, document_id, replacement
from .scoped import Scoping, UserScopedBackend
from .store import DriverSource, TokenStore, has_sync_methods, require, translated

if TYPE_CHECKING:
    import bson.codec_options
    import bson.errors
    import pymongo
    import pymongo.errors
    from pymongo.collection import Collection
else:
    _NEEDED = {"feature": "MongoBackend", "package": "pymongo", "extra": "mongodb"}
    pymongo = require("pymongo", **_NEEDED)
    bson = require("bson", **_NEEDED)

CollectionSource = Any
"""A collection, or a function or proxy that returns one."""

_CODEC: bson.codec_options.CodecOptions[dict[str, Any]] = bson.codec_options.CodecOptions(
    tz_aware=True
)
_WANTED = (
    "MongoBackend takes a synchronous PyMongo collection, such as client.mydb.tokens, or a "
    "function or proxy that returns one."
)


class MongoStore(TokenStore):
    """Keeps each token as one document of a MongoDB collection.

    Its ``_id`` is made of the key, so that a look-up by it needs no further index and two documents
    for one key can't be. ``token`` is a subdocument that operators can read, or, for the rare token
    that BSON can't hold exactly, its JSON text.

    Writes wait for a majority, and reads ask the primary, unless the collection says otherwise.

    Args:
        collection: A PyMongo collection, or a function or proxy that returns one, such as
            ``lambda: mongo.db.tokens`` with Flask-PyMongo.

    Raises:
        ConfigurationError: If it is something else.
    """

    unavailable_errors = (
        pymongo.errors.ConnectionFailure,
        pymongo.errors.ExecutionTimeout,
        pymongo.errors.WTimeoutError,
    )
    driver_errors = (pymongo.errors.PyMongoError, bson.errors.BSONError)

    def __init__(self, collection: CollectionSource) -> None:
        self._collection = DriverSource(collection, _is_collection, _WANTED, _prepared)

    @translated
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by its ``_id``."""
        found = self._collection.get().find_one({"_id": document_id(key)})
        return None if found is None else self._decode("load", key, found)

    @translated
    def save(self, document: TokenDocument) -> TokenDocument:
        """Insert or replace a document in one atomic operation."""
        try:
            stored = self._upsert(document)
        except pymongo.errors.DuplicateKeyError:
            # Two first writes at once: one inserts, and the other, tried again, replaces.
            stored = self._upsert(document)
        return msgspec.structs.replace(
            document, version=stored["version"], created_at=stored["created_at"]
        )

    def _upsert(self, document: TokenDocument) -> Any:
        collection, wanted = self._collection.get(), {"_id": document_id(document.key)}
        fields = {"created_at": 1, "version": 1}
        stored = collection.find_one_and_update(
            wanted,
            replacement(document),
            projection=fields,
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        if stored is None:
            # An upsert always leaves a document, but not every server shows it when two race; and
            # before it is looked for, another may have removed it.
            stored = collection.find_one(wanted, fields)
        return stored or {"version": 1, "created_at": document.created_at}

    @translated
    def delete(self, key: TokenKey) -> None:
        """Remove the document under a key."""
        self._collection.get().delete_one({"_id": document_id(key)})

    def _decode(self, operation: str, key: TokenKey, found: dict[str, Any]) -> TokenDocument:
        try:
            found["token"] = decode_token(found.get("token"))
            document = msgspec.convert(found, TokenDocument)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        if (document.provider, document.user_id) != (key.provider, key.user_id):
            raise self.corrupt(operation, key, "its fields name another owner")
        return document


class MongoBackend(UserScopedBackend):
    """Keeps tokens in a MongoDB collection, one document for each provider and user.

    Args:
        collection: As of :class:`MongoStore`.
        **scoping: ``user``, ``user_id``, ``user_required``, ``anon_user`` and ``scope``, as of
            :class:`UserScopedBackend`.
    """

    def __init__(self, collection: CollectionSource, **scoping: Unpack[Scoping]) -> None:
        super().__init__(MongoStore(collection), **scoping)


def _is_collection(value: object) -> bool:
    return has_sync_methods(value, "find_one_and_update", "with_options")


def _prepared(collection: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    concern = collection.write_concern
    if concern.is_server_default:
        concern = pymongo.WriteConcern("majority")
    return collection.with_options(codec_options=_CODEC, write_concern=concern)
