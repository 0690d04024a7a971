"""Redis clients from URLs, for a single server, a cluster, or behind Sentinels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from .driver import require

if TYPE_CHECKING:
    import redis
else:
    redis = require("redis", feature="RedisBackend", package="redis", extra="redis")


def open_url(url: str) -> redis.Redis | redis.RedisCluster:
    """Make a client from a URL.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as of :meth:`redis.Redis.from_url`,
            ``redis+cluster://`` or ``rediss+cluster://``, or
            ``redis+sentinel://host:port,host:port/service`` with the Sentinels' addresses.

    Raises:
        ConfigurationError: If it is none of these.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "unix"):
        return redis.Redis.from_url(url)
    if scheme in ("redis+cluster", "rediss+cluster"):
        cluster: redis.RedisCluster = redis.RedisCluster.from_url(
            f"{scheme.removesuffix('+cluster')}://{rest}"
        )
        return cluster
    match = re.fullmatch(r"(?:([^:@/]*):([^@/]*)@)?([^@/?]+)/([^/?]+)", rest)
    if scheme != "redis+sentinel" or match is None:
        raise ConfigurationError(
            "A Redis URL begins with redis://, rediss://, unix:// or redis+cluster://, or is "
            "redis+sentinel://host:port,host:port/service."
        )
    username, password, addresses, service = match.groups()
    sentinel: Any = redis.Sentinel([_address(part) for part in addresses.split(",")])  # type: ignore[no-untyped-call] # redis-py's own
    master: redis.Redis = sentinel.master_for(
        service, username=username or None, password=password or None
    )
    return master


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or 26379)
