"""The two views of a dance, alike for OAuth 1 and OAuth 2."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, make_response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ..errors import FlaskDanceNoSQLError
from .backend.base import TokenSlot
from .backend.owner import NOT_GIVEN
from .backend.store.values import Token
from .context import ContextState, current_state
from .failure_page import error_code, failure_page
from .pending import (
    AskedPage,
    LastEnding,
    PendingLogin,
    PendingLogins,
    local_url,
    make_room,
)
from .signals import oauth_authorized, oauth_before_login, oauth_error, token_saved
from .token import scopes_of, token_status
from .transport import quiet

log = logging.getLogger(__name__)

MISSING_STATE = "missing_state"
SCOPE_NOT_GRANTED = "scope_not_granted"
# Servers take request lines of 8 KB.
_LONGEST_QUERY = 6_000
_PARAMETERS = frozenset(
    (
        *("state", "code", "iss", "error", "error_description", "error_uri"),
        *("oauth_token", "oauth_verifier", "denied"),
    )
)


@dataclass(eq=False, repr=False)
class DanceFailure(Exception):
    """A dance that did not end with a token."""

    error: str
    description: str | None = None
    uri: str | None = None


class DanceViews(Blueprint, ABC):
    """The login view and the callback view of a blueprint.

    The subclass for a version of OAuth says how a dance begins, what counts as a response, and how
    the token is fetched; what happens with the outcome is the same for each.
    """

    def login(self) -> Response:
        """Begin the dance: redirect the visitor to the provider.

        The visitor comes back to the page that was asked for: the one that ``next`` in the query
        names, or the one of which ``authorization_required`` has sent the visitor here.

        Raises:
            ConfigurationError: If one of the provider's endpoints is missing or not https, or the
                client identifier is missing.
        """
        asked = AskedPage(self.name).take()
        if "retry" in request.args:
            LastEnding(self.name).forget()
        return self.begin(next=request.args.get("next", asked))

    def begin(
        self,
        scope: str | Iterable[str] | None = None,
        next: str | None = None,
        **authorization_params: Any,
    ) -> Response:
        """Begin a dance for this visitor, and return the redirect to the provider; for views.

        What is given here is for this visitor and this dance alone::

            @app.get("/calendar/connect")
            def connect_calendar():
                return google.begin(scope="calendar.readonly", next="/calendar", prompt="consent")

        A login that would only follow from how the last one has ended, a moment ago, is not begun:
        the visitor gets a page that says so, with a link to try again.

        Args:
            scope: The scope to ask for, as a string or as several; what the visitor's token was
                granted so far is asked for, too. Default: the blueprint's.
            next: The page of this site to go to in the end: a path, or a URL of this very origin.
                Any other URL is ignored. Default: where the blueprint goes.
            **authorization_params: Further parameters of the authorization URL, such as ``prompt``,
                ``login_hint``, ``acr_values`` or ``max_age``.

        Raises:
            ConfigurationError: As :meth:`login` does; or if a scope is given with OAuth 1.
        """
        error = LastEnding(self.name).repeats()
        if error is not None and (scope is not None or error != SCOPE_NOT_GRANTED):
            return self._page(error)
        page = local_url(next)
        if page is not None and page.partition("?")[0] == url_for(self.view_endpoint("login")):
            page = None
        try:
            with quiet():
                url, login = self._begin(scope, authorization_params)
            self._remember(login._replace(next=page))
        except DanceFailure as failure:
            return self._failed(failure)
        oauth_before_login.send(self, url=url)
        return _unstored(redirect(url))

    def authorized(self) -> Response:
        """End the dance: check the response, exchange it for a token, and store that.

        Whatever is wrong with the response, the ``oauth_error`` signal is sent, nothing stored is
        touched, and the visitor is redirected or, if that would lead here again, gets a page.
        """
        if request.method == "POST":
            # The session's cookie may not come with what another site has posted.
            given = [*request.args.items(multi=True), *request.form.items(multi=True)]
            query = urlencode(given)
            if len(query) > _LONGEST_QUERY:
                query = urlencode([(name, value) for name, value in given if name in _PARAMETERS])
            return _unstored(redirect(f"{request.script_root}{request.path}?{query}", 303))
        try:
            with quiet():
                login = self._accept_response()
                token = self._exchange(login)
        except DanceFailure as failure:
            return self._failed(failure)
        # A receiver that stores the token stores it as a login does.
        state = cast(ContextState, current_state(self))
        state.arriving = token
        try:
            results = oauth_authorized.send(self, token=token)
        finally:
            state.arriving = None
        if (response := _first_response(results)) is not None:
            return _unstored(response)
        if not any(result is False for _, result in results):
            try:
                slot = self._store_login(token)
            except ValueError as error:
                # The text of a foreign error may show the token that the backend was given.
                reason = f"The backend refused the token: {type(error).__name__}."
                if isinstance(error, FlaskDanceNoSQLError):
                    reason = str(error)
                return self._failed(DanceFailure("token_not_stored", reason))
            token_saved.send(self, user_id=slot.user_id)
            self._note_odd_ending(login, slot, token)
        return _unstored(redirect(login.next or self._next_url()))

    @property
    @abstractmethod
    def session(self) -> Any:
        """The session that calls the provider with the current user's token."""

    @abstractmethod
    def slot(self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN) -> TokenSlot:
        """Return one owner's token in the backend."""

    @abstractmethod
    def _begin(self, scope: Any, parameters: dict[str, Any]) -> tuple[str, PendingLogin]:
        """Return the URL that a new login continues at, and what to remember of it."""

    @abstractmethod
    def _pending(self) -> PendingLogins:
        """Return the logins that are not finished."""

    @abstractmethod
    def _accept_response(self) -> PendingLogin:
        """Return the pending login that this request answers, or raise :class:`DanceFailure`."""

    @abstractmethod
    def _exchange(self, login: PendingLogin) -> Token:
        """Fetch the token of an approved login, or raise :class:`DanceFailure`."""

    @abstractmethod
    def _store_login(self, token: Token) -> TokenSlot:
        """Put the token that a dance has given into the backend. Returns whose it is."""

    @abstractmethod
    def _next_url(self) -> str:
        """Return where the visitor goes after the dance."""

    @abstractmethod
    def view_endpoint(self, view: str) -> str:
        """Return the full endpoint of a view of this blueprint on the current app."""

    def _taken(self, handle: str | None, parameter: str) -> PendingLogin:
        """Return the pending login with a handle and forget it, or raise ``DanceFailure``."""
        pending = self._pending()
        login = pending.take(handle)
        if login is not None:
            return login
        if pending.all():
            reason = f"No login begun here has this {parameter}."
            raise DanceFailure("mismatching_state", reason)
        raise DanceFailure(MISSING_STATE, "No login was begun here.")

    def _remember(self, login: PendingLogin) -> None:
        pending = self._pending()
        pending.add(login)
        known = current_app.extensions.get("flask_dance_nosql", {})
        excess = make_room(login, [each._pending() for each in known])
        if excess:
            pending.take(login.handle)
            raise DanceFailure(
                "session_too_large",
                f"The session cookie would be {excess} bytes too large, and browsers would drop "
                "it. Keep tokens, and what else is large, on the server.",
            )

    def _note_odd_ending(self, login: PendingLogin, slot: TokenSlot, token: Token) -> None:
        """Note what would lead an application straight to the login view again."""
        ending = LastEnding(self.name)
        ending.forget()
        # A backend with three methods may keep nothing.
        kept = token if slot.name is not None else slot.read().token
        if not kept or (token_status(kept, 0.0) == "expired" and not kept.get("refresh_token")):
            ending.note("token_not_kept")
        elif login.scope and set(login.scope.split()) - set(scopes_of(token.get("scope"))):
            ending.note(SCOPE_NOT_GRANTED)

    def _failed(self, failure: DanceFailure) -> Response:
        error, description = failure.error, failure.description
        # Without a login begun here, there may be no cookies to note anything in.
        is_lost = error == MISSING_STATE
        # If a page that follows leads to the login view, that one tells of the failure.
        ends_elsewhere = not is_lost and LastEnding(self.name).note(error_code(error))
        log.warning("OAuth dance with %r failed: %r, %r", self.name, error, description)
        results = oauth_error.send(
            self, error=error, error_description=description, error_uri=failure.uri
        )
        if (response := _first_response(results)) is not None:
            return _unstored(response)
        if is_lost:
            # Who has a token has come back here by the browser's history.
            with suppress(FlaskDanceNoSQLError):
                ends_elsewhere = bool(self.session.authorized)
        return _unstored(redirect(self._next_url())) if ends_elsewhere else self._page(error)

    def _page(self, error: str) -> Response:
        retry_url = url_for(self.view_endpoint("login"), retry="")
        return _unstored(failure_page(self.name, error, retry_url, self._next_url()))


def _first_response(results: Iterable[tuple[Any, Any]]) -> Any:
    kinds = BaseResponse | current_app.response_class
    return next((result for _, result in results if isinstance(result, kinds)), None)


def _unstored(response: Any) -> Response:
    """Keep an answer, whose URL has secrets in it, out of caches (RFC 6749 section 5.1)."""
    answer = make_response(response)
    answer.headers["Cache-Control"] = "no-store"
    return answer
