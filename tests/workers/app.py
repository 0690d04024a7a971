"""The application that workers load: a blueprint for each store and cache, and views that use it.

Where things are stands in the environment variable ``TESTS_WORKERS``, as JSON.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import Any

import cachelib
import requests
from flask import Flask, request

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    InvalidatedCache,
    MongoBackend,
    RedisBackend,
    TokenKey,
)

PLACES: dict[str, Any] = json.loads(os.environ["TESTS_WORKERS"])
BACKENDS: dict[str, Any] = {"mongo": MongoBackend, "redis": RedisBackend}
CACHES: dict[str, Any] = {
    "none": None,
    "shared": cachelib.RedisCache("127.0.0.1", int(PLACES["redis"].rsplit(":", 1)[1]), db=2),
    "invalidated": InvalidatedCache(PLACES["redis"]),
}


def make_blueprint(store: str, cache: str) -> OAuth2ConsumerBlueprint:
    """Make a blueprint whose tokens are those of the user that a request names."""
    return OAuth2ConsumerBlueprint(
        f"{store}-{cache}",
        __name__,
        client_id="id",
        client_secret="client-secret",
        base_url=f"{PLACES['provider']}/",
        token_url=f"{PLACES['provider']}/token",
        auto_refresh=True,
        backend=BACKENDS[store](
            PLACES[store], user_id=lambda: request.view_args["user"], cache=CACHES[cache]
        ),
    )


def fresh_token() -> dict[str, Any]:
    """Make a token that nobody has seen yet."""
    return {"access_token": f"at-{uuid.uuid4().hex}", "token_type": "Bearer"}


def say_who_has_come(user: str) -> None:
    """Tell the provider which process is about to call in the name of a user."""
    requests.get(f"{PLACES['provider']}/come/{user}/{os.getpid()}", timeout=30)


def wait_until_it_listens(cache: InvalidatedCache) -> None:
    """Wait until a cache keeps something."""
    probe = ("probe", TokenKey("probe"))
    while not (found := cache.look(probe))[0]:
        cache.fill(probe, found[2], None, 300)
        time.sleep(0.01)


app = Flask(__name__)
app.secret_key = "for tests"
blueprints = {
    each.name: each
    for each in (make_blueprint(store, cache) for store in BACKENDS for cache in CACHES)
}
for each in blueprints.values():
    app.register_blueprint(each)
    if PLACES["asks_early"]:
        each.backend.get(each, user_id="nobody")
if PLACES["asks_early"]:
    # If the server forks only now, threads are left behind that have got to where they wait.
    wait_until_it_listens(CACHES["invalidated"])


@app.get("/call/<provider>/<user>")
def call(provider: str, user: str) -> dict[str, Any]:
    """Call the API in the name of a user, and tell its status."""
    say_who_has_come(user)
    return told(blueprints[provider].session.get("api").status_code)


@app.get("/read/<provider>/<user>")
def read(provider: str, user: str) -> dict[str, Any]:
    """Tell a user's access token."""
    return told((blueprints[provider].token or {}).get("access_token"))


@app.get("/write/<provider>/<user>")
def write(provider: str, user: str) -> dict[str, Any]:
    """Store a new token for a user, and tell its access token."""
    blueprints[provider].token = token = fresh_token()
    return told(token["access_token"])


def told(result: Any) -> dict[str, Any]:
    """Return what a view says: what came of it, and in which process."""
    return {"pid": os.getpid(), "result": result}
