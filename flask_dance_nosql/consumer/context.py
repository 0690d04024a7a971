"""What a blueprint keeps for one request or one app context, and for no longer.

A request's things live in its WSGI environment and not on ``flask.g``: two requests made inside one
outer app context, as tests do, share ``g``, but never an environment.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, current_app, g, has_app_context, has_request_context, request

if TYPE_CHECKING:
    from requests import Session

_KEY = "flask_dance_nosql"


class ContextState:
    """One blueprint's state in one context."""

    __slots__ = ("accounts", "arriving", "config", "session")

    def __init__(self) -> None:
        self.session: Session | None = None
        # The token of a dance that ends now, while receivers may store it themselves.
        self.arriving: dict[str, Any] | None = None
        self.config: dict[str, Any] = {}
        # Which account of each owner is in use.
        self.accounts: dict[Any, Any] = {}


_Holder = MutableMapping[tuple[Flask | None, Blueprint], ContextState]


def app_of_context() -> Flask | None:
    """Return the current app, or ``None`` outside any context."""
    return current_app._get_current_object() if has_app_context() else None  # type: ignore[attr-defined] # a proxy's own


def current_state(blueprint: Blueprint) -> ContextState | None:
    """Return the blueprint's state in the innermost context, or ``None`` outside any context."""
    # A proxy's own object is asked for once: each attribute of a proxy costs as much.
    if has_request_context():
        environ = request._get_current_object().environ  # type: ignore[attr-defined]
        holder: _Holder = environ.setdefault(_KEY, {})
    elif has_app_context():
        holder = g.setdefault(_KEY, {})
    else:
        return None
    key = (current_app._get_current_object(), blueprint)  # type: ignore[attr-defined]
    state = holder.get(key)
    if state is None:
        state = holder[key] = ContextState()
    return state


class Config(ChainMap[str, Any]):
    """A blueprint's ``config``. It may have users in it, so that it shows names only."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {sorted(self)}>"


def config_of(blueprint: Blueprint, base: dict[str, Any]) -> MutableMapping[str, Any]:
    """Return a blueprint's ``config``: of the request, the app context, and the ``base``."""
    state = current_state(blueprint)
    if state is None:
        return Config(base)
    layers = [state.config, base]
    if has_request_context():
        outer = g.get(_KEY, {}).get((app_of_context(), blueprint))
        layers[1:1] = [] if outer is None else [outer.config]
    return Config(*layers)
