"""One dance: what is remembered between its two views, and how it can fail."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any, NamedTuple

from flask import session as flask_session

MAX_PENDING = 5


class DanceFailure(Exception):
    """A dance that did not end with a token.

    Args:
        error: The error code.
        description: A sentence for developers, or ``None``.
        uri: A page about the error, or ``None``.
        restart: Whether the visitor goes back to the login view instead of the application.
    """

    def __init__(
        self,
        error: str,
        description: str | None = None,
        uri: str | None = None,
        *,
        restart: bool = False,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.uri = uri
        self.restart = restart


class PendingLogin(NamedTuple):
    """A dance that has begun: its public handle and the secret that only we know."""

    handle: str
    secret: str | None


class PendingLogins:
    """The dances begun in this browser and not yet finished, kept in the Flask session.

    The newest lies under two keys of its own, where users' tests look for it; the others, begun in
    further tabs, lie in a list. At most five are kept.

    Args:
        handle_key: Session key of the newest one's handle.
        secret_key: Session key of its secret.
    """

    def __init__(self, handle_key: str, secret_key: str) -> None:
        self._handle_key = handle_key
        self._secret_key = secret_key
        self._others_key = f"{handle_key}_pending"

    def __bool__(self) -> bool:
        return bool(self._all())

    def add(self, handle: str, secret: str | None) -> None:
        """Remember a dance that begins now, forgetting the oldest if there are too many."""
        kept = [login for login in self._all() if login.handle != handle]
        self._write([*kept, PendingLogin(handle, secret)][-MAX_PENDING:])

    def take(self, handle: str | None) -> PendingLogin | None:
        """Return the dance with this handle and forget it, or ``None``; the others stay."""
        sought = (handle or "").encode("utf-8", "surrogatepass")
        logins = self._all()
        found = [login for login in logins if compare_digest(login.handle.encode(), sought)]
        if not found:
            return None
        self._write([login for login in logins if login not in found])
        return found[0]

    def _all(self) -> list[PendingLogin]:
        """Return the dances, oldest first."""
        logins = [PendingLogin(*entry) for entry in flask_session.get(self._others_key, ())]
        newest = flask_session.get(self._handle_key)
        if newest is not None:
            logins.append(PendingLogin(newest, flask_session.get(self._secret_key)))
        return logins

    def _write(self, logins: list[PendingLogin]) -> None:
        newest = logins[-1] if logins else PendingLogin("", None)
        self._put(self._others_key, [list(login) for login in logins[:-1]])
        self._put(self._handle_key, newest.handle)
        self._put(self._secret_key, newest.secret)

    @staticmethod
    def _put(key: str, value: Any) -> None:
        if value:
            flask_session[key] = value
        else:
            flask_session.pop(key, None)
