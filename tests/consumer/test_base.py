"""What the blueprints share: configuration by app, backends, the config of a context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask_dance.consumer.storage import MemoryStorage
from markupsafe import Markup
from werkzeug.local import LocalProxy

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint, OAuth2Session, Setting
from flask_dance_nosql.consumer.backend import (
    FileBackend,
    MemoryBackend,
    NullBackend,
    SessionBackend,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError

from .conftest import make_app, make_blueprint


def test_configuration_wins_over_the_argument_and_may_come_late() -> None:
    """A key of the app's configuration is read when needed, also when set after registration."""
    blueprint = make_blueprint()
    blueprint.from_config["client_id"] = "ACME_ID"
    app = make_app(blueprint)
    with app.test_request_context():
        assert blueprint.client_id == "client-id"
    app.config["ACME_ID"] = "from-config"
    with app.test_request_context():
        assert blueprint.client_id == "from-config"
        assert blueprint.session.client_id == "from-config"
    assert "client_id=from-config" in app.test_client().get("/login/acme").location
    assert blueprint.client_id == "client-id"


def test_two_apps_each_see_their_own_values() -> None:
    """One blueprint on two apps takes each app's configuration, in any interleaving."""
    blueprint = make_blueprint()
    blueprint.from_config |= {"client_id": "ID", "session.headers": "HEADERS", "scope": "SCOPE"}
    one = make_app(blueprint, ID="one", HEADERS={"X": "1"}, SCOPE=["a"])
    two = make_app(blueprint, ID="two", HEADERS={"X": "2"}, SCOPE=["b"])
    with one.test_request_context():
        first = blueprint.session
        with two.test_request_context():
            second = blueprint.session
            assert blueprint.client_id == "two"
        assert blueprint.client_id == "one"
    assert (first.client_id, second.client_id) == ("one", "two")
    assert (first.headers["X"], second.headers["X"]) == ("1", "2")
    assert (first.scope, second.scope) == (["a"], ["b"])


def test_setting_with_another_default_still_goes_to_the_session() -> None:
    """A subclass that redeclares settings of the session changes their defaults, and no more."""

    class GitHub(OAuth2ConsumerBlueprint):
        base_url: Setting[str | None] = Setting(default="https://api.github.com/")
        scope: Setting[list[str] | str | None] = Setting(default="repo")
        state: Setting[Any] = Setting(default="fixed", for_session=False)
        redirect_to: Setting[str | None] = Setting(default="home")

    blueprint = GitHub("github", __name__, client_id="id")
    session = blueprint.session
    assert (session.base_url, session.scope) == ("https://api.github.com/", "repo")
    assert (blueprint.state, blueprint.redirect_to) == ("fixed", "home")
    assert set(OAuth2ConsumerBlueprint.session_settings) - set(GitHub.session_settings) == {"state"}
    assert "redirect_to" not in GitHub.session_settings


WRONG = [
    *({"refresh_leeway": value} for value in ("60", None, [1], True)),
    *({"pool_maxsize": value} for value in ("a", 1.5, True, None)),
    *({"scope": value} for value in (5, {"a": 1}, [5], [None])),
    *({"timeout": value} for value in ("5", (1,), (1, "a"), [1, 2])),
    *({"session_class": value} for value in (dict, 5, "OAuth2Session")),
    *({"client": value} for value in (5, "client", object())),
    *({"auto_refresh": value} for value in ("yes", 1, None)),
    *({"client_id": value} for value in (5, b"id", ["id"])),
    *({"client_secret": value} for value in (5, b"secret")),
    *({"base_url": value} for value in (5, b"https://x")),
    *({"authorization_url_params": value} for value in ("a=b", ["a"], [("a", "b")])),
    *({"rule_kwargs": value} for value in ("x", [1])),
    *({"adapter": value} for value in (5, "x")),
    *({"use_pkce": value} for value in ("no", 0)),
    *({"redirect_to": value} for value in (5, ["home"])),
    *(
        {name: 5}
        for name in ("token_url", "authorization_url", "revocation_url", "issuer", "state")
    ),
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda arguments: next(iter(arguments)))
def test_value_of_another_type_is_refused(arguments: dict[str, Any]) -> None:
    """V10: where the blueprint is made, where it is assigned, and where a configuration has it."""
    ((name, value),) = arguments.items()
    with pytest.raises(ConfigurationError, match=name):
        make_blueprint(**arguments)
    if name == "rule_kwargs" or value is dict:
        return
    blueprint = make_blueprint()
    with pytest.raises(ConfigurationError, match=name):
        setattr(blueprint, name, value)
    if value is not None:
        blueprint.from_config[name] = "THE_KEY"
        app = make_app(blueprint, THE_KEY=value)
        with app.app_context(), pytest.raises(ConfigurationError, match="THE_KEY"):
            getattr(blueprint, name)


