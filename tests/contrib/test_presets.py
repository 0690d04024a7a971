"""The presets: each as its provider's documentation has it, and all of them alike."""

from __future__ import annotations

import base64
import gc
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from inspect import signature
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import responses
from flask import Flask

from flask_dance_nosql import contrib
from flask_dance_nosql.consumer import OAuth2Session
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.errors import ConfigurationError

from .openid import signed
from .rows import OPTIONS, ROWS, OptionRow, Row

OAUTH1 = {
    "jira": ("JIRA_OAUTH_CONSUMER_KEY", "consumer_key"),
    "trello": ("TRELLO_OAUTH_CLIENT_KEY", "client_key"),
    "twitter": ("TWITTER_OAUTH_CLIENT_KEY", "api_key"),
}
ARGUMENTS: dict[str, dict[str, Any]] = {row.module: row.arguments for row in ROWS}
ARGUMENTS |= {"jira": {"base_url": "https://jira.example.com/"}, "trello": {}, "twitter": {}}
NOT_PRESETS = {"oidc"}

oauth2 = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.module)
each = pytest.mark.parametrize("module", sorted(ARGUMENTS))


def make(module: str, *args: Any, **given: Any) -> Any:
    """Make a preset's blueprint, with what its factory needs at least."""
    factory = getattr(
        import_module(f"flask_dance_nosql.contrib.{module}"), f"make_{module}_blueprint"
    )
    return factory(*args, **{**ARGUMENTS[module], **given})


def proxy_of(module: str) -> Any:
    """Return a preset's proxy."""
    return getattr(import_module(f"flask_dance_nosql.contrib.{module}"), module)


def app_with(*blueprints: Any, **config: Any) -> Flask:
    """Make an app with blueprints."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    app.config.update(config)
    for blueprint in blueprints:
        app.register_blueprint(blueprint, url_prefix="/login")
    return app


def begun(blueprint: Any, app: Flask | None = None) -> dict[str, list[str]]:
    """Begin a login, and return the query of the authorization URL."""
    app = app or app_with(blueprint)
    answer = app.test_client().get(f"/login/{blueprint.name}")
    assert answer.status_code == 302, answer.text
    return parse_qs(urlsplit(answer.location).query)


def test_every_module_has_a_row() -> None:
    """No preset is without its row in the tables of these tests."""
    modules = {each.name for each in pkgutil.iter_modules(contrib.__path__)} - NOT_PRESETS
    assert modules == set(ARGUMENTS)


@oauth2
def test_what_a_factory_makes(row: Row) -> None:
    """Endpoints, scope and refreshing are the provider's of today."""
    blueprint = make(row.module, "the-id", "the-secret")
    assert blueprint.name == row.module
    assert blueprint.import_name == f"flask_dance_nosql.contrib.{row.module}"
    session = blueprint.session
    assert session.base_url == blueprint.base_url == row.base_url
    assert (session.client_id, blueprint.client_secret) == ("the-id", "the-secret")
    assert blueprint.authorization_url == row.authorization_url
    assert blueprint.token_url == row.token_url
    assert session.scope == row.scope
    assert blueprint.auto_refresh_url == row.refresh_url
    # With OpenID Connect, a token that can be refreshed is.
    assert session.auto_refresh_url == blueprint.refresh_url
    assert row.refresh_url in (None, blueprint.refresh_url)


@oauth2
def test_login_redirect(row: Row) -> None:
    """The authorization request has what the provider wants, and nothing else."""
    app = app_with(blueprint := make(row.module, "the-id", "the-secret"))
    answer = app.test_client().get(f"/login/{row.module}")
    url, _, text = answer.location.partition("?")
    assert url == row.authorization_url
    assert "+" not in text
    query = {name: value for name, [value] in parse_qs(text).items()}
    validates = isinstance(blueprint, OIDCConsumerBlueprint) and blueprint.use_nonce
    for name in ("redirect_uri", "state", *(["nonce"] if validates else [])):
        assert query.pop(name)
    if row.pkce:
        assert query.pop("code_challenge_method") == "S256"
        assert query.pop("code_challenge")
    expected = {"response_type": "code", **row.params}
    expected["client_key" if row.auth == "client_key" else "client_id"] = "the-id"
    if row.scope is not None:
        listed = [row.scope] if isinstance(row.scope, str) else row.scope
        expected["scope"] = row.separator.join(listed)
    assert query == expected
    assert blueprint.scope_separator == row.separator


