"""A preset of an application's own: what it says becomes a blueprint."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.preset import Preset, Revocation, factory, option, proxy


class Example(Preset):
    """A provider whose URLs and parameters depend on options."""

    base_url = "https://{host}/{version}/"
    authorization_url = "https://{host}/authorize"
    token_url = "https://{host}/token"
    refresh = "offline"
    scope = ["read"]
    authorization_url_params = {"audience": "api"}
    headers = {"X-Version": "{version}", "X-Own": "own"}
    revocation = Revocation("https://{host}/revoke")

    host: str = option("The server.", default="example.com", pattern=r"[a-z.]+")
    version: str = option("The API's.", default="v1", pattern="v[0-9]+")
    prompt: str | None = option("What is asked.", default=None, adds="prompt={}")
    consent: bool = option("Ask anew.", default=False, adds="prompt=consent", otherwise="quiet=1")
    key: str | None = option("The client id.", default=None, names="client_id")


make_example_blueprint, example = factory(Example), proxy(Example)


def test_defaults() -> None:
    """Options are part of the texts, and the class's name is the blueprint's."""
    blueprint = make_example_blueprint("id", "secret")
    assert type(blueprint) is OAuth2ConsumerBlueprint
    assert blueprint.name == "example"
    assert blueprint.base_url == "https://example.com/v1/"
    assert blueprint.token_url == "https://example.com/token"
    assert blueprint.revocation_url == "https://example.com/revoke"
    assert blueprint.headers == {"X-Version": "v1", "X-Own": "own"}
    assert blueprint.authorization_url_params == {"audience": "api", "quiet": "1"}
    assert blueprint.auto_refresh_url is None
    assert blueprint.from_config == {
        "client_id": "EXAMPLE_OAUTH_CLIENT_ID",
        "client_secret": "EXAMPLE_OAUTH_CLIENT_SECRET",
    }


def test_what_is_given_comes_first() -> None:
    """Mappings are merged with those of the preset; anything else takes its place."""
    blueprint = make_example_blueprint(
        "id",
        host="eu.example.com",
        scope="read offline",
        prompt="login",
        consent=True,
        headers={"X-Own": "mine"},
        authorization_url_params={"audience": "other", "more": "1"},
        token_url="https://other.example/token",
    )
    assert blueprint.base_url == "https://eu.example.com/v1/"
    assert blueprint.auto_refresh_url == blueprint.token_url == "https://other.example/token"
    assert blueprint.headers == {"X-Version": "v1", "X-Own": "mine"}
    assert blueprint.authorization_url_params == {
        "audience": "other",
        "more": "1",
        "prompt": "login consent",
    }


def test_blueprints_share_nothing() -> None:
    """What is changed on one is not changed on the next."""
    first = make_example_blueprint("id")
    first.scope.append("more")  # type: ignore[union-attr] # it is a list here
    first.headers["X-Own"] = "changed"  # type: ignore[index] # likewise
    second = make_example_blueprint("id")
    assert second.scope == ["read"]
    assert second.headers == {"X-Version": "v1", "X-Own": "own"}
    assert Example.scope == ["read"]


def test_another_name_of_an_argument() -> None:
    """It is taken for the argument."""
    assert make_example_blueprint(key="by-key").client_id == "by-key"


@pytest.mark.parametrize(
    "given",
    [
        {"host": "evil.example/path"},
        {"host": "a\n"},
        {"host": ""},
        {"version": 1},
        {"consent": "yes"},
        {"hosst": "x"},
    ],
)
def test_bad_argument(given: dict[str, Any]) -> None:
    """It is an error that names it."""
    make: Any = make_example_blueprint
    with pytest.raises(ConfigurationError, match=next(iter(given))[:4]):
        make("id", **given)


def test_two_of_one_preset_on_an_app() -> None:
    """With names of their own; the proxy is the one that was registered last."""
    first, second = make_example_blueprint("a"), make_example_blueprint("b", name="second")
    app = Flask(__name__)
    app.secret_key = "for tests"
    for blueprint in (first, second):
        app.register_blueprint(blueprint, url_prefix="/login")
    with app.app_context():
        assert example == second.session
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert {"/login/example", "/login/second", "/login/second/authorized"} <= rules


def test_option_that_is_missing() -> None:
    """What needs an option that is not given is not there."""

    class Hosted(Preset):
        """A server without a usual host."""

        authorization_url = "https://{host}/authorize"
        token_url = "https://{host}/token"

        host: str | None = option("The server.", default=None, pattern=r"[a-z.]+")

    make = factory(Hosted)
    assert make("id").token_url is None
    assert make("id", token_url="https://x.example/token").token_url == "https://x.example/token"
    assert make("id", host="h.example").authorization_url == "https://h.example/authorize"


def test_misspelt_attribute() -> None:
    """It is an error where the class is written, with the right name."""
    with pytest.raises(ConfigurationError, match="Did you mean 'scope_separator'"):
        type("Misspelt", (Preset,), {"scope_seperator": ","})


@pytest.mark.parametrize(
    "attributes",
    [
        {"base_url": "https://{vesion}.example/"},
        {"headers": {"X": "{vesion}"}},
        {"revocation": Revocation("https://{vesion}.example/")},
    ],
)
def test_misspelt_option_in_a_text(attributes: dict[str, Any]) -> None:
    """It is an error where the class is written."""
    with pytest.raises(ConfigurationError, match="vesion"):
        type("Misspelt", (Preset,), attributes)
