"""The two views of a dance, alike for OAuth 1 and OAuth 2."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any, cast

from flask import (
    Response,
    current_app,
    has_request_context,
    make_response,
    redirect,
    request,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from ..errors import AccountAlreadyLinked, AccountUnknown, FlaskDanceNoSQLError
from .account_client import AccountClient
from .backend.base import TokenSlot
from .backend.store.values import Token
from .context import ContextState, current_state
from .dance_urls import DanceURLs
from .failure import (
    ACCOUNT_ALREADY_LINKED,
    ACCOUNT_UNKNOWN,
    MISMATCHING_STATE,
    MISMATCHING_USER,
    MISSING_STATE,
    SCOPE_NOT_GRANTED,
    SIGN_IN_FAILED,
    SIGN_IN_REFUSED,
    TOKEN_NOT_STORED,
    DanceFailure,
    as_failure,
    error_code,
    failure_page,
    stepping_stone,
)
from .pending import (
    TOKEN_NOT_KEPT,
    AskedPage,
    LastEnding,
    PendingLogin,
    PendingLogins,
    is_ahead,
    is_navigation,
    lacks_strict_cookie,
    remember,
)
from .posted import carried_on
from .signals import oauth_authorized, oauth_before_login, oauth_error, token_saved
from .token import scopes_of, token_status
from .transport import quiet
from .urls import VIEWS, local_url, posted_url

log = logging.getLogger(__name__)

ARRIVED = "arrived"
"""In the query of the callback view: the visitor comes from a page of this site."""

_TOLD_AT_ONCE = (ACCOUNT_ALREADY_LINKED, ACCOUNT_UNKNOWN, SIGN_IN_FAILED, SIGN_IN_REFUSED)
_REFUSALS = ((AccountAlreadyLinked, ACCOUNT_ALREADY_LINKED), (AccountUnknown, ACCOUNT_UNKNOWN))

RETRY = "retry"
"""In the query of the login view: the visitor has asked to try again."""

ANOTHER = "another"
"""In the query of the login view: the visitor wants to connect one more account."""


class DanceViews(AccountClient, DanceURLs):
    """The login view and the callback view of a blueprint.

    The subclass for a version of OAuth says how a dance begins, what counts as a response, and how
    the token is fetched; what happens with the outcome is the same for each.
    """

    def login(self) -> Response:
        """Begin the dance: redirect the visitor to the provider.

        The visitor comes back to the page that was asked for: the one that ``next`` in the query
        names, or the one of which ``authorization_required`` has sent the visitor here. With
        ``another`` in the query, the provider is asked to let the visitor choose an account, if
        ``another_account`` says how.

        Raises:
            ConfigurationError: If one of the provider's endpoints is missing or not https, the
                client identifier is missing, or ``redirect_to`` names no page.
        """
        if not is_navigation():
            # An image or a script of another site must not push out the logins that are begun.
            return Response("A login is begun by a page that is shown.", 403)
        page = AskedPage(self.name).take()
        if RETRY in request.args:
            LastEnding(self.name).forget()
        another = (self.another_account or {}) if ANOTHER in request.args else {}
        return self.begin(next=request.args.get("next", page), **another)

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
            ConfigurationError: As :meth:`login` does; if a scope is given with OAuth 1, or none of
                texts; or if a parameter is one that the blueprint sets itself.
        """
        page = local_url(next)
        self._next_url()
        error, last_page = LastEnding(self.name).repeats() or (None, None)
        if error is not None and (scope is not None or error != SCOPE_NOT_GRANTED):
            # It is the end of the last dance that has led to the start page.
            is_led = last_page is not None and page in (None, self._next_url())
            return self._page(error, last_page if is_led else page)
        slot = None
        # Before a visitor has signed in, an application's function may raise whatever it likes.
        with suppress(Exception):
            slot = self.slot()
        try:
            with quiet():
                url, login = self._begin(scope, authorization_params, slot)
            self._remember(login._replace(next=page, user=_digest(slot)))
        except DanceFailure as failure:
            failure.page = page
            return self._failed(failure)
        oauth_before_login.send(self, url=url)
        return unstored(make_response(redirect(url)))

    def authorized(self) -> Response:
        """End the dance: check the response, exchange it for a token, and store that.

        Whatever is wrong with the response, the ``oauth_error`` signal is sent, nothing stored is
        touched, and the visitor is redirected or, if that would lead here again, gets a page.
        """
        if is_ahead():
            return Response("A login is ended by a page that is shown.", 403)
        if request.method == "POST":
            # The session's cookie may not come with what another site has posted.
            return carried_on(self._kept_fields())
        if ARRIVED not in request.args and lacks_strict_cookie():
            return stepping_stone(posted_url({ARRIVED: ""}))
        try:
            login, slot, token = self._finished()
        except DanceFailure as failure:
            return self._failed(failure)
        # A receiver that stores the token stores it as a login does.
        state = cast(ContextState, current_state(self))
        state.arriving = token
        try:
            results = oauth_authorized.send(self, token=token)
        finally:
            state.arriving = None
        ending, response = "", _first_response(results)
        if response is None and not any(result is False for _, result in results):
            try:
                slot, tell = self._stored(token, slot, is_heard=bool(results))
            except DanceFailure as failure:
                failure.page = login.next
                return self._failed(failure)
            token_saved.send(self, user_id=slot.user_id)
            tell()
            ending = _odd_ending(login, slot, token)
        LastEnding(self.name).note(ending)
        return make_response(response or redirect(local_url(login.next) or self._next_url()))

    def _stored(
        self, token: Token, slot: TokenSlot | None, *, is_heard: bool
    ) -> tuple[TokenSlot, Callable[[], object]]:
        """Store the token of a login. Returns where it is, and what sends further signals of it.

        Args:
            token: The token.
            slot: That of the user who has begun the login, or ``None``.
            is_heard: Whether a receiver may have signed somebody in.

        Raises:
            DanceFailure: If the backend or the sign-in refuses it.
        """
        try:
            if self.sign_in is not None:
                return self.sign_in.store_login(token, None if slot is None else slot.user_id)
            return self._store_login(token, None if is_heard else slot), lambda: None
        except ValueError as error:
            # The text of a foreign error may show the token that the backend was given.
            reason = f"The backend refused the token: {type(error).__name__}."
            if isinstance(error, FlaskDanceNoSQLError):
                reason = str(error)
            code = next((c for kind, c in _REFUSALS if isinstance(error, kind)), TOKEN_NOT_STORED)
            raise DanceFailure(code, reason) from None

    @abstractmethod
    def _begin(
        self, scope: Any, parameters: dict[str, Any], slot: TokenSlot | None
    ) -> tuple[str, PendingLogin]:
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

    def _kept_fields(self) -> tuple[str, ...]:
        """Return which parameters of the response are kept with the token."""
        return ()

    def forget_visitor(self) -> None:
        """Forget what this browser has of its dances: the next visitor gets nothing of it."""
        super().forget_visitor()
        if has_request_context():
            self._pending().forget()
            LastEnding(self.name).forget()
            AskedPage(self.name).forget()

    def _finished(self) -> tuple[PendingLogin, TokenSlot | None, Token]:
        """Return the login that this request answers, its user's slot if known, and its token.

        Raises:
            DanceFailure: If there is no such login, or no token.
        """
        begun = self._pending().all()
        try:
            with quiet(), as_failure():
                login = self._accept_response()
                slot = None if login.user is None else self.slot()
                if login.user != _digest(slot):
                    raise DanceFailure(MISMATCHING_USER, "The login was begun by another user.")
                return login, slot, self._exchange(login)
        except DanceFailure as failure:
            # The refusal of an unnamed login is most likely that of the newest.
            left = begun[:-1] if failure.is_unnamed else self._pending().all()
            if failure.error != MISMATCHING_USER:
                failure.page = next((each.next for each in begun if each not in left), None)
            raise

    def _after_view(self, response: Response) -> Response:
        # Also what has become of an error, and what comes in place of a view.
        view = str(request.endpoint).rpartition(".")[2]
        return unstored(response) if view in VIEWS else response

    def _taken(self, handle: str | None, parameter: str) -> PendingLogin:
        """Return the pending login with a handle and forget it, or raise ``DanceFailure``."""
        pending = self._pending()
        login = pending.take(handle)
        if login is not None:
            return login
        if pending.all():
            reason = f"No login begun here has this {parameter}."
            raise DanceFailure(MISMATCHING_STATE, reason)
        raise DanceFailure(MISSING_STATE, "No login was begun here.")

    def _remember(self, login: PendingLogin) -> None:
        known = current_app.extensions.get("flask_dance_nosql", {})
        excess = remember(login, self._pending(), [each._pending() for each in known])
        if excess:
            raise DanceFailure(
                "session_too_large",
                f"The session cookie would be {excess} bytes too large, and browsers would drop "
                "it. Keep tokens, and what else is large, on the server.",
            )

    def _failed(self, failure: DanceFailure) -> Response:
        error, description = failure.error, failure.description
        log.warning("OAuth dance with %r failed: %r, %r", self.name, error, description)
        results = oauth_error.send(
            self, error=error, error_description=description, error_uri=failure.uri
        )
        # Without a login begun here, it says nothing of a login, and may be a stranger's work.
        is_ours = error not in (MISSING_STATE, MISMATCHING_STATE) and not failure.is_unnamed
        # After the receivers, of which one may have cleared the session.
        is_noted = error != MISSING_STATE and LastEnding(self.name).note(
            error_code(error), failure.page, is_ours=is_ours
        )
        # A browser that has brought no session may keep none: then a note is of no use.
        is_kept = current_app.session_interface.get_cookie_name(current_app) in request.cookies
        response = _first_response(results)
        if response is not None and (is_kept or not 300 <= response.status_code < 400):
            return make_response(response)
        # What tells nothing of itself is no browser of today, and most likely keeps its cookies.
        is_browser = "Sec-Fetch-Mode" in request.headers
        goes_on = is_noted and (is_kept or not is_browser) and error not in _TOLD_AT_ONCE
        if error == MISSING_STATE or (is_browser and error == MISMATCHING_STATE):
            # Who has a token has come back here by the browser's history. Who has none may have a
            # cookie that no answer changes, so that a note would be of no use.
            goes_on = False
            with suppress(FlaskDanceNoSQLError):
                goes_on = bool(self.session.authorized)
        if goes_on:
            return make_response(redirect(self._next_url()))
        return self._page(error, failure.page)

    def _page(self, error: str, page: str | None = None) -> Response:
        query: dict[str, Any] = {RETRY: "", "next": page}
        retry_url = url_for(self.view_endpoint("login"), **query)
        return failure_page(self.name, error, retry_url, self._next_url())


