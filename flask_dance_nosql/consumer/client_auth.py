"""How a client says who it is: alike for the exchange of a code, a refresh and a revocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from requests import PreparedRequest
from requests.auth import HTTPBasicAuth
from requests.structures import CaseInsensitiveDict

from ..errors import ConfigurationError, FlaskDanceNoSQLError
from .client_assertion import PrivateKeyJWT
from .refusal import Refusal, Refused
from .secrecy import texts_in

AuthMethodName = Literal["client_secret_basic", "client_secret_post", "none"]
"""A way in which a client says who it is. Source: RFC 7591 section 2."""

AuthMethod = (
    AuthMethodName
    | PrivateKeyJWT
    | tuple[str, str]
    | Callable[[PreparedRequest], PreparedRequest]
    | None
)
"""One of these ways, or what requests takes as ``auth``; ``None`` is the usual way."""

ClientSecret = str | Callable[[], str | None] | None
"""A client secret, or a function that returns the one of now."""

SETTINGS = ("client_secret", "token_endpoint_auth_method", "token_url_params", "timeout", "issuer")
"""The settings of a blueprint that say it."""

TRANSPORT = ("headers", "verify", "proxies", "timeout", "cert")
"""The arguments of requests that say how a call goes."""


@dataclass(frozen=True, repr=False)
class ClientAuthentication:
    """Who asks, and how the call goes.

    Attributes:
        fields: What the body says of the client: ``client_id``, and ``client_secret`` if it goes
            there.
        auth: What requests takes as ``auth``, or ``None``.
        is_basic: Whether that is the client's id and secret by HTTP Basic.
        secret: The client secret, if there is one.
        transport: Further arguments of requests.
        further: What of the parameters of the user's may be secret, too.
    """

    fields: dict[str, str]
    auth: Any
    is_basic: bool
    secret: str | None
    transport: dict[str, Any]
    further: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[object, ...]:
        """What of it a redactor has to know."""
        auth = HTTPBasicAuth(*self.auth) if isinstance(self.auth, tuple) else self.auth
        request = PreparedRequest()
        request.headers = CaseInsensitiveDict(self.transport.get("headers") or {})
        return (self.secret, auth, request, *self.further)

    def for_exchange(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``fetch_token``, further ``params`` of the user's included."""
        handled = (*TRANSPORT, "auth", "include_client_id", "client_secret")
        arguments = {name: value for name, value in params.items() if name not in handled}
        arguments |= self.transport
        if self.is_basic and (self.secret or "").isascii():
            # What requests-oauthlib does anyway; an overridden fetch_token may say it differently.
            return {**arguments, "client_secret": self.secret}
        if self.auth is not None:
            arguments["auth"] = self.auth
        if self.fields:
            secret = self.fields.get("client_secret")
            arguments |= {"include_client_id": True, "client_secret": secret}
        return arguments


