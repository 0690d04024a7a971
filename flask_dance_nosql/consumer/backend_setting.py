"""The setting of a blueprint that says where its tokens are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast, overload

from ..errors import ConfigurationError
from .backend.base import BaseBackend
from .refresh.flights import flights_of
from .settings import Argument

Backend = BaseBackend | Callable[[], BaseBackend]


class BackendSetting(Argument):
    """Where a blueprint keeps its tokens: its attributes ``backend`` and ``storage``.

    An object with ``get``, ``set`` and ``delete`` as of :class:`BaseBackend`; assigning a class or
    function makes one by calling it. The session then reads the token anew.
    """

    @overload
    def __get__(self, blueprint: None, owner: type) -> Self: ...
    @overload
    def __get__(self, blueprint: object, owner: type) -> BaseBackend: ...
    def __get__(self, blueprint: Any, owner: type) -> Self | BaseBackend:
        return self if blueprint is None else cast(BaseBackend, blueprint._backend)

    def __set__(self, blueprint: Any, value: Backend | None) -> None:
        if isinstance(value, type) or (callable(value) and not _is_backend(value)):
            value = value()
        if not _is_backend(value):
            raise ConfigurationError(
                f"A backend needs the methods get, set and delete; {type(value).__name__} has not."
            )
        blueprint._backend = value
        # Asked for at each operation, so it is found out once what kind of backend it is.
        blueprint._make_slot = blueprint._slot_maker(value)
        # What is known of the tokens in the last one says nothing of those in this one.
        blueprint._flights = flights_of(value)
        blueprint.forget_token()


def _is_backend(value: Any) -> bool:
    return all(callable(getattr(value, method, None)) for method in ("get", "set", "delete"))
