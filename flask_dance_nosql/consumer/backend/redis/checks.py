"""What a check looks at in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..store.driver import require
from ..store.findings import Finding, guarded, ok, problem, skew, untold, warning

require("redis", feature="RedisBackend", package="redis", extra="redis")

import redis  # noqa: E402 - only now that it is known to be there

_FULL, _NEARLY_FULL = 0.9, 0.75


def server_checks(client: Any) -> Iterator[Finding]:
    """Yield how the server of a client is, or each primary of its cluster."""
    if not hasattr(client, "nodes_manager"):
        yield from guarded("cluster", partial(_no_cluster, client))
        yield from _node_checks(client)
        return
    yield from guarded("cluster", partial(_cluster, client))
    for node in client.get_primaries():
        for finding in _node_checks(client.get_redis_connection(node)):
            message = f"{node.name}: {finding.message}"
            yield Finding(finding.name, finding.status, message, finding.advice)


def _node_checks(node: Any) -> Iterator[Finding]:
    for name, check in (
        ("eviction", _eviction),
        ("persistence", _persistence),
        ("memory", _memory),
        ("replica", _replica),
        ("clock", _clock),
    ):
        yield from guarded(name, partial(check, node))


def _no_cluster(client: Any) -> Iterator[Finding]:
    if client.info("cluster").get("cluster_enabled"):
        message = "The server is a node of a cluster, and the client is one for a single server."
        advice = "Give the backend a redis+cluster:// URL, or a redis.RedisCluster."
        yield problem("cluster", message, advice)


def _cluster(client: Any) -> Iterator[Finding]:
    state = client.cluster_info(target_nodes=client.get_random_node())
    if state["cluster_state"] == "ok":
        yield ok("cluster", f"The cluster is whole, of {state['cluster_size']} primaries.")
        return
    message = f"The cluster is not whole: {state['cluster_slots_ok']} of 16384 slots are served."
    advice = "See CLUSTER NODES for what has failed, and start it, or give its slots to others."
    yield problem("cluster", message, advice)


def _eviction(node: Any) -> Iterator[Finding]:
    memory = node.info("memory")
    policy, limit = memory.get("maxmemory_policy"), int(memory.get("maxmemory", 0))
    if policy is None:
        yield untold("eviction", "the server does not tell its policy")
        return
    advice = "Set maxmemory-policy to noeviction, and give caches a server of their own."
    if policy.startswith("allkeys-"):
        when = "" if limit else " as soon as maxmemory is set"
        message = f"By maxmemory-policy {policy} the server drops tokens{when}."
        yield problem("eviction", message, advice)
    elif policy.startswith("volatile-"):
        message = (
            f"By maxmemory-policy {policy} the server may drop locks, and the tokens of a backend "
            "with a ttl."
        )
        yield warning("eviction", message, advice)
    else:
        yield ok("eviction", f"No token is dropped: maxmemory-policy is {policy}.")


def _persistence(node: Any) -> Iterator[Finding]:
    state = node.info("persistence")
    name, advice = "persistence", "Set appendonly to yes."
    failed = [key for key, value in state.items() if key.endswith("_status") and value != "ok"]
    if failed:
        message = f"The server could not write to its disk ({', '.join(failed)})."
        yield problem(name, message, "Look for the reason in the server's log: is the disk full?")
    elif state.get("aof_enabled"):
        yield ok(name, "Each write is in the append-only file.")
    else:
        try:
            saves = bool(node.config_get("save").get("save"))
        except redis.exceptions.ResponseError as error:
            # Hosted services forbid CONFIG, as a rule.
            reason = f"appendonly is off; CONFIG GET save: {type(error).__name__}"
            yield untold(name, reason)
            return
        if saves:
            message = (
                "Writes are on disk only with the next snapshot. After a crash refresh tokens that "
                "were rotated since are lost, and their users have to log in again."
            )
            yield warning(name, message, advice)
        else:
            message = "All tokens are lost when the server restarts: it has no AOF and no RDB."
            yield problem(name, message, advice)


def _memory(node: Any) -> Iterator[Finding]:
    memory = node.info("memory")
    limit = int(memory.get("maxmemory", 0)) or int(memory.get("total_system_memory", 0))
    if not limit:
        yield untold("memory", "the server does not tell its limit")
        return
    part = int(memory["used_memory"]) / limit
    message = f"{part:.0%} of {limit / 2**20:,.0f} MiB are in use."
    advice = "Give the server more memory, or let records end by a ttl."
    if part >= _FULL:
        yield problem("memory", message, advice)
    else:
        yield warning("memory", message, advice) if part >= _NEARLY_FULL else ok("memory", message)


def _replica(node: Any) -> Iterator[Finding]:
    if node.info("replication")["role"] == "master":
        yield ok("replica", "The client talks to a primary.")
        return
    message = "The client talks to a replica, which takes no writes and may be behind."
    advice = "Give the backend the primary's address, or a redis+sentinel:// URL that finds it."
    yield problem("replica", message, advice)


def _clock(node: Any) -> Iterator[Finding]:
    def tell() -> float:
        seconds, microseconds = node.time()
        return float(seconds + microseconds / 1e6)

    yield skew(tell)
