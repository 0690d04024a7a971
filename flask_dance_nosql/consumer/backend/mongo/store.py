"""Tokens in MongoDB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import bson.errors
import msgspec
import pymongo
import pymongo.errors
from pymongo.collection import Collection

from .... import clock
from ....errors import BackendError, ConfigurationError, CorruptToken
from ..store.base import SCAN_BATCH, Record, log
from ..store.document import TokenDocument, TokenKey
from ..store.entries import KINDS
from ..store.findings import Finding, is_answered, lock_probed, pinged, probed
from ..store.listed import ListedStore
from ..store.shard import Shard
from ..store.values import decode_token
from .checks import server_checks
from .documents import encode_token, replacement, taking
from .source import Collections, CollectionSource, collection_source

# IndexOptionsConflict and IndexKeySpecsConflict: there is such an index, with other options.
_OTHER_OPTIONS = (85, 86)
_ENTRIES = f"({'|'.join(map(re.escape, KINDS))})"


class MongoStore(ListedStore):
    """Keeps each token as one document of a MongoDB collection.

    The ``_id`` is made of the key, so that no key can have two documents, and look-ups need no
    other index. ``token`` is a subdocument that operators can read or, for the rare token that BSON
    can't hold exactly, its JSON text. Locks are documents in the same collection, which end by the
    server's time.

    Writes wait for a majority, and :meth:`load` and :meth:`scan` ask the primary, unless the
    collection says otherwise. All other reads ask the primary in any case.

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

    # The server's time in milliseconds, as an expression.
    _now: ClassVar[Any] = {"$toLong": "$$NOW"}

    def __init__(self, collection: CollectionSource, *, create_indexes: bool = True) -> None:
        self._collections = collection_source(collection)
        self._indexes_wanted = create_indexes
        # A function may return each tenant's own collection.
        self._indexed: set[str] = set()

    @property
    def _at(self) -> Collections:
        """The collection, as operations need it."""
        return self._collections.ready or self._collections.get()

    @property
    def place(self) -> str:
        """The servers as the client was told them, the database and the collection."""
        return self._at.place

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by its ``_id``."""
        return self._load(self._at.wanted, key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load as :meth:`load` does, from the primary."""
        return self._load(self._at.primary, key)

    def _load(self, collection: Collection[dict[str, Any]], key: TokenKey) -> TokenDocument | None:
        found = collection.find_one({"_id": key.text})
        if found is None:
            return None
        document = self._decode("load", key, found)
        return None if document.expires_at is not None and document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Insert or replace a document in one atomic operation."""
        return self._save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save as :meth:`save` does, with the version of the document, or a higher one."""
        return self._save(document, if_version, document.version)

    def _save(
        self, document: TokenDocument, if_version: int | None, least: int = 0
    ) -> TokenDocument:
        if self._indexes_wanted and (place := self.place) not in self._indexed:
            self._create_indexes(or_warn=True)
            self._indexed.add(place)
        try:
            stored = self._replace(document, if_version, least)
        except pymongo.errors.DuplicateKeyError:
            if if_version is not None:
                raise self.conflict("save", document.key) from None
            # Of two first writes at the same time one inserts; the other, tried again, replaces.
            stored = self._replace(document, if_version, least)
        if stored is not None:
            return msgspec.structs.replace(
                document, version=int(stored["version"]), created_at=stored["created_at"]
            )
        if if_version is not None:
            raise self.conflict("save", document.key)
        # The document was deleted in the meantime. Return it with a new version.
        return msgspec.structs.replace(document, version=least or clock.first_version())

    def _replace(self, document: TokenDocument, if_version: int | None, least: int) -> Any:
        """Write a document if the version is right. Returns what is stored, or ``None``."""
        primary, key = self._at.primary, {"_id": document.key.text}
        update = partial(
            primary.find_one_and_update,
            update=replacement(document, least),
            projection={"created_at": 1, "version": 1},
            return_document=pymongo.ReturnDocument.AFTER,
        )
        if if_version is None:
            # With SecantusDB, the server of the tests, an upsert that races with another one may
            # return nothing. It has stored a document all the same.
            return update(key, upsert=True) or update(key)
        if if_version:
            return update({**key, "version": if_version})
        stored = update({**key, "expires_at": {"$lte": clock.now()}}, upsert=True)
        if stored is None:
            # SecantusDB, as above: was it this document that was inserted?
            written = {"updated_at": document.updated_at, "token": encode_token(document.token)}
            stored = primary.find_one({**key, **written})
        return stored

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove the document under a key; if its version does not match, a look-up follows."""
        primary, wanted = self._at.primary, {"_id": key.text}
        if if_version is None:
            primary.delete_one(wanted)
            return
        deleted = primary.delete_one({**wanted, "version": if_version}).deleted_count
        if not deleted and primary.find_one(wanted, projection=["_id"]) is not None:
            raise self.conflict("delete", key)

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield what is stored, in batches of 500 in the order of ``_id``; a part by each ``_id``.

        A caller may take longer for a batch than the ten minutes after which servers end a cursor.
        """
        fields = {"user_id": user_id, "provider": provider}
        wanted: dict[str, Any] = {name: it for name, it in fields.items() if it is not None}
        # Locks have neither a user, nor a provider, nor a token.
        wanted = wanted or {"token": {"$exists": True}}
        collection = self._at.wanted
        if shard is None:
            for found in _in_order(collection, wanted):
                yield self._record(found)
            return
        every_id = _in_order(collection, wanted, ["_id"])
        ids = (each["_id"] for each in every_id if shard.has(str(each["_id"])))
        while chunk := list(islice(ids, SCAN_BATCH)):
            part = collection.find({"_id": {"$in": chunk}}, batch_size=SCAN_BATCH + 1)
            for found in list(part):
                yield self._record(found)

    def _record(self, found: dict[str, Any]) -> Record:
        """Return what a scan has found, or the error if it is no document of its ``_id``."""
        try:
            key = TokenKey(found["provider"], found["user_id"], found.get("account"))
        except (KeyError, TypeError, ValueError):
            # Its fields name nobody.
            key = TokenKey("?")
        try:
            document = self._decode("scan", key, found)
            if found["_id"] != key.text:
                raise self.corrupt("scan", key, "its fields name another owner")
        except CorruptToken as error:
            error.key = None
            with suppress(AttributeError, TypeError, ValueError):
                error.key = TokenKey.of_text(found["_id"])
            return error
        return document

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's documents, by their ``_id``."""
        wanted, found = {"_id": {"$regex": f"^{_of_user(user_id, provider)}"}}, []
        for each in self._at.primary.find(wanted, projection=["_id"]):
            with suppress(ValueError):
                found.append(TokenKey.of_text(each["_id"]))
        return found

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:  # noqa: ARG002 - all are found
        """Remove all that names a user, by reading every ``_id``."""
        primary = self._at.primary
        entries = {"provider": {"$regex": f"^{_ENTRIES}"}, "token.user_id": user_id}
        names = [each["_id"] for each in primary.find(entries, projection=["_id"])]
        names += [f"!lock:{name}" for name in names]
        own = {"_id": {"$regex": f"^(!lock:)?{_of_user(user_id)}"}}
        odd = {"user_id": user_id, "provider": {"$not": {"$regex": f"^{_ENTRIES}"}}}
        primary.delete_many({"$or": [own, odd, {"_id": {"$in": names}}]})

    def prepare(self) -> None:
        """Make the indexes: for the removal of expired records, and for listing by user.

        One that the operator has made with other options is left as it is, with a warning.
        """
        self._create_indexes()

    def _create_indexes(self, *, or_warn: bool = False) -> None:
        """Make the indexes; ``or_warn`` tells of any refusal in the log, and raises no error."""
        self._require_exact_ids()
        indexes: list[tuple[Any, dict[str, Any]]] = [
            ("expires_at", {"expireAfterSeconds": 0}),
            ([("user_id", 1), ("provider", 1)], {}),
        ]
        for keys, options in indexes:
            try:
                self._at.primary.create_index(keys, **options)
            except pymongo.errors.OperationFailure as error:
                if self.is_unavailable(error) or not (or_warn or error.code in _OTHER_OPTIONS):
                    raise
                log.warning(
                    "The index on %s of %s can't be made (%s). Tokens are stored all the same. "
                    "See 'Indexes' in the documentation of MongoDB deployments.",
                    *(keys, self._at.primary.full_name, _reason(error)),
                )

    def _require_exact_ids(self) -> None:
        """Raise a ``ConfigurationError`` if two users' ids may be the same for the server."""
        collection: Any = self._at.primary
        if not isinstance(collection, Collection):
            # An imitation, which has no options.
            return
        try:
            collation = collection.options().get("collation") or {}
        except pymongo.errors.OperationFailure as error:
            if self.is_unavailable(error):
                raise
            # Who may not list collections can't be told.
            return
        if collation.get("locale", "simple") != "simple":
            raise ConfigurationError(
                f"The collection {collection.full_name} has a default collation, by which the ids "
                "of two users may be the same, so that they would share a document. Keep tokens in "
                "a collection without one."
            )

    def require_accounts(self) -> None:
        """Do nothing: the ``_id`` has the account."""

    def ping(self) -> None:
        """Check that the server answers."""
        self._at.primary.database.command("ping")

    def checks(self) -> Iterator[Finding]:
        """Yield how the server, the collection's options and its indexes are."""
        found = pinged(self.ping)
        yield found
        if is_answered([found]):
            at = self._at
            yield from server_checks(at)
            # The first write of this one would make the indexes.
            plain = MongoStore(at.wanted, create_indexes=False)
            yield probed(plain.save, plain.load_fresh, plain.delete)
            yield lock_probed(plain.acquire, plain.release)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the server's time, in one atomic operation."""
        primary, wanted = self._at.primary, {"_id": f"!lock:{key.text}"}
        take = partial(
            primary.find_one_and_update,
            wanted,
            taking(key.text, holder, seconds, self._now),
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        try:
            lock = take()
        except pymongo.errors.DuplicateKeyError:
            # Somebody else was first to insert it.
            lock = take()
        # SecantusDB, as in _replace().
        lock = lock or primary.find_one(wanted)
        if lock is not None and "holder" not in lock:
            # mongomock, for one: a set-up for tests, in which nobody needs the lock.
            reason = "this server does not evaluate expressions in updates, which locks need."
            raise BackendError("acquire", type(self).__name__, reason)
        return lock is not None and bool(lock["holder"] == holder)

    def release(self, key: TokenKey, holder: str) -> None:
        """Release the lock of a key."""
        self._at.primary.delete_one({"_id": f"!lock:{key.text}", "holder": holder})

    def _decode(self, operation: str, key: TokenKey, found: dict[str, Any]) -> TokenDocument:
        try:
            found["token"] = decode_token(found.get("token"))
            document = msgspec.convert(found, TokenDocument)
            (document.provider_user_id or "").encode()
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        # Not is_of(): this is done at each reading.
        if (
            document.provider != key.provider
            or document.user_id != key.user_id
            or document.account != key.account
        ):
            raise self.corrupt(operation, key, "its fields name another owner")
        return document


def _in_order(
    collection: Collection[dict[str, Any]],
    wanted: dict[str, Any],
    projection: list[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield what is found in the order of ``_id``, going on by it if the cursor has ended."""
    after: dict[str, Any] = {"$gte": ""}
    while True:
        found = collection.find({**wanted, "_id": after}, projection, batch_size=SCAN_BATCH)
        try:
            for each in found.sort("_id", 1):
                # What the caller does with the one before may take long.
                after = {"$gt": each["_id"]}
                yield each
            break
        except pymongo.errors.CursorNotFound:
            continue
    # A comparison finds nothing of another type: what somebody else has put there.
    yield from list(collection.find({**wanted, "_id": {"$not": {"$gte": ""}}}, projection))


def _of_user(user_id: str, provider: str | None = None) -> str:
    """Return the pattern of an ``_id`` of a user, whose id may be what an entry has as one."""
    start = f"(?!{_ENTRIES})[^:!]+"
    if provider is not None:
        start = re.escape(TokenKey(provider).provider_text)
    return f"{start}:{re.escape(TokenKey('any', user_id).owner_text)}(:a:|$)"


def _reason(error: pymongo.errors.OperationFailure) -> str:
    details: Any = error.details or {}
    return str(details.get("codeName") or type(error).__name__)