def token_request(blueprint: Any, answer: Any = None, **arguments: str) -> tuple[Any, Any]:
    """Run a dance, and return the request that the token endpoint got, with the token."""
    app = app_with(blueprint)
    client = app.test_client()
    location = client.get(f"/login/{blueprint.name}").location
    [state] = parse_qs(urlsplit(location).query)["state"]
    fields = answer or {"access_token": "the-token", "token_type": "Bearer"}
    with responses.RequestsMock() as provider:
        provider.post(blueprint.token_url, json={**fields, **signed(provider, blueprint, location)})
        query = {"code": "the-code", "state": state, **arguments}
        client.get(f"/login/{blueprint.name}/authorized", query_string=query)
        with client, client.session_transaction():
            pass
        [asked] = [each.request for each in provider.calls if each.request.method == "POST"]
        return asked, blueprint.backend.get(blueprint)


# Shopify signs its callback, and has a test of its own.
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.module != "shopify"], ids=lambda row: row.module
)
def test_token_request(row: Row) -> None:
    """The client authenticates in the way that the provider documents, and not in two."""
    blueprint = make(row.module, "the-id", "the-secret", backend=MemoryBackend())
    request, token = token_request(blueprint)
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    fields = dict(parse_qsl(body))
    basic = request.headers.get("Authorization", "").removeprefix("Basic ")
    credentials = base64.b64decode(basic).decode()
    kind = request.headers["Content-Type"]
    assert kind == (
        "application/json" if row.module == "notion" else "application/x-www-form-urlencoded"
    )
    if row.module == "notion":
        fields = json.loads(body)
    expected = {
        "basic": ("the-id:the-secret", {}),
        "post": ("", {"client_id": "the-id", "client_secret": "the-secret"}),
        "key": ("the-secret:", {}),
        "client_key": ("", {"client_key": "the-id", "client_secret": "the-secret"}),
    }[row.auth]
    names = ("client_id", "client_secret", "client_key")
    assert (credentials, {n: fields[n] for n in names if n in fields}) == expected
    assert fields["grant_type"] == "authorization_code"
    assert ("code_verifier" in fields) is row.pkce
    assert request.headers["Accept"] == "application/json"
    assert token["access_token"] == "the-token"


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: f"{row.module}-{row.given}")
def test_option(row: OptionRow) -> None:
    """An option does what it says, in the authorization URL or in what the blueprint is."""
    blueprint = make(row.module, "the-id", "the-secret", **row.given)
    assert {name: getattr(blueprint, name) for name in row.settings} == row.settings
    query = begun(blueprint)
    assert {name: query.get(name, [None])[0] for name in row.params} == row.params


@pytest.mark.parametrize(
    ("module", "scope", "asked"),
    [
        # One of all their logins.
        ("linear", "write", "read,write"),
        ("linear", ["read", "write"], "read,write"),
        ("hubspot", "crm.objects.contacts.read", "oauth crm.objects.contacts.read"),
        # As their provider has scopes written, however the view writes them.
        ("digitalocean", "read,write", "read write"),
        ("github", "repo,user", "repo user"),
        ("strava", "read activity:read", "read,activity:read"),
    ],
)
def test_scope_that_a_view_asks_for(module: str, scope: Any, asked: str) -> None:
    """What the provider wants of a scope holds for ``begin()``, too."""
    blueprint = make(module, "the-id", "the-secret")
    with app_with(blueprint).test_request_context():
        query = parse_qs(urlsplit(blueprint.begin(scope=scope).location).query)
    assert query["scope"] == [asked]


@pytest.mark.parametrize("empty", [None, "", [], (), set()], ids=repr)
def test_no_scope_is_the_default_one(empty: Any) -> None:
    """A preset with a default scope asks for it whenever it is given none."""
    assert make("google", scope=empty).scope == ["openid", "email", "profile"]


