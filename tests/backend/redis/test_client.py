"""Redis clients from URLs."""

from __future__ import annotations

import time

import pytest
import redis

from flask_dance_nosql.consumer.backend.redis.client import SECONDS, open_url
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.errors import BackendUnavailable
from flask_dance_nosql.testing.documents import KEY

from ...topologies import RedisClusterServers

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
