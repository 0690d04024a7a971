"""Redis clients from URLs."""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from typing import Any

import fakeredis
import pytest
import redis

from flask_dance_nosql.consumer.backend.redis.client import SECONDS, open_url, place_of
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.redis.url import parse
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.testing.documents import KEY, make_document

from ...topologies import SERVICE, RedisClusterServers, RedisSentinelServers

SENTINELS = "redis+sentinel://127.0.0.1:1,127.0.0.1/tokens"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", SENTINELS])
def test_clients_are_patient_for_seconds(url: str) -> None:
    """Without a word in the URL there is a time limit, and one more attempt."""
    with open_url(url) as client:
        options = client.connection_pool.connection_kwargs
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (SECONDS, SECONDS)
        assert options["retry"]._retries == 1


def test_the_url_of_sentinels_has_options() -> None:
    """Addresses are the Sentinels'; login and query are the master's; time limits are of both."""
    url = SENTINELS.replace("//", "//ann:p%40ss@") + "?db=2&socket_timeout=0.5"
    with open_url(url) as client:
        pool = client.connection_pool
        expected = {"username": "ann", "password": "p@ss", "db": 2, "socket_timeout": 0.5}
        assert expected.items() <= pool.connection_kwargs.items()
        assert isinstance(pool, redis.sentinel.SentinelConnectionPool)
        assert pool.service_name == "tokens"
        asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
        assert [(each["host"], each["port"]) for each in asked] == [
            ("127.0.0.1", 1),
            ("127.0.0.1", 26379),
        ]
        assert all(each["socket_timeout"] == 0.5 for each in asked)
        assert all(each.get("password") is None for each in asked)


def test_a_cluster_is_found_by_any_node(
    redis_cluster: RedisClusterServers, closed_port: int
) -> None:
    """A node that is down when the client is made is no matter, if the URL names another."""
    url = f"redis+cluster://127.0.0.1:{closed_port},127.0.0.1:{redis_cluster.nodes[1].port}"
    with open_url(url) as client:
        assert isinstance(client, redis.RedisCluster)
        assert len(client.get_primaries()) == 3


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
def test_a_silent_server_is_told_in_time(scheme: str, silent_port: int) -> None:
    """A server that takes connections and says nothing costs a few time limits, and no more."""
    limit = 0.1
    path = "tokens" if scheme == "redis+sentinel" else ""
    query = f"socket_timeout={limit}&socket_connect_timeout={limit}"
    store = RedisStore(f"{scheme}://127.0.0.1:{silent_port}/{path}?{query}")
    begun = time.monotonic()
    with pytest.raises(BackendUnavailable):
        store.load(KEY)
    assert time.monotonic() - begun < 20 * limit


