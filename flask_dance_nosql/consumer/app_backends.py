"""The backends of an application, each with the blueprints that keep their tokens in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import current_app

from .backend.base import BaseBackend
from .backend.scoped import UserScopedBackend


class AppBackend(NamedTuple):
    """A backend, and the blueprints of the current app that have it, by their names."""

    backend: BaseBackend
    blueprints: dict[str, Any]


class AppStore(NamedTuple):
    """A backend with a store, and the blueprints of the current app that have it, by name."""

    backend: UserScopedBackend
    blueprints: dict[str, Any]


def app_backends() -> list[AppBackend]:
    """Return the backends of the current app's blueprints, each once, in the order of those."""
    found: dict[int, AppBackend] = {}
    for blueprint in current_app.extensions.get("flask_dance_nosql", {}):
        backend = blueprint.backend
        _, blueprints = found.setdefault(id(backend), AppBackend(backend, {}))
        blueprints[blueprint.name] = blueprint
    return list(found.values())


def app_stores() -> list[AppStore]:
    """Return those of them that have a store."""
    return [
        AppStore(backend, blueprints)
        for backend, blueprints in app_backends()
        if isinstance(backend, UserScopedBackend)
    ]
