"""Redis clients: given, or from URLs, for a single server, a cluster, or behind Sentinels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ....errors import ConfigurationError
from ..store.driver import DriverSource, has_sync_methods, require

if TYPE_CHECKING:
    import redis
else:
    redis = require("redis", feature="RedisBackend", package="redis", extra="redis")


ClientSource = Any
"""A Redis client, a URL, or a function or proxy that returns a client."""

_WANTED = (
    "takes a synchronous redis-py client, such as redis.Redis(...), a URL, or a function or proxy "
    "that returns a client."
)

SECONDS = 2.0
"""How long a client that was made from a URL waits for a connection, and for an answer."""

_SENTINEL = re.compile(r"redis\+sentinel://(?:([^@/]*)@)?([^@/?]+)/([^/?]+)(\?.*)?")
_CLUSTER = re.compile(r"(rediss?)\+cluster://(?:([^@/]*)@)?([^@/?]+)([/?].*)?")
_PLAIN = ("redis://", "rediss://", "unix://")


def client_source(client: ClientSource, taker: str = "RedisBackend") -> DriverSource[redis.Redis]:
    """Return what gives the client whenever it is needed.

    Args:
        client: The client, URL, function or proxy.
        taker: The name of the class that takes it, for the message of the error.

    Raises:
        ConfigurationError: If it is no such thing.
    """
    wanted = f"{taker} {_WANTED}"
    if isinstance(client, str) and not is_redis_url(client):
        raise ConfigurationError(f"{wanted} This is no URL like redis://host:port/0.")
    return DriverSource(client, _is_client, wanted, _as_it_is, open_url)


def _is_client(value: object) -> bool:
    # A pipeline has all of a client's methods, and answers none of them at once.
    return has_sync_methods(value, "get", "evalsha", "execute_command") and not hasattr(
        type(value), "execute"
    )


def _as_it_is(client: redis.Redis) -> redis.Redis:
    return client


def is_redis_url(url: str) -> bool:
    """Whether a text is a URL that :func:`open_url` knows how to open."""
    return url.startswith(_PLAIN) or any(form.fullmatch(url) for form in (_SENTINEL, _CLUSTER))


def open_url(url: str) -> redis.Redis | redis.RedisCluster:
    """Make a client from a URL.

    The client waits 2 seconds for a connection and as long for an answer, and tries each command
    twice, since a connection from the pool may have died with the last master. So a server that
    refuses connections is told at once, and one that is silent after some 4 seconds, with 2 more
    for each Sentinel that is silent, too. The URL may say otherwise, for example
    ``?socket_timeout=5&socket_connect_timeout=1``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as of :meth:`redis.Redis.from_url`,
            ``redis+cluster://host:port,host:port`` or ``rediss+cluster://`` with some of the nodes,
            or ``redis+sentinel://host:port,host:port/service`` with the Sentinels. User, password
            and query of the latter are for the master that the Sentinels name.
    """
    if (match := _SENTINEL.fullmatch(url)) is not None:
        return _master(*match.groups(default=""))
    if (match := _CLUSTER.fullmatch(url)) is not None:
        return _cluster(*match.groups(default=""))
    return redis.Redis.from_url(url, **_patience(), **_again())


def _patience(retries: int = 1) -> dict[str, Any]:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), retries)
    return {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS, "retry": retry}


def _again() -> dict[str, Any]:
    # Old versions retry no command unless told for which errors; a cluster's client always does.
    return {"retry_on_error": [redis.exceptions.ConnectionError, redis.exceptions.TimeoutError]}


def _cluster(scheme: str, login: str, addresses: str, rest: str) -> redis.RedisCluster:
    first, *others = addresses.split(",")
    try:
        cluster: redis.RedisCluster = redis.RedisCluster.from_url(
            f"{scheme}://{login}@{first}{rest}", **_patience()
        )
    except redis.exceptions.RedisClusterException:
        if not others:
            raise
        return _cluster(scheme, login, ",".join(others), rest)
    return cluster


def _master(login: str, addresses: str, service: str, query: str) -> redis.Redis:
    known = [_address(part) for part in addresses.split(",")]
    options: Any = redis.connection.parse_url(  # type: ignore[no-untyped-call] # redis-py's own
        f"redis://{login}@{query}"
    )
    times = {name: value for name, value in options.items() if name.startswith("socket_")}
    # By redis-py's defaults a Sentinel would have no time limit in old versions, and many attempts
    # in new ones. When one does not answer, the next is asked.
    sentinel: Any = redis.Sentinel(  # type: ignore[no-untyped-call] # redis-py's own
        known, sentinel_kwargs=_patience(retries=0) | times
    )
    master: redis.Redis = sentinel.master_for(service, **_patience() | _again() | options)
    return master


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or 26379)
