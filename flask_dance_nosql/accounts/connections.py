"""A page on which people see and end the connections of their accounts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    request,
    url_for,
)
from flask import session as flask_session
from werkzeug.exceptions import Unauthorized

from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.session import cookie_excess
from ..errors import BackendError, ConfigurationError
from .connection import Connection, connections_of
from .forms import form_token, is_own_form
from .login import is_signed_in

log = logging.getLogger(__name__)

_DELIMITERS: dict[str, Any] = {
    "block_start_string": "{%",
    "block_end_string": "%}",
    "variable_start_string": "{{",
    "variable_end_string": "}}",
    "comment_start_string": "{#",
    "comment_end_string": "#}",
}
_MAX_NAME = 80

ScopeTexts = Mapping[str, Any]

_OPENID_TEXTS = {
    "openid": "Know who you are",
    "profile": "See your name and picture",
    "email": "See your e-mail address",
    "offline_access": "Stay connected while you are away",
}


@dataclass(frozen=True)
class ProviderConnections:
    """What the page's template has of one provider.

    Attributes:
        name: The blueprint's name.
        title: The provider's own name.
        connections: The user's accounts there, or ``None`` if the store did not answer.
        several: Whether a user may have several.
        connect_url: Where the first one, or one anew, is connected.
        another_url: Where one more is connected.
        apps_page: Where the user removes the application at the provider, or ``None``.
        scope_texts: Scopes in words.
    """

    name: str
    title: str
    connections: list[Connection] | None
    several: bool
    connect_url: str
    another_url: str
    apps_page: str | None
    scope_texts: Mapping[str, Any]


Notice = tuple[str, str, str]
"""What has happened, as a code of the template, the provider, and the account's name."""

People = dict[Any, str]
"""The blueprints that are shown, each with the id of the current user."""


