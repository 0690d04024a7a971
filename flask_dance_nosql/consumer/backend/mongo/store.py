"""Tokens in MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from .... import clock
from ....errors import CorruptToken
from ..store.base import SCAN_BATCH, TokenStore
from ..store.document import TokenDocument, TokenKey
from ..store.driver import require
from ..store.values import decode_token
from .documents import document_id, encode_token, lock_id, replacement, taking
from .source import CollectionSource, collection_source

if TYPE_CHECKING:
    import bson.errors
    import pymongo
    import pymongo.errors
else:
    _NEEDED = {"feature": "MongoBackend", "package": "pymongo", "extra": "mongodb"}
    pymongo = require("pymongo", **_NEEDED)
    bson = require("bson", **_NEEDED)


class MongoStore(TokenStore):
    """Keeps each token as one document of a MongoDB collection.

    Its ``_id`` is made of the key, so that a look-up by it needs no further index and two documents
    for one key can't be. ``token`` is a subdocument that operators can read, or, for the rare token
    that BSON can't hold exactly, its JSON text. Locks are documents beside the tokens, whose time
    is the server's.

    Writes wait for a majority, and reads ask the primary, unless the collection says otherwise.

    Args:
        collection: A PyMongo collection, a function or proxy that returns one, such as
            ``lambda: mongo.db.tokens`` with Flask-PyMongo, or a URL with a database, whose
            collection is then ``flask_dance_tokens``.
        create_indexes: Whether the first write of this process calls :meth:`prepare`.

    Raises:
        ConfigurationError: If it is something else.
    """

    unavailable_errors = (
        pymongo.errors.ConnectionFailure,
        pymongo.errors.ExecutionTimeout,
        pymongo.errors.WTimeoutError,
    )
    driver_errors = (pymongo.errors.PyMongoError, bson.errors.BSONError)

    _now: ClassVar[Any] = {"$toLong": "$$NOW"}
    """The server's time in milliseconds, as an expression."""

    def __init__(self, collection: CollectionSource, *, create_indexes: bool = True) -> None:
        self._collection = collection_source(collection)
        self._indexes_wanted = create_indexes

    @property
    def place(self) -> str:
        """The names of the database and the collection."""
        return f"mongo:{self._collection.get().full_name}"

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by its ``_id``."""
        found = self._collection.get().find_one({"_id": document_id(key)})
        document = None if found is None else self._decode("load", key, found)
        return None if document is None or document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Insert or replace a document in one atomic operation."""
        if self._indexes_wanted:
            self._create_indexes()
            self._indexes_wanted = False
        try:
            stored = self._replace(document, if_version)
        except pymongo.errors.DuplicateKeyError:
            if if_version is not None:
                raise self.conflict("save", document.key) from None
            # Two first writes at once: one inserts, and the other, tried again, replaces.
            stored = self._replace(document, if_version)
        if stored is None and if_version is not None:
            raise self.conflict("save", document.key)
        if stored is None:
            # Another has removed it since: what it was is all there is to tell.
            return msgspec.structs.replace(document, version=clock.first_version())
        return msgspec.structs.replace(
            document, version=int(stored["version"]), created_at=stored["created_at"]
        )

    def _replace(self, document: TokenDocument, if_version: int | None) -> Any:
        key = {"_id": document_id(document.key)}
        if if_version is None:
            # An upsert always leaves a document, but not every server shows it when two race.
            return self._update(key, document, upsert=True) or self._update(key, document)
        if if_version:
            return self._update({**key, "version": if_version}, document)
        ended = {**key, "expires_at": {"$lte": clock.now()}}
        return self._update(ended, document, upsert=True) or self._ours(key, document)

    def _update(
        self, wanted: dict[str, Any], document: TokenDocument, *, upsert: bool = False
    ) -> Any:
        return self._collection.get().find_one_and_update(
            wanted,
            replacement(document),
            projection={"created_at": 1, "version": 1},
            upsert=upsert,
            return_document=pymongo.ReturnDocument.AFTER,
        )

    def _ours(self, key: dict[str, Any], document: TokenDocument) -> Any:
        written = {"updated_at": document.updated_at, "token": encode_token(document.token)}
        return self._collection.get().find_one({**key, **written})

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove the document under a key; if its version does not match, a look follows."""
        collection, wanted = self._collection.get(), {"_id": document_id(key)}
        if if_version is None:
            collection.delete_one(wanted)
            return
        if collection.delete_one({**wanted, "version": if_version}).deleted_count:
            return
        if collection.find_one(wanted, projection=["_id"]) is not None:
            raise self.conflict("delete", key)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield documents, by the index on user and provider where they narrow it."""
        fields = {"user_id": user_id, "provider": provider}
        wanted: dict[str, Any] = {
            name: value for name, value in fields.items() if value is not None
        }
        # Locks have none of these fields; where nothing narrows the scan, they are left out so.
        wanted = wanted or {"token": {"$exists": True}}
        for found in self._collection.get().find(wanted, batch_size=SCAN_BATCH):
            try:
                document = self._decode("scan", None, found)
            except CorruptToken:
                continue
            if not document.expired:
                yield document

    def prepare(self) -> None:
        """Make the indexes: for the removal of expired records, and for listing by user."""
        self._create_indexes()

    def _create_indexes(self) -> None:
        collection = self._collection.get()
        collection.create_index("expires_at", expireAfterSeconds=0)
        collection.create_index([("user_id", 1), ("provider", 1)])

    def ping(self) -> None:
        """Ask the server for a sign of life."""
        self._collection.get().database.command("ping")

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the server's time, in one atomic operation."""
        try:
            lock = self._take_lock(key, holder, seconds)
        except pymongo.errors.DuplicateKeyError:
            lock = self._take_lock(key, holder, seconds)
        return lock is not None and bool(lock["holder"] == holder)

    def _take_lock(self, key: TokenKey, holder: str, seconds: float) -> Any:
        collection, wanted = self._collection.get(), {"_id": lock_id(key)}
        lock = collection.find_one_and_update(
            wanted,
            taking(holder, seconds, self._now),
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        # As in a save: not every server shows the document when two race.
        return collection.find_one(wanted) if lock is None else lock

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        self._collection.get().delete_one({"_id": lock_id(key), "holder": holder})

    def _decode(self, operation: str, key: TokenKey | None, found: dict[str, Any]) -> TokenDocument:
        named = key or TokenKey(str(found.get("provider") or "?"), str(found.get("user_id") or "?"))
        try:
            found["token"] = decode_token(found.get("token"))
            document = msgspec.convert(found, TokenDocument)
            owner = document.key
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, named, "it is not a token document") from error
        if found["_id"] != document_id(owner):
            raise self.corrupt(operation, named, "its fields name another owner")
        return document