def client_authentication(
    client_id: str | None, settings: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> ClientAuthentication:
    """Return how a blueprint's client says who it is at the token and revocation endpoints.

    Args:
        client_id: The client identifier.
        settings: The values of the blueprint's :data:`SETTINGS`.
        given: The parameters of a refresh; what they say comes first.

    Raises:
        ConfigurationError: If the method is unknown, or needs a secret that is not there.
        Refused: If the function for the secret fails.
    """
    params, given = settings.get("token_url_params") or {}, given or {}
    places = (given, params, settings)
    secret = next((p["client_secret"] for p in places if p.get("client_secret") is not None), None)
    secret = _text_of(secret)
    transport = {"timeout": settings.get("timeout"), **transport_of(params), **transport_of(given)}
    if params.get("headers") or given.get("headers"):
        headers = {**(params.get("headers") or {}), **(given.get("headers") or {})}
        transport["headers"] = {"Accept": "application/json", **headers}
    further = (*texts_in(params), *texts_in(given))
    method, auth, in_body = _chosen(settings, params, given, secret)
    if isinstance(auth, PrivateKeyJWT):
        auth = auth.of(client_id or "", settings.get("issuer"))
    if method == "client_secret_basic" and client_id:
        auth = HTTPBasicAuth(_for_header(client_id), _for_header(secret or ""))
        return ClientAuthentication({}, auth, True, secret, transport, further)
    fields = {}
    if client_id and (in_body or method == "none"):
        fields["client_id"] = client_id
        if secret is not None and method != "none":
            fields["client_secret"] = secret
    return ClientAuthentication(fields, auth, False, secret, transport, further)


def _chosen(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    given: Mapping[str, Any],
    secret: str | None,
) -> tuple[str | None, Any, bool]:
    """Return the method's name, or what requests takes as auth; and whether the body has the id."""
    method = settings.get("token_endpoint_auth_method")
    check_auth_method(method)
    if given.get("auth") is not None or given.get("include_client_id") is not None:
        method, params = None, given
    elif given.get("client_secret") is not None:
        method = "client_secret_post"
    if isinstance(method, str):
        if secret is None and method != "none":
            raise ConfigurationError(
                f"{method!r} needs a client_secret, and there is none. If it comes from the "
                "environment or the app's configuration, is it set there? A client that has none "
                "is set up by token_endpoint_auth_method='none'."
            )
        return method, None, method != "client_secret_basic"
    if method is not None:
        return None, method, False
    auth, in_body = params.get("auth"), params.get("include_client_id")
    if auth is not None:
        return None, auth, bool(in_body)
    # Source: RFC 6749 sections 2.3.1 and 3.2.1.
    by_header = bool(secret) if in_body is None else not in_body
    if by_header:
        return "client_secret_basic", None, False
    return "client_secret_post" if in_body else "none", None, True


def check_auth_method(method: object) -> None:
    """Raise :class:`ConfigurationError` for a method that is none."""
    is_pair = isinstance(method, tuple) and len(method) == 2
    is_auth = is_pair or callable(method) or isinstance(method, PrivateKeyJWT)
    if method is not None and not is_auth and method not in get_args(AuthMethodName):
        names = ", ".join(map(repr, get_args(AuthMethodName)))
        given = repr(method) if isinstance(method, str) else f"a {type(method).__name__}"
        raise ConfigurationError(
            f"token_endpoint_auth_method is {names}, a PrivateKeyJWT, what requests takes as auth, "
            f"or None, and not {given}."
        )


def transport_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments that say how a call goes, and not what is in its body."""
    return {name: arguments[name] for name in TRANSPORT if name in arguments}


def client_secrets(
    client_id: str | None, settings: Mapping[str, Any], given: Mapping[str, Any] | None
) -> tuple[object, ...]:
    """Return what a redactor has to know of a client, whose settings may be in disorder.

    ``given`` are the parameters of its refreshes.
    """
    known = texts_in(given or {})
    # The next call to the token endpoint says what is wrong with them.
    with suppress(FlaskDanceNoSQLError, Refused):
        return (*known, *client_authentication(client_id, settings).secrets)
    return (*known, *texts_in(settings))


def _text_of(secret: Any) -> str | None:
    failure = None
    try:
        secret = secret() if callable(secret) else secret
    except FlaskDanceNoSQLError:
        raise
    except Exception as error:  # noqa: BLE001 - a function of the application's
        # Its text may be as secret as what it failed to get.
        failure = type(error).__name__
    if failure is not None:
        told = f"The function for the client_secret failed: {failure}."
        raise Refused(Refusal("temporarily_unavailable", told, cause=told))
    if secret is not None and not isinstance(secret, str):
        raise ConfigurationError(
            f"A client_secret is a str, or a function that returns one, not a "
            f"{type(secret).__name__}."
        )
    return secret


def _for_header(text: str) -> Any:
    # requests encodes a str as Latin-1, which not every secret can be. Source: RFC 7617.
    return text if text.isascii() else text.encode()