@oauth2
def test_credentials_from_configuration(row: Row) -> None:
    """Keys that are set after the registration count, and those of each app for itself."""
    module = row.module
    blueprint = make(module)
    app = app_with(blueprint)
    app.config[f"{module.upper()}_OAUTH_CLIENT_ID"] = "configured-id"
    app.config[f"{module.upper()}_OAUTH_CLIENT_SECRET"] = "configured-secret"
    query = begun(blueprint, app)
    assert [*query.get("client_id", query.get("client_key", []))] == ["configured-id"]
    with app.app_context():
        assert blueprint.client_secret == "configured-secret"
    assert blueprint.client_id is None


@pytest.mark.parametrize("module", sorted(OAUTH1))
def test_oauth1_preset(module: str) -> None:
    """A preset of OAuth 1 has the consumer's key by its own name, and from the configuration."""
    key, argument = OAUTH1[module]
    blueprint = make(module, **{argument: "the-key"})
    assert blueprint.session.auth.client.client_key == "the-key"
    app = app_with(blueprint, **{key: "configured"})
    with app.app_context():
        assert blueprint.session.auth.client.client_key == "configured"
    assert [*signature(type(blueprint.preset)).parameters][:2] == {
        "jira": ["base_url", "consumer_key"],
        "trello": ["client_key", "client_secret"],
        "twitter": ["api_key", "api_secret"],
    }[module]


@each
def test_full_set_of_arguments(module: str) -> None:
    """Each factory takes the arguments that all have, and both names of the backend."""
    backend = MemoryBackend()
    given: dict[str, Any] = {
        "redirect_url": "/after",
        "redirect_to": "index",
        "login_url": "/in/{bp.name}",
        "authorized_url": "/back/{bp.name}",
        "rule_kwargs": {"host": "app.example"},
        "name": "mine",
        "import_name": __name__,
    }
    blueprint = make(module, storage=backend, **given)
    assert blueprint.backend is backend
    assert blueprint.import_name == __name__
    assert (blueprint.name, blueprint.redirect_url, blueprint.redirect_to) == (
        "mine",
        "/after",
        "index",
    )
    app = Flask(__name__, host_matching=True, static_host="app.example")
    app.register_blueprint(blueprint)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    assert {name: (rule.rule, rule.host) for name, rule in rules.items()} == {
        "mine.login": ("/in/mine", "app.example"),
        "mine.authorized": ("/back/mine", "app.example"),
    }
    assert make(module, backend=backend).backend is backend
    with pytest.raises(ConfigurationError, match="another name"):
        make(module, backend=backend, storage=backend)


@each
def test_unknown_argument(module: str) -> None:
    """A misspelt argument is an error where it is made, with the right name in it."""
    with pytest.raises(ConfigurationError, match="redirect_url"):
        make(module, redirect_utl="/")


@each
def test_proxy(module: str) -> None:
    """The proxy is the session of the current app's blueprint, and an error where there is none."""
    proxy = proxy_of(module)
    assert not proxy
    assert "unbound" in repr(proxy)
    with pytest.raises(RuntimeError, match=f"make_{module}_blueprint"):
        proxy.get("https://api.example.com")
    blueprint, other = make(module), make(module)
    app, second, without = app_with(blueprint), app_with(other), app_with()
    with without.app_context():
        assert not proxy
        with pytest.raises(RuntimeError, match="on this app"):
            proxy.get("https://api.example.com")
    with app.test_request_context():
        assert proxy == blueprint.session
        assert proxy
        assert repr(proxy) == repr(blueprint.session)
        with second.app_context():
            assert proxy == other.session


def test_decorator_of_a_proxy() -> None:
    """It is used at import time, and asks the current app's blueprint at each request."""
    github = proxy_of("github")

    @github.authorization_required
    def view() -> str:
        """A view."""
        return "shown"

    assert view.__doc__ == "A view."
    for token, expected in (({"access_token": "t"}, "shown"), (None, "/login/github")):
        app = app_with(make("github", "id", backend=MemoryBackend(token)))
        app.add_url_rule("/view", view_func=view)
        answer = app.test_client().get("/view")
        assert expected in (answer.text, answer.location)