RIGHT: list[dict[str, Any]] = [
    *({"scope": value} for value in (("a", "b"), {"a"}, ["a"], "a", None, LocalProxy(lambda: "a"))),
    *({"timeout": value} for value in (5, 0.5, None, (1, None), (1.5, 2))),
    *({"refresh_leeway": value} for value in (0, 1.5)),
    *({"state": value} for value in ("x", lambda: "x")),
    *({"client_id": value} for value in (LocalProxy(lambda: "id"), Markup("id"))),
    *({"session_class": value} for value in (OAuth2Session, lambda **_: None)),
]


@pytest.mark.parametrize("arguments", RIGHT, ids=lambda arguments: next(iter(arguments)))
def test_value_of_a_right_type_is_taken(arguments: dict[str, Any]) -> None:
    """What worked goes on working: collections of scopes, whole numbers, proxies."""
    make_blueprint(**arguments)


@pytest.mark.parametrize("cipher", [True, "key", 5, b"key"])
def test_cipher_that_is_none_is_refused(cipher: Any, tmp_path: Path) -> None:
    """V10: where the backend is made."""
    for make in (
        lambda: SessionBackend(cipher=cipher),
        lambda: FileBackend(tmp_path / "token", cipher=cipher),
        lambda: UserScopedBackend(MemoryStore(), cipher=cipher),
    ):
        with pytest.raises(ConfigurationError, match="TokenCipher"):
            make()


def test_calls_of_a_thread_have_the_configuration_of_the_app() -> None:
    """A session keeps the app's settings for calls made where there is no app context."""
    blueprint = make_blueprint(client_secret="of nobody")
    blueprint.from_config |= {"client_secret": "SECRET", "timeout": "TIMEOUT"}
    with make_app(blueprint, SECRET="of the app", TIMEOUT=7).test_request_context():
        session = blueprint.session
        assert not session.authorized
    assert session.call_settings["client_secret"] == "of the app"
    assert session.call_settings["timeout"] == 7


def test_dotted_path_reaches_into_the_session() -> None:
    """``session.client_id``, as the predecessor documents it, is set on each new session."""
    blueprint = make_blueprint()
    blueprint.from_config["session.client_id"] = "ID"
    blueprint.from_config["session._client.token_type"] = "TYPE"
    with make_app(blueprint, ID="dotted", TYPE="MAC").test_request_context():
        assert blueprint.session.client_id == "dotted"
        assert blueprint.session._client.token_type == "MAC"


def test_falsy_configuration_is_a_value_and_none_is_not() -> None:
    """An empty text, ``False`` or 0 is taken; ``None``, as ``os.environ.get`` gives, is not."""
    blueprint = make_blueprint(use_pkce=True)
    blueprint.from_config |= {"use_pkce": "PKCE", "client_id": "ID"}
    with make_app(blueprint, PKCE=False, ID=None).test_request_context():
        assert blueprint.use_pkce is False
        assert blueprint.client_id == "client-id"


def test_unknown_name_in_from_config_is_an_error_at_registration() -> None:
    """A name that could not be kept apart by app is refused, and the message says what to do."""
    blueprint = make_blueprint()
    blueprint.from_config["user_agent"] = "UA"
    with pytest.raises(ConfigurationError, match=r"user_agent = Setting\(\)"):
        make_app(blueprint)


def test_subclass_declares_its_own_settings() -> None:
    """A ``Setting`` of a subclass takes part in ``from_config``."""

    class Custom(OAuth2ConsumerBlueprint):
        user_agent = Setting[str | None]()

    blueprint = Custom("acme", __name__)
    blueprint.user_agent = "default"
    blueprint.from_config["user_agent"] = "UA"
    with make_app(blueprint, UA="configured").app_context():
        assert blueprint.user_agent == "configured"
    assert blueprint.user_agent == "default"
    assert isinstance(Custom.user_agent, Setting)


@pytest.mark.parametrize("name", ["backend", "storage"])
def test_backend_is_an_instance_a_class_or_a_function(name: str) -> None:
    """Under both names, as argument and as attribute, a backend may be given in three ways."""
    instance = NullBackend()
    assert make_blueprint(**{name: instance}).backend is instance
    assert isinstance(make_blueprint(**{name: NullBackend}).backend, NullBackend)
    assert make_blueprint(**{name: lambda: instance}).backend is instance
    blueprint = make_blueprint()
    assert isinstance(blueprint.backend, SessionBackend)
    setattr(blueprint, name, NullBackend)
    assert isinstance(blueprint.backend, NullBackend)
    assert blueprint.storage is blueprint.backend


