"""What a preset is: a class that says what a provider is like, and makes its blueprints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from string import Formatter
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform
from urllib.parse import urlencode

from flask.blueprints import BlueprintSetupState
from requests.adapters import BaseAdapter

from ..consumer.backend_setting import Backend
from ..consumer.base import BaseOAuthConsumerBlueprint
from ..consumer.client import SessionClass
from ..consumer.client_auth import AuthMethod, ClientSecret
from ..consumer.ended import EndedErrors
from ..consumer.limits import Timeout
from ..consumer.oauth1 import OAuth1ConsumerBlueprint
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..consumer.revocation import Revocation
from ..consumer.settings import Argument, Configurable, argument, refuse_unknown
from ..consumer.token import scopes_of
from ..consumer.transport import DEFAULT_POOL_MAXSIZE, DEFAULT_TIMEOUT
from ..errors import ConfigurationError
from .option import Option, option
from .profile import OPENID, Fields, Profile

B = TypeVar("B", bound=BaseOAuthConsumerBlueprint)

EXTENSION = "flask_dance_nosql.presets"
"""Where an app has its blueprints, by their presets."""

_CONTRIB = f"{__package__.rpartition('.')[0]}.contrib"
_CREDENTIALS = ("client_id", "client_key", "client_secret")
_MERGED = ("authorization_url_params", "token_url_params", "headers")


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(argument, option))
class BasePreset(Configurable, Generic[B]):
    """What all presets have. A preset is a class, and its instances make a blueprint each.

    Its class attributes are of two kinds. Those that are named like an argument of the blueprint
    are given to the blueprint unless the factory is given something else; options of the factory
    may be part of their texts, as ``{hostname}``. The others tell of the provider:

    Attributes:
        display: The provider's own name.
        make: The class of its blueprints.
        always: A scope that belongs to each login, whatever others are asked for.
        config: The config keys of the blueprint's settings, and of paths of its session.
        refresh: Whether refresh tokens are issued: by default, with an option that says so if there
            is one, and to every app if not; ``False`` is never, a text with a scope in it.
        refresh_url: Where tokens are refreshed, if that is not ``token_url``.
        profile: Where it is told who has logged in.
        apps_page: Where a user removes the app.
        console: Where a developer registers it.
        callback_rule: What the provider wants of the callback URL.
        deprecated: Why it is not to be used any more.
        doubts: What could not be confirmed by the provider's own documentation.
        checked: When that was looked at, as ``YYYY-MM``.
    """

    display: ClassVar[str]
    make: ClassVar[type[Any]]
    config: ClassVar[Mapping[str, str]] = {}
    always: ClassVar[str | None] = None
    refresh: ClassVar[bool | str] = True
    refresh_url: ClassVar[str | None] = None
    profile: ClassVar[Profile | None] = None
    apps_page: ClassVar[str | None] = None
    console: ClassVar[str | None] = None
    callback_rule: ClassVar[str | None] = None
    deprecated: ClassVar[str | None] = None
    doubts: ClassVar[str | None] = None
    checked: ClassVar[str] = "2026-11"

    name: str | None = argument(default=None)
    base_url: str | None = argument(default=None)
    authorization_url: str | None = argument(default=None)
    redirect_url: str | None = argument(default=None)
    redirect_to: str | None = argument(default=None)
    redirect_uri: str | None = argument(default=None)
    login_url: str | None = argument(default=None)
    authorized_url: str | None = argument(default=None)
    session_class: SessionClass | None = argument(default=None)
    backend: Backend | None = argument(default=None)
    storage: Backend | None = argument(default=None)
    rule_kwargs: dict[str, Any] | None = argument(default=None)
    headers: Mapping[str, Any] | None = argument(default=None)
    timeout: Timeout = argument(default=DEFAULT_TIMEOUT)
    pool_maxsize: int = argument(default=DEFAULT_POOL_MAXSIZE)
    proxies: dict[str, str] | None = argument(default=None)
    adapter: Callable[[], BaseAdapter] | None = argument(default=None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._check()
        names = [name for name in _CREDENTIALS if name in cls.arguments]
        for name, default in (
            ("display", cls.__name__),
            ("config", {name: f"{cls.blueprint_name()}_oauth_{name}".upper() for name in names}),
        ):
            if name not in vars(cls):
                setattr(cls, name, default)

    @classmethod
    def _check(cls) -> None:
        """Raise :class:`ConfigurationError` for a misspelt attribute, or option in a text."""
        known = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", {})}
        for name, value in vars(cls).items():
            if name.startswith("_") or callable(value) or isinstance(value, classmethod | property):
                continue
            if name not in known and name not in cls.make.arguments:
                close = get_close_matches(name, sorted(known), n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise ConfigurationError(f"{cls.__name__} has an unknown attribute {name!r}.{hint}")
            parts = [part for text in _texts_in(value) for part in Formatter().parse(text)]
            for _, field, _, _ in parts:
                if field and field not in (*cls.options(), "base_url", "client_id"):
                    raise ConfigurationError(
                        f"{cls.__name__}.{name} has {{{field}}} in it, which is no option."
                    )

    @classmethod
    def blueprint_name(cls) -> str:
        """Return the name of its blueprints, unless they are given another one.

        That is the module's name in ``flask_dance_nosql.contrib``, and else the class's.
        """
        package, _, module = cls.__module__.rpartition(".")
        return module if package == _CONTRIB else cls.__name__.lower()

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the options of this preset alone."""
        return {name: each for name, each in cls.arguments.items() if isinstance(each, Option)}

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        for name, each in self.options().items():
            value = values.pop(name)
            # A part of a URL is never nothing; elsewhere None may say something.
            setattr(self, name, each.default if value is None and each.pattern else value)
            if each.names and value is not None:
                if (values.get(each.names), further.get(each.names)) != (None, None):
                    raise ConfigurationError(
                        f"{name!r} is another name of {each.names!r}: give one of the two."
                    )
                values[each.names] = value
        self.given = {**values, **further}
        self.texts = {"client_id": "{client_id}"}
        for name, each in self.options().items():
            value = getattr(self, name)
            if each.texts is not None:
                self.texts[name] = each.texts[value]
            elif each.pattern and (value or each.ends):
                # The default of a host may have another option in it.
                text = self.filled(value) if value == each.default else value
                self.texts[name] = f"{text}{each.ends}" if value else ""
        unknown = {name: further[name] for name in further.keys() - self.kind().arguments.keys()}
        refuse_unknown(type(self), unknown, values["session_class"] or object)

    def kind(self) -> Any:
        """Return the class of the blueprint."""
        return self.make

    def filled(self, value: Any) -> Any:
        """Return a value of the preset with this blueprint's options in their places."""
        if isinstance(value, str):
            try:
                return value.format_map(self.texts)
            except KeyError:
                # It needs an option that is not given.
                return None
        if isinstance(value, Mapping):
            return {name: self.filled(each) for name, each in value.items()}
        if isinstance(value, Revocation):
            return replace(value, url=self.filled(value.url))
        return list(value) if isinstance(value, list) else value

    def blueprint(self) -> B:
        """Make a blueprint."""
        arguments = {**self.given}
        make = self.kind()
        arguments.pop("oidc", None)
        for name in make.arguments:
            default = getattr(type(self), name, None)
            default = None if isinstance(default, Argument) else self.filled(default)
            if name in _MERGED:
                arguments[name] = {**(default or {}), **(arguments.get(name) or {})}
            elif default is not None and arguments.get(name) in (None, "", [], (), set()):
                arguments[name] = default
            if name == "base_url" and arguments[name]:
                self.texts[name] = f"{arguments[name].rstrip('/')}/"
        self.complete(arguments)
        name = arguments.pop("name") or self.blueprint_name()
        blueprint: B = make(name, **{"import_name": type(self).__module__, **arguments})
        blueprint.from_config = dict(self.config)
        blueprint.preset = self
        blueprint.record(self._registered)
        return blueprint

    def profile_of(self, session: Any, *, is_whole: bool = True) -> Fields:
        """Return what the provider tells of the account that a session's token is of.

        Without an ``id`` it does not tell. The call may raise any error of requests.

        Args:
            session: The session.
            is_whole: Whether an address that is told at another URL is needed, too.
        """
        if self.profile is None:
            return {}
        return self.profile.read(session, self.filled, is_whole=is_whole)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Change the arguments of a blueprint where more has to be said than a class can."""

    def added(self) -> dict[str, str]:
        """Return the parameters of the authorization URL that the options add."""
        params: dict[str, str] = {}
        for name, each in self.options().items():
            value = getattr(self, name)
            adds = each.adds if value else each.otherwise
            if adds is not None:
                parameter, _, text = adds.partition("=")
                text = text.replace("{}", str(value))
                params[parameter] = f"{params.get(parameter, '')} {text}".strip()
        return params

    def _registered(self, state: BlueprintSetupState) -> None:
        state.app.extensions.setdefault(EXTENSION, {})[type(self)] = state.blueprint


def _texts_in(value: object) -> list[str]:
    """Return the texts of an attribute that may have options in them."""
    if isinstance(value, Revocation | Profile):
        return [value.url]
    values = value.values() if isinstance(value, Mapping) else [value]
    return [each for each in values if isinstance(each, str)]


class Preset(BasePreset[OAuth2ConsumerBlueprint]):
    """A provider of OAuth 2.

    ``oidc=True`` has the ID token of each login validated, where the preset has an ``issuer``; it
    needs the extra ``oidc``.

    Attributes:
        signs_in: Whether that is so by default, unless the factory is given a ``token_url`` of
            another server.
    """

    make = OAuth2ConsumerBlueprint
    issuer: ClassVar[str | None] = None
    signs_in: ClassVar[bool] = False
    scope_separator: ClassVar[str] = " "
    revocation: ClassVar[Revocation | None] = None
    use_nonce: ClassVar[bool] = True
    discovery_url: ClassVar[str | None] = None

    client_id: str | None = argument(default=None, kw_only=False)
    client_secret: ClientSecret = argument(default=None, kw_only=False)
    scope: list[str] | str | None = argument(default=None)
    authorization_url_params: dict[str, Any] | None = argument(default=None)
    token_url: str | None = argument(default=None)
    token_url_params: dict[str, Any] | None = argument(default=None)
    token_endpoint_auth_method: AuthMethod = argument(default=None)
    auto_refresh_url: str | None = argument(default=None)
    refresh_leeway: float = argument(default=60.0)
    refresh_on_401: bool = argument(default=True)
    ended_errors: EndedErrors = argument(default=None)
    revocation_url: str | None = argument(default=None)
    use_pkce: bool | None = argument(default=None)
    oidc: bool | None = argument(default=None)

    def kind(self) -> Any:
        """Return the class of the blueprint, which may have to be one of OpenID Connect."""
        oidc, is_own = self.given["oidc"], not self.given["token_url"]
        if oidc is None:
            oidc = self.signs_in and is_own and self.filled(self.issuer) is not None
        if not oidc:
            return self.make
        from ..consumer.oidc import OIDCConsumerBlueprint

        return OIDCConsumerBlueprint

    def complete(self, arguments: dict[str, Any]) -> None:
        """Say what is asked of the user, and where tokens are refreshed."""
        given = self.given.get("authorization_url_params") or {}
        arguments["authorization_url_params"] |= {**self.added(), **given}
        if self.always is not None and self.always not in scopes_of(arguments["scope"]):
            arguments["scope"] = [self.always, *scopes_of(arguments["scope"])]
        refresh_url = self.filled(self.refresh_url)
        if self.given.get("token_url"):
            # It is another server, which is nobody else's to know of.
            refresh_url = None
            arguments.pop("revocation", None)
        if arguments["auto_refresh_url"] is None and self._refreshes(arguments["scope"]):
            arguments["auto_refresh_url"] = refresh_url or arguments["token_url"]

    def _refreshes(self, scope: object) -> bool:
        options = [name for name, each in self.options().items() if each.refreshes]
        if isinstance(self.refresh, str):
            return not set(self.refresh.split()).isdisjoint(scopes_of(scope))
        return any(getattr(self, name) for name in options) if options else self.refresh


class OpenIDPreset(Preset):
    """A server of OpenID Connect, which has the ID token of each login validated.

    It needs the extra ``oidc``, or ``oidc=False``.
    """

    signs_in = True
    scope = ["openid", "profile", "email"]
    profile = OPENID


class OAuth1Preset(BasePreset[OAuth1ConsumerBlueprint]):
    """A provider of OAuth 1."""

    make = OAuth1ConsumerBlueprint

    request_token_url: str | None = argument(default=None)
    access_token_url: str | None = argument(default=None)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Say what is asked of the user."""
        params, url = urlencode(self.added()), arguments["authorization_url"]
        if params:
            arguments["authorization_url"] = f"{url}{'&' if '?' in url else '?'}{params}"