def _digest(slot: TokenSlot | None) -> str | None:
    """Return a digest of the id of a slot's user, or ``None`` if it is of nobody."""
    if slot is None or slot.user_id is None:
        return None
    return sha256(slot.user_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _odd_ending(login: PendingLogin, slot: TokenSlot, token: Token) -> str:
    """Return the error of a dance that ended well, and left what leads to a login at once."""
    kept: Token | None = token
    # Not every backend keeps what it is given. One that does not answer now has taken it.
    with suppress(Exception):
        kept = token if slot.is_shared else slot.read().token
    if not kept or (token_status(kept, 0.0) == "expired" and not kept.get("refresh_token")):
        return TOKEN_NOT_KEPT
    is_narrow = login.scope and set(login.scope.split()) - set(scopes_of(token.get("scope")))
    return SCOPE_NOT_GRANTED if is_narrow else ""


def _first_response(results: Iterable[tuple[Any, Any]]) -> Any:
    kinds = BaseResponse | current_app.response_class
    return next((result for _, result in results if isinstance(result, kinds)), None)


def unstored(response: Response) -> Response:
    """Keep an answer out of caches: its URL, or where it leads, has secrets in it.

    Source: RFC 6749 section 5.1.
    """
    response.headers["Cache-Control"] = "no-store"
    return response