class Connections(Blueprint):
    """A blueprint with a page of the current user's connections.

    It shows each OAuth blueprint of the app whose backend keeps a token for each user: the accounts
    that are connected, how each stands, and what the provider has granted. The user can connect
    another account, choose one of several, and disconnect them::

        app.register_blueprint(Connections())

    Its page is the template ``flask_dance_nosql/connections.html`` in the layout
    ``flask_dance_nosql/connections_layout.html``; an application's templates of these names take
    their places. See :doc:`/connections-page`.

    Args:
        name: The blueprint's name.
        blueprints: The OAuth blueprints to show; default: all of the app that can be shown.
        login_view: The endpoint to which a visitor goes who has not signed in, with the page as
            ``next`` in the query. Default: where Flask-Login sends them, if the app uses it, else a
            page with the status 401.
        titles: The providers' names by the blueprints' names; default: as the presets have them,
            else the blueprint's name.
        scope_texts: Scopes in words, as ``{"repo": "Read and write your repositories"}``, or with
            the blueprint's name before them, as ``{"github": {"repo": "..."}}``. They are texts, or
            what ``lazy_gettext`` gives. A scope without words is shown as it is.
        pictures: Whether pictures of accounts are shown; they come from the providers' servers.
        url_prefix: As of :class:`flask.Blueprint`.
        **kwargs: Further arguments of :class:`flask.Blueprint`.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        name: str = "connections",
        *,
        blueprints: Iterable[Any] | None = None,
        login_view: str | None = None,
        titles: Mapping[str, str] | None = None,
        scope_texts: ScopeTexts | None = None,
        pictures: bool = True,
        url_prefix: str | None = "/connections",
        **kwargs: Any,
    ) -> None:
        folders = {"template_folder": "templates", "static_folder": "static"}
        super().__init__(name, __name__, url_prefix=url_prefix, **{**folders, **kwargs})
        self._chosen = None if blueprints is None else list(blueprints)
        self._login_view = login_view
        self._titles = dict(titles or {})
        self._scope_texts: ScopeTexts = {**_OPENID_TEXTS, **(scope_texts or {})}
        self._pictures = pictures
        self._form_secret = f"{name}_form_secret"
        self._notices = f"{name}_notices"
        self.add_url_rule("/", "show", self._signed_in(self._show))
        for action in (self._use, self._disconnect, self._disconnect_everything):
            view = action.__name__.removeprefix("_")
            rule = f"/{view.replace('_', '-')}"
            self.add_url_rule(rule, view, self._signed_in(self._posted(action)), methods=["POST"])
        self.after_request(self._after_view)

    def people(self) -> People:
        """Return the blueprints that are shown, each with the id of the current user.

        A hook for subclasses.

        Raises:
            ConfigurationError: If there is none to show, or one of those that were given keeps no
                token for each user.
        """
        known = current_app.extensions.get("flask_dance_nosql", {})
        every = list(known if self._chosen is None else self._chosen)
        shown = [
            each
            for each in every
            if isinstance(each.backend, UserScopedBackend) and each.backend.scope != "browser"
        ]
        if not shown or (self._chosen is not None and shown != every):
            names = ", ".join(repr(each.name) for each in every if each not in shown) or "none"
            raise ConfigurationError(
                "The connections page is for OAuth blueprints whose backend keeps a token for each "
                "user, as UserScopedBackend does with user= or user_id=. Of others it has: "
                f"{names}."
            )
        found = {each: each.backend.slot(each).user_id for each in shown}
        return {each: user_id for each, user_id in found.items() if user_id is not None}

    def _signed_in(self, view: Callable[[People], Response]) -> Callable[[], Response]:
        """Return a view for those who are signed in, which is given their ids."""

        def guarded() -> Response:
            people = self.people()
            return view(people) if people else self._stranger()

        return guarded

    def _stranger(self) -> Response:
        page = url_for(".show")
        manager = getattr(current_app, "login_manager", None)
        # Who is signed in, and has no tokens of their own, would be sent back from there.
        if is_signed_in():
            manager = None
        elif self._login_view is not None:
            return make_response(redirect(url_for(self._login_view, next=page), 303))
        if manager is not None:
            if request.method == "POST":
                # It would send them back to where they were, and only a form leads there.
                return make_response(redirect(page, 303))
            try:
                return make_response(manager.unauthorized())
            except Unauthorized:
                # The application has named no login view.
                pass
        return self._rendered("connections_stranger.html", 401)

    def _posted(self, action: Callable[[People], list[Notice]]) -> Callable[[People], Response]:
        """Return a view that does something if the page itself asks for it, and tells of it."""

        def view(people: People) -> Response:
            if not is_own_form(self._form_secret, _who(people)):
                return self._page(people, [("forged", "", "")], 400)
            try:
                told = action(people)
            except BackendError as error:
                told = [_failed(error, request.form.get("provider", ""))]
            self._keep_notices(people, told)
            return make_response(redirect(url_for(".show"), 303))

        return view

    def _form_token(self, people: People) -> str:
        return form_token(self._form_secret, _who(people))

    def _keep_notices(self, people: People, told: list[Notice]) -> None:
        """Keep what there is to tell for the next page, as far as the session has room for it."""
        # Each once, as when all accounts of a provider have ended alike.
        for each in (told, [(code, "", "") for code, _, _ in told]):
            kept = [self._form_token(people)[:16], list(dict.fromkeys(each))]
            if not cookie_excess({self._notices: kept}):
                flask_session[self._notices] = kept
                return

    def _show(self, people: People) -> Response:
        # Somebody else may have signed in here since.
        kept = flask_session.pop(self._notices, None)
        is_theirs = isinstance(kept, list) and kept[:1] == [self._form_token(people)[:16]]
        return self._page(people, kept[1] if is_theirs else [])

    def _page(self, people: People, notices: list[Notice], status: int = 200) -> Response:
        providers = [self._of_provider(each) for each in people]
        return self._rendered(
            "connections.html",
            status,
            providers=providers,
            by_name={each.name: each for each in providers},
            count=sum(len(each.connections or ()) for each in providers),
            notices=notices,
            pictures=self._pictures,
            form_token=self._form_token(people),
        )

    def _of_provider(self, blueprint: Any) -> ProviderConnections:
        name, preset = blueprint.name, blueprint.preset
        title = name if preset is None else preset.display
        own = self._scope_texts.get(name)
        texts = {**self._scope_texts, **(own if isinstance(own, Mapping) else {})}
        login, page = blueprint.view_endpoint("login"), url_for(".show")
        try:
            connections = connections_of(blueprint)
        except BackendError as error:
            log.warning("The connections of a user can't be shown. %s", error)
            connections = None
        return ProviderConnections(
            name,
            self._titles.get(name, title),
            connections,
            several=blueprint.several_accounts,
            # By a click, so that it follows from no earlier login.
            connect_url=url_for(login, next=page, retry=""),
            another_url=url_for(login, next=page, retry="", another=""),
            apps_page=None if preset is None else preset.filled(preset.apps_page),
            scope_texts={scope: it for scope, it in texts.items() if not isinstance(it, Mapping)},
        )

    @staticmethod
    def _rendered(template: str, status: int, **values: Any) -> Response:
        """Return a page, with the application's way to translate texts, and to write dates."""
        environment = current_app.jinja_env
        # An application's own templates may have other delimiters.
        is_usual = all(getattr(environment, each) == it for each, it in _DELIMITERS.items())
        pages = environment if is_usual else environment.overlay(**_DELIMITERS)
        page = pages.get_template(f"flask_dance_nosql/{template}")
        values["date"] = environment.filters.get("dateformat", _date)
        # In one name, since the layout of an application has names of its own.
        context: dict[str, Any] = {"connections": values}
        context["gettext"] = environment.globals.get("gettext", str)
        current_app.update_template_context(context)
        return make_response(page.render(context), status)

    def _asked_for(self, people: People) -> tuple[Any, Connection] | None:
        """Return the blueprint and the connection that a form names, if the user has it."""
        form = request.form
        blueprint = next((each for each in people if each.name == form.get("provider")), None)
        if blueprint is None:
            return None
        found = connections_of(blueprint)
        return next(
            ((blueprint, each) for each in found if each.account == form.get("account")), None
        )

    def _use(self, people: People) -> list[Notice]:
        found = self._asked_for(people)
        if found is None or not found[0].several_accounts:
            return [("gone", "", "")]
        blueprint, connection = found
        is_done = blueprint.use_account(connection.account)
        return [_notice("used" if is_done else "gone", connection)]

    def _disconnect(self, people: People) -> list[Notice]:
        found = self._asked_for(people)
        return [("gone", "", "")] if found is None else [_ended(*found)]

    def _disconnect_everything(self, people: People) -> list[Notice]:
        notices: list[Notice] = []
        for blueprint in people:
            try:
                ended = [_ended(blueprint, each) for each in connections_of(blueprint)]
            except BackendError as error:
                ended = [_failed(error, blueprint.name)]
            # Without the accounts' names, for which a cookie may not have room.
            notices += [(code, name, "") for code, name, _ in ended]
        return notices

    def _after_view(self, response: Response) -> Response:
        if not str(request.endpoint).endswith(".static"):
            response.headers["Cache-Control"] = "no-store"
            response.headers.setdefault("X-Frame-Options", "DENY")
        return response


def _who(people: People) -> list[tuple[str, str]]:
    return sorted((each.name, user_id) for each, user_id in people.items())


def _ended(blueprint: Any, connection: Connection) -> Notice:
    """Disconnect an account, and return what to tell of it."""
    try:
        is_over = blueprint.account(connection.account).disconnect()
    except BackendError as error:
        return _failed(error, connection.provider)
    return _notice("over" if is_over else "here", connection)


def _failed(error: BackendError, provider: str) -> Notice:
    log.warning("A user's connections can't be changed. %s", error)
    return "failed", provider[:_MAX_NAME], ""


def _notice(code: str, connection: Connection) -> Notice:
    return code, connection.provider, (connection.name or "")[:_MAX_NAME]


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
