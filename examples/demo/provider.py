"""A local OAuth 2 provider, for the demo and for tests that need a real one.

It speaks the authorization code grant with PKCE, refreshes with rotating refresh tokens, revokes
tokens, names itself as issuer and serves a userinfo endpoint::

    provider = create_provider(auto_consent="alice")
    state = provider_state(provider)
    state.add_redirect_uri(CLIENT_ID, "http://127.0.0.1:5000/login/demo/authorized")
    with LocalServer(provider) as server:
        ...  # dance with server.url + "/authorize", "/token", "/userinfo", "/revoke"
    assert state.counters.tokens_issued == 1
"""

from __future__ import annotations

import secrets
from typing import Any, cast

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2 import OAuth2Error
from flask import Flask, Response, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as Redirect

from .grants import AccessTokens, DemoAuthorizationServer
from .pages import check_form_token, prepare_pages
from .state import SCOPES, Client, ProviderState, User

CLIENT_ID = "demo-app"
CLIENT_SECRET = "demo-secret"  # noqa: S105 - of a provider that exists on this machine only


def create_provider(
    *,
    client_id: str = CLIENT_ID,
    client_secret: str | None = CLIENT_SECRET,
    access_token_seconds: int = 60,
    auto_consent: str | None = None,
    issuer: str | None = None,
) -> Flask:
    """Make a provider with the users alice and bob and one registered client.

    Endpoints: ``/authorize``, ``/token``, ``/revoke`` and ``/userinfo``, whose answer has ``sub``
    (the username), ``name`` and ``email``. The scopes are "profile" and "email".

    Args:
        client_id: The client to register. Redirect URIs are added when they are known:
            ``provider_state(app).add_redirect_uri(client_id, uri)``.
        client_secret: Its secret, taken by HTTP Basic or in the body; ``None`` for a public client.
        access_token_seconds: How long an access token lives, in seconds.
        auto_consent: A username: each authorization request is then granted at once, without any
            page, by that user or by the one whom the request names in ``login_hint``; a user who is
            unknown is made. ``None``, the default, shows the pages.
        issuer: The issuer identifier sent as ``iss``; ``None`` takes the address it is called by.

    Returns:
        A WSGI app, with its :class:`ProviderState` at ``provider_state(app)``.
    """
    app = Flask(__name__)
    # Cookies ignore ports: the app at the same address has a session cookie as well.
    app.config.update(SECRET_KEY=secrets.token_bytes(32), SESSION_COOKIE_NAME="demo_provider")
    state = ProviderState(access_token_seconds)
    state.add_client(client_id, client_secret)
    app.extensions["demo_provider"] = state
    prepare_pages(app)
    _ProviderViews(app, DemoAuthorizationServer(app, state, issuer), auto_consent)
    return app


def provider_state(app: Flask) -> ProviderState:
    """Return the memory of an app made by :func:`create_provider`: users, clients, counters."""
    return cast("ProviderState", app.extensions["demo_provider"])


class _ProviderViews:
    """The provider's endpoints and pages."""

    def __init__(
        self, app: Flask, server: DemoAuthorizationServer, auto_consent: str | None
    ) -> None:
        self._server = server
        self._state: ProviderState = server.state
        self._auto_consent = auto_consent
        self._protector = ResourceProtector()
        self._protector.register_token_validator(AccessTokens(self._state))
        app.add_url_rule("/", "home", self.home)
        app.add_url_rule("/authorize", "authorize", self.authorize)
        app.add_url_rule("/authorize", "decide", self.decide, methods=["POST"])
        app.add_url_rule("/sign-in", "sign_in", self.sign_in, methods=["POST"])
        app.add_url_rule("/sign-out", "sign_out", self.sign_out, methods=["POST"])
        app.add_url_rule("/token", "token", self.token, methods=["POST"])
        app.add_url_rule("/revoke", "revoke", self.revoke, methods=["POST"])
        app.add_url_rule("/userinfo", "userinfo", self.userinfo)
        app.register_error_handler(OAuth2Error, self.refuse)
        app.register_error_handler(400, _bad_request)

    def home(self) -> str:
        """Say what this is, with what has happened here so far."""
        return render_template("provider/home.html", counters=self._state.counters)

    def authorize(self) -> Response | str:
        """Ask who the visitor is, then whether the client may have what it asks for."""
        if self._auto_consent is not None:
            return self._server.respond(self._grant(), self._hinted_user(self._auto_consent))
        user = self._signed_in()
        grant = self._grant(user)
        client: Client = grant.request.client
        if user is None:
            users = self._state.users.values()
            return render_template("provider/sign_in.html", client=client, users=users)
        wishes = [SCOPES[name] for name in grant.request.scope.split()]
        return render_template("provider/consent.html", client=client, user=user, wishes=wishes)

    def decide(self) -> Response:
        """Take the visitor's answer from the consent page."""
        check_form_token()
        user = self._signed_in()
        if user is None:
            abort(400, "You have been signed out in the meantime. Start again at the app.")
        allowed = request.form.get("decision") == "allow"
        return self._server.respond(self._grant(user), user if allowed else None)

    def sign_in(self) -> Redirect:
        """Sign the visitor in as the account chosen, and go on with the request."""
        check_form_token()
        username = request.form.get("account", "")
        if username not in self._state.users:
            abort(400, "There is no such account.")
        session["account"] = username
        return self._go_on()

    def sign_out(self) -> Redirect:
        """Forget who the visitor is, and go on with the request."""
        check_form_token()
        session.pop("account", None)
        return self._go_on()

    def token(self) -> Response:
        """Exchange a code or a refresh token for tokens."""
        return cast("Response", self._server.create_token_response())

    def revoke(self) -> Response:
        """End the life of a token."""
        return cast("Response", self._server.create_endpoint_response("revocation"))

    def userinfo(self) -> dict[str, str]:
        """Tell the client about the user, as far as the token's scope allows."""
        with self._protector.acquire("profile") as token:
            self._state.count_userinfo()
            user: User = token.user
            claims = {"sub": user.username, "name": user.name}
            return claims | ({"email": user.email} if "email" in token.scope.split() else {})

    def refuse(self, error: OAuth2Error) -> Response | tuple[str, int]:
        """Tell the client that its authorization request is not valid, or else the visitor."""
        if error.redirect_uri:
            return self._server.refuse(error)
        return render_template("provider/error.html", reason=error.description), 400

    def _grant(self, user: User | None = None) -> Any:
        return self._server.get_consent_grant(end_user=user)

    def _signed_in(self) -> User | None:
        return self._state.users.get(session.get("account", ""))

    def _hinted_user(self, default: str) -> User:
        username = request.args.get("login_hint") or default
        return self._state.users.setdefault(username, User.named(username))

    def _go_on(self) -> Redirect:
        return redirect(f"{url_for('authorize')}?{request.query_string.decode()}", 303)


def _bad_request(error: Any) -> tuple[str, int]:
    return render_template("provider/error.html", reason=error.description), 400
