"""What a blueprint keeps for one request or one app context, and for no longer.

A request's things live in its WSGI environment and not on ``flask.g``: two requests made inside one
outer app context, as tests do, share ``g``, but never an environment.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, current_app, g, has_app_context, has_request_context, request

if TYPE_CHECKING:
    from requests import Session

_KEY = "flask_dance_nosql"


class ContextState:
    """One blueprint's state in one context.

    ``arriving`` is the token of a dance that ends now, while receivers may store it themselves.
    """

    __slots__ = ("arriving", "config", "session")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.arriving: dict[str, Any] | None = None
        self.config: dict[str, Any] = {}


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


class ContextConfig(MutableMapping[str, Any]):
    """A blueprint's ``config``: what is set within a context holds there, else everywhere.

    Reading looks into the request, then the app context, then what was set outside any context.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._base: dict[str, Any] = {}

    def _layers(self) -> Iterator[dict[str, Any]]:
        holders: list[_Holder] = []
        if has_request_context():
            holders.append(request.environ.get(_KEY, {}))
        if has_app_context():
            holders.append(g.get(_KEY, {}))
        for holder in holders:
            state = holder.get((app_of_context(), self._blueprint))
            if state is not None:
                yield state.config
        yield self._base

    def _innermost(self) -> dict[str, Any]:
        state = current_state(self._blueprint)
        return self._base if state is None else state.config

    def __getitem__(self, name: str) -> Any:
        for layer in self._layers():
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._innermost()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._innermost()[name]

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for layer in self._layers() for name in layer})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._blueprint.name!r}: {sorted(self)}>"
