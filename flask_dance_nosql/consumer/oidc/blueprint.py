"""The OpenID Connect blueprint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flask import Response, has_app_context

from ...errors import ConfigurationError, CorruptToken, ProviderError
from ...process import PerProcess
from ..backend.base import TokenSlot
from ..backend.store.driver import require
from ..backend.store.values import Token
from ..client import SessionClass
from ..client_auth import SETTINGS as AUTH_SETTINGS
from ..client_auth import client_authentication
from ..failure import DanceFailure
from ..pending import PendingLogin
from ..settings import Setting, argument
from ..signals import token_deleted
from ..urls import is_full_url
from .backchannel import BackchannelLogout
from .discovery import ENDPOINTS, Metadata, discovery_url, read_metadata
from .documents import Published, fetch_document
from .id_token import (
    SEAL,
    Claims,
    Expected,
    InvalidIDToken,
    allowed_algorithms,
    nonce_of,
    seal_of,
    sealed_claims,
    secret_keys,
    validate,
)
from .keys import SYMMETRIC, Key, read_keys, secret_key
from .logout import logout_page, with_query
from .session import OIDCSession
from .settings import Discovered, are_algorithms, is_issuer, with_openid

log = logging.getLogger(__name__)

# OpenID Connect Core 1.0 section 3.1.2.1.
ASK_WHICH = MappingProxyType({"prompt": "select_account"})


class OIDCConsumerBlueprint(BackchannelLogout):
    """A blueprint for a provider of OpenID Connect, of which the issuer is all that it has to know.

    Endpoints that are not given are those of the provider's discovery document, which is fetched
    when the first of them is needed and kept for an hour. The ID token of each login is validated;
    ``session.id_claims`` has its claims. It needs the extra ``oidc``.

    Source: OpenID Connect Core 1.0; OpenID Connect Discovery 1.0; RFC 9207.

    Args:
        name, import_name, client_id, client_secret: As of :class:`OAuth2ConsumerBlueprint`.
        issuer: The provider's issuer identifier, exactly as the provider writes it.
        discovery_url: Where the discovery document is; default: where it is by the specification.
        userinfo_url, end_session_url, jwks_url: Endpoints, if not as discovered.
        id_token_algorithms: How ID tokens may be signed. The default is what the provider
            announces, without ``none`` and HMAC. ``["HS256"]`` takes those signed with the client
            secret.
        use_nonce: Whether a login has a nonce, which its ID token has to have, too; default: yes.
            LinkedIn, for one, knows none. State and PKCE tie the answer to the login all the same.
        auto_refresh: As there; default: yes.
        another_account: As there; default: ``{"prompt": "select_account"}``.
        backchannel_logout_url: The route to which the provider posts that somebody has logged out,
            formatted as ``login_url`` is; default: there is none.
        **kwargs: As of :class:`OAuth2ConsumerBlueprint`. The scope ``openid`` is always asked for.

    Raises:
        ConfigurationError: If there is no issuer or it can't be one, or the session class is no
            :class:`OIDCSession`.
        MissingDependency: If ``joserfc`` is not installed.
    """

    default_session_class = OIDCSession

    another_account: Mapping[str, str] | None = argument(default=ASK_WHICH)

    issuer: Setting[str | None] = Setting(default=None, rule=is_issuer)
    discovery_url: Setting[str | None] = Setting(default=None, rule=is_full_url)
    authorization_url: Discovered = Discovered(default=None)
    token_url: Discovered = Discovered(default=None)
    revocation_url: Discovered = Discovered(default=None)
    userinfo_url: Discovered = Discovered(default=None)
    end_session_url: Discovered = Discovered(default=None)
    jwks_url: Discovered = Discovered(default=None)
    use_nonce: Setting[bool] = Setting(default=True)
    auto_refresh: Setting[bool] = Setting(default=True)
    id_token_algorithms: Setting[list[str] | None] = Setting(default=None, rule=are_algorithms)

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        require("joserfc", feature=type(self).__name__, package="joserfc", extra="oidc")
        if not values["issuer"]:
            raise ConfigurationError(
                f"{type(self).__name__} {values['name']!r} needs an issuer: the URL by which the "
                "provider of OpenID Connect names itself."
            )
        made: SessionClass | None = values["session_class"]
        if isinstance(made, type) and not issubclass(made, OIDCSession):
            raise ConfigurationError(f"{made.__name__} has to be a subclass of OIDCSession.")
        self._documents: PerProcess[dict[tuple[str, str], Published[Any]]] = PerProcess(dict)
        super()._set_up(values, further)

    def metadata(self) -> Metadata:
        """Return what the provider says of itself.

        Raises:
            ProviderError: If it can't be had or used.
        """
        issuer = self.issuer or ""

        def fetch() -> Metadata:
            url = self.discovery_url or discovery_url(issuer)
            document = fetch_document(self, url, "discovery document")
            return read_metadata(self.name, document, issuer)

        return self._published("metadata").get(fetch)  # type: ignore[no-any-return]

    def known_endpoint(self, setting: str) -> str | None:
        """Return one of the provider's endpoints if it is known without asking the provider."""
        given: str | None = self.settings(setting)[setting]
        metadata = self._published("metadata").peek()
        return given or (None if metadata is None else metadata.endpoints.get(setting))

    def endpoint_url(self, setting: str) -> str:
        """Return the full URL of one of the provider's endpoints."""
        try:
            if setting in ("authorization_url", "token_url") and not getattr(self, setting):
                reason = f"its discovery document names no {ENDPOINTS[setting]}."
                raise ProviderError(self.name, reason)
            return super().endpoint_url(setting)
        except ProviderError:
            if setting == "revocation_url":
                # The token goes all the same.
                return ""
            raise

    @property
    def refresh_url(self) -> str | None:
        """Where tokens are refreshed. The issuer stands for an endpoint that is not known yet."""
        if self.auto_refresh_url or not self.auto_refresh:
            return self.auto_refresh_url
        return self.known_endpoint("token_url") or self.issuer

    def session_arguments(self) -> dict[str, Any]:
        """Return the class of a session, and the arguments that it is made with."""
        arguments = super().session_arguments()
        return {**arguments, "scope": with_openid(arguments["scope"])}

    def claims_of(self, token: Token | None) -> Claims | None:
        """Return the claims of a token's ID token if it was validated here, or ``None``."""
        return sealed_claims(token, self._context())

    def sealed(
        self, token: Token, *, nonce: str | None = None, before: Token | None = None
    ) -> Token:
        """Return a token whose ID token is valid, with a seal that says so.

        Args:
            token: The token as it was issued.
            nonce: The nonce of the login.
            before: The token in whose place it was issued. Its own ID token, which was validated
                here, says which account is meant (OpenID Connect Core 1.0 section 12.2).

        Raises:
            InvalidIDToken: If it is not valid.
            ProviderError: If what is needed to tell can't be had.
        """
        if not has_app_context():
            raise InvalidIDToken("It can be validated in an app context only.")
        claims = self.claims_of(before)
        if before is not None and claims is None:
            raise InvalidIDToken("There is none before it that was validated here.")
        id_token = token.get("id_token")
        access_token = token.get("access_token")
        expected = replace(self._expected(), access_token=access_token, nonce=nonce, before=claims)
        validate(id_token, expected)
        keys = secret_keys()
        if not keys:
            log.warning("session.id_claims needs the app's SECRET_KEY, and there is none.")
            return token
        return {**token, SEAL: seal_of(keys[0], self._context(), str(id_token))}

    def _expected(self) -> Expected:
        metadata = self.metadata()
        algorithms = allowed_algorithms(metadata, self.id_token_algorithms)
        return Expected(metadata, self.client_id or "", algorithms, self._keys)

    def logout_url(
        self,
        post_logout_redirect_uri: str | None = None,
        state: str | None = None,
        logout_hint: str | None = None,
    ) -> str:
        """Remove the current user's token here, and return where the user logs out at the provider.

        The URL has no token in it, so that the provider may ask the user whether that is meant.
        :meth:`logout` sends the ID token, too.

        Source: OpenID Connect RP-Initiated Logout 1.0 section 2.

        Args:
            post_logout_redirect_uri: The full URL where the user goes then; it has to be registered
                with the provider.
            state: What the provider gives back to that URL.
            logout_hint: Who logs out, in the way of the provider; default: what the ID token has as
                ``login_hint``, else its ``sub``.

        Raises:
            ConfigurationError: If the provider has no such endpoint, as Google, or a URL is
                not full. The token stays: ``del blueprint.token`` removes it.
            ProviderError: If its discovery document can't be had. The token is removed by then.
        """
        url, token, fields = self._end_session(post_logout_redirect_uri, state)
        claims = self.claims_of(token) or {}
        hint = logout_hint or claims.get("login_hint") or claims.get("sub")
        return with_query(url, {**fields, **({"logout_hint": str(hint)} if hint else {})})

    def logout(
        self, post_logout_redirect_uri: str | None = None, state: str | None = None
    ) -> Response:
        """Remove the current user's token here, and return a page that logs out at the provider.

        The page posts the ID token as a hint, so that the provider need not ask; the token never is
        in a URL. Where a content security policy forbids its script, the user presses a button.

        The arguments and errors are those of :meth:`logout_url`.
        """
        url, token, fields = self._end_session(post_logout_redirect_uri, state)
        if token is not None and self.claims_of(token):
            fields = {**fields, "id_token_hint": str(token["id_token"])}
        return logout_page(url, fields)

    def _end_session(
        self, redirect_uri: str | None, state: str | None
    ) -> tuple[str, Token | None, dict[str, str]]:
        if redirect_uri is not None and not is_full_url(redirect_uri):
            raise ConfigurationError(
                f"post_logout_redirect_uri is a full URL, not {redirect_uri!r}. Flask's url_for() "
                "makes one with _external=True."
            )
        url, failure = "", None
        try:
            if not self.end_session_url:
                raise ConfigurationError(
                    f"The provider of {self.name!r} names no end_session_endpoint: nobody can be "
                    "logged out there. To end what this site has, use del blueprint.token."
                )
            url = self.endpoint_url("end_session_url")
        except ProviderError as error:
            failure = error
        slot, token = self.slot(), None
        with suppress(CorruptToken):
            token = slot.read().token
        slot.erase()
        if not slot.is_shared:
            # An old copy of a cookie must not lead to what was issued in its place.
            self.flights.forget(token)
        self.forget_token()
        self.forget_visitor()
        token_deleted.send(self, user_id=slot.user_id)
        if failure is not None:
            raise failure
        given = {
            "client_id": self.client_id,
            "post_logout_redirect_uri": redirect_uri,
            "state": state,
        }
        return url, token, {name: each for name, each in given.items() if each is not None}

    def _begin(
        self, scope: Any, parameters: dict[str, Any], slot: TokenSlot | None
    ) -> tuple[str, PendingLogin]:
        if "nonce" in parameters or "nonce" in (self.authorization_url_params or {}):
            raise ConfigurationError("A login takes no nonce: the blueprint makes it.")
        with self._as_failures():
            url, login = super()._begin(
                None if scope is None else with_openid(scope), parameters, slot
            )
        return f"{url}&nonce={nonce_of(login)}" if self.use_nonce else url, login

    def _check_issuer(self, issuer: str | None) -> None:
        with self._as_failures():
            metadata = self.metadata()
        if issuer is None and metadata.names_issuer:
            raise DanceFailure("mismatching_issuer", "The response does not say whose it is.")
        if issuer is not None and not metadata.is_issuer(issuer):
            raise DanceFailure("mismatching_issuer", "The response is from another issuer.")

    def _exchange(self, login: PendingLogin) -> Token:
        with self._as_failures():
            token = super()._exchange(login)
            try:
                token = self.sealed(token, nonce=nonce_of(login) if self.use_nonce else None)
            except Exception:
                self.forget_token()
                if self.known_endpoint("revocation_url"):
                    # Nobody has it, and nobody will: it must not live on at the provider.
                    self.session.token_endpoint().revoke(token)
                raise
        self.session.use(token)
        return token

    def _published(self, what: str) -> Published[Any]:
        return self._documents.get().setdefault((self.issuer or "", what), Published(self.name))

    def _keys(self, algorithm: str, instead_of: tuple[Key, ...] | None) -> tuple[Key, ...]:
        if algorithm in SYMMETRIC:
            secret = client_authentication(self.client_id, self.settings(*AUTH_SETTINGS)).secret
            return secret_key(secret or "")

        def fetch() -> tuple[Key, ...]:
            url = self.jwks_url
            if not url:
                raise ProviderError(self.name, "its discovery document names no jwks_uri.")
            keys = read_keys(fetch_document(self, url, "JWK Set"))
            if not keys:
                raise ProviderError(self.name, "its JWK Set has no key that can be used.")
            return keys

        return self._published("keys").get(fetch, instead_of)  # type: ignore[no-any-return]

    def _context(self) -> tuple[str | None, ...]:
        """Return what a seal is about, beside the ID token."""
        return self.name, self.issuer, self.client_id

    @contextmanager
    def _as_failures(self) -> Iterator[None]:
        """Have a dance fail if the provider's documents or its ID token can't be used."""
        try:
            yield
        except InvalidIDToken as error:
            failure = DanceFailure("invalid_id_token", str(error))
        except ProviderError as error:
            name = "temporarily_unavailable" if error.is_temporary else "unusable_metadata"
            failure = DanceFailure(name, error.reason)
        else:
            return
        raise failure