def test_both_names_at_once_are_refused() -> None:
    """``backend`` and ``storage`` can't both be given."""
    with pytest.raises(ConfigurationError, match="another name"):
        make_blueprint(backend=NullBackend(), storage=NullBackend())


def test_another_backend_is_asked_within_a_request() -> None:
    """A session that has read the token reads it anew when the blueprint gets another backend."""
    app = make_app(blueprint := make_blueprint(backend=MemoryBackend()))
    with app.test_request_context():
        assert not blueprint.session.authorized
        blueprint.backend = MemoryBackend({"access_token": "at"})
        assert blueprint.session.authorized


@pytest.mark.parametrize("value", [7, "mongodb://x", object(), dict])
def test_backend_that_is_none_is_refused(value: Any) -> None:
    """Something without the three methods is a clear error at once."""
    with pytest.raises(ConfigurationError, match="get, set and delete"):
        make_blueprint(backend=value)


def test_storage_of_the_predecessor_works() -> None:
    """A storage of Flask-Dance itself can be a blueprint's backend."""
    storage = MemoryStorage({"access_token": "theirs"})
    blueprint = make_blueprint(storage=storage)
    with make_app(blueprint).test_request_context():
        assert blueprint.session.access_token == "theirs"
        blueprint.token = {"access_token": "ours"}
        assert storage.token == {"access_token": "ours"}
        assert blueprint.session.access_token == "ours"


def test_config_set_in_a_request_ends_with_it() -> None:
    """``blueprint.config`` of one request is never seen by another; set outside, it is for all."""
    blueprint = make_blueprint()
    app = make_app(blueprint)
    blueprint.config["user_id"] = "default"
    with app.test_request_context():
        blueprint.config["user_id"] = "alice"
        with app.test_request_context():
            assert blueprint.config["user_id"] == "default"
        assert blueprint.config["user_id"] == "alice"
        del blueprint.config["user_id"]
        assert blueprint.config["user_id"] == "default"
    assert dict(blueprint.config) == {"user_id": "default"}


def test_config_of_an_app_context_is_seen_by_requests_within() -> None:
    """What is set in an app context holds for the requests made inside it, and no longer."""
    blueprint = make_blueprint()
    app = make_app(blueprint)
    with app.app_context():
        blueprint.config["user"] = "u"
        with app.test_request_context():
            assert blueprint.config.get("user") == "u"
            assert len(blueprint.config) == 1
            blueprint.config["user_id"] = 1
            assert set(blueprint.config) == {"user", "user_id"}
            assert "u'" not in repr(blueprint.config)
        assert "user_id" not in blueprint.config
    assert not blueprint.config


def test_app_token_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    """A visitor's dance that gives the whole application a token logs one warning saying so."""
    import fakeredis

    from flask_dance_nosql.consumer.backend import RedisBackend

    with make_app(
        blueprint := make_blueprint(backend=RedisBackend(fakeredis.FakeRedis()))
    ).test_request_context():
        blueprint._store_login({"access_token": "x", "refresh_token": "r"})
    [record] = caplog.records
    assert "everybody uses it" in record.getMessage()
    assert "scope='browser'" in record.getMessage()


def test_users_token_is_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    """Tokens that belong to a user or a browser are nothing to warn of."""
    import fakeredis

    from flask_dance_nosql.consumer.backend import RedisBackend

    for scoping in ({"user_id": 7}, {"scope": "browser"}):
        blueprint = make_blueprint(backend=RedisBackend(fakeredis.FakeRedis(), **scoping))
        with make_app(blueprint).test_request_context():
            blueprint._store_login({"access_token": "x", "refresh_token": "r"})
    blueprint = make_blueprint(backend=MemoryBackend())
    with make_app(blueprint).test_request_context():
        blueprint._store_login({"access_token": "x", "refresh_token": "r"})
    assert not caplog.records


def test_session_follows_what_is_assigned_and_each_app() -> None:
    """What a session is made with is remembered until it is assigned anew, and for no app."""
    blueprint = make_blueprint(client_id="first")
    app = make_app(blueprint, ACME_ID="of the app")
    for client_id in ("first", "second"):
        blueprint.client_id = client_id
        for _ in range(2):
            with app.test_request_context():
                assert blueprint.session.client_id == client_id
    blueprint.from_config["client_id"] = "ACME_ID"
    with app.test_request_context():
        assert blueprint.session.client_id == "of the app"
    del blueprint.from_config["client_id"]
    with app.test_request_context():
        assert blueprint.session.client_id == "second"
