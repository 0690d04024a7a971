"""Who is signed in in this browser: by Flask-Login if the app has it, else by the Flask session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app, g, has_request_context
from flask import session as flask_session

from ..consumer.backend.owner import OwnerResolver, Who
from ..consumer.backend.store.values import id_text

USER_ID = "flask_dance_user_id"
"""Where the Flask session has the id of who is signed in, without Flask-Login."""

# Flask-Login's: the id of the user, and what tells it to remove its cookie from the browser.
_THEIR_USER_ID, _REMOVALS = "_user_id", ("_remember", "_remember_seconds")


def current_user_id() -> str | None:
    """Return the id of the user who is signed in in this browser, or ``None`` if nobody is.

    It is what a backend takes as ``user_id``. With Flask-Login's ``LoginManager`` in the app it is
    the id of its ``current_user``, else that of whom :class:`SignIn` has signed in. Outside of any
    request there is nobody.

    .. versionadded:: 1.0
    """
    if not has_request_context():
        return None
    flask_login = _flask_login()
    if flask_login is not None:
        return id_of(flask_login.current_user)
    kept = flask_session.get(USER_ID)
    return kept if isinstance(kept, str) and kept else None


def is_signed_in() -> bool:
    """Whether somebody is, even if they have no id that a backend takes."""
    flask_login = _flask_login()
    if flask_login is not None:
        return bool(flask_login.current_user.is_authenticated)
    return current_user_id() is not None


def log_out() -> None:
    """Sign the current user out of this browser. All that the session has of them leaves it.

    Tokens stay stored. With Flask-Login it calls ``logout_user()``, too.

    .. versionadded:: 1.0
    """
    end_session()
    renew_session()


def end_session() -> None:
    """Sign the current user out, and take all that the session has of them out of it."""
    flask_login = _flask_login()
    if flask_login is not None:
        flask_login.logout_user()
    kept = {name: flask_session[name] for name in _REMOVALS if name in flask_session}
    flask_session.clear()
    flask_session.update(kept)


def log_in(user: Any) -> bool:
    """Sign a user in, and return whether they may."""
    flask_login = _flask_login()
    if flask_login is not None:
        return bool(flask_login.login_user(user))
    flask_session[USER_ID] = id_of(user)
    return True


def id_of(user: Any) -> str | None:
    """Return a user's id as a backend has it, or ``None`` for an anonymous user.

    Args:
        user: An object with an ``id``, or with Flask-Login's ``get_id``; or the id itself.

    Raises:
        TypeError, ValueError: If there is none that can be one.
    """
    found = OwnerResolver().user_of(Who(user), None)
    return None if found is None else id_text(found)


def renew_session() -> None:
    """Give a session that is kept on the server another id, as Flask-Session does it.

    A session that is kept in the cookie has none.
    """
    regenerate = getattr(current_app.session_interface, "regenerate", None)
    if callable(regenerate):
        regenerate(flask_session._get_current_object())  # type: ignore[attr-defined] # a proxy's own


def forget_others(user_id: str, present: str | None) -> None:
    """Take out of the session what it has of another user than the one who signs in now.

    What an anonymous visitor has in it stays, but for the CSRF token of Flask-WTF, which others may
    have planted with the session.
    """
    if present == user_id:
        return
    flask_session.pop(current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"), None)
    # Flask-Login tells nobody of a user who is gone.
    if present is not None or _THEIR_USER_ID in flask_session:
        flask_session.clear()


@contextmanager
def unchanged_on_error() -> Iterator[None]:
    """Give the session, and who is signed in, back as they were if the block raises an error."""
    before = dict(flask_session)
    try:
        yield
    except BaseException:
        flask_session.clear()
        flask_session.update(before)
        if _flask_login() is not None:
            # It is read from the session again.
            g.pop("_login_user", None)
        raise


def _flask_login() -> Any:
    """Return the package if the current app has its ``LoginManager``, or ``None``."""
    flask_login = sys.modules.get("flask_login")
    manager = getattr(current_app, "login_manager", None)
    is_theirs = flask_login is not None and isinstance(manager, flask_login.LoginManager)
    return flask_login if is_theirs else None
