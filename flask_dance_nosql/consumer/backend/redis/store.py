"""Tokens in Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from .... import clock
from ....errors import CorruptToken
from ..store.base import SCAN_BATCH, Record, log
from ..store.document import TokenDocument, TokenKey
from ..store.driver import require
from ..store.entries import is_of_entries, owner_of
from ..store.findings import Finding, is_answered
from ..store.listed import ListedStore
from ..store.shard import Shard
from .checks import server_checks
from .client import ClientSource, client_source, place_of
from .keys import RedisKeys
from .scripts import ACQUIRE, DELETE, RELEASE, SAVE, SHA

require("redis", feature="RedisBackend", package="redis", extra="redis")

import redis  # noqa: E402 - only now that it is known to be there

# The codes of a server that can't serve requests at the moment. In an error of a script, Redis 6
# has the code in the middle of the text.
_NOT_READY = re.compile(
    r"(?:^|: -)(READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|LOADING|TRYAGAIN|BUSY|MISCONF)\b"
)

# An option of redis-py: without it, a client that decodes by its own encoding garbles the rest.
_AS_BYTES: Any = {redis.client.NEVER_DECODE: True}

_encode_all = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode


class ServerNotReady(redis.exceptions.ResponseError):
    """The server can't do this at the moment; redis-py has no class for its answer."""


