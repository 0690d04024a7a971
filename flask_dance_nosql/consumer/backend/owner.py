"""Whose token? Answered from ``user``, ``user_id``, ``scope`` and the blueprint's ``config``."""

from __future__ import annotations

import logging
import secrets
import sys
from enum import Enum
from inspect import getattr_static
from typing import Any, Literal, NamedTuple

from flask import session as flask_session
from werkzeug.local import LocalProxy

from ...errors import ConfigurationError
from .store.document import TokenKey

log = logging.getLogger(__name__)

Scope = Literal["user", "app", "browser"]


class _NotGiven(Enum):
    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return self.name


NOT_GIVEN = _NotGiven.NOT_GIVEN
"""The default of an argument for which ``None`` has a meaning of its own: nobody."""


class Who(NamedTuple):
    """Whose token a call is about.

    Args:
        user: The user, or a function or proxy that returns one; by default whoever the backend was
            given. A user that turns out to be ``None`` or anonymous is nobody.
        user_id: The same by id; it comes first.
        account: The id of one of the user's accounts, or ``None`` for the token that is kept
            without one; by default the account in use.
    """

    user: Any = NOT_GIVEN
    user_id: Any = NOT_GIVEN
    account: Any = NOT_GIVEN

    @property
    def is_named(self) -> bool:
        """Whether the call names a user, even if that turns out to be nobody."""
        return self.user is not NOT_GIVEN or self.user_id is not NOT_GIVEN


CURRENT = Who()
"""Whoever the backend was given: the current user, as a rule."""


class OwnerResolver:
    """Finds whose token an operation is about; with arguments of :class:`UserScopedBackend`."""

    def __init__(
        self,
        user: Any = None,
        user_id: Any = None,
        user_required: bool | None = None,
        anon_user: type | tuple[type, ...] | None = None,
        scope: Scope | None = None,
    ) -> None:
        given = user is not None or user_id is not None
        self.scope: Scope = ("user" if given else "app") if scope is None else scope
        if self.scope not in ("user", "app", "browser"):
            raise ConfigurationError(f"scope is 'user', 'app' or 'browser', not {scope!r}.")
        if given and self.scope != "user":
            raise ConfigurationError(f"scope={scope!r} is for tokens without a user= or user_id=.")
        self.user = user
        self.user_id = user_id
        self.user_required = self.scope == "user" if user_required is None else user_required
        self.anon_user = anon_user
        self._kind: type | None = None
        self._is_warned = False

    def user_of(self, who: Who, blueprint: Any) -> Any:
        """Return the id of the user that a call is about, or ``None`` if it is nobody.

        What the call names comes first, then what the backend was given, then the blueprint's
        ``config``; at each, ``user_id`` before ``user``. A call for somebody who turns out to be
        nobody does not fall back to somebody else.
        """
        if who is not CURRENT and who.is_named:
            return self._found(who.user, who.user_id)
        found = self._found(self.user, self.user_id)
        if found is not None:
            return found
        config = blueprint.config
        return self._found(config.get("user"), config.get("user_id"))

    def _found(self, user: Any, user_id: Any) -> Any:
        if user_id is not None and user_id is not NOT_GIVEN:
            found = dereference(user_id)
            if found is not None:
                return found
        if user is None or user is NOT_GIVEN:
            return None
        user = dereference(user)
        if user is None or self._is_anonymous(user):
            return None
        for name in ("id", "get_id"):
            found = own_attribute(user, name, NOT_GIVEN)
            if found is not NOT_GIVEN:
                found = found() if callable(found) else found
                if type(user) is not self._kind:
                    self._note_kind(type(user))
                if found is None:
                    raise ValueError(
                        "The user has no id yet. Save it before its token is asked for."
                    )
                return found
        return user

    def _note_kind(self, kind: type) -> None:
        """Warn, once, of users of two classes: the ids of both may begin with 1."""
        first = self._kind = self._kind or kind
        one, other = _family(first), _family(kind)
        if self._is_warned or issubclass(one, other) or issubclass(other, one):
            return
        self._is_warned = True
        log.warning(
            "The users of a backend are of the classes %s and %s. Two of them with the same id "
            "share a token. If ids are not unique over both, give the backend a user_id such as "
            "lambda: f'{type(user).__name__}:{user.id}', and keep it as text.",
            *(first.__qualname__, kind.__qualname__),
        )

    def _is_anonymous(self, user: Any) -> bool:
        if self.anon_user is not None and isinstance(user, self.anon_user):
            return True
        flask_login = sys.modules.get("flask_login")
        if flask_login is not None and isinstance(user, flask_login.AnonymousUserMixin):
            return True
        return own_attribute(user, "is_anonymous", False) is True


def _family(kind: type) -> type:
    """Return the class with whose others a class has its ids together: of one table, as a rule."""
    mapper = getattr(kind, "__mapper__", None)
    return kind if mapper is None else mapper.base_mapper.class_


def dereference(reference: Any) -> Any:
    """Return what a value, a function that returns one, or a proxy stands for."""
    if isinstance(reference, LocalProxy):
        reference = reference._get_current_object()
    return reference() if callable(reference) else reference


def own_attribute(thing: Any, name: str, default: Any) -> Any:
    """Return an attribute if the object has one; an error of its own code is raised as it is."""
    try:
        return getattr(thing, name)
    except AttributeError:
        # A property that raises AttributeError is there, and its error is not "there is none".
        if getattr_static(thing, name, NOT_GIVEN) is NOT_GIVEN:
            return default
        raise


_BROWSER_ID = "flask_dance_browser_id:{}"


def browser_key(provider: str) -> TokenKey | None:
    """Return whose token this browser has, or ``None`` if it has no id for the provider."""
    browser_id = flask_session.get(_BROWSER_ID.format(provider))
    # What else may be in a session was not put there by this package.
    is_id = isinstance(browser_id, str) and browser_id.isascii() and browser_id.isprintable()
    return TokenKey(provider, f"browser:{browser_id}") if browser_id and is_id else None


def new_browser_key(provider: str) -> tuple[TokenKey, str]:
    """Return the key of a new random id, and the id, which :func:`keep_browser_id` keeps."""
    browser_id = secrets.token_urlsafe(32)
    return TokenKey(provider, f"browser:{browser_id}"), browser_id


def keep_browser_id(provider: str, browser_id: str | None) -> None:
    """Put the browser's id for a provider into the Flask session, or take it out."""
    if browser_id is not None:
        flask_session[_BROWSER_ID.format(provider)] = browser_id
    else:
        flask_session.pop(_BROWSER_ID.format(provider), None)
