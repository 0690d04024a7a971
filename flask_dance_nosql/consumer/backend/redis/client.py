"""Redis clients: given, or from URLs, for a single server, a cluster, or behind Sentinels."""

from __future__ import annotations

from collections.abc import Iterable
from operator import methodcaller
from typing import Any
from urllib.parse import quote

from ....errors import ConfigurationError
from ..store.driver import DriverSource, Remembered, has_sync_methods, random_name, require
from .url import RedisUrl, parse

require("redis", feature="RedisBackend", package="redis", extra="redis")

import redis  # noqa: E402 - only now that it is known to be there

# A Redis client, a URL, or a function or proxy that returns a client.
ClientSource = Any

_WANTED = (
    "takes a synchronous redis-py client, such as redis.Redis(...), a URL, or a function or proxy "
    "that returns a client."
)

# How long a client that was made from a URL waits for a connection, and for an answer.
SECONDS = 2.0


def client_source(client: ClientSource, taker: str = "RedisBackend") -> DriverSource[redis.Redis]:
    """Return what gives the client whenever it is needed, to a class of this name."""
    wanted = f"{taker} {_WANTED}"
    if isinstance(client, str) and parse(client) is None:
        raise ConfigurationError(f"{wanted} This is no URL like redis://host:port/0.")
    return DriverSource(
        client,
        _is_client,
        wanted,
        lambda client: client,
        open_url,
        methodcaller("close"),
        wraps="execute_command",
    )


def _is_client(value: Any) -> bool:
    # A pipeline has all of a client's methods, and answers none of them at once.
    kind: Any = type(value)
    return has_sync_methods(kind, "get", "evalsha", "execute_command") and not hasattr(
        kind, "execute"
    )


@Remembered
def place_of(client: Any) -> str:
    """Return the server and database of a client, by the addresses that it was configured with."""
    if hasattr(client, "nodes_manager"):
        # Old versions of redis-py keep no more than the nodes that they found at first.
        found = client.nodes_manager.startup_nodes.values()
        nodes = getattr(client, "startup_nodes", found)
        return _joined((node.host, node.port) for node in nodes)
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return random_name(client)
    options = pool.connection_kwargs
    if isinstance(pool, redis.sentinel.SentinelConnectionPool):
        sentinels = pool.sentinel_manager.sentinels
        each_kwargs = (each.connection_pool.connection_kwargs for each in sentinels)
        known = _joined((kwargs["host"], kwargs["port"]) for kwargs in each_kwargs)
        server = f"{quote(pool.service_name, safe='')}@{known}"
    elif "server" in options:
        # A FakeServer of FakeRedis, which any number of clients may have.
        server = random_name(options["server"])
    elif "path" in options:
        server = quote(options["path"])
    else:
        server = _joined([(options.get("host", "localhost"), options.get("port", 6379))])
    return f"{server}/{options.get('db') or 0}"


def _joined(addresses: Iterable[tuple[str, int]]) -> str:
    return ",".join(sorted(f"{host}:{port}" for host, port in addresses))


def open_url(url: str) -> redis.Redis | redis.RedisCluster:
    """Make a client from a URL of :meth:`redis.Redis.from_url`, of a cluster or of Sentinels.

    The client waits 2 seconds for a connection and as long for an answer, and tries each command
    twice, since a connection from the pool may have died with the last master. The URL may say
    otherwise, for example ``?socket_timeout=5&socket_connect_timeout=1``. Clusters are
    ``redis+cluster://host:port,host:port`` or ``rediss+cluster://`` with some of the nodes, and
    Sentinels ``redis+sentinel://host:port,host:port/service``, where user, password and query are
    for the master that they name.
    """
    found = parse(url)
    if found is None:
        raise ConfigurationError("This is no URL like redis://host:port/0.")
    if found.kind == "cluster":
        return _cluster(url, found)
    if found.kind == "sentinel":
        return _master(found)
    return redis.Redis.from_url(url, **_patience(), **_again())


def _patience(retries: int = 1) -> dict[str, Any]:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), retries)
    return {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS, "retry": retry}


def _again() -> dict[str, Any]:
    # Old versions retry no command unless told for which errors; a cluster's client always does.
    return {"retry_on_error": [redis.exceptions.ConnectionError, redis.exceptions.TimeoutError]}


def _cluster(url: str, found: RedisUrl) -> redis.RedisCluster:
    (host, port), *others = found.addresses
    make: Any = redis.cluster.ClusterNode
    nodes = [make(*other) for other in others]
    scheme = url.partition("+")[0]
    one = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    cluster: redis.RedisCluster = redis.RedisCluster.from_url(
        one, startup_nodes=nodes, **(_patience() | found.options), **found.cluster_options
    )
    # For place_of(), with old versions of redis-py. The first node has been added to the list.
    cluster.startup_nodes = nodes
    return cluster


def _master(found: RedisUrl) -> redis.Redis:
    times = {name: value for name, value in found.options.items() if name.startswith("socket_")}
    # By redis-py's defaults a Sentinel would have no time limit in old versions, and many attempts
    # in new ones. When one does not answer, the next is asked.
    sentinel: Any = redis.Sentinel(  # type: ignore[no-untyped-call] # redis-py's own
        found.addresses, sentinel_kwargs=_patience(retries=0) | times
    )
    options = _patience() | _again() | found.options
    master: redis.Redis = sentinel.master_for(found.service, **options)
    return master


def own_connection(client: Any, channel: str, seconds: float) -> Any:
    """Return a connection to where a client publishes on a channel, which never reconnects."""
    # A PubSub of redis-py reconnects by itself, and does not say that it has.
    if hasattr(client, "get_node_from_key"):
        client = client.get_redis_connection(client.get_node_from_key(channel))
    pool = client.connection_pool
    # What a pool adds for itself would tie the connection to it.
    options = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(("maint_", "oss_", "orig_", "retry"))
    }
    options |= {"retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0), "protocol": 2}
    options |= {"decode_responses": False, "health_check_interval": 0, "socket_timeout": seconds}
    if "path" not in options:
        options["socket_connect_timeout"] = seconds
    return pool.connection_class(**options)
