"""Tokens in Redis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote

import msgspec

from .... import clock
from ....errors import CorruptToken
from ..store.base import SCAN_BATCH, TokenStore, log
from ..store.document import TokenDocument, TokenKey
from ..store.driver import require
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

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode


class ServerNotReady(redis.exceptions.ResponseError):
    """The server can't do this at the moment; redis-py has no class for its answer."""


class RedisStore(TokenStore):
    """Keeps each token as one string of JSON in Redis.

    The keys of one user, whose parts are percent-encoded:

    - ``prefix:{u:user}:token:provider``, the token;
    - ``prefix:{u:user}:tokens``, a sorted set of the providers, for listing;
    - ``prefix:{u:user}:lock:provider``, while a lock is held.

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
        return self._load(self._client.get().get, key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load as :meth:`load` does, from the primary."""
        # A cluster's client that sends GET to replicas sends scripts to primaries all the same.
        get = partial(self._client.get().eval, "return redis.call('GET', KEYS[1])", 1)
        return self._load(get, key)

    def _load(self, get: Callable[[str], Any], key: TokenKey) -> TokenDocument | None:
        try:
            text = get(self._keys.token(key))
        except (redis.exceptions.ResponseError, UnicodeDecodeError) as error:
            raise self._explained("load", key, error) from error
        if text is None:
            return None
        document = self._decode("load", key, text)
        return None if document.expires_at is not None and document.expired else document

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Store a document by one script, which keeps the user's index in step."""
        key = document.key
        expected = "" if if_version is None else if_version
        end = document.expires_at
        ttl = "" if end is None else round((end - clock.now()).total_seconds() * 1000)
        arguments = (_encode(document), expected, clock.first_version(), key.provider_text, ttl)
        try:
            saved = self._run(SAVE, [self._keys.token(key), self._keys.index(key)], *arguments)
        except redis.exceptions.ResponseError as error:
            raise self._explained("save", key, error) from error
        if saved is None:
            raise self.conflict("save", key)
        version, created_at = (_text(part) for part in saved)
        return msgspec.structs.replace(
            document, version=int(version), created_at=datetime.fromisoformat(created_at)
        )

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove the document under a key, and its entry in the user's index, by one script."""
        expected = "" if if_version is None else if_version
        keys = [self._keys.token(key), self._keys.index(key)]
        if not self._run(DELETE, keys, expected, key.provider_text):
            raise self.conflict("delete", key)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield documents: a user's by their index, others by ``SCAN`` over every primary."""
        client = self._client.get()
        every_name = self._token_keys(client, provider, user_id)
        while names := list(islice(every_name, SCAN_BATCH)):
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.get(name)
                texts = pipeline.execute(raise_on_error=False)
            for name, text in zip(names, texts, strict=True):
                if text is None:
                    continue
                try:
                    key = self._keys.key(name)
                    if isinstance(text, Exception):
                        raise self._explained("scan", key, text)
                    document = self._decode("scan", key, text)
                except ValueError:
                    # An empty name, or one with NUL.
                    log.error("A scan left a record out, since its Redis key names nobody.")
                    continue
                except CorruptToken:
                    continue
                if not document.expired:
                    yield document

    def _token_keys(
        self, client: redis.Redis, provider: str | None, user_id: str | None
    ) -> Iterator[str]:
        if user_id is None:
            pattern = self._keys.pattern(provider)
            yield from map(_text, client.scan_iter(match=pattern, count=SCAN_BATCH))
            return
        members: Any = client.zrange(self._keys.index(TokenKey("any", user_id)), 0, -1)
        for member in map(unquote, map(_text, members)):
            # Names with NUL, which were allowed once, name nobody.
            if provider in (None, member) and member and "\0" not in member:
                yield self._keys.token(TokenKey(member, user_id))

    def prepare(self) -> None:
        """Do nothing: Redis needs no preparation."""

    def ping(self) -> None:
        """Check that the server answers."""
        self._client.get().ping()

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by one script."""
        return bool(self._run(ACQUIRE, [self._keys.lock(key)], holder, round(seconds * 1000)))

    def release(self, key: TokenKey, holder: str) -> None:
        """Release the lock of a key, by one script."""
        self._run(RELEASE, [self._keys.lock(key)], holder)

    def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        client = self._client.get()
        try:
            try:
                return client.evalsha(SHA[script], len(keys), *keys, *arguments)
            except redis.exceptions.NoScriptError:
                return client.eval(script, len(keys), *keys, *arguments)
        except redis.exceptions.ResponseError as error:
            if (not_ready := _not_ready(error)) is not None:
                raise not_ready from error
            raise

    def _explained(self, operation: str, key: TokenKey, error: Exception) -> Exception:
        if isinstance(error, UnicodeDecodeError):
            return self.corrupt(operation, key, "it is not text")
        if "WRONGTYPE" in str(error):
            return self.corrupt(operation, key, "the Redis key is of another type")
        return _not_ready(error) or error

    def _decode(self, operation: str, key: TokenKey, text: str | bytes) -> TokenDocument:
        try:
            document = _decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        if document.provider != key.provider or document.user_id != key.user_id:
            raise self.corrupt(operation, key, "its fields name another owner")
        return document


def _not_ready(error: Exception) -> ServerNotReady | None:
    match = _NOT_READY.search(str(error))
    return None if match is None else ServerNotReady(match[1])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
