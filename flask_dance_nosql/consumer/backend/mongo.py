"""Tokens in MongoDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import msgspec

from ... import clock
from ...errors import ConfigurationError, CorruptToken
from .document import TokenDocument, TokenKey, decode_token
from .driver import DriverSource, has_sync_methods, require
from .mongo_document import document_id, encode_token, replacement
from .scoped import BackendOptions, UserScopedBackend
from .store import SCAN_BATCH, TokenStore, translated

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
    "MongoBackend takes a synchronous PyMongo collection, such as client.mydb.tokens, a URL "
    "with a database, or a function or proxy that returns a collection."
)
COLLECTION = "flask_dance_tokens"

_LOCK = "!lock:"
_SWEEP_SECONDS = 60


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
        if isinstance(collection, str):
            check_url(collection)
        self._collection = DriverSource(collection, _is_collection, _WANTED, _prepared, open_url)
        self._indexes_wanted = create_indexes

    @translated
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by its ``_id``."""
        found = self._collection.get().find_one({"_id": document_id(key)})
        document = None if found is None else self._decode("load", key, found)
        return None if document is None or document.expired else document

    @translated
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
            document, version=stored["version"], created_at=stored["created_at"]
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

    @translated
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

    @translated
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

    @translated
    def prepare(self) -> None:
        """Make the indexes: for the removal of expired records, and for listing by user."""
        self._create_indexes()

    def _create_indexes(self) -> None:
        collection = self._collection.get()
        collection.create_index("expires_at", expireAfterSeconds=0)
        collection.create_index([("user_id", 1), ("provider", 1)])

    @translated
    def ping(self) -> None:
        """Ask the server for a sign of life."""
        self._collection.get().database.command("ping")

    @translated
    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the server's time, in one atomic operation."""
        ours = {"$eq": ["$holder", {"$literal": holder}]}
        over = {"$lte": [{"$ifNull": ["$until", 0]}, self._now]}
        may = {"$or": [ours, over]}
        until = {"$add": [self._now, int(seconds * 1000)]}
        taken = {
            "holder": {"$cond": [may, {"$literal": holder}, "$holder"]},
            "until": {"$cond": [may, until, "$until"]},
            # The server's sweep takes away what nobody released.
            "expires_at": {"$literal": clock.now() + timedelta(seconds=seconds + _SWEEP_SECONDS)},
        }
        try:
            lock = self._take_lock(key, taken)
        except pymongo.errors.DuplicateKeyError:
            lock = self._take_lock(key, taken)
        return lock is not None and bool(lock["holder"] == holder)

    def _take_lock(self, key: TokenKey, taken: dict[str, Any]) -> Any:
        collection, wanted = self._collection.get(), {"_id": f"{_LOCK}{document_id(key)}"}
        lock = collection.find_one_and_update(
            wanted, [{"$set": taken}], upsert=True, return_document=pymongo.ReturnDocument.AFTER
        )
        # As in a save: not every server shows the document when two race.
        return collection.find_one(wanted) if lock is None else lock

    @translated
    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        lock = {"_id": f"{_LOCK}{document_id(key)}", "holder": holder}
        self._collection.get().delete_one(lock)

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


class MongoBackend(UserScopedBackend):
    """Keeps tokens in a MongoDB collection, one document for each provider and user.

    Args:
        collection: As of :class:`MongoStore`.
        create_indexes: As there.
        **options: ``user``, ``user_id``, ``user_required``, ``anon_user``, ``scope`` and ``ttl``,
            as of :class:`UserScopedBackend`.
    """

    def __init__(
        self,
        collection: CollectionSource,
        *,
        create_indexes: bool = True,
        **options: Unpack[BackendOptions],
    ) -> None:
        super().__init__(MongoStore(collection, create_indexes=create_indexes), **options)


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
