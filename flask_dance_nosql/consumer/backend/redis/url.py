"""What the URL of a Redis server, a cluster or Sentinels may say."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

from ....errors import ConfigurationError
from ..store.driver import require

require("redis", feature="RedisBackend", package="redis", extra="redis")

import redis  # noqa: E402 - only now that it is known to be there

_SENTINEL = re.compile(r"redis\+sentinel://(?:([^@/]*)@)?([^@/?]+)/([^/?]+)(\?.*)?")
_CLUSTER = re.compile(r"(rediss?)\+cluster://(?:([^@/]*)@)?([^@/?]+)([/?].*)?")
_ADDRESS = re.compile(r"(\[[^\]]+\]|[^:]+)(?::([0-9]+))?")
_PLAIN = ("redis://", "rediss://", "unix://")

# What a connection takes, and no text can say.
_OBJECTS = re.compile(
    r"self|args|kwargs|retry|credential_provider|.*_func|parser(_class)?|encoder_class|"
    r"socket_(keepalive_options|type)|command_packer|driver_info|event_dispatcher|.*_registry|"
    r"(maint|oss|orig)\w*|ssl_ocsp_context"
)
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


class RedisUrl(NamedTuple):
    """A URL in its parts: ``kind`` is ``""``, ``"cluster"`` or ``"sentinel"``."""

    kind: str
    addresses: list[tuple[str, int]]
    service: str
    options: dict[str, Any]
    cluster_options: dict[str, Any]


def parse(url: str) -> RedisUrl | None:
    """Return the parts of a URL, or ``None`` if it is none of Redis. Nothing is connected to.

    Raises:
        ConfigurationError: If it has an option that is not known here, or with a wrong value.
    """
    try:
        if (match := _SENTINEL.fullmatch(url)) is not None:
            login, addresses, service, query = match.groups(default="")
            options = _parsed(f"redis://{login}@{query}")
            return RedisUrl("sentinel", _addresses(addresses, 26379), service, options, {})
        if (match := _CLUSTER.fullmatch(url)) is not None:
            scheme, login, addresses, rest = match.groups(default="")
            nodes = _addresses(addresses, 6379)
            options = _parsed(f"{scheme}://{login}@node{rest}", others=tuple(_CLUSTER_OPTIONS))
            own = {name: options.pop(name) for name in _CLUSTER_OPTIONS if name in options}
            if options.pop("db", 0) != 0:
                raise ConfigurationError("A Redis Cluster has one database, which is 0.")
            del options["host"]
            return RedisUrl("cluster", nodes, "", _known_to_clusters(options), _for_cluster(own))
        if url.startswith(_PLAIN):
            return RedisUrl("", [], "", _parsed(url), {})
    except ValueError as error:
        # redis-py's own, which names the option, and Python's, which may show a part of the URL.
        told = str(error) if str(error).startswith("Invalid value") else "It can't be read."
        raise ConfigurationError(f"This is no URL of Redis. {told}") from None
    return None


def _addresses(text: str, default_port: int) -> list[tuple[str, int]]:
    found = []
    for part in text.split(","):
        match = _ADDRESS.fullmatch(part)
        if match is None:
            raise ValueError("not an address")
        host, port = match.groups()
        found.append((host.strip("[]"), int(port or default_port)))
    return found


def _parsed(url: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
    options: dict[str, Any] = redis.connection.parse_url(  # type: ignore[no-untyped-call] # theirs
        url
    )
    kind = options.get("connection_class", redis.Connection)
    made_by = [each.__init__ for each in kind.__mro__ if "__init__" in vars(each)]
    taken = {name for init in made_by for name in inspect.signature(init).parameters}
    taken = {name for name in taken if not _OBJECTS.fullmatch(name)}
    taken |= {"connection_class", "max_connections", "host", "port", *others}
    _refuse(set(options) - taken)
    return options


def _refuse(unknown: set[str]) -> None:
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ConfigurationError(
            f"A URL of Redis can't have the option {names} here: it would be ignored. Leave it "
            "out, or give a client of redis-py in place of the URL."
        )


def _known_to_clusters(options: dict[str, Any]) -> dict[str, Any]:
    # A cluster's client drops all others in silence.
    known = getattr(redis.cluster, "REDIS_ALLOWED_KEYS", tuple(options))
    options.pop("connection_class", None)
    _refuse({name for name in options if name not in known})
    return options


def _flag(name: str, text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"Invalid value for '{name}' in connection URL.")


def _strategy(name: str, text: str) -> Any:
    kinds: Any = getattr(redis.cluster, "LoadBalancingStrategy", ())
    for kind in kinds:
        if text.lower() == kind.value:
            return kind
    raise ValueError(f"Invalid value for '{name}' in connection URL.")


_CLUSTER_OPTIONS: dict[str, Any] = {
    "read_from_replicas": _flag,
    "require_full_coverage": _flag,
    "dynamic_startup_nodes": _flag,
    "reinitialize_steps": lambda _, text: int(text),
    "load_balancing_strategy": _strategy,
}


def _for_cluster(own: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a cluster's client by their values."""
    found = {name: _CLUSTER_OPTIONS[name](name, text) for name, text in own.items()}
    strategies: Any = getattr(redis.cluster, "LoadBalancingStrategy", None)
    if strategies is not None and found.pop("read_from_replicas", False):
        # What redis-py does for the older name, which it warns of.
        found.setdefault("load_balancing_strategy", strategies.ROUND_ROBIN)
    return found
