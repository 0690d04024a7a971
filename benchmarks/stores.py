"""``get`` and ``set`` of each backend, against the bare driver doing the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from pymongo import MongoClient, WriteConcern
from redis import Redis

from flask_dance_nosql.consumer.backend import LocalCache, MongoBackend, RedisBackend, TokenKey
from flask_dance_nosql.consumer.backend.redis.store import RedisStore

from .rounds import Row, compare

BLUEPRINT: Any = SimpleNamespace(name="provider", config={})
TOKEN = {
    "access_token": "a" * 200,
    "refresh_token": "r" * 200,
    "token_type": "Bearer",
    "expires_in": 3600,
    "expires_at": 1_800_000_000.0,
    "scope": ["profile", "email"],
}
KEY = TokenKey("provider", "42")


def mongo_rows(url: str) -> Iterator[Row]:
    """Measure ``MongoBackend`` against PyMongo."""
    with MongoClient[dict[str, Any]](url) as client:
        tokens = client["benchmarks"].get_collection(
            "tokens", write_concern=WriteConcern("majority")
        )
        backend = MongoBackend(tokens, user_id=42)
        backend.set(BLUEPRINT, TOKEN)
        wanted = {"_id": KEY.text}
        document = {**(tokens.find_one(wanted) or {})}
        yield compare(
            "MongoBackend.get",
            lambda: backend.get(BLUEPRINT),
            "find_one by _id",
            lambda: tokens.find_one(wanted),
        )
        yield compare(
            "MongoBackend.set",
            lambda: backend.set(BLUEPRINT, TOKEN),
            "replace_one by _id",
            lambda: tokens.replace_one(wanted, document, upsert=True),
        )


def redis_rows(url: str) -> Iterator[Row]:
    """Measure ``RedisBackend`` against redis-py."""
    with Redis.from_url(url) as client:
        backend = RedisBackend(client, user_id=42)
        backend.set(BLUEPRINT, TOKEN)
        name = RedisStore(client).redis_key(KEY)
        text = json.dumps(TOKEN)
        yield compare(
            "RedisBackend.get",
            lambda: backend.get(BLUEPRINT),
            "GET",
            lambda: client.get(name),
        )
        cached = RedisBackend(client, user_id=42, cache=LocalCache())
        cached.set(BLUEPRINT, TOKEN)
        yield compare(
            "RedisBackend.get, from a LocalCache",
            lambda: cached.get(BLUEPRINT),
            "RedisBackend.get",
            lambda: backend.get(BLUEPRINT),
        )
        yield compare(
            "RedisBackend.set",
            lambda: backend.set(BLUEPRINT, TOKEN),
            "SET",
            lambda: client.set("benchmark", text),
        )
