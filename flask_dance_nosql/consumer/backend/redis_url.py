"""Redis clients from URLs, for a single server, a cluster, or behind Sentinels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .driver import require

if TYPE_CHECKING:
    import redis
else:
    redis = require("redis", feature="RedisBackend", package="redis", extra="redis")


SECONDS = 2.0
"""How long a client that was made from a URL waits for a connection, and for an answer."""

_SENTINEL = re.compile(r"redis\+sentinel://(?:([^@/]*)@)?([^@/?]+)/([^/?]+)(\?.*)?")
_PLAIN = ("redis://", "rediss://", "unix://")
_CLUSTER = ("redis+cluster://", "rediss+cluster://")


def is_redis_url(url: str) -> bool:
    """Whether a text is a URL that :func:`open_url` knows how to open."""
    return url.startswith(_PLAIN + _CLUSTER) or _SENTINEL.fullmatch(url) is not None


def open_url(url: str) -> redis.Redis | redis.RedisCluster:
    """Make a client from a URL.

    The client waits 2 seconds for a connection and as long for an answer, and tries each command
    twice, since a connection from the pool may have died with the last master. So a server that
    refuses connections is told at once, and one that is silent within about 10 seconds. The URL may
    say otherwise: ``?socket_timeout=5&socket_connect_timeout=1``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as of :meth:`redis.Redis.from_url`,
            ``redis+cluster://`` or ``rediss+cluster://``, or
            ``redis+sentinel://host:port,host:port/service`` with the Sentinels' addresses. User,
            password and query of the latter are for the master that the Sentinels name.
    """
    match = _SENTINEL.fullmatch(url)
    if match is not None:
        return _master(*match.groups(default=""))
    if url.startswith(_CLUSTER):
        cluster: redis.RedisCluster = redis.RedisCluster.from_url(
            url.replace("+cluster", "", 1), **_patience()
        )
        return cluster
    return redis.Redis.from_url(url, **_patience(), **_again())


def _patience() -> dict[str, Any]:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 1)
    return {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS, "retry": retry}


def _again() -> dict[str, Any]:
    # Old versions retry no command unless told for which errors; a cluster's client always does.
    return {"retry_on_error": [redis.exceptions.ConnectionError, redis.exceptions.TimeoutError]}


def _master(login: str, addresses: str, service: str, query: str) -> redis.Redis:
    known = [_address(part) for part in addresses.split(",")]
    options: Any = redis.connection.parse_url(  # type: ignore[no-untyped-call] # redis-py's own
        f"redis://{login}@{query}"
    )
    times = {name: value for name, value in options.items() if name.startswith("socket_")}
    # Without arguments of their own, Sentinels are asked by redis-py's defaults: no time limit in
    # old versions, and many attempts in new ones.
    sentinel: Any = redis.Sentinel(  # type: ignore[no-untyped-call] # redis-py's own
        known, sentinel_kwargs=_patience() | times
    )
    master: redis.Redis = sentinel.master_for(service, **_patience() | _again() | options)
    return master


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or 26379)
