"""Fixtures for the tests of backends and stores."""

from __future__ import annotations

from collections.abc import Iterator

import cachelib
import pytest
import redis
from flask import Flask
from flask_caching import Cache

from examples.demo.embedded import RedisServer
from flask_dance_nosql import clock
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint

from .places import PLACES, REAL, Place


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each place where tokens can be kept: imitations and real servers, empty."""
    with PLACES[request.param](request.getfixturevalue) as made:
        yield made


@pytest.fixture(params=REAL)
def real_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each place that is a real server, empty."""
    with PLACES[request.param](request.getfixturevalue) as made:
        yield made


@pytest.fixture
def versions_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions begin at 1 instead of the time, so that tests can name them."""
    monkeypatch.setattr(clock, "first_version", lambda: 1)


@pytest.fixture
def blueprint() -> OAuth2ConsumerBlueprint:
    """A blueprint of the provider ``demo``."""
    return OAuth2ConsumerBlueprint("demo", __name__, client_id="client-id")


@pytest.fixture
def other_blueprint() -> OAuth2ConsumerBlueprint:
    """A blueprint of the provider ``other``."""
    return OAuth2ConsumerBlueprint("other", __name__, client_id="client-id")


@pytest.fixture
def redis_cache(redis_server: RedisServer) -> Iterator[cachelib.RedisCache]:
    """A cache of cachelib on a Redis server, empty."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield cachelib.RedisCache(client)


@pytest.fixture
def flask_cache(redis_server: RedisServer) -> Iterator[Cache]:
    """A cache of Flask-Caching on a Redis server, empty, in its app's context."""
    app = Flask(__name__)
    config = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": redis_server.url}
    cache = Cache(app, config={**config, "CACHE_KEY_PREFIX": "app:"})
    with app.app_context():
        cache.clear()
        yield cache
        cache.cache._read_client.close()
        cache.cache._write_client.close()
