"""Tokens in Redis."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from .document import TokenDocument, TokenKey
from .scoped import Scoping, UserScopedBackend
from .store import DriverSource, TokenStore, has_sync_methods, require, translated

if TYPE_CHECKING:
    import redis
else:
    redis = require("redis", feature="RedisBackend", package="redis", extra="redis")

ClientSource = Any
"""A Redis client, or a function or proxy that returns one."""

# Splices the version and the time of creation into the new document's text, so that Lua need not
# parse the token: its JSON would not survive that exactly.
_SAVE = """
local HEAD = '^{"version":(%d+),"created_at":"(%d+%-%d+%-%d+T[%d:.]+Z)",(.*)$'
local _, created_at, rest = string.match(ARGV[1], HEAD)
local version = 0
local old = redis.call('GET', KEYS[1])
if old then
  local old_version, old_created_at = string.match(old, HEAD)
  if old_version then
    version, created_at = tonumber(old_version), old_created_at
  end
end
local text = string.format('%.0f', version + 1)
redis.call('SET', KEYS[1], '{"version":' .. text .. ',"created_at":"' .. created_at .. '",' .. rest)
return {text, created_at}
"""

_WANTED = (
    "RedisBackend takes a synchronous redis-py client, such as redis.Redis(...), or a function or "
    "proxy that returns one."
)

_SAVE_SHA = sha1(_SAVE.encode(), usedforsecurity=False).hexdigest()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode


class RedisStore(TokenStore):
    """Keeps each token as one string of JSON in Redis.

    The key is ``prefix:{u:user}:provider``, each part percent-encoded. The braces are a hash tag:
    all keys of one user lie in one slot of a cluster.

    Args:
        client: A client of redis-py, or a function or proxy that returns one. ``decode_responses``
            may be on or off.
        prefix: What every key begins with.

    Raises:
        ConfigurationError: If it is something else.
    """

    unavailable_errors = (
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
        redis.exceptions.ReadOnlyError,
    )
    driver_errors = (redis.exceptions.RedisError,)

    def __init__(self, client: ClientSource, prefix: str = "flask_dance") -> None:
        self._client = DriverSource(client, _is_client, _WANTED, _as_it_is)
        self.prefix = prefix

    def redis_key(self, key: TokenKey) -> str:
        """Return the Redis key under which a token lies."""
        return f"{self.prefix}:{{{key.owner_text}}}:{key.provider_text}"

    @translated
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, by one ``GET``."""
        try:
            text = self._client.get().get(self.redis_key(key))
        except (redis.exceptions.ResponseError, UnicodeDecodeError) as error:
            raise self._explained("load", key, error) from error
        return None if text is None else self._decode(key, text)

    @translated
    def save(self, document: TokenDocument) -> TokenDocument:
        """Store a document by one ``EVALSHA``; by one more call where the server is new to it."""
        key = document.key
        try:
            saved = self._run_save(self.redis_key(key), _encode(document))
        except redis.exceptions.ResponseError as error:
            raise self._explained("save", key, error) from error
        version, created_at = (_text(part) for part in saved)
        return msgspec.structs.replace(
            document, version=int(version), created_at=datetime.fromisoformat(created_at)
        )

    @translated
    def delete(self, key: TokenKey) -> None:
        """Remove the document under a key, by one ``DEL``."""
        self._client.get().delete(self.redis_key(key))

    def _run_save(self, *arguments: Any) -> Any:
        client = self._client.get()
        try:
            return client.evalsha(_SAVE_SHA, 1, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(_SAVE, 1, *arguments)
        except redis.exceptions.ResponseError as error:
            if "READONLY" not in str(error):
                raise
            # A server that has just become a replica says so from within a script, too.
            raise redis.exceptions.ReadOnlyError from error

    def _explained(self, operation: str, key: TokenKey, error: Exception) -> Exception:
        if isinstance(error, UnicodeDecodeError):
            return self.corrupt(operation, key, "it is not text")
        if "WRONGTYPE" in str(error):
            return self.corrupt(operation, key, "the Redis key is of another type")
        return error

    def _decode(self, key: TokenKey, text: str | bytes) -> TokenDocument:
        try:
            document = _decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.corrupt("load", key, "it is not a token document") from error
        if (document.provider, document.user_id) != (key.provider, key.user_id):
            raise self.corrupt("load", key, "its fields name another owner")
        return document


class RedisBackend(UserScopedBackend):
    """Keeps tokens in Redis, one key for each provider and user.

    Args:
        client: As of :class:`RedisStore`.
        prefix: What every key begins with.
        **scoping: ``user``, ``user_id``, ``user_required``, ``anon_user`` and ``scope``, as of
            :class:`UserScopedBackend`.
    """

    def __init__(
        self, client: ClientSource, prefix: str = "flask_dance", **scoping: Unpack[Scoping]
    ) -> None:
        super().__init__(RedisStore(client, prefix), **scoping)


def _is_client(value: object) -> bool:
    # A pipeline has all of a client's methods, and answers none of them at once.
    is_pipeline = hasattr(type(value), "execute")
    return has_sync_methods(value, "get", "evalsha", "execute_command") and not is_pipeline


def _as_it_is(client: redis.Redis) -> redis.Redis:
    return client


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
