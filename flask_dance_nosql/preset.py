"""The mechanism of all presets: a class says what a provider is like, and makes its blueprints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Parameter
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    cast,
    dataclass_transform,
)
from urllib.parse import urlencode

from flask import current_app, has_app_context
from flask.blueprints import BlueprintSetupState
from oauthlib.oauth2 import WebApplicationClient
from requests.adapters import BaseAdapter
from werkzeug.local import LocalProxy

from .consumer.base import BaseOAuthConsumerBlueprint
from .consumer.client import Backend, SessionClass
from .consumer.client_auth import AuthMethod, ClientSecret
from .consumer.ended import EndedErrors
from .consumer.oauth1 import OAuth1ConsumerBlueprint
from .consumer.oauth2 import OAuth2ConsumerBlueprint
from .consumer.revocation import Revocation
from .consumer.settings import Argument, Configurable, argument, refuse_unknown
from .consumer.token import scopes_of
from .consumer.transport import DEFAULT_POOL_MAXSIZE, DEFAULT_TIMEOUT, Timeout
from .errors import ConfigurationError

__all__ = [
    "CONSENT",
    "HOST",
    "OFFLINE",
    "OPENID",
    "USER_AGENT",
    "WORD",
    "BasePreset",
    "OAuth1Preset",
    "OpenIDPreset",
    "Option",
    "Preset",
    "Profile",
    "Revocation",
    "TokenHeaderClient",
    "argument",
    "factory",
    "option",
    "proxy",
]

P = ParamSpec("P")
B = TypeVar("B", bound=BaseOAuthConsumerBlueprint)

HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
"""A host name, with or without a port."""

WORD = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
"""A part of a host name or of a path."""

_EXTENSION = "flask_dance_nosql.presets"
_CREDENTIALS = ("client_id", "client_key", "client_secret")
_MERGED = ("authorization_url_params", "token_url_params", "headers")


@dataclass(frozen=True)
class Profile:
    """Where the provider tells who has logged in.

    Attributes:
        url: Absolute, or relative to the API's base. ``"token"`` and ``"id_token"`` stand for what
            the answer to the login has.
        paths: Where in the answer are the account's lasting id, its name, e-mail address, picture,
            and whether the address is verified, with spaces between them. A path has dots between
            names and numbers, as in ``data.0.id``; of several with bars between them, the first
            that has a value counts; ``-`` is none.
        emails: The URL of a list of addresses, if they are not in the profile.
        within: What all these paths begin with.
        query: The GraphQL query to post, if there is one.
        method: How it is asked for.
    """

    url: str
    paths: str
    within: str = ""
    emails: str | None = None
    query: str | None = None
    method: Literal["GET", "POST"] = "GET"


OPENID = Profile("id_token", "sub name email picture email_verified")
"""The claims of OpenID Connect Core 1.0 section 5.1."""


class TokenHeaderClient(WebApplicationClient):
    """An oauthlib client that sends the token in a header of the provider's own.

    Args:
        header: The name of the header.
        prefix: What stands before the token in it.
    """

    def __init__(self, header: str, prefix: str = "") -> None:
        super().__init__("", token_type=header)
        self.header, self.prefix = header, prefix

    @property
    def token_types(self) -> dict[str, Callable[..., Any]]:  # type: ignore[override] # as there
        """The one way of sending a token, whatever type it is said to be of."""
        return {"Bearer": self._add, self.header: self._add}

    def _add(self, uri: str, _method: str, body: Any, headers: Any, *_: Any) -> Any:
        return uri, {**(headers or {}), self.header: f"{self.prefix}{self.access_token}"}, body


class Option(Argument):
    """An argument of a factory, and what it does; see :func:`option`."""

    def __init__(self, help: str, default: Any, pattern: str | None, **does: Any) -> None:
        super().__init__(default=default)
        self.help = help
        self.pattern = pattern
        self.adds: str | None = does.get("adds")
        self.otherwise: str | None = does.get("otherwise")
        self.texts: Mapping[Any, str] | None = does.get("texts")
        self.refreshes: bool = does.get("refreshes", False)
        self.names: str | None = does.get("names")
        self.ends: str = does.get("ends", "")

    def check(self, value: object, where: str) -> None:
        """Raise :class:`ConfigurationError` for a value of another type, or one that may not be."""
        super().check(value, where)
        if not self.pattern or value is None or (self.ends and value == ""):
            return
        if not re.fullmatch(self.pattern, str(value)):
            raise ConfigurationError(f"{where} can't be {value!r}: {self.help}")


def option(  # noqa: D417 - the last ones are told together
    help: str,
    *,
    default: Any = Parameter.empty,
    pattern: str | None = None,
    **does: Any,
) -> Any:
    """Declare an option of a factory.

    Args:
        help: What it is for, in a sentence.
        default: Its default; without one it is required.
        pattern: What a text for it matches as a whole. It needs one to be part of a URL.
        adds: The parameter of the authorization URL that it adds if it is set, as ``name=value``,
            with ``{}`` for the option's own value. Several values of a name are joined by spaces.
        otherwise: What it adds if it is not set.
        texts: What its values are as part of a URL, if not themselves.
        refreshes: Whether the provider issues a refresh token if it is set.
        names: The argument that it is another name of.
        ends: What stands behind its value as part of a URL. Without a value there is neither.
    """
    return Option(help, default, pattern, **does)


OFFLINE = option("Get a refresh token.", default=False, adds="access_type=offline", refreshes=True)
CONSENT = option("Ask for the consent anew.", default=False, adds="prompt=consent")
USER_AGENT = option(
    "What the app calls itself.", default="Flask-Dance-NoSQL", pattern=r"[ -~]{1,200}"
)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(argument, option))
class BasePreset(Configurable, Generic[B]):
    """What all presets have. A preset is a class, and its instances make a blueprint each.

    Its class attributes are of two kinds. Those that are named like an argument of the blueprint
    are given to the blueprint unless the factory is given something else; options of the factory
    may be part of their texts, as ``{hostname}``. The others tell of the provider:

    Attributes:
        display: The provider's own name.
        make: The class of its blueprints.
        config: The config keys of the blueprint's settings, and of paths of its session.
        refresh: Whether refresh tokens are issued: by default, with an option that says so if there
            is one, and to every app if not; ``False`` is never, a text with the scope of that name.
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
        names = [name for name in _CREDENTIALS if name in cls.arguments]
        for name, default in (
            ("display", cls.__name__),
            ("config", {name: f"{cls.module()}_oauth_{name}".upper() for name in names}),
        ):
            if name not in vars(cls):
                setattr(cls, name, default)

    @classmethod
    def module(cls) -> str:
        """Return the name of the preset's module; a blueprint has it, too, unless given another."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the options of this preset alone."""
        return {name: each for name, each in cls.arguments.items() if isinstance(each, Option)}

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        for name, each in self.options().items():
            value = values.pop(name)
            # A part of a URL is never nothing; elsewhere None may say something.
            setattr(self, name, each.default if value is None and each.pattern else value)
            if each.names and getattr(self, name) is not None:
                values[each.names] = getattr(self, name)
        kind = self.kind(oidc=values.get("oidc", False))
        unknown = {name: further[name] for name in further.keys() - kind.arguments.keys()}
        refuse_unknown(type(self), unknown, values["session_class"] or object)
        self.given = {**values, **further}
        self.texts = {"client_id": "{client_id}"}
        for name, each in self.options().items():
            value = getattr(self, name)
            if each.texts is not None:
                self.texts[name] = each.texts[value]
            elif each.pattern and (value or each.ends):
                # A host may have another option in it.
                self.texts[name] = self.filled(f"{value}{each.ends}") if value else ""

    def kind(self, *, oidc: bool) -> Any:
        """Return the class of the blueprint, which may have to be one of OpenID Connect."""
        if not oidc:
            return self.make
        from .consumer.oidc import OIDCConsumerBlueprint

        return OIDCConsumerBlueprint

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
        make = self.kind(oidc=arguments.pop("oidc", False))
        for name in make.arguments:
            default = getattr(type(self), name, None)
            default = None if isinstance(default, Argument) else self.filled(default)
            if name in _MERGED:
                arguments[name] = {**(default or {}), **(arguments.get(name) or {})}
            elif default is not None and arguments.get(name) is None:
                arguments[name] = default
            if name == "base_url":
                self.texts[name] = arguments[name]
        self.complete(arguments)
        name, module = arguments.pop("name") or self.module(), type(self).__module__
        blueprint: B = make(name, module, **arguments)
        blueprint.from_config = dict(self.config)
        blueprint.preset = self
        blueprint.record(self._registered)
        return blueprint

    def account_of(self, session: Any) -> Any:
        """Return the lasting id of the account that a session's token is of, by its profile.

        It is ``None`` if the answer has none; the call may raise any error of requests.
        """
        profile = self.profile
        if profile is None or profile.url == "id_token":
            return None
        if profile.url == "token":
            answer = session.token
        else:
            body = None if profile.query is None else {"query": profile.query}
            response = session.request(profile.method, self.filled(profile.url), json=body)
            response.raise_for_status()
            answer = response.json()
        within = f"{profile.within}." if profile.within else ""
        for path in profile.paths.split()[0].split("|"):
            found = answer
            for part in f"{within}{path}".split("."):
                names = found if isinstance(found, list) else dict(found or {})
                found = names[int(part)] if isinstance(names, list) else names.get(part)
            if found is not None:
                return found
        return None

    def complete(self, arguments: dict[str, Any]) -> None:
        """Change the arguments of a blueprint where more has to be said than a class can."""

    def added(self, params: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters of the authorization URL that the options add to others."""
        params = dict(params)
        for name, each in self.options().items():
            value = getattr(self, name)
            adds = each.adds if value else each.otherwise
            if adds is not None:
                parameter, _, text = adds.partition("=")
                text = text.replace("{}", str(value))
                params[parameter] = f"{params.get(parameter, '')} {text}".strip()
        return params

    def _registered(self, state: BlueprintSetupState) -> None:
        state.app.extensions.setdefault(_EXTENSION, {})[type(self)] = state.blueprint


class Preset(BasePreset[OAuth2ConsumerBlueprint]):
    """A provider of OAuth 2.

    ``oidc=True`` has the ID token of each login validated, where the preset has an ``issuer``; it
    needs the extra ``oidc``.
    """

    make = OAuth2ConsumerBlueprint
    issuer: ClassVar[str | None] = None
    scope_separator: ClassVar[str] = " "
    revocation: ClassVar[Revocation | None] = None

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
    oidc: bool = argument(default=False)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Say what is asked of the user, and where tokens are refreshed."""
        arguments["authorization_url_params"] |= self.added(arguments["authorization_url_params"])
        if arguments["auto_refresh_url"] is None and self._refreshes(arguments["scope"]):
            url = self.filled(self.refresh_url) or arguments["token_url"]
            arguments["auto_refresh_url"] = url

    def _refreshes(self, scope: object) -> bool:
        options = [name for name, each in self.options().items() if each.refreshes]
        if isinstance(self.refresh, str):
            return self.refresh in scopes_of(scope)
        return any(getattr(self, name) for name in options) if options else self.refresh


class OpenIDPreset(Preset):
    """A server of OpenID Connect."""

    scope = ["openid", "profile", "email"]
    profile = OPENID


class OAuth1Preset(BasePreset[OAuth1ConsumerBlueprint]):
    """A provider of OAuth 1."""

    make = OAuth1ConsumerBlueprint

    request_token_url: str | None = argument(default=None)
    access_token_url: str | None = argument(default=None)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Say what is asked of the user."""
        params = urlencode(self.added({}))
        if params:
            arguments["authorization_url"] += f"?{params}"


def factory(preset: Callable[P, BasePreset[B]]) -> Callable[P, B]:
    """Return the factory of a preset: a function with the arguments of the class."""

    def make(*args: P.args, **kwargs: P.kwargs) -> B:
        return preset(*args, **kwargs).blueprint()

    kind = cast(type[BasePreset[B]], preset)
    make.__name__ = make.__qualname__ = f"make_{kind.module()}_blueprint"
    make.__module__, make.__doc__ = kind.__module__, f"Make a blueprint for {kind.display}."
    make.__signature__ = kind._signature  # type: ignore[attr-defined] # for readers
    return make


class SessionProxy(LocalProxy[Any]):
    """Stands for the session of the current app's blueprint of a preset.

    It can always be asked whether there is one here.
    """

    def __bool__(self) -> bool:
        """Whether there is a session here."""
        return self._found() is not None

    def __repr__(self) -> str:
        session = self._found()
        return f"<{type(self).__name__} unbound>" if session is None else repr(session)

    def authorization_required(self, view: Callable[P, Any]) -> Callable[P, Any]:
        """Decorate a view as the session's method does, also where there is no session yet."""

        @wraps(view)
        def check(*args: P.args, **kwargs: P.kwargs) -> Any:
            return self._get_current_object().authorization_required(view)(*args, **kwargs)

        return check

    def _found(self) -> Any:
        try:
            return self._get_current_object()
        except Exception:  # noqa: BLE001 - a session class of the application's may raise anything
            return None


def proxy(preset: type[BasePreset[Any]]) -> Any:
    """Return the proxy of a preset. Where there is no session, using it is a RuntimeError."""

    def session() -> Any:
        blueprints = current_app.extensions.get(_EXTENSION, {}) if has_app_context() else {}
        if preset in blueprints:
            return blueprints[preset].session
        name = preset.module()
        where = "on this app" if has_app_context() else "here: there is no app context"
        raise RuntimeError(
            f"{name} is not usable {where}. Register make_{name}_blueprint() on the app, and use "
            "it within a view or app.app_context()."
        )

    return SessionProxy(session)
