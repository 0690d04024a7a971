"""What a Flask session remembers of dances: those not finished, and how the last one ended."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlencode

from flask import current_app, request
from flask import session as flask_session

from .. import clock
from .backend.session import cookie_excess
from .urls import current_url, local_url

TOKEN_NOT_KEPT = "token_not_kept"  # noqa: S105 - an error code

MAX_PENDING = 5
# How soon after a failure a login can't be what a human has asked for after reading of it.
AT_ONCE_SECONDS = 3.0
# How long a login that was successful is taken for the cause of the next one.
FOLLOWING_SECONDS = 10.0
MOST_LOGINS = 2
MOST_CLICKS = 4
# How long endings are counted, for apps that take their time between one and the next login.
LOOP_SECONDS = 30.0
# How long a page that was asked for is remembered for the login that it leads to.
ASKED_SECONDS = 60.0


class PendingLogin(NamedTuple):
    """A dance that has begun.

    Args:
        handle: What the provider gives back: the state, or the temporary credentials' identifier.
        secret: What only we know: the code verifier, or the temporary credentials' secret.
        begun: When it began, in seconds since the epoch.
        next: The page of this site to go to in the end, or ``None``.
        scope: The scope that was asked for, if it is not the blueprint's.
        user: A digest of the id of the user who began it, or ``None`` if nobody was signed in.
    """

    handle: str
    secret: str | None
    begun: float = 0.0
    next: str | None = None
    scope: str | None = None
    user: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} begun at {self.begun}>"


_LOGIN = (str, str | None, int | float, str | None, str | None, str | None)


class PendingLogins:
    """The dances begun in this browser with one provider and not yet finished.

    The newest lies under two keys of its own, where users' tests look for it; the others, begun in
    further tabs, lie in a list. At most five are kept.
    """

    def __init__(self, handle_key: str, secret_key: str) -> None:
        self._handle_key = handle_key
        self._secret_key = secret_key
        self._rest_key = f"{handle_key}_rest"
        self._others_key = f"{handle_key}_pending"

    def add(self, login: PendingLogin) -> None:
        """Remember a dance that begins now, forgetting the oldest if there are too many."""
        kept = [each for each in self.all() if each.handle != login.handle]
        self._write([*kept, login._replace(begun=clock.timestamp())][-MAX_PENDING:])

    def take(self, handle: str | None) -> PendingLogin | None:
        """Return the dance with this handle and forget it, or ``None``; others stay."""
        sought = (handle or "").encode("utf-8", "surrogatepass")
        logins = self.all()
        found = [
            each
            for each in logins
            if compare_digest(each.handle.encode("utf-8", "surrogatepass"), sought)
        ]
        if not found:
            return None
        self._write([each for each in logins if each not in found])
        return found[0]

    def forget(self) -> None:
        """Forget all of them."""
        self._write([])

    def drop(self, login: PendingLogin) -> None:
        """Forget a dance."""
        self._write([each for each in self.all() if each != login])

    def all(self) -> list[PendingLogin]:
        """Return the dances, oldest first. What can't be one is left out."""
        others, rest = flask_session.get(self._others_key), flask_session.get(self._rest_key)
        entries = list(others) if isinstance(others, list | tuple) else []
        entries.append(
            [
                *(flask_session.get(self._handle_key), flask_session.get(self._secret_key)),
                *(rest if isinstance(rest, list | tuple) else ()),
            ]
        )
        # The session may hold anything, and entries of other versions.
        return [PendingLogin(*entry) for entry in entries if _fits(entry, _LOGIN) and entry[0]]

    def _write(self, logins: list[PendingLogin]) -> None:
        newest = logins[-1] if logins else PendingLogin("", None)
        values = {
            self._others_key: [list(login) for login in logins[:-1]],
            self._handle_key: newest.handle,
            self._secret_key: newest.secret,
            self._rest_key: list(newest[2:]) if logins else None,
        }
        for key, value in values.items():
            if value:
                flask_session[key] = value
            else:
                flask_session.pop(key, None)


def remember(login: PendingLogin, pending: PendingLogins, everywhere: list[PendingLogins]) -> int:
    """Remember a dance that begins now, in a session that fits into its cookie.

    For that, the page that was asked for is forgotten if need be, which is less than the login.

    Args:
        login: The dance.
        pending: Those of its provider.
        everywhere: Those of all providers, of which the oldest are forgotten first.

    Returns:
        By how many bytes the session is too large even so; then nothing has changed.
    """
    before, excess = dict(flask_session), 0
    for each in dict.fromkeys((login, login._replace(next=None))):
        pending.add(each)
        begun = [(old, its) for its in everywhere for old in its.all() if old.handle != each.handle]
        begun.sort(key=lambda pair: pair[0].begun)
        excess = cookie_excess({})
        for old, its in begun:
            if excess:
                its.drop(old)
                excess = cookie_excess({})
        if not excess:
            return 0
        flask_session.clear()
        flask_session.update(before)
    return excess