class RedisStore(ListedStore):
    """Keeps each token as one string of JSON in Redis.

    The keys of one user, whose parts are percent-encoded:

    - ``prefix:{u:user}:token:provider``, the token;
    - ``prefix:{u:user}:tokens``, a sorted set of the providers, for listing;
    - ``prefix:{u:user}:lock:provider``, while a lock is held.

    Where a user has several accounts, it is ``provider:account`` in place of ``provider``.

    The braces are a hash tag, which puts all keys of a user into one slot of a cluster.

    Args:
        client: A client of redis-py (``Redis``, ``RedisCluster``, or what a Sentinel's
            ``master_for`` gives), a URL, or a function or proxy that returns a client.
            ``decode_responses`` may be on or off.
        prefix: What every key begins with.

    Raises:
        ConfigurationError: If it is something else.
    """

    unavailable_errors = (
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
        redis.exceptions.ReadOnlyError,
        redis.exceptions.ClusterError,
        redis.exceptions.ClusterDownError,
        redis.exceptions.RedisClusterException,
        ServerNotReady,
    )
    driver_errors = (redis.exceptions.RedisError,)

    def __init__(self, client: ClientSource, prefix: str = "flask_dance") -> None:
        self._client = client_source(client)
        self._keys = RedisKeys(prefix)

    @property
    def place(self) -> str:
        """The server or servers as the client was told them, the database and the prefix."""
        return f"redis:{place_of(self._client.get())}:{self._keys.prefix}"

    def redis_key(self, key: TokenKey) -> str:
        """Return the Redis key under which a token lies."""
        return self._keys.token(key)

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by one ``GET``."""
        return self._load("load", key, "GET")

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load as :meth:`load` does, from the primary."""
        # A cluster's client that sends GET to replicas sends scripts to primaries all the same.
        return self._load("load_fresh", key, "EVAL", "return redis.call('GET', KEYS[1])", 1)

    def _load(self, operation: str, key: TokenKey, *command: Any) -> TokenDocument | None:
        try:
            text = self._call(*command, self._keys.token(key))
        except redis.exceptions.ResponseError as error:
            raise self._explained(operation, key, error) from error
        if text is None:
            return None
        document = self._decode(operation, key, text)
        return None if document.expires_at is not None and document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Store a document by one script, which keeps the user's index in step."""
        return self._save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save as :meth:`save` does, with the version of the document, or a higher one."""
        return self._save(document, if_version, document.version)

    def _save(
        self, document: TokenDocument, if_version: int | None, least: int = 0
    ) -> TokenDocument:
        key = document.key
        expected = "" if if_version is None else if_version
        end = document.expires_at
        ttl = "" if end is None else round((end - clock.now()).total_seconds() * 1000)
        first = least or clock.first_version()
        arguments = (_encode(document), expected, first, key.token_text, ttl, least)
        saved = self._run(SAVE, [self._keys.token(key), self._keys.index(key)], *arguments)
        if saved is None:
            raise self.conflict("save", key)
        version, created_at, is_indexed = saved
        if not is_indexed:
            index = self._keys.index(key)
            log.error("The Redis key %r should be a sorted set. Delete it, or rename it.", index)
        return msgspec.structs.replace(
            document,
            version=int(version),
            created_at=datetime.fromisoformat(created_at.decode()),
        )

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove the document under a key, and its entry in the user's index, by one script."""
        expected = "" if if_version is None else if_version
        keys = [self._keys.token(key), self._keys.index(key)]
        if not self._run(DELETE, keys, expected, key.token_text):
            raise self.conflict("delete", key)

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield what is stored: a user's by the index, all else by ``SCAN`` over each primary."""
        client: Any = self._client.get()
        every_name = self._token_names(client, provider, user_id)
        if shard is not None:
            every_name = filter(shard.has, every_name)
        while names := list(islice(every_name, SCAN_BATCH)):
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.execute_command("GET", name, **_AS_BYTES)
                texts = pipeline.execute(raise_on_error=False)
            for name, text in zip(names, texts, strict=True):
                if text is not None:
                    yield self._record(name, text)

    def _record(self, name: bytes, text: bytes | Exception) -> Record:
        """Return what a scan has found under a name, or the error if it is no document."""
        try:
            key = self._keys.key(name)
        except ValueError:
            error = self.corrupt("scan", TokenKey("?"), "its Redis key names nobody")
            error.key = None
            return error
        try:
            if isinstance(text, Exception):
                raise self._explained("scan", key, text)
            return self._decode("scan", key, text)
        except CorruptToken as error:
            return error

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's tokens: a provider's by the index, all by a ``SCAN``."""
        client: Any = self._client.get()
        names = self._token_names(client, provider, user_id)
        if provider is None:
            # It may lack some.
            pattern = self._keys.pattern(None, user_id).encode()
            names = client.scan_iter(match=pattern, count=SCAN_BATCH, **_AS_BYTES)
        found = set()
        for name in names:
            with suppress(ValueError):
                found.add(self._keys.key(name))
        # The user's id may be what an entry has as one.
        return [key for key in found if provider or not is_of_entries(key.provider)]

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:  # noqa: ARG002 - all are found
        """Remove all that names a user, by a ``SCAN`` over every primary for each kind of key."""
        client: Any = self._client.get()
        own = self._keys.pattern_of(user_id).encode()
        for name in client.scan_iter(match=own, count=SCAN_BATCH, **_AS_BYTES):
            # An entry may have the user's id as its own, and the index then, too.
            _, _, provider = name.rpartition(b"}:")[2].partition(b":")
            if not is_of_entries(provider.decode(errors="replace") or user_id):
                self._call("DEL", name)
        for pattern in self._keys.patterns_of_entries():
            for name in client.scan_iter(match=pattern.encode(), count=SCAN_BATCH, **_AS_BYTES):
                with suppress(CorruptToken, ValueError):
                    key = self._keys.key(name)
                    entry = self.load_fresh(key)
                    owner = None if entry is None else owner_of(entry)
                    if owner is not None and owner.user_id == user_id:
                        self.delete(key)
                        self._call("DEL", self._keys.lock(key))

    def _token_names(
        self, client: Any, provider: str | None, user_id: str | None
    ) -> Iterator[bytes]:
        if user_id is not None:
            try:
                members = self._call("ZRANGE", self._keys.index(TokenKey("any", user_id)), 0, -1)
            except redis.exceptions.ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                # Something else lies in the place of the index. The tokens are there all the same.
                members = None
            if members is not None:
                for member in members:
                    # What is no text, or was allowed once and is no longer, names nobody.
                    with suppress(ValueError):
                        key = self._keys.of_user(user_id, member.decode(errors="replace"))
                        if provider in (None, key.provider):
                            yield self._keys.token(key).encode()
                return
        pattern = self._keys.pattern(provider, user_id).encode()
        wanted = None if provider is None else TokenKey(provider).provider_text.encode()
        for name in client.scan_iter(match=pattern, count=SCAN_BATCH, **_AS_BYTES):
            if wanted in (None, name.rpartition(b"}:token:")[2].partition(b":")[0]):
                yield name

    def prepare(self) -> None:
        """Do nothing: Redis needs no preparation."""

    def require_accounts(self) -> None:
        """Do nothing: names of keys have the account."""

    def ping(self) -> None:
        """Check that the server answers."""
        self._client.get().ping()

    def checks(self) -> Iterator[Finding]:
        """Yield how the server is, or each primary of a cluster."""
        found = list(super().checks())
        yield from found
        if is_answered(found):
            yield from server_checks(self._client.get())

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by one script."""
        return bool(self._run(ACQUIRE, [self._keys.lock(key)], holder, round(seconds * 1000)))

    def release(self, key: TokenKey, holder: str) -> None:
        """Release the lock of a key, by one script."""
        self._run(RELEASE, [self._keys.lock(key)], holder)

    def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        try:
            try:
                return self._call("EVALSHA", SHA[script], len(keys), *keys, *arguments)
            except redis.exceptions.NoScriptError:
                return self._call("EVAL", script, len(keys), *keys, *arguments)
        except redis.exceptions.ResponseError as error:
            if (not_ready := _not_ready(error)) is not None:
                raise not_ready from error
            raise

    def _call(self, *command: Any) -> Any:
        """Send a command, whose texts are UTF-8 whatever the client's encoding is."""
        client: Any = self._client.get()
        parts = (part.encode() if isinstance(part, str) else part for part in command[1:])
        return client.execute_command(command[0], *parts, **_AS_BYTES)

    def _explained(self, operation: str, key: TokenKey, error: Exception) -> Exception:
        if "WRONGTYPE" in str(error):
            return self.corrupt(operation, key, "the Redis key is of another type")
        return _not_ready(error) or error

    def _decode(self, operation: str, key: TokenKey, text: bytes) -> TokenDocument:
        try:
            document = _decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        # Not is_of(): this is done at each reading.
        if (
            document.provider != key.provider
            or document.user_id != key.user_id
            or document.account != key.account
        ):
            raise self.corrupt(operation, key, "its fields name another owner")
        return document


def _encode(document: TokenDocument) -> bytes:
    """Return the JSON of a document, without its last two fields where they are ``None``."""
    text = _encode_all(document)
    if document.refresh_failure is not None:
        return text
    text = text.removesuffix(b',"refresh_failure":null}')
    return text.removesuffix(b',"account":null') + b"}"


def _not_ready(error: Exception) -> ServerNotReady | None:
    match = _NOT_READY.search(str(error))
    return None if match is None else ServerNotReady(match[1])
