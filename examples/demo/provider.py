"""A local provider of OAuth 2 and OpenID Connect, for the demo and for tests that need a real one.

It speaks the authorization code grant with PKCE, refreshes with rotating refresh tokens, revokes
tokens and names itself as issuer. Whoever asks for the scope "openid" gets an ID token, too; its
keys can be rotated, and users log out here from an application::

    provider = create_provider(auto_consent="alice")
    state = provider_state(provider)
    state.add_redirect_uri(CLIENT_ID, "http://127.0.0.1:5000/login/demo/authorized")
    with LocalServer(provider) as server:
        ...  # dance with the issuer server.url
    assert state.counters.tokens_issued == 1
"""

from __future__ import annotations

import secrets
from typing import Any, cast
from urllib.parse import urlencode, urljoin

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2 import OAuth2Error
from flask import (
    Flask,
    Response,
    abort,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as Redirect

from .grants import AccessTokens, DemoAuthorizationServer
from .identity import claims_of, metadata
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

    Endpoints: ``/authorize``, ``/token``, ``/revoke``, ``/userinfo``, whose answer has ``sub`` (the
    username), ``name`` and ``email``, and ``/logout``; they are in the discovery document. The
    scopes are "openid", "profile" and "email". A POST to ``/expire`` ends the life of the access
    token that it carries, so that nobody has to wait for it.

    Args:
        client_id: The client to register. Redirect URIs are added when they are known:
            ``provider_state(app).add_redirect_uri(client_id, uri)``.
        client_secret: Its secret, taken by HTTP Basic or in the body; ``None`` for a public client.
        access_token_seconds: How long an access token lives, in seconds.
        auto_consent: A username: each authorization request is then granted at once, without any
            page, by that user or by the one whom the request names in ``login_hint``; a user who is
            unknown is made. ``None``, the default, shows the pages.
        issuer: The issuer identifier; ``None``, the default, takes the address it is called by.

    Returns:
        A WSGI app, with its :class:`ProviderState` at ``provider_state(app)``.
    """
    app = Flask(__name__)
    # Cookies ignore ports: the app at the same address has a session cookie as well.
    app.config.update(SECRET_KEY=secrets.token_bytes(32), SESSION_COOKIE_NAME="demo_provider")
    state = ProviderState(access_token_seconds)
    state.add_client(client_id, client_secret)
    app.extensions["demo_provider"] = state
    prepare_pages(app, "provider/error.html")
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
        app.add_url_rule("/userinfo", "userinfo", self.userinfo, methods=["GET", "POST"])
        app.add_url_rule("/expire", "expire", self.expire, methods=["POST"])
        app.add_url_rule("/.well-known/openid-configuration", "discovery", self.discovery)
        app.add_url_rule("/jwks", "jwks", server.keys.published)
        app.add_url_rule("/rotate", "rotate", self.rotate, methods=["POST"])
        app.add_url_rule("/logout", "logout", self.logout, methods=["GET", "POST"])
        app.register_error_handler(OAuth2Error, self.refuse)

    def home(self) -> str:
        """Say what this is, with what has happened here so far."""
        uris = [uri for client in self._state.clients.values() for uri in client.redirect_uris]
        return render_template(
            "provider/home.html",
            apps=sorted({urljoin(uri, "/") for uri in uris}),
            counters=self._state.counters,
            key_id=self._server.keys.current.kid,
        )

    def authorize(self) -> Response | str:
        """Ask who the visitor is, then whether the client may have what it asks for."""
        if self._auto_consent is not None:
            return self._server.respond(self._grant(), self._hinted_user(self._auto_consent))
        # OpenID Connect Core 1.0 section 3.1.2.1.
        is_asked = "select_account" in request.args.get("prompt", "")
        user = None if is_asked else self._signed_in()
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
        with self._protector.acquire(["openid", "profile"]) as token:
            self._state.count_userinfo()
            return claims_of(token.user, token.scope)

    def expire(self) -> tuple[str, int]:
        """End the life of the access token that the client shows."""
        with self._protector.acquire() as token:
            self._state.expire(token)
        return "", 204

    def discovery(self) -> dict[str, Any]:
        """Tell clients where everything is."""
        return metadata(self._server.issuer, request.host_url.rstrip("/"))

    def rotate(self) -> Redirect:
        """Sign by another key from now on."""
        check_form_token()
        self._server.keys.rotate()
        flash("The keys were rotated. Logins go on.", "success")
        return redirect(url_for("home"), 303)

    def logout(self) -> Redirect | str:
        """Log the visitor out, who is asked first unless the client shows an ID token of theirs.

        Source: OpenID Connect RP-Initiated Logout 1.0 section 2.
        """
        hinted = self._server.keys.hinted(request.values.get("id_token_hint", ""))
        client_id = request.values.get("client_id") or hinted.get("aud", "")
        client = self._state.clients.get(client_id)
        target = request.values.get("post_logout_redirect_uri")
        if target and (client is None or target not in client.logout_uris):
            abort(400, "The app wants to send you to an address that it has not registered.")
        decided = "decision" in request.form
        if decided:
            check_form_token()
            if request.form["decision"] == "stay":
                return redirect(url_for("home"), 303)
        user = self._signed_in()
        if user is not None and not decided and hinted.get("sub") != user.username:
            return render_template("provider/logout.html", client=client, user=user)
        session.pop("account", None)
        if not target:
            flash("You are logged out.", "success")
            return redirect(url_for("home"), 303)
        state = request.values.get("state")
        return redirect(f"{target}?{urlencode({'state': state})}" if state else target, 303)

    def refuse(self, error: OAuth2Error) -> Response | tuple[str, int]:
        """Tell the client that its authorization request is not valid, or else the visitor."""
        if error.redirect_uri:
            return self._server.refuse(error)
        reason = error.description or "The app that sent you here has not asked in a valid way."
        page = render_template("provider/error.html", title="That did not work", reason=reason)
        return page, 400

    def _grant(self, user: User | None = None) -> Any:
        return self._server.get_consent_grant(end_user=user)

    def _signed_in(self) -> User | None:
        return self._state.users.get(session.get("account", ""))

    def _hinted_user(self, default: str) -> User:
        username = request.args.get("login_hint") or default
        return self._state.users.setdefault(username, User.named(username))

    def _go_on(self) -> Redirect:
        # The account has been chosen.
        query = {name: value for name, value in request.args.items() if name != "prompt"}
        return redirect(url_for("authorize", **query), 303)
