"""Redis clients from URLs, for a single server, a cluster, or behind Sentinels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .driver import require

if TYPE_CHECKING:
    import redis
    import redis.backoff
    import redis.retry
else:
    redis = require("redis", feature="RedisBackend", package="redis", extra="redis")


_SENTINEL = re.compile(r"redis\+sentinel://(?:([^:@/]*):([^@/]*)@)?([^@/?]+)/([^/?]+)")
_PLAIN = ("redis://", "rediss://", "unix://")
_CLUSTER = ("redis+cluster://", "rediss+cluster://")

_TIMEOUTS = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}
"""Seconds. redis-py's own default is to wait for ever, in some of the versions we run with."""


def is_redis_url(url: str) -> bool:
    """Whether a text is a URL that :func:`open_url` knows how to open."""
    return url.startswith(_PLAIN + _CLUSTER) or _SENTINEL.fullmatch(url) is not None


def open_url(url: str) -> redis.Redis | redis.RedisCluster:
    """Make a client from a URL.

    It waits 2 seconds for a connection and 5 for an answer, unless the URL has options that say
    otherwise, such as ``?socket_timeout=1``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as of :meth:`redis.Redis.from_url`,
            ``redis+cluster://`` or ``rediss+cluster://``, or
            ``redis+sentinel://host:port,host:port/service`` with the Sentinels' addresses.
    """
    match = _SENTINEL.fullmatch(url)
    if match is not None:
        return _master(*match.groups())
    if url.startswith(_CLUSTER):
        one_of_them = url.replace("+cluster", "", 1)
        cluster: redis.RedisCluster = redis.RedisCluster.from_url(one_of_them, **_TIMEOUTS)
        return cluster
    return redis.Redis.from_url(url, **_TIMEOUTS)


def _master(
    username: str | None, password: str | None, addresses: str, service: str
) -> redis.Redis:
    known = [_address(part) for part in addresses.split(",")]
    # The next Sentinel is a better second try than the same one.
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    sentinel: Any = redis.Sentinel(  # type: ignore[no-untyped-call] # redis-py's own
        known, sentinel_kwargs={**_TIMEOUTS, "retry": once}
    )
    master: redis.Redis = sentinel.master_for(
        service, username=username or None, password=password or None, **_TIMEOUTS
    )
    return master


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or 26379)
