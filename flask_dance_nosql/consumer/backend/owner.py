"""Whose token? Answers it from ``user``, ``user_id``, ``scope`` and the blueprint's ``config``."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from typing import Any, Literal

from flask import session as flask_session

from ...errors import ConfigurationError, UserRequired
from .base import BlueprintLike
from .store.document import TokenKey
from .store.driver import dereference

Scope = Literal["user", "app", "browser"]
Operation = Literal["get", "set", "delete"]

BROWSER_KEY = "flask_dance_browser_id"


class OwnerResolver:
    """Finds the owner of the token that an operation is about.

    The arguments are those of :class:`UserScopedBackend`.
    """

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

    def resolve(
        self, operation: Operation, blueprint: BlueprintLike, user: Any = None, user_id: Any = None
    ) -> TokenKey | None:
        """Return whose token it is, or ``None`` for a visitor who can't have one yet.

        What the call names comes first, then what the backend was given, then the blueprint's
        ``config``; at each, ``user_id`` before ``user``.

        Raises:
            UserRequired: If there is no user and one is required.
            TypeError: If a user id is of a type that can't be one.
            ValueError: If a user id is empty.
        """
        for candidate in self._candidates(blueprint, user, user_id):
            if candidate is not None:
                return TokenKey(blueprint.name, candidate)
        if self.user_required:
            raise UserRequired(operation)
        if self.scope == "browser":
            return _browser_key(operation, blueprint.name)
        return TokenKey(blueprint.name)

    def _candidates(self, blueprint: BlueprintLike, user: Any, user_id: Any) -> Iterator[Any]:
        if user_id is not None or user is not None:
            # A call for somebody who turns out to be nobody must not fall back to somebody else.
            yield dereference(user_id)
            yield self._id_of(user)
            return
        yield dereference(self.user_id)
        yield self._id_of(self.user)
        yield dereference(blueprint.config.get("user_id"))
        yield self._id_of(blueprint.config.get("user"))

    def _id_of(self, reference: Any) -> Any:
        user = dereference(reference)
        if user is None or self._is_anonymous(user):
            return None
        for name in ("id", "get_id"):
            if hasattr(user, name):
                value = getattr(user, name)
                return _require_id(value() if callable(value) else value)
        return user

    def _is_anonymous(self, user: Any) -> bool:
        if self.anon_user is not None and isinstance(user, self.anon_user):
            return True
        flask_login = sys.modules.get("flask_login")
        if flask_login is not None and isinstance(user, flask_login.AnonymousUserMixin):
            return True
        return getattr(user, "is_anonymous", False) is True


def _require_id(value: Any) -> Any:
    if value is None:
        raise ValueError("The user has no id yet. Save it before its token is asked for.")
    return value


def _browser_key(operation: Operation, provider: str) -> TokenKey | None:
    browser_id = flask_session.get(BROWSER_KEY)
    if browser_id is None:
        if operation != "set":
            return None
        browser_id = flask_session[BROWSER_KEY] = secrets.token_urlsafe(32)
    return TokenKey(provider, f"browser:{browser_id}")
