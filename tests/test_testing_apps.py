"""What authors of applications test with."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
import responses
import time_machine
from flask import Blueprint, Flask
from oauthlib.oauth2 import TokenExpiredError

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend, NullBackend, SessionBackend
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.testing import connected

from .test_docs import DOCS, ROOT, RUN, blocks_of

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
    app.register_blueprint(Blueprint("unrelated", __name__))
    old = OAuth1ConsumerBlueprint(
        "old", __name__, "key", "secret", base_url=API, backend=NullBackend()
    )
    app.register_blueprint(old, url_prefix="/login")
    app.add_url_rule("/me", "me", lambda: blueprint.session.get("me").text)
    app.add_url_rule("/authorized", "authorized", lambda: str(blueprint.session.authorized))
    app.add_url_rule("/old", "old", lambda: str(old.session.authorized))
    app.add_url_rule("/old/me", "old_me", lambda: old.session.get("me").text)
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


@pytest.mark.parametrize(("provider", "path"), [("acme", "/authorized"), ("old", "/old")])
@pytest.mark.parametrize(
    ("given", "expected"), [([], "True"), ([None], "False"), ([{}], "False")], ids=str
)
def test_usual_token_and_none(
    app: Flask, provider: str, path: str, given: list[Any], expected: str
) -> None:
    """The usual token is good for OAuth 1 and 2; ``None`` or an empty one is for a stranger."""
    with connected(app, provider, *given):
        assert app.test_client().get(path).text == expected


def test_stranger_does_not_have_the_token_of_the_real_backend(
    app: Flask, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """Who is not connected has no token even if the blueprint's own backend holds one."""
    blueprint.backend = own = MemoryBackend({"access_token": "real"})
    with connected(app, "acme", None):
        assert app.test_client().get("/authorized").text == "False"
    assert own.token == {"access_token": "real"}


def test_oauth1_calls_are_signed(app: Flask) -> None:
    """A connected visitor's OAuth 1 calls are signed with the token that was given."""
    token = {"oauth_token": "mine", "oauth_token_secret": "its secret"}
    with responses.RequestsMock() as web, connected(app, "old", token):
        web.get(f"{API}me", body="ada")
        assert app.test_client().get("/old/me").text == "ada"
        header = web.calls[0].request.headers["Authorization"]
    assert b'oauth_token="mine"' in header
    assert b"oauth_signature=" in header


