"""An app whose users connect their accounts at a provider."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import Any

from flask import Flask, abort, flash, redirect, render_template, request, session, url_for
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)
from markupsafe import Markup
from requests import RequestException
from werkzeug.wrappers import Response

from flask_dance_nosql.accounts import Connections
from flask_dance_nosql.consumer import oauth_authorized, oauth_error
from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.errors import (
    BackendUnavailable,
    ProviderError,
    TokenRefreshError,
    VersionConflict,
)

from .backends import PROVIDER, SECOND_PROVIDER, Storage
from .display import json_markup, masked, signing_key
from .history import History
from .pages import check_form_token, prepare_pages


class Person(UserMixin):
    """A user of this app. What they are called at the provider is another matter."""

    def __init__(self, username: str, note: str) -> None:
        self.id = username
        self.name = username.capitalize()
        self.note = note


PEOPLE = {
    person.id: person
    for person in (
        Person("ada", "wrote the first program"),
        Person("grace", "wrote the first compiler"),
        Person("linus", "wrote a small kernel"),
    )
}


def create_app(storage: Storage, provider_url: str, client_id: str, client_secret: str) -> Flask:
    """Make the app.

    Args:
        storage: The backend that keeps the tokens.
        provider_url: The provider's address, without a slash at the end, which is its issuer.
        client_id: The app's identifier at the provider.
        client_secret: Its secret there.

    Returns:
        A WSGI app. Its redirect URI is its own address and ``/login/demo/authorized``, and the same
        with ``notes``; after a logout at the provider, ``/logged-out``.
    """
    app = Flask(__name__)
    # Cookies ignore ports: the provider at the same address has a session cookie as well.
    app.config.update(SECRET_KEY=secrets.token_bytes(32), SESSION_COOKIE_NAME="demo_app")
    login_manager = LoginManager(app)
    login_manager.login_view = "home"
    login_manager.login_message = "Sign in first."
    login_manager.login_message_category = "error"
    login_manager.user_loader(PEOPLE.get)
    prepare_pages(app, "app/error.html")
    blueprint = make_blueprint(PROVIDER, storage, provider_url, client_id, client_secret)
    app.register_blueprint(blueprint, url_prefix="/login")
    if storage.has_users:
        second = make_blueprint(SECOND_PROVIDER, storage, provider_url, client_id, client_secret)
        app.register_blueprint(second, url_prefix="/login")
        titles = {PROVIDER: "Demo Provider", SECOND_PROVIDER: "Demo Notes"}
        app.register_blueprint(Connections(titles=titles))
    _AppViews(app, blueprint, storage)
    return app


def make_blueprint(
    name: str, storage: Storage, provider_url: str, client_id: str, client_secret: str
) -> OIDCConsumerBlueprint:
    """Make the blueprint that connects users: this is what your app has for each provider."""
    blueprint = make_oidc_blueprint(
        name,
        issuer=provider_url,
        client_id=client_id,
        client_secret=client_secret,
        base_url=provider_url,
        redirect_to="home",
        backend=storage.backend,
        several_accounts=storage.has_users,
    )
    # Only somebody who is signed in here can own a token.
    blueprint.before_request(login_required(lambda: None))
    return blueprint


class _AppViews:
    """The app's pages."""

    def __init__(self, app: Flask, blueprint: OIDCConsumerBlueprint, storage: Storage) -> None:
        self._blueprint = blueprint
        self._storage = storage
        self._history = History(blueprint)
        call_api = login_required(blueprint.session.authorization_required(self.call_api))
        app.add_url_rule("/", "home", self.home)
        app.add_url_rule("/profile", "call_api", call_api)
        app.add_url_rule("/logged-out", "logged_out", self.logged_out)
        for view in (self.end_token, self.disconnect, self.log_out):
            rule = f"/{view.__name__.replace('_', '-')}"
            app.add_url_rule(rule, view.__name__, login_required(view), methods=["POST"])
        app.add_url_rule("/sign-in", "sign_in", self.sign_in, methods=["POST"])
        app.add_url_rule("/sign-out", "sign_out", self.sign_out, methods=["POST"])
        app.register_error_handler(BackendUnavailable, _store_unreachable)
        for error in (TokenRefreshError, ProviderError, RequestException):
            app.register_error_handler(error, _call_failed)
        for each in app.extensions["flask_dance_nosql"]:
            oauth_authorized.connect(_connected, sender=each)
            oauth_error.connect(_not_connected, sender=each)

    def home(self) -> str:
        """Show the visitor's connection, or ask who the visitor is."""
        if not current_user.is_authenticated:
            people = PEOPLE.values()
            return render_template("app/welcome.html", people=people, storage=self._storage)
        return self._connection_page()

    def call_api(self) -> str:
        """Call the provider's API with the user's token, and show the answer."""
        return self._connection_page(self._blueprint.session.userinfo())

    def end_token(self) -> Response:
        """End the access token's life, at the provider and as far as the store knows."""
        check_form_token()
        if self._blueprint.session.authorized:
            self._blueprint.session.post("/expire").raise_for_status()
            slot = self._blueprint.slot()
            stored = slot.read(fresh=True)
            # A new token that another request has got meanwhile stays.
            with suppress(VersionConflict):
                slot.write({**(stored.token or {}), "expires_at": time.time()}, stored)
            flash("The access token has ended. The next call refreshes it.", "note")
        return redirect(url_for("home"), 303)

    def disconnect(self) -> Response:
        """End the grant at the provider, and delete the user's token."""
        check_form_token()
        if self._blueprint.revoke():
            flash("Disconnected: the provider has ended the grant.", "success")
        else:
            flash("Disconnected here. The provider did not confirm.", "error")
        return redirect(url_for("home"), 303)

    def log_out(self) -> Response:
        """Delete the user's token, and send the user to the provider to log out there, too."""
        check_form_token()
        back = url_for("logged_out", _external=True)
        return redirect(self._blueprint.logout_url(back), 303)

    def logged_out(self) -> Response:
        """Welcome back who has logged out at the provider."""
        flash("Disconnected, and logged out at the provider, too.", "success")
        return redirect(url_for("home"))

    def sign_in(self) -> Response:
        """Sign a visitor in to this app as one of its people."""
        check_form_token()
        person = PEOPLE.get(request.form.get("person", ""))
        if person is None:
            abort(400, "There is no such person here.")
        session.clear()
        login_user(person)
        return redirect(url_for("home"), 303)

    def sign_out(self) -> Response:
        """Sign the visitor out, and forget all that this browser's session held."""
        check_form_token()
        logout_user()
        session.clear()
        return redirect(url_for("home"), 303)

    def _connection_page(self, answer: dict[str, Any] | None = None) -> str:
        token = self._blueprint.token
        claims = self._blueprint.session.id_claims
        key = self._blueprint.slot().key or TokenKey(PROVIDER)
        record = self._storage.record(key)
        return render_template(
            "app/connection.html",
            storage=self._storage,
            place=self._storage.place(key),
            token=masked(token),
            status=self._blueprint.session.token_status,
            history=self._history.of_visitor(),
            claims=claims,
            signed_by=signing_key(token["id_token"]) if token and claims else None,
            provider_url=self._blueprint.issuer,
            record=None if record is None else json_markup(masked(record)),
            answer=None if answer is None else json_markup(answer),
        )


def _connected(
    blueprint: OIDCConsumerBlueprint,  # noqa: ARG001 - what the signal sends
    token: dict[str, Any],  # noqa: ARG001 - likewise
) -> None:
    flash("Connected. The token is stored.", "success")


def _not_connected(
    blueprint: OIDCConsumerBlueprint,
    error: str,
    error_description: str | None = None,
    error_uri: str | None = None,  # noqa: ARG001 - likewise
) -> None:
    if error == "access_denied":
        category, reason = "note", "You said no at the provider. Nothing is stored."
    else:
        category, reason = "error", f"Not connected: {error_description or error}"
    url = url_for(f"{blueprint.name}.login", retry="")
    flash(Markup('{} <a href="{}">Try again</a>').format(reason, url), category)


def _call_failed(error: Exception) -> Response:
    flash(f"The call failed ({type(error).__name__}). Disconnect, and connect anew.", "error")
    return redirect(url_for("home"), 303)


def _store_unreachable(_: BackendUnavailable) -> tuple[str, int]:
    reason = "The token store does not answer. Your connection is not lost: try again in a moment."
    return render_template("app/error.html", title="Please wait", reason=reason), 503
