"""Users, apps, blueprints and threads never see each other's tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
from flask import Flask, request

from examples.demo.serving import LocalServer
from flask_dance_nosql.consumer.backend import MongoBackend, RedisBackend

from .conftest import RealProvider, make_app

THREADS, REQUESTS = 8, 150


@pytest.fixture(params=["mongo", "redis"])
def make_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make a backend on a real server."""
    if request.param == "mongo":
        collection = request.getfixturevalue("mongo_collection")
        yield lambda **scoping: MongoBackend(collection, **scoping)
    else:
        client = request.getfixturevalue("redis_client")
        yield lambda **scoping: RedisBackend(client, **scoping)


def test_threads_serve_each_user_their_own_token(provider: RealProvider, make_backend: Any) -> None:
    """8 threads x 150 requests of different users on a threaded server: 1,200 right tokens."""
    blueprint = provider.blueprint(backend=make_backend(user_id=lambda: request.headers["X-User"]))
    app = make_app(blueprint)

    @app.get("/whose")
    def whose() -> str:
        assert blueprint.session.authorized
        return str(blueprint.session.access_token)

    users = [f"user{number}" for number in range(THREADS * 3)]
    for user in users:
        blueprint.backend.set(blueprint, {"access_token": f"at-of-{user}"}, user_id=user)
    barrier = threading.Barrier(THREADS)

    def visit(thread: int) -> list[tuple[str, str]]:
        answers = []
        with requests.Session() as browser:
            barrier.wait()
            for number in range(REQUESTS):
                user = users[(thread + number * 7) % len(users)]
                answer = browser.get(f"{server.url}/whose", headers={"X-User": user}, timeout=30)
                answers.append((f"at-of-{user}", answer.text))
        return answers

    with LocalServer(app) as server, ThreadPoolExecutor(THREADS) as pool:
        answers = [pair for pairs in pool.map(visit, range(THREADS)) for pair in pairs]
    assert len(answers) == THREADS * REQUESTS
    assert [pair for pair in answers if pair[0] != pair[1]] == []


def dance(app: Flask, name: str, user: str) -> None:
    """Dance through the real provider as a browser with one user, without finishing in between."""
    client = app.test_client()
    headers = {"X-User": user}
    location = client.get(f"/login/{name}", headers=headers).location
    consent = requests.get(f"{location}&login_hint={user}", allow_redirects=False, timeout=10)
    callback = urlsplit(consent.headers["Location"])
    response = client.get(f"{callback.path}?{callback.query}", headers=headers)
    assert response.location == "/"


def test_dances_at_the_same_time_do_not_cross(provider: RealProvider, make_backend: Any) -> None:
    """Two blueprints on two apps, sixteen users dancing at once: each gets what is theirs."""
    backend = make_backend(user_id=lambda: request.headers["X-User"])
    blueprints = {name: provider.blueprint(name, backend=backend) for name in ("one", "two")}
    apps = [make_app(*blueprints.values()) for _ in range(2)]
    for name in blueprints:
        provider.allow(f"http://localhost/login/{name}/authorized")
    jobs = [(apps[n % 2], name, f"user{n}") for n in range(16) for name in blueprints]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: dance(*job), jobs))
    for app, name, user in jobs:
        with app.test_request_context(headers={"X-User": user}):
            assert blueprints[name].session.get("userinfo").json()["sub"] == user
    tokens = {backend.get(blueprints[name], user_id=user)["access_token"] for _, name, user in jobs}
    assert len(tokens) == len(jobs)


def test_one_blueprint_on_two_apps_dances_with_each_apps_client(provider: RealProvider) -> None:
    """The client id and secret of the app that serves the request are the ones that are used."""
    blueprint = provider.blueprint(client_id=None, client_secret=None)
    blueprint.from_config |= {"client_id": "ID", "client_secret": "SECRET"}
    apps = []
    for number in range(2):
        uri = "http://localhost/login/demo/authorized"
        provider.state.add_client(f"client{number}", f"secret{number}", [uri])
        apps.append(make_app(blueprint, ID=f"client{number}", SECRET=f"secret{number}"))
    browsers = [app.test_client() for app in apps]
    locations = [browser.get("/login/demo").location for browser in browsers]
    for number, (browser, location) in enumerate(zip(browsers, locations, strict=True)):
        assert f"client_id=client{number}" in location
        answer = requests.get(location, allow_redirects=False, timeout=10).headers["Location"]
        assert browser.get(answer).location == "/"
        with browser.session_transaction() as flask_session:
            token = provider.state.find_token(
                "access_token", flask_session["demo_oauth_token"]["access_token"]
            )
        assert token is not None
        assert token.client_id == f"client{number}"


def test_visitors_with_browser_scope_do_not_share(
    provider: RealProvider, redis_client: redis.Redis
) -> None:
    """With ``scope="browser"`` each visitor has a token of their own on the server."""
    blueprint = provider.blueprint(backend=RedisBackend(redis_client, scope="browser"))
    app = make_app(blueprint)
    app.add_url_rule("/who", "who", lambda: {"in": blueprint.session.authorized})
    provider.allow("http://localhost/login/demo/authorized")
    dancer, stranger = app.test_client(), app.test_client()
    location = dancer.get("/login/demo").location
    callback = requests.get(location, allow_redirects=False, timeout=10).headers["Location"]
    dancer.get(callback)
    assert dancer.get("/who").json == {"in": True}
    answer = stranger.get("/who")
    assert answer.json == {"in": False}
    assert "Set-Cookie" not in answer.headers
