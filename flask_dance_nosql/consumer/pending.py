"""What a Flask session remembers of dances: those not finished, and how the last one ended."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import current_app, request
from flask import session as flask_session

from .. import clock
from .backend.session import cookie_excess

MAX_PENDING = 5
MAX_NEXT = 1_000
# How soon after a failure a login can't be what a human has asked for after reading of it.
AT_ONCE_SECONDS = 3.0
# How soon after a second failure no third login is begun, which is for apps that take their time.
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
    """

    handle: str
    secret: str | None
    begun: float = 0.0
    next: str | None = None
    scope: str | None = None


_KINDS = (str, str | None, int | float, str | None, str | None)


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
        return [PendingLogin(*entry) for entry in entries if _is_login(entry)]

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


def _is_login(entry: Any) -> bool:
    """Whether this is a dance: the session may hold anything, and entries of other versions."""
    if not isinstance(entry, list | tuple) or not 2 <= len(entry) <= len(_KINDS) or not entry[0]:
        return False
    return all(isinstance(part, kind) for part, kind in zip(entry, _KINDS, strict=False))


def make_room(newest: PendingLogin, everywhere: Iterable[PendingLogins]) -> int:
    """Forget the oldest dances, of whatever provider, until the session fits into its cookie.

    Returns:
        By how many bytes it is still too large when ``newest`` is the only one left.
    """
    logins = [(login, pending) for pending in everywhere for login in pending.all()]
    logins.sort(key=lambda each: each[0].begun)
    excess = cookie_excess({})
    for login, pending in logins:
        if not excess:
            break
        if login.handle != newest.handle:
            pending.drop(login)
            excess = cookie_excess({})
    return excess


class LastEnding:
    """The error with which the last dance with a provider ended in this browser."""

    def __init__(self, provider: str) -> None:
        self._key = f"{provider}_oauth_ended"

    def note(self, error: str) -> bool:
        """Remember an error. Returns whether the browser will."""
        last = _noted(self._key, 3, LOOP_SECONDS)
        is_again = last is not None and type(last[1]) is int
        value = [clock.timestamp(), error, last[1] + 1 if last is not None and is_again else 1]
        if not _can_keep({self._key: value}):
            return False
        flask_session[self._key] = value
        return True

    def repeats(self) -> str | None:
        """Return the error if a login that is begun now would only lead to it again.

        That is one right after it which no click has begun, and one soon after the second in a row.
        """
        last = _noted(self._key, 3, LOOP_SECONDS)
        if last is None or not isinstance(last[0], str):
            return None
        is_clicked = request.headers.get("Sec-Fetch-Site") == "same-origin"
        is_at_once = not is_clicked and _noted(self._key, 3, AT_ONCE_SECONDS) is not None
        return last[0] if is_at_once or last[1] != 1 else None

    def forget(self) -> None:
        """Forget it."""
        flask_session.pop(self._key, None)


class AskedPage:
    """The page that a visitor had asked for when they were sent to the login view."""

    def __init__(self, provider: str) -> None:
        self._key = f"{provider}_oauth_next"

    def note(self) -> None:
        """Remember the current page, if it is one that a browser can be sent to."""
        is_page = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        page = local_url(request.script_root + request.full_path.removesuffix("?"))
        value = [clock.timestamp(), page]
        if request.method == "GET" and is_page and page and _can_keep({self._key: value}):
            flask_session[self._key] = value
        else:
            flask_session.pop(self._key, None)

    def take(self) -> str | None:
        """Return the page, unless it was asked for long ago, and forget it."""
        noted = _noted(self._key, 2, ASKED_SECONDS)
        flask_session.pop(self._key, None)
        return None if noted is None else local_url(noted[0])


def _noted(key: str, length: int, seconds: float) -> list[Any] | None:
    """Return what was noted after the time, unless it is too long ago or of another length."""
    value = flask_session.get(key)
    if not isinstance(value, list | tuple) or len(value) != length:
        return None
    moment, *noted = value
    is_recent = isinstance(moment, int | float) and 0 <= clock.timestamp() - moment < seconds
    return noted if is_recent else None


def _can_keep(changes: dict[str, Any]) -> bool:
    interface = current_app.session_interface
    return not interface.is_null_session(flask_session) and not cookie_excess(changes)


def local_url(url: object) -> str | None:
    """Return a URL of this site as a path with its query, or ``None`` for any other.

    A browser takes backslashes for slashes, and skips white space and control characters.
    """
    if not isinstance(url, str) or not url.isprintable() or len(url) > MAX_NEXT:
        return None
    if "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme or parts.netloc:
        if (parts.scheme, parts.netloc) != (request.scheme, request.host):
            return None
        url = parts._replace(scheme="", netloc="").geturl()
    return url if url.startswith("/") and not url.startswith("//") else None