def test_token_has_an_end_as_if_it_had_just_been_issued(
    app: Flask, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A token given with ``expires_in`` has ``expires_at`` too, counted from now."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    given = {"access_token": "at", "expires_in": 60}
    with time_machine.travel(moment, tick=False), connected(app, "acme", given) as backend:
        assert backend.token == {**given, "expires_at": moment.timestamp() + 60}
    assert given == {"access_token": "at", "expires_in": 60}


def test_expired_token_is_refreshed(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """With an expired token a call refreshes it first, and the new one can be seen."""
    blueprint.auto_refresh_url = f"{API}token"
    expired = {"access_token": "old", "refresh_token": "rt", "expires_in": -1}
    with responses.RequestsMock() as web, connected(app, "acme", expired) as backend:
        web.post(f"{API}token", json={"access_token": "new", "token_type": "Bearer"})
        web.get(f"{API}me", body="ada")
        assert app.test_client().get("/me").text == "ada"
        assert web.calls[1].request.headers["Authorization"] == "Bearer new"
    assert backend.token is not None
    assert backend.token["access_token"] == "new"


def test_expired_token_that_can_not_be_refreshed(
    app: Flask, blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A call with an expired token and no refresh token is the error that it is in production."""
    expired = {"access_token": "old", "expires_in": -1}
    with connected(app, "acme", expired), app.test_request_context():
        assert not blueprint.session.authorized
        with pytest.raises(TokenExpiredError):
            blueprint.session.get("me")


@pytest.mark.parametrize("token", [{"access_token": object()}, {"access_token": float("nan")}])
def test_token_that_json_can_not_hold(
    app: Flask, blueprint: OAuth2ConsumerBlueprint, token: Any
) -> None:
    """A token that no real backend would store is refused, and nothing is changed."""
    own = blueprint.backend
    with pytest.raises((TypeError, ValueError)), connected(app, "acme", token):
        pass
    assert blueprint.backend is own


def test_within_a_request_context(app: Flask, blueprint: OAuth2ConsumerBlueprint) -> None:
    """A context around the whole test, as pytest-flask has it, sees each change at once."""
    with app.test_request_context():
        assert not blueprint.session.authorized
        with connected(app, "acme"):
            assert blueprint.session.authorized
            assert app.test_client().get("/authorized").text == "True"
        assert not blueprint.session.authorized


def test_default_backend_is_back_afterwards() -> None:
    """A blueprint without a backend of its own has its default one back, the very same."""
    blueprint = OAuth2ConsumerBlueprint("acme", __name__, "id")
    app = Flask(__name__)
    app.register_blueprint(blueprint)
    own = blueprint.backend
    with connected(app, "acme"):
        assert blueprint.backend is not own
    assert blueprint.backend is own
    assert isinstance(own, SessionBackend)


def test_blueprint_under_another_name(blueprint: OAuth2ConsumerBlueprint) -> None:
    """The name is the one that the blueprint has in the app, also below another blueprint."""
    parent = Blueprint("parent", __name__)
    parent.register_blueprint(blueprint, name="renamed")
    app = Flask(__name__)
    app.register_blueprint(parent)
    with connected(app, "parent.renamed") as backend:
        assert blueprint.backend is backend
    with (
        pytest.raises(ConfigurationError, match=r"It has: parent\.renamed\."),
        connected(app, "acme"),
    ):
        pass


def test_app_without_oauth() -> None:
    """An app that has no OAuth blueprint at all is told so."""
    with pytest.raises(ConfigurationError, match="It has: none"), connected(Flask("bare"), "acme"):
        pass


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
        with pytest.raises(ZeroDivisionError), connected(app, "acme", None):
            raise ZeroDivisionError
        with app.test_request_context():
            assert blueprint.token == {"access_token": "outer"}
    assert blueprint.backend is own


@pytest.mark.parametrize("name", ["none", "static", "unrelated", ""])
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
    backend = oauth_login(client, "acme", {"access_token": "another"})
    assert backend.token == blueprint.backend.get(blueprint) == {"access_token": "another"}
    oauth_login(client, "acme", None)
    assert client.get("/authorized").text == "False"


TWO_TESTS = """
from flask import Flask
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint

app = Flask(__name__)
app.secret_key = "secret"
acme = OAuth2ConsumerBlueprint("acme", __name__, "id")
app.register_blueprint(acme)
app.add_url_rule("/", "index", lambda: str(acme.session.authorized))
own = acme.backend

def test_that_fails(oauth_login):
    oauth_login(app.test_client(), "acme")
    oauth_login(app.test_client(), "acme", {"access_token": "another"})
    assert app.test_client().get("/").text == "False"

def test_after_it():
    assert acme.backend is own
    assert app.test_client().get("/").text == "False"
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of somebody else, which imports the package from here and not what is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytester


def run_tests(project: pytest.Pytester) -> pytest.RunResult:
    """Run a project's tests in a process of their own."""
    return project.runpytest_subprocess("-q", "-p", "no:cacheprovider")


def test_nothing_is_left_for_the_next_test(project: pytest.Pytester) -> None:
    """After a test that logged in and failed, the next one finds the app as it was."""
    project.makeconftest('pytest_plugins = ["flask_dance_nosql.testing.fixtures"]')
    project.makepyfile(TWO_TESTS)
    result = run_tests(project)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_that_fails*"])


def test_documented_tests_run(project: pytest.Pytester) -> None:
    """The tests of the documentation pass, in a project of their own."""
    source = [block.text for block in blocks_of(DOCS / "testing.rst") if block.language == RUN]
    plugins = next(text for text in source if text.startswith("pytest_plugins"))
    project.makeconftest(plugins)
    project.makepyfile("\n".join(text for text in source if text is not plugins))
    run_tests(project).assert_outcomes(passed=9)


def test_hypothesis_is_not_needed() -> None:
    """The part for applications is imported without what only the suite for stores needs."""
    code = "import sys; sys.modules['hypothesis'] = None; import flask_dance_nosql.testing.fixtures"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("missing", ["hypothesis", "pytest"])
@pytest.mark.parametrize("name", ["StoreConformance", "CorruptRecords", "make_document"])
def test_what_the_suites_need_is_told(missing: str, name: str) -> None:
    """Without what a suite for stores needs, the error names it and the extra."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
import flask_dance_nosql.testing as testing
from flask_dance_nosql.errors import MissingDependency
try:
    testing.{name}
except MissingDependency as error:
    print(error.feature, error.package, error.extra)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    is_needed = missing == "hypothesis" or name != "make_document"
    assert done.stdout.strip() == (f"{name} {missing} test" if is_needed else "")
