"""The two views of a dance, alike for OAuth 1 and OAuth 2, and what is remembered between them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, NamedTuple, cast

from flask import Blueprint, current_app, redirect, url_for
from flask import session as flask_session
from werkzeug.wrappers import Response

from ..errors import FlaskDanceNoSQLError
from .backend.store.values import Token
from .context import ContextState, current_state
from .signals import oauth_authorized, oauth_before_login, oauth_error
from .transport import quiet

log = logging.getLogger(__name__)

MAX_PENDING = 5


@dataclass(eq=False, repr=False)
class DanceFailure(Exception):
    """A dance that did not end with a token; ``restart`` sends the visitor to the login view."""

    error: str
    description: str | None = None
    uri: str | None = None
    restart: bool = False


class PendingLogin(NamedTuple):
    """A dance that has begun: its public handle and the secret that only we know."""

    handle: str
    secret: str | None


class PendingLogins:
    """The dances begun in this browser and not yet finished, kept in the Flask session.

    The newest lies under two keys of its own, where users' tests look for it; the others, begun in
    further tabs, lie in a list. At most five are kept.
    """

    def __init__(self, handle_key: str, secret_key: str) -> None:
        self._handle_key = handle_key
        self._secret_key = secret_key
        self._others_key = f"{handle_key}_pending"

    def add(self, handle: str, secret: str | None) -> None:
        """Remember a dance that begins now, forgetting the oldest if there are too many."""
        kept = [login for login in self._all() if login.handle != handle]
        self._write([*kept, PendingLogin(handle, secret)][-MAX_PENDING:])

    def take(self, handle: str | None, parameter: str) -> PendingLogin | DanceFailure:
        """Return the dance with this handle and forget it, or why there is none; others stay."""
        sought = (handle or "").encode("utf-8", "surrogatepass")
        logins = self._all()
        found = [login for login in logins if compare_digest(login.handle.encode(), sought)]
        if found:
            self._write([login for login in logins if login not in found])
            return found[0]
        if not logins:
            return DanceFailure("missing_state", "No login was begun here.", restart=True)
        return DanceFailure("mismatching_state", f"No login begun here has this {parameter}.")

    def _all(self) -> list[PendingLogin]:
        """Return the dances, oldest first."""
        logins = [PendingLogin(*entry) for entry in flask_session.get(self._others_key, ())]
        newest = flask_session.get(self._handle_key)
        if newest is not None:
            logins.append(PendingLogin(newest, flask_session.get(self._secret_key)))
        return logins

    def _write(self, logins: list[PendingLogin]) -> None:
        newest = logins[-1] if logins else PendingLogin("", None)
        values = {
            self._others_key: [list(login) for login in logins[:-1]],
            self._handle_key: newest.handle,
            self._secret_key: newest.secret,
        }
        for key, value in values.items():
            if value:
                flask_session[key] = value
            else:
                flask_session.pop(key, None)


class DanceViews(Blueprint, ABC):
    """The login view and the callback view of a blueprint.

    The subclass for a version of OAuth says how a dance begins, what counts as a response, and how
    the token is fetched; what happens with the outcome is the same for each.
    """

    def login(self) -> Any:
        """Begin the dance: redirect the visitor to the provider.

        Raises:
            ConfigurationError: If one of the provider's endpoints is missing or not https.
        """
        try:
            with quiet():
                url = self._begin()
        except DanceFailure as failure:
            return self._failed(failure)
        oauth_before_login.send(self, url=url)
        return redirect(url)

    def authorized(self) -> Any:
        """End the dance: check the response, exchange it for a token, and store that.

        Whatever is wrong with the response, the visitor is redirected, the ``oauth_error`` signal
        is sent, and nothing stored is touched.
        """
        try:
            with quiet():
                token = self._exchange(self._accept_response())
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
            return response
        if not any(result is False for _, result in results):
            try:
                tell = self._store_login(token)
            except ValueError as error:
                # The text of a foreign error may show the token that the backend was given.
                reason = f"The backend refused the token: {type(error).__name__}."
                if isinstance(error, FlaskDanceNoSQLError):
                    reason = str(error)
                return self._failed(DanceFailure("token_not_stored", reason))
            tell()
        return redirect(self._next_url())

    @abstractmethod
    def _begin(self) -> str:
        """Remember a new login as pending and return the URL that it continues at."""

    @abstractmethod
    def _accept_response(self) -> PendingLogin:
        """Return the pending login that this request answers, or raise :class:`DanceFailure`."""

    @abstractmethod
    def _exchange(self, login: PendingLogin) -> Token:
        """Fetch the token of an approved login, or raise :class:`DanceFailure`."""

    @abstractmethod
    def _store_login(self, token: Token) -> Callable[[], object]:
        """Put the token that a dance has given into the backend. Returns what tells others so."""

    @abstractmethod
    def _next_url(self) -> str:
        """Return where the visitor goes after the dance."""

    def _failed(self, failure: DanceFailure) -> Any:
        error, description = failure.error, failure.description
        log.warning("OAuth dance with %r failed: %r, %r", self.name, error, description)
        results = oauth_error.send(
            self, error=error, error_description=description, error_uri=failure.uri
        )
        if (response := _first_response(results)) is not None:
            return response
        return redirect(url_for(".login") if failure.restart else self._next_url())


def _first_response(results: Iterable[tuple[Any, Any]]) -> Any:
    kinds = Response | current_app.response_class
    return next((result for _, result in results if isinstance(result, kinds)), None)