WRONG_URLS = [
    ("redis://h/0?sokcet_timeout=5", "sokcet_timeout"),
    ("redis://h/0?socket_timeout=soon", "socket_timeout"),
    ("redis://h/0?retry=3", "retry"),
    ("redis://h/0?read_from_replicas=true", "read_from_replicas"),
    ("redis://h/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ("redis://h:secret/0", "can't be read"),
    ("rediss://h/0?ssl_cert_reqz=none", "ssl_cert_reqz"),
    ("unix:///run/redis.sock?hots=1", "hots"),
    ("redis+cluster://h:1/?read_from_replica=true", "read_from_replica"),
    ("redis+cluster://h:1/?read_from_replicas=perhaps", "read_from_replicas"),
    ("redis+cluster://h:1/?require_full_coverage=", ""),
    ("redis+cluster://h:1/?reinitialize_steps=many", "can't be read"),
    ("redis+cluster://h:1/?load_balancing_strategy=best", "load_balancing_strategy"),
    ("redis+cluster://h:1/?health_check_interval=5", "health_check_interval"),
    ("redis+cluster://h:1/?nonsense=1&more=2", "more, nonsense"),
    ("redis+cluster://h:1/3", "one database"),
    ("redis+cluster://h:1?db=3", "one database"),
    ("redis+cluster://h:one,h:2", "can't be read"),
    ("redis+cluster://h:1,,h:2", "can't be read"),
    ("redis+cluster://::1:7000", "can't be read"),
    ("redis+sentinel://h:one/service", "can't be read"),
    ("redis+sentinel://h/service?sentinel_password=secret", "sentinel_password"),
    ("redis+sentinel://h/service?socket_timeout=secret", "socket_timeout"),
]


@pytest.mark.parametrize(("url", "told"), WRONG_URLS)
def test_options_that_would_be_ignored(url: str, told: str) -> None:
    """An option that would do nothing, or fail in a view, is told when the store is made."""
    if not told:
        # A blank value is none.
        RedisStore(url)
        return
    with pytest.raises(ConfigurationError, match=told) as caught:
        RedisStore(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


RIGHT_URLS = [
    "redis://ann:p%40ss@h:1/2?socket_timeout=1&max_connections=5&protocol=3&client_name=web",
    "rediss://h/0?ssl_cert_reqs=none&ssl_ca_certs=/a.pem&health_check_interval=5",
    "unix://ann:pass@/run/redis.sock?db=3&decode_responses=True",
    "redis+cluster://ann:pass@h:1,h:2/0?socket_timeout=1&max_connections=5",
    "rediss+cluster://h/?ssl_cert_reqs=none&read_from_replicas=yes&require_full_coverage=no",
    "redis+sentinel://ann:pass@h:1,h/service?db=1&health_check_interval=5&retry_on_timeout=yes",
]


def test_nodes_of_a_cluster_by_address() -> None:
    """Names, addresses of either kind, and a port or none: what a URL of several nodes may have."""
    found = parse("redis+cluster://db.example,127.0.0.1:7000,[::1]:7001,[::2]") or pytest.fail(
        "none"
    )
    assert found.addresses == [
        ("db.example", 6379),
        ("127.0.0.1", 7000),
        ("::1", 7001),
        ("::2", 6379),
    ]


@pytest.mark.parametrize("url", RIGHT_URLS)
def test_options_that_are_known(url: str) -> None:
    """What redis-py takes from a URL is taken, and nothing is connected to."""
    RedisStore(url)


@pytest.mark.parametrize(
    ("query", "reads"),
    [("", False), ("?read_from_replicas=true", True), ("?read_from_replicas=no", False)],
)
def test_a_clusters_url_may_say_more(
    redis_cluster: RedisClusterServers, query: str, reads: bool
) -> None:
    """A cluster's URL decides whether replicas are read, and has the time limits that it says."""
    url = f"redis+cluster://127.0.0.1:{redis_cluster.nodes[0].port}/{query}"
    store = RedisStore(url)
    store.save(make_document(KEY))
    for node in redis_cluster.nodes:
        node.client.config_resetstat()
    for _ in range(20):
        store.load(KEY)
    assert (commands_of(redis_cluster.replicas).get("get", 0) > 0) is reads
    store.delete(KEY)
    client: Any = store._client.get()
    client.close()


def test_limits_of_a_clusters_url(redis_cluster: RedisClusterServers) -> None:
    """Every node of a cluster has the time limits and the login of the URL."""
    port = redis_cluster.nodes[0].port
    query = "socket_timeout=7&max_connections=3&require_full_coverage=no&reinitialize_steps=2"
    with open_url(f"redis+cluster://127.0.0.1:{port}/?{query}") as client:
        cluster: Any = client
        for node in cluster.get_nodes():
            options = cluster.get_redis_connection(node).connection_pool.connection_kwargs
            assert (options["socket_timeout"], options["socket_connect_timeout"]) == (7, SECONDS)
        assert cluster.reinitialize_steps == 2


PLACES = {
    "redis://ann:secret@db.example:6380/2": "redis:db.example:6380/2:flask_dance",
    "rediss://:secret@[::1]/0": "redis:::1:6379/0:flask_dance",
    "unix://ann:secret@/run/a:b.sock?db=3": "redis:/run/a%3Ab.sock/3:flask_dance",
    "redis+sentinel://ann:secret@b:2,a/tokens?db=1": "redis:tokens@a:26379,b:2/1:flask_dance",
    "redis+sentinel://[::2]:1,[::1]/tokens": "redis:tokens@::1:26379,::2:1/0:flask_dance",
}


@pytest.mark.parametrize(("url", "place"), PLACES.items())
def test_place_is_made_of_addresses(url: str, place: str) -> None:
    """A place has the configured addresses, the database and the prefix, and no login."""
    assert RedisStore(url).place == place


def test_places_of_clients() -> None:
    """Ready clients, and those that a function chooses, have the place of their server."""
    plain = redis.Redis(connection_pool=redis.ConnectionPool())
    assert RedisStore(plain, "a").place == "redis:localhost:6379/0:a"
    clients = [redis.Redis(host="h", db=number) for number in range(2)]
    store = RedisStore(lambda: clients[0])
    assert store.place == "redis:h:6379/0:flask_dance"
    clients.reverse()
    assert store.place == "redis:h:6379/1:flask_dance"


def test_places_of_imitations() -> None:
    """Each server of FakeRedis is a place of its own, whichever client asks."""
    server = fakeredis.FakeServer()
    alike = [fakeredis.FakeRedis(server=server) for _ in range(2)]
    others = [fakeredis.FakeRedis(), fakeredis.FakeRedis(server=fakeredis.FakeServer())]
    places = [RedisStore(client).place for client in (*alike, *others)]
    assert places[0] == places[1]
    assert len(set(places)) == 3
    assert places == [RedisStore(client).place for client in (*alike, *others)]


def test_place_of_a_wrapper() -> None:
    """A wrapper that tells no address is a place of its own."""

    class Wrapper:
        get = evalsha = execute_command = print

    one, other = RedisStore(Wrapper()), RedisStore(Wrapper())
    assert one.place == one.place != other.place


def test_place_of_a_cluster_stays(redis_cluster: RedisClusterServers) -> None:
    """What a cluster's client finds at run time does not change its place."""
    nodes = sorted(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes[:2])
    first, second = (f"redis+cluster://{','.join(some)}" for some in (nodes, nodes[::-1]))
    for url in (first, second):
        with open_url(url) as client:
            assert place_of(client) == ",".join(nodes)
    port = redis_cluster.nodes[2].port
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        # Old versions of redis-py forget what they were told.
        if hasattr(client, "startup_nodes"):
            assert place_of(client) == f"127.0.0.1:{port}"


def test_place_of_a_sentinels_master(redis_sentinel: RedisSentinelServers) -> None:
    """A client that was discovered has the place of its URL, in whatever order it asks."""
    addresses = redis_sentinel.addresses
    sentinel = redis.Sentinel(addresses[::-1])
    with open_url(redis_sentinel.url) as client, sentinel.master_for(SERVICE) as other:
        client.ping()
        known = ",".join(sorted(f"{host}:{port}" for host, port in addresses))
        assert place_of(client) == place_of(other) == f"{SERVICE}@{known}/0"
    for each in sentinel.sentinels:
        each.close()


def test_places_are_the_same_in_each_process() -> None:
    """Another process with the same configuration has the same place."""
    program = """
from flask_dance_nosql.consumer.backend.redis import RedisStore
print(RedisStore("redis+sentinel://b,a,d,c/tokens").place)
"""
    told = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert (
        told[0].stdout
        == told[1].stdout
        == ("redis:tokens@a:26379,b:26379,c:26379,d:26379/0:flask_dance\n")
    )


@pytest.mark.filterwarnings("ignore:.*'read_from_replicas':DeprecationWarning")
def test_load_fresh_asks_primaries(redis_cluster: RedisClusterServers) -> None:
    """A client that reads from replicas reads from primaries where a refresh decides."""
    port = redis_cluster.nodes[0].port
    with redis.RedisCluster(host="127.0.0.1", port=port, read_from_replicas=True) as client:
        store = RedisStore(client)
        saved = store.save(make_document(KEY))
        for node in redis_cluster.nodes:
            node.client.config_resetstat()
        assert [store.load_fresh(KEY) for _ in range(20)] == [saved] * 20
        assert commands_of(redis_cluster.replicas) == {}
        assert commands_of(redis_cluster.primaries) == {"eval": 20}
        for _ in range(20):
            store.load(KEY)
        assert commands_of(redis_cluster.replicas)["get"] > 0
        store.delete(KEY)


def commands_of(nodes: list[Any]) -> dict[str, int]:
    """Return how many commands about tokens some nodes were sent."""
    counts: dict[str, int] = {}
    for node in nodes:
        stats = node.client.info("commandstats")
        for name in ("get", "eval", "evalsha"):
            calls = stats.get(f"cmdstat_{name}", {}).get("calls", 0)
            if calls:
                counts[name] = counts.get(name, 0) + calls
    # A script's own GET counts as one.
    if "eval" in counts:
        counts["get"] -= counts["eval"]
    return {name: count for name, count in counts.items() if count}
