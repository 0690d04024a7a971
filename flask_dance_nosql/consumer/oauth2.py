"""The OAuth 2 blueprint."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from flask import request
from oauthlib.oauth2 import Client
from oauthlib.oauth2.rfc6749.utils import scope_to_list

from ..errors import AccountAlreadyLinked, ConfigurationError, FlaskDanceNoSQLError
from .backend.base import TokenSlot
from .backend.owner import NOT_GIVEN
from .backend.store.values import Token
from .base import BaseOAuthConsumerBlueprint
from .client_auth import SETTINGS as AUTH_SETTINGS
from .client_auth import (
    AuthMethod,
    ClientSecret,
    check_auth_method,
    client_authentication,
    client_secrets,
)
from .ended import EndedErrors
from .failure import DanceFailure
from .issuer import is_named
from .oauth2_session import OAuth2Session
from .pending import PendingLogin, PendingLogins
from .posted import arrived
from .redaction import Redactor
from .refresh.turns import revoke, store_login
from .refusal import callback_refusal, refusal_of
from .revocation import Revocation
from .settings import Setting
from .token import granted_scope, scopes_of
from .token_calls import EXCHANGE_ERRORS

AUTHORIZATION_ERRORS = frozenset(
    (
        *("invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type"),
        *("invalid_scope", "server_error", "temporarily_unavailable", "login_required"),
        *("interaction_required", "consent_required", "account_selection_required"),
    )
)
"""The errors of RFC 6749 section 4.1.2.1 and of OpenID Connect Core 1.0 section 3.1.2.6."""


_OWN_PARAMETERS = frozenset(
    (
        *("url", "state", "client_id", "redirect_uri", "response_type"),
        *("code_challenge", "code_challenge_method"),
    )
)


def has_auth(params: dict[str, Any]) -> bool:
    """a dict in which auth, if there is any, is a pair or a function, as requests takes it"""  # noqa: D403, D415 - a message's part
    auth = params.get("auth")
    is_pair = isinstance(auth, tuple) and len(auth) == 2
    return auth is None or auth is False or callable(auth) or is_pair


class OAuth2ConsumerBlueprint(BaseOAuthConsumerBlueprint):
    """A blueprint that runs the OAuth 2 dance: the authorization code grant.

    Source: RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9207 (issuer).

    Args:
        name: The blueprint's name, which is also the provider under which tokens are stored.
        import_name: The name of the package it is made in, usually ``__name__``.
        client_id: The client identifier that the provider gave your application.
        client_secret: The client secret, or ``None`` for a public client. A function is called for
            each call of the token or revocation endpoint, and for an error that the callback
            brings, which must not show it. It returns the secret of now.
        token_endpoint_auth_method: How the client says who it is there: ``"client_secret_basic"``,
            ``"client_secret_post"``, ``"none"``, a :class:`PrivateKeyJWT`, or what requests takes
            as ``auth``. ``None``, the default, is what ``token_url_params`` say by ``auth`` or
            ``include_client_id``. If they say nothing it is HTTP Basic, or without a secret the
            ``client_id`` in the body.
        client: An oauthlib client to use in place of the default ``WebApplicationClient``. Each
            session works on a copy.
        auto_refresh_url: The endpoint for refreshing tokens; ``None`` never does, unless
            ``auto_refresh`` is set.
        auto_refresh: Whether to refresh at ``token_url``, which most providers mean.
        auto_refresh_kwargs: Further parameters for the refresh request.
        refresh_leeway: How many seconds before its end a token is refreshed; default 60. For a
            short-lived token it is half its life at most.
        refresh_on_401: Whether a token that the API refuses with status 401 before its end is
            refreshed, and the call made once more; default: yes.
        ended_errors: What means that a grant has ended, in the answer to a refresh: error codes
            beside ``invalid_grant`` and those known of some providers, or a function of the
            answer, a :class:`requests.Response`. The function returns ``True``, ``False``, or
            ``None`` for what is known.
        revocation_url: The provider's revocation endpoint, for :meth:`revoke`.
        scope: The scopes to ask for: a list, or a string sent as it is.
        state: A fixed state, or a function that makes one; ``None`` makes a random one. Fix it in
            tests only.
        authorization_url: The provider's authorization endpoint, which may be relative to
            ``base_url``.
        authorization_url_params: Further parameters for it.
        token_url: The provider's token endpoint, likewise.
        token_url_params: Further arguments of :meth:`OAuth2Session.fetch_token`. Those that say who
            asks, and how, hold for refreshes and revocations, too: ``auth``, ``include_client_id``,
            ``headers``, ``verify``, ``proxies``, ``cert`` and ``timeout``.
        use_pkce: ``None``, the default, sends a challenge and uses the verifier when the session
            has it; ``True`` also refuses a callback without it; ``False`` is off.
        code_challenge_method: ``"S256"`` (default) or ``"plain"``.
        issuer: The provider's issuer identifier; a response that names another one is refused.
        scope_separator: What stands between the scopes of a list; default: a space.
        callback_fields: Parameters of the callback that are kept with the token; those that the
            provider posts are in no URL.
        token_request: Takes the form that the token and revocation endpoints are to be sent, and
            returns the arguments of requests by which it goes: ``{"json": form}``.
        token_answer: Takes the fields of the token endpoint's answer, and returns those of a token.
        revocation: How the provider has a token revoked, if not by :rfc:`7009` at
            ``revocation_url``.
        **kwargs: As of :class:`BaseOAuthConsumerBlueprint`: ``backend``, ``base_url``,
            ``redirect_to`` and the rest, and further arguments that the session class names.
    """

    default_session_class = OAuth2Session

    client_id: Setting[str | None] = Setting(default=None, kw_only=False, for_session=True)
    client_secret: Setting[ClientSecret] = Setting(default=None, kw_only=False)
    token_endpoint_auth_method: Setting[AuthMethod] = Setting(default=None)
    client: Setting[Client | None] = Setting(default=None, for_session=True)
    auto_refresh_url: Setting[str | None] = Setting(default=None, for_session=True)
    auto_refresh: Setting[bool] = Setting(default=False)
    auto_refresh_kwargs: Setting[dict[str, Any] | None] = Setting(
        default=None, for_session=True, rule=has_auth
    )
    refresh_leeway: Setting[float] = Setting(default=60.0)
    refresh_on_401: Setting[bool] = Setting(default=True)
    ended_errors: Setting[EndedErrors] = Setting(default=None)
    revocation_url: Setting[str | None] = Setting(default=None)
    scope: Setting[list[str] | str | None] = Setting(default=None, for_session=True)
    state: Setting[str | Callable[[], str] | None] = Setting(default=None, for_session=True)
    authorization_url: Setting[str | None] = Setting(default=None)
    authorization_url_params: Setting[dict[str, Any] | None] = Setting(default=None)
    token_url: Setting[str | None] = Setting(default=None)
    token_url_params: Setting[dict[str, Any] | None] = Setting(default=None, rule=has_auth)
    use_pkce: Setting[bool | None] = Setting(default=None)
    code_challenge_method: Setting[Literal["S256", "plain"]] = Setting(default="S256")
    issuer: Setting[str | None] = Setting(default=None)
    scope_separator: Setting[str] = Setting(default=" ")
    callback_fields: Setting[tuple[str, ...]] = Setting(default=())
    token_request: Setting[Callable[[dict[str, Any]], dict[str, Any]] | None] = Setting(
        default=None
    )
    token_answer: Setting[Callable[[dict[str, Any]], dict[str, Any]] | None] = Setting(default=None)
    revocation: Setting[Revocation | None] = Setting(default=None)

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        check_auth_method(values["token_endpoint_auth_method"])
        how = values["revocation"]
        if how is not None and values["revocation_url"] is None:
            values["revocation_url"] = how.url
        super()._set_up(values, further)

    @property
    def refresh_url(self) -> str | None:
        """Where tokens are refreshed, or ``None`` if they are not."""
        return self.auto_refresh_url or (self.token_url if self.auto_refresh else None)

    def revoke(
        self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN, account: Any = NOT_GIVEN
    ) -> bool:
        """End the current user's grant at the provider, and remove the token here.

        The refresh token is revoked and then the access token: those that were issued last, for a
        refresh in flight is waited for. The stored token goes in any case.

        Source: RFC 7009.

        Args:
            user: Whose grant, in place of the current user's.
            user_id: The same by id; it wins over ``user``.
            account: The id of one of the user's accounts; default: the one in use.

        Returns:
            Whether the provider has confirmed it. If not, the grant may live on there, and a
            warning is logged.

        Raises:
            ConfigurationError: If there is no ``revocation_url``, or it is not https.
            BackendUnavailable: If the store did not answer.
        """
        self.endpoint_url("revocation_url")
        slot = self.slot(user, user_id, account)
        try:
            return revoke(self, self.session.token_endpoint(), slot)
        finally:
            self.forget_token()
            if user is user_id is account is NOT_GIVEN:
                self.forget_visitor()

    def _pending(self) -> PendingLogins:
        return PendingLogins(f"{self.name}_oauth_state", f"{self.name}_oauth_code_verifier")

    def _kept_fields(self) -> tuple[str, ...]:
        return self.callback_fields

    def _begin(
        self, scope: Any, parameters: dict[str, Any], slot: TokenSlot | None
    ) -> tuple[str, PendingLogin]:
        if not self.client_id:
            raise ConfigurationError(
                f"Blueprint {self.name!r} has no client_id. If it comes from the environment "
                "or the app's configuration, is it set there?"
            )
        for name in _OWN_PARAMETERS & parameters.keys():
            raise ConfigurationError(f"begin() takes no {name}: the blueprint sets it.")
        session = self.session.for_call()
        authorization_url = self.endpoint_url("authorization_url")
        self.endpoint_url("token_url")
        session.redirect_uri = self.callback_url()
        asked = None
        if scope is not None:
            always = [] if self.preset is None else scopes_of(self.preset.always)
            scopes = _with_granted([*always, *_scopes(scope)], slot)
            asked = " ".join(scopes)
            # Some blueprints have it in their scope alone that their provider wants commas.
            texts = (scope, self.scope) if self.preset is None else ()
            uses_commas = any("," in each for each in texts if isinstance(each, str))
            session.scope = ",".join(scopes) if uses_commas else scopes
        if session.scope is not None and not isinstance(session.scope, str):
            session.scope = self.scope_separator.join(session.scope)
        parameters = {
            # oauthlib leaves out what is false, and with it a max_age of 0.
            name: str(value) if type(value) in (int, float) else value
            for name, value in {**(self.authorization_url_params or {}), **parameters}.items()
        }
        verifier = None if self.use_pkce is False else secrets.token_urlsafe(48)
        if verifier is not None:
            method = self.code_challenge_method
            # oauthlib knows plain by the name None only.
            parameters["code_challenge"] = session._client.create_code_challenge(
                verifier, code_challenge_method=None if method == "plain" else method
            )
            parameters["code_challenge_method"] = method
        state = self.state() if callable(self.state) else self.state
        if not isinstance(state, str | None):
            raise ConfigurationError(f"state has to be a str, not {type(state).__name__}.")
        url, state = session.authorization_url(authorization_url, state=state, **parameters)
        # Not every provider takes a plus sign for a space.
        return url.replace("+", "%20"), PendingLogin(state, verifier, scope=asked)

    def _accept_response(self) -> PendingLogin:
        state, error = request.args.get("state"), request.args.get("error")
        if not state and error in AUTHORIZATION_ERRORS and self._pending().all():
            # Some providers forget the state of a login that they refuse.
            reason = "The provider refused, and did not say which login."
            raise DanceFailure(error, reason, is_unnamed=True)
        login = self._taken(state, "state")
        self._check_issuer(request.args.get("iss"))
        refusal = callback_refusal(request.args, partial(self._redactor, login))
        if refusal is not None:
            raise DanceFailure(refusal.error, refusal.description, refusal.uri)
        if self.use_pkce and login.secret is None:
            raise DanceFailure("missing_code_verifier", "The verifier is not here any more.")
        if not request.args.get("code"):
            raise DanceFailure("missing_code", "The response has no authorization code.")
        return login

    def _check_issuer(self, issuer: str | None) -> None:
        """Raise :class:`DanceFailure` if a response is from another issuer. Source: RFC 9207."""
        if issuer is not None and self.issuer is not None and not is_named(issuer, self.issuer):
            raise DanceFailure("mismatching_issuer", "The response is from another issuer.")

    def _exchange(self, login: PendingLogin) -> Token:
        session = self.session
        session.redirect_uri = self.callback_url()
        if login.scope is not None:
            session.scope = login.scope.split()
        try:
            who = client_authentication(session.client_id, self.settings(*AUTH_SETTINGS))
            session.redactor = self._redactor(login, *who.secrets)
            arguments = who.for_exchange(self.token_url_params or {})
            if self.use_pkce is not False and login.secret is not None:
                arguments.setdefault("code_verifier", login.secret)
            token: Token = session.fetch_token(
                self.endpoint_url("token_url"), code=request.args["code"], **arguments
            )
        except FlaskDanceNoSQLError:
            raise
        except EXCHANGE_ERRORS as error:
            refusal = refusal_of(error, session.redactor)
        else:
            token = {**token, **arrived(self._kept_fields())}
            if not token.get("scope") and session.scope:
                # RFC 6749 section 5.1: it may be left out if it is what was asked for.
                token = {**token, "scope": scope_to_list(session.scope)}
            return token
        if refusal.issued and self.revocation_url:
            session.token_endpoint().revoke(refusal.issued)
        raise DanceFailure(refusal.error, refusal.description, refusal.uri)

    def _redactor(self, login: PendingLogin, *of_client: object) -> Redactor:
        """Return what keeps the secrets of a login out of what is told of it."""
        known = of_client or client_secrets(
            self.client_id, self.settings(*AUTH_SETTINGS), self.auto_refresh_kwargs
        )
        came = [*request.args.getlist("code"), *request.args.getlist("state")]
        return Redactor(*known, *came, login.handle, login.secret)

    def _write_login(self, slot: TokenSlot, token: Token) -> None:
        takes_turns = bool(self.refresh_url or self.revocation_url)
        try:
            store_login(self, slot, token, takes_turns=takes_turns)
        except Exception as error:
            self._give_up(token, is_linked=isinstance(error, AccountAlreadyLinked))
            raise

    def _give_up(self, token: Token, *, is_linked: bool | None = False) -> None:
        # It must not live on at the provider. Where any token of an account takes the grant with
        # it, who has the account linked would lose theirs.
        ends_grant = None if self.revocation is None else self.revocation.ends_grant
        is_harmful = ends_grant is True if is_linked is None else is_linked
        if self.revocation_url and (ends_grant is False or not is_harmful):
            self.session.token_endpoint().revoke(token)


def _with_granted(scope: list[str], slot: TokenSlot | None) -> list[str]:
    """Return scopes together with those that the visitor's token was granted so far."""
    token = None
    if slot is not None:
        with suppress(FlaskDanceNoSQLError):
            token = slot.read().token
    return [*dict.fromkeys((*granted_scope(token or {}), *scope))]


def _scopes(scope: Any) -> list[str]:
    """Return the scopes that a view asks for."""
    given = scopes_of(scope) if isinstance(scope, str) else scope
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        scopes = list(given)
        if all(isinstance(each, str) and each.isprintable() for each in scopes):
            return scopes
    raise ConfigurationError("begin() takes scopes as printable text, or as a list of such texts.")
