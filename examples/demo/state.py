"""What the demo's provider remembers: users, clients, codes, tokens. All of it in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import Literal

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin

SCOPES = {
    "openid": "Recognise you",
    "profile": "See your name",
    "email": "See your e-mail address",
}
CODE_SECONDS = 60

TokenKind = Literal["access_token", "refresh_token"]


@dataclass(frozen=True)
class User:
    """A person with an account at the provider."""

    username: str
    name: str
    email: str

    @classmethod
    def named(cls, username: str) -> User:
        """Make a user of whom only the username is known."""
        return cls(username, username.capitalize(), f"{username}@example.com")


@dataclass
class Client(ClientMixin):
    """An application that may ask users for access. One without a secret is a public client."""

    client_id: str
    client_secret: str | None = field(repr=False)
    name: str = "Demo App"
    redirect_uris: set[str] = field(default_factory=set)
    logout_uris: set[str] = field(default_factory=set)
    """Where the browser may be sent after a logout."""

    def get_client_id(self) -> str:
        """Return the public identifier."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return the redirect URI of a request that names none, if there is only one."""
        return next(iter(self.redirect_uris)) if len(self.redirect_uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return those of the scopes asked for that exist; name and e-mail if none was."""
        asked = (scope or "profile email").split()
        return " ".join(name for name in asked if name in SCOPES) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether codes may be sent there."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether this is the secret, in a time that tells nothing about it."""
        known = self.client_secret
        return known is not None and compare_digest(known.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, _: str) -> bool:
        """Return whether the client may prove itself so: a public one by nothing."""
        return (method == "none") == (self.client_secret is None)

    def check_response_type(self, response_type: str) -> bool:
        """Return whether the client may ask for this: for codes only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether the client may use this grant."""
        return grant_type in {"authorization_code", "refresh_token"}


@dataclass(frozen=True)
class AuthorizationCode(AuthorizationCodeMixin):
    """A code on its way to be exchanged for a token."""

    code: str = field(repr=False)
    client_id: str
    redirect_uri: str | None
    scope: str
    user: User
    code_challenge: str | None = field(repr=False)
    code_challenge_method: str | None
    expires_at: float
    nonce: str | None = field(default=None, repr=False)

    def get_redirect_uri(self) -> str | None:
        """Return where the code was sent."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.scope


@dataclass
class IssuedToken(TokenMixin):
    """An access token and the refresh token that came with it."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    client_id: str
    user: User
    scope: str
    expires_at: float
    spent: bool = False
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        """Return whether the token was issued to this client."""
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.scope

    def get_user(self) -> User:
        """Return who gave the access."""
        return self.user

    def is_expired(self) -> bool:
        """Return whether the access token's life is over."""
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        """Return whether the token was revoked."""
        return self.revoked


@dataclass
class Counters:
    """How often what happened at the provider."""

    codes_issued: int = 0
    tokens_issued: int = 0
    """Token answers given, those to refreshes included."""
    refreshes: int = 0
    spent_tokens_reused: int = 0
    """Attempts to refresh with a refresh token that had been used before."""
    revocations: int = 0
    userinfo_calls: int = 0
    """Calls of the userinfo endpoint with a valid access token."""


class ProviderState:
    """The provider's memory, safe to use from many threads.

    Args:
        access_token_seconds: How long an access token lives, in seconds. It may be assigned later.

    ``users`` (by username) and ``clients`` (by client id) are plain dicts.
    """

    def __init__(self, access_token_seconds: int = 60) -> None:
        self.access_token_seconds = access_token_seconds
        self.users: dict[str, User] = {
            "alice": User("alice", "Alice Adams", "alice@example.com"),
            "bob": User("bob", "Bob Brown", "bob@example.com"),
        }
        self.clients: dict[str, Client] = {}
        self._lock = threading.Lock()
        self._codes: dict[str, AuthorizationCode] = {}
        self._tokens: dict[TokenKind, dict[str, IssuedToken]] = {
            "access_token": {},
            "refresh_token": {},
        }
        self._counters = Counters()

    @property
    def counters(self) -> Counters:
        """A copy of the counters as they stand now."""
        with self._lock:
            return replace(self._counters)

    def count_userinfo(self) -> None:
        """Count one call of the userinfo endpoint."""
        with self._lock:
            self._counters.userinfo_calls += 1

    def add_client(
        self, client_id: str, client_secret: str | None, redirect_uris: Iterable[str] = ()
    ) -> Client:
        """Register an application.

        Args:
            client_id: Its public identifier.
            client_secret: Its secret, or ``None`` for a public client.
            redirect_uris: Where codes may be sent; compared as a whole, without patterns.
        """
        client = Client(client_id, client_secret, redirect_uris=set(redirect_uris))
        self.clients[client_id] = client
        return client

    def add_redirect_uri(self, client_id: str, redirect_uri: str) -> None:
        """Allow a client one more redirect URI, once its port is known."""
        self.clients[client_id].redirect_uris.add(redirect_uri)

    def add_logout_uri(self, client_id: str, logout_uri: str) -> None:
        """Allow a client to have the browser sent there after a logout."""
        self.clients[client_id].logout_uris.add(logout_uri)

    def add_code(self, code: AuthorizationCode) -> None:
        """Remember a code until it is exchanged."""
        with self._lock:
            self._codes[code.code] = code
            self._counters.codes_issued += 1

    def take_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Return a client's code and forget it: a code works once, whatever comes of it."""
        with self._lock:
            found = self._codes.pop(code, None)
        if found is None or found.client_id != client.client_id or found.expires_at <= time.time():
            return None
        return found

    def add_token(self, token: IssuedToken, *, refreshed: bool) -> None:
        """Remember a token that is issued now."""
        with self._lock:
            self._tokens["access_token"][token.access_token] = token
            self._tokens["refresh_token"][token.refresh_token] = token
            self._counters.tokens_issued += 1
            self._counters.refreshes += refreshed

    def find_token(self, kind: TokenKind, value: str) -> IssuedToken | None:
        """Return what was issued with this access token or refresh token, revoked or not."""
        with self._lock:
            return self._tokens[kind].get(value)

    def spend(self, token: IssuedToken) -> bool:
        """Use up a refresh token. Of several callers at the same time, one is told ``True``."""
        with self._lock:
            if token.spent:
                self._counters.spent_tokens_reused += 1
                return False
            token.spent = True
            return True

    def revoke(self, token: IssuedToken) -> None:
        """Make a token and its refresh token worthless."""
        with self._lock:
            token.revoked = True
            self._counters.revocations += 1

    def expire(self, token: IssuedToken) -> None:
        """End the life of one access token; its refresh token stays good."""
        with self._lock:
            token.expires_at = 0.0

    def expire_access_tokens(self) -> None:
        """End the life of every access token; the refresh tokens stay good."""
        with self._lock:
            for token in self._tokens["access_token"].values():
                token.expires_at = 0.0
