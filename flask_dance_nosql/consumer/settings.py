"""Blueprint attributes whose value an app's configuration may give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from flask import current_app, has_app_context

if TYPE_CHECKING:
    from .base import BaseOAuthConsumerBlueprint

T = TypeVar("T")


class Setting(Generic[T]):
    """An attribute of a blueprint that ``from_config`` can tie to a key of the app's configuration.

    Reading it gives the current app's value when ``blueprint.from_config`` names a key and the app
    has that key with a value other than ``None``; otherwise what was assigned to the attribute.
    Nothing of an app is ever written to the blueprint, so one blueprint serves several apps.

    A subclass adds its own like this::

        class MyBlueprint(OAuth2ConsumerBlueprint):
            user_agent = Setting[str | None]()
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, blueprint: None, owner: type) -> Self: ...
    @overload
    def __get__(self, blueprint: BaseOAuthConsumerBlueprint, owner: type) -> T: ...
    def __get__(self, blueprint: BaseOAuthConsumerBlueprint | None, owner: type) -> Self | T:
        if blueprint is None:
            return self
        state = blueprint.__dict__
        if state["from_config"]:
            value = configured(state["from_config"].get(self._name))
            if value is not None:
                return value  # type: ignore[no-any-return] # what the app's configuration holds is the app's word
        return state.get(self._name)  # type: ignore[return-value] # as assigned

    def __set__(self, blueprint: BaseOAuthConsumerBlueprint, value: T) -> None:
        blueprint.__dict__[self._name] = value


def configured(key: str | None) -> Any:
    """Return the current app's value for a configuration key, or ``None`` if there is none."""
    if key is None or not has_app_context():
        return None
    return current_app.config.get(key)