class LastEnding:
    """How the last dance with a provider ended in this browser: its error, how often so, its page.

    With it, a login is not begun that would only follow from how the last one has ended.
    """

    def __init__(self, provider: str) -> None:
        self._key = f"{provider}_oauth_ended"

    def note(self, error: str = "", page: str | None = None, *, is_ours: bool = True) -> bool:
        """Remember an ending. Returns whether the browser will.

        Args:
            error: The error; none is a success.
            page: The page that the visitor had asked for; it is left out if the cookie is full.
            is_ours: Whether it was that of a login begun here. Others are counted once only: they
                may be the work of somebody else.
        """
        last = _noted(self._key, LOOP_SECONDS)
        is_again = is_ours and last is not None and last.text == error
        times = last.times + 1 if last is not None and is_again else 1
        value = [clock.timestamp(), error, times, page]
        if page is not None and not _can_keep({self._key: value}):
            value[-1] = None
        if not _can_keep({self._key: value}):
            return False
        flask_session[self._key] = value
        return True

    def repeats(self) -> tuple[str, str | None] | None:
        """Return the error and page to tell of in place of a login that would lead to it again."""
        last = _noted(self._key, LOOP_SECONDS)
        if last is None:
            return None
        age = clock.timestamp() - last.moment
        # The end of a chain of redirects is cross-site if the provider was in it.
        is_clicked = request.headers.get("Sec-Fetch-Site") == "same-origin"
        if last.text:
            at_once = age < AT_ONCE_SECONDS and not is_clicked
            return (last.text, last.page) if at_once or last.times > 1 else None
        most = MOST_CLICKS if is_clicked else MOST_LOGINS
        is_loop = last.times >= most and age < FOLLOWING_SECONDS
        return (TOKEN_NOT_KEPT, last.page) if is_loop else None

    def forget(self) -> None:
        """Forget it."""
        flask_session.pop(self._key, None)


class AskedPage:
    """The page that a visitor had asked for when they were sent to the login view.

    The URL of the login view names it, so that each of several tabs comes back to its own. A
    client that sends no ``Sec-Fetch-Mode``, such as a test or a browser by plain http, gets the URL
    that Flask-Dance has, and its page is remembered in the session for a minute.
    """

    def __init__(self, provider: str) -> None:
        self._key = f"{provider}_oauth_next"

    def note(self, login_url: str) -> str:
        """Return the URL that leads to the login, and from there back to the current page.

        Args:
            login_url: The URL of the login view.
        """
        self.forget()
        url = current_url()
        page = local_url(url)
        if page is None or request.method != "GET" or not is_navigation():
            return login_url
        if "Sec-Fetch-Mode" in request.headers:
            # A login view on another host needs the whole URL.
            query = urlencode({"next": url if "://" in login_url else page})
            return f"{login_url}{'&' if '?' in login_url else '?'}{query}"
        value = [clock.timestamp(), url]
        if _can_keep({self._key: value}):
            flask_session[self._key] = value
        return login_url

    def take(self) -> str | None:
        """Return the page, unless it was asked for long ago, and forget it."""
        noted = _noted(self._key, ASKED_SECONDS)
        self.forget()
        return None if noted is None else local_url(noted.text)

    def forget(self) -> None:
        """Forget it."""
        flask_session.pop(self._key, None)


class _Noted(NamedTuple):
    moment: float
    text: str
    times: int = 1
    page: str | None = None


_NOTED = (int | float, str, int, str | None)


def _noted(key: str, seconds: float) -> _Noted | None:
    """Return what was noted, unless it is too long ago; the session may hold anything."""
    value = flask_session.get(key)
    if not _fits(value, _NOTED):
        return None
    noted, now = _Noted(*value), clock.timestamp()
    return noted if now - seconds < noted.moment <= now else None


def _fits(entry: Any, kinds: tuple[Any, ...]) -> TypeGuard[list[Any]]:
    """Whether this is a list of values of these types, of which the third and on may be missing."""
    if not isinstance(entry, list | tuple) or not 2 <= len(entry) <= len(kinds):
        return False
    return all(isinstance(part, kind) for part, kind in zip(entry, kinds, strict=False))


def is_ahead() -> bool:
    """Whether the answer is fetched before anybody wants it, and may never be shown."""
    names = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
    purpose = " ".join(request.headers.get(name, "") for name in names).lower()
    return request.method == "HEAD" or "prefetch" in purpose or "preview" in purpose


def is_navigation() -> bool:
    """Whether a browser wants to show the answer, unless it does not say."""
    return not is_ahead() and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def lacks_strict_cookie() -> bool:
    """Whether the session's cookie did not come since it only comes from pages of this site."""
    interface = current_app.session_interface
    is_strict = str(interface.get_cookie_samesite(current_app)).lower() == "strict"
    return is_strict and interface.get_cookie_name(current_app) not in request.cookies


def _can_keep(changes: dict[str, Any]) -> bool:
    interface = current_app.session_interface
    return not interface.is_null_session(flask_session) and not cookie_excess(changes)
