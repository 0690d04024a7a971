"""What authors of applications test with."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import responses
from flask import Flask

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import NullBackend
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.testing import connected

pytest_plugins = ["flask_dance_nosql.testing.fixtures", "pytester"]

API = "https://api.test/"


@pytest.fixture
def blueprint() -> OAuth2ConsumerBlueprint:
    """A blueprint whose own backend keeps nothing."""
    backend = NullBackend()
    return OAuth2ConsumerBlueprint("acme", __name__, "id", base_url=API, backend=backend)


@pytest.fixture
def app(blueprint: OAuth2ConsumerBlueprint) -> Flask:
    """An app with an OAuth 2, an OAuth 1 and an unrelated blueprint."""
    app = Flask(__name__)
    app.secret_key = "secret"
    app.register_blueprint(blueprint, url_prefix="/login")
    old = OAuth1ConsumerBlueprint("old", __name__, "key", "secret", backend=NullBackend())
    app.register_blueprint(old, url_prefix="/login")
    app.add_url_rule("/me", "me", lambda: blueprint.session.get("me").text)
    app.add_url_rule("/authorized", "authorized", lambda: str(blueprint.session.authorized))
    app.add_url_rule("/old", "old", lambda: str(old.session.authorized))
    return app


def test_a_client_is_connected(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """While it lasts a client has the token, and its calls bear it; before and after it has not."""
    client, own = app.test_client(), blueprint.backend
    assert client.get("/authorized").text == "False"
    with responses.RequestsMock() as web, connected(client, "acme", {"access_token": "mine"}):
        web.get(f"{API}me", body="ada")
        assert client.get("/me").text == "ada"
        assert web.calls[0].request.headers["Authorization"] == "Bearer mine"
    assert client.get("/authorized").text == "False"
    assert blueprint.backend is own


@pytest.mark.parametrize(
    ("provider", "path", "token", "expected"),
    [
        ("acme", "/authorized", None, "True"),
        ("acme", "/authorized", {}, "False"),
        ("old", "/old", None, "True"),
        ("old", "/old", {}, "False"),
    ],
)
def test_kinds_of_tokens(app: Flask, provider: str, path: str, token: Any, expected: str) -> None:
    """The usual token is good for OAuth 1 and 2, and an empty one is none."""
    with connected(app, provider, token):
        assert app.test_client().get(path).text == expected


def test_what_the_app_does_is_seen(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """The backend shows what the app has stored; the given token is not changed by that."""
    given = {"access_token": "given", "scope": ["a"]}
    with connected(app, "acme", given) as backend, app.test_request_context():
        blueprint.token = {"access_token": "stored"}
        assert backend.get(blueprint) == {"access_token": "stored"}
        del blueprint.token
        assert backend.get(blueprint) is None
    assert given == {"access_token": "given", "scope": ["a"]}


def test_contexts_can_be_nested_and_fail(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """The inner context ends before the outer one, and an error in it leaves nothing behind."""
    own = blueprint.backend
    with connected(app, "acme", {"access_token": "outer"}):
        with pytest.raises(ZeroDivisionError), connected(app, "acme", {}):
            raise ZeroDivisionError
        with app.test_request_context():
            assert blueprint.token == {"access_token": "outer"}
    assert blueprint.backend is own


@pytest.mark.parametrize("name", ["none", "static", ""])
def test_unknown_provider(app: Flask, name: str) -> None:
    """A name that is no OAuth blueprint of the app is told, with those that are."""
    with pytest.raises(ConfigurationError, match=r"It has: acme, old\."), connected(app, name):
        pass


def test_fixture_connects_until_the_test_is_over(
    app: Flask, blueprint: OAuth2ConsumerBlueprint, oauth_login: Any
) -> None:
    """The fixture connects to several providers, and to one again with another token."""
    client = app.test_client()
    oauth_login(client, "acme")
    oauth_login(client, "old")
    assert (client.get("/authorized").text, client.get("/old").text) == ("True", "True")
    oauth_login(client, "acme", {})
    assert client.get("/authorized").text == "False"


def test_documented_tests_run(pytester: pytest.Pytester) -> None:
    """The tests of the documentation pass, in a project of their own, and leave nothing behind."""
    from .test_docs import DOCS, RUN, blocks_of

    source = [block.text for block in blocks_of(DOCS / "testing.rst") if block.language == RUN]
    plugins = next(text for text in source if text.startswith("pytest_plugins"))
    pytester.makeconftest(plugins)
    pytester.makepyfile("\n".join(text for text in source if text is not plugins))
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_hypothesis_is_not_needed() -> None:
    """The part for applications is imported without what only the suite for stores needs."""
    code = "import sys; sys.modules['hypothesis'] = None; import flask_dance_nosql.testing.fixtures"
    subprocess.run([sys.executable, "-c", code], check=True)