def test_registered_presets_cost_a_request_nothing() -> None:
    """Of forty presets, none is called in a request that uses none."""

    def calls_of(app: Flask) -> int:
        app.add_url_rule("/plain", view_func=lambda: "plain", endpoint="plain")
        client = app.test_client()
        client.get("/plain")
        calls = 0

        def count(frame: Any, event: str, arg: Any) -> None:
            nonlocal calls
            calls += event == "call"

        # What the collector finds in between calls functions, too.
        gc.disable()
        sys.setprofile(count)
        try:
            client.get("/plain")
        finally:
            sys.setprofile(None)
            gc.enable()
        return calls

    forty = [make(row.module) for row in ROWS[:40]]
    # A router has more to search with more routes, which is no function of Python's.
    assert calls_of(app_with(*forty)) == calls_of(app_with())


def test_bool_and_repr_of_a_proxy_never_raise() -> None:
    """Not even where the session can't be made."""
    from flask_dance_nosql.contrib.github import github, make_github_blueprint

    def broken(**_: Any) -> Any:
        raise ZeroDivisionError

    class Silent(OAuth2Session):
        """A session that can't be shown."""

        def __repr__(self) -> str:
            raise ZeroDivisionError

    with app_with(make_github_blueprint(session_class=Silent)).app_context():
        assert github
        assert "Silent" in repr(github)
    with app_with(make_github_blueprint(session_class=broken)).app_context():
        assert not github
        assert "unbound" in repr(github)
        with pytest.raises(ZeroDivisionError):
            github.get("user")


BAD_OPTIONS = [
    ("azure", {"tenant": "evil.example/x?"}),
    ("azure", {"tenant": ""}),
    ("gitlab", {"hostname": "evil.example/path"}),
    ("gitlab", {"hostname": "a@b"}),
    ("gitlab", {"verify_tls_certificates": "no"}),
    ("shopify", {"shop": "evil.example"}),
    ("shopify", {"shop": "a.b"}),
    ("slack", {"subdomain": "evil.example/"}),
    ("salesforce", {"hostname": "evil.example#"}),
    ("zoho", {"data_center": "evil"}),
    ("zoho", {"data_center": "comXau"}),
    ("facebook", {"api_version": "../x"}),
    ("dropbox", {"require_role": "boss"}),
    ("google", {"offline": "yes"}),
    ("heroku", {"api_version": "3\r\nX: y"}),
    ("reddit", {"user_agent": "a\nb"}),
    ("keycloak", {"hostname": "h\n", "realm": "r"}),
    ("nylas", {"region": "us\n"}),
]


@pytest.mark.parametrize(("module", "given"), BAD_OPTIONS, ids=str)
def test_bad_value_of_an_option(module: str, given: dict[str, Any]) -> None:
    """What can't be part of a URL or a header, or is of another type, is refused."""
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        make(module, **given)


def test_importing_one_preset_imports_no_other() -> None:
    """One preset costs itself and the mechanism, and neither OpenID nor a database driver."""
    code = """if 1:
        import sys
        import flask_dance_nosql.contrib.github
        names = [n for n in sys.modules if n.startswith("flask_dance_nosql.contrib.")]
        assert names == ["flask_dance_nosql.contrib.github"], names
        for name in ("joserfc", "cryptography", "pymongo", "redis", "sqlalchemy"):
            assert name not in sys.modules, name
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@oauth2
def test_readable_signature(row: Row) -> None:
    """A factory shows its real arguments, with their defaults."""
    factory = getattr(
        import_module(f"flask_dance_nosql.contrib.{row.module}"), f"make_{row.module}_blueprint"
    )
    parameters = signature(factory).parameters
    assert [*parameters][:2] == ["client_id", "client_secret"]
    assert all(each.kind is each.KEYWORD_ONLY for each in [*parameters.values()][2:])
    assert "backend" in parameters
    assert factory.__doc__.startswith("Make a blueprint for ")
