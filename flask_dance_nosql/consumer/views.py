"""The two views of a dance, alike for OAuth 1 and OAuth 2."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from flask import current_app, redirect, url_for
from werkzeug.wrappers import Response

from ..errors import FlaskDanceNoSQLError
from .dance import DanceFailure, PendingLogin
from .secrecy import quiet
from .signals import oauth_authorized, oauth_before_login, oauth_error

log = logging.getLogger(__name__)

Token = dict[str, Any]


class DanceViews(ABC):
    """The login view and the callback view of a blueprint.

    The subclass for a version of OAuth says how a dance begins, what counts as a response, and how
    the token is fetched; what happens with the outcome is the same for each.
    """

    name: str

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
        return self._finished(token)

    @abstractmethod
    def _begin(self) -> str:
        """Remember a new login as pending and return the URL that it continues at."""

    @abstractmethod
    def _accept_response(self) -> PendingLogin:
        """Return the pending login that this request answers.

        Raises:
            DanceFailure: If it answers none, or says that there is no token to be had.
        """

    @abstractmethod
    def _exchange(self, login: PendingLogin) -> Token:
        """Fetch the token of a login that the provider has approved.

        Raises:
            DanceFailure: If the provider gives none.
        """

    @abstractmethod
    def _store(self, token: Token) -> None:
        """Put the token that a dance has given into the backend."""

    @abstractmethod
    def _next_url(self) -> str:
        """Return where the visitor goes after the dance."""

    def _finished(self, token: Token) -> Any:
        results = oauth_authorized.send(self, token=token)
        response = _first_response(results)
        if response is not None:
            return response
        if not any(result is False for _, result in results):
            try:
                self._store(token)
            except ValueError as error:
                return self._failed(DanceFailure("token_not_stored", _describe(error)))
        return redirect(self._next_url())

    def _failed(self, failure: DanceFailure) -> Any:
        log.warning(
            "OAuth dance with %r failed: %r, %r", self.name, failure.error, failure.description
        )
        results = oauth_error.send(
            self,
            error=failure.error,
            error_description=failure.description,
            error_uri=failure.uri,
        )
        response = _first_response(results)
        if response is not None:
            return response
        return redirect(url_for(".login") if failure.restart else self._next_url())


def _describe(error: ValueError) -> str:
    # The text of a foreign error may show the token that the backend was given.
    if isinstance(error, FlaskDanceNoSQLError):
        return str(error)
    return f"The backend refused the token: {type(error).__name__}."


def _first_response(results: Iterable[tuple[Any, Any]]) -> Any:
    for _, result in results:
        if isinstance(result, Response | current_app.response_class):
            return result
    return None
