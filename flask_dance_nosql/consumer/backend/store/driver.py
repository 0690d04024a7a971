"""Reaching a driver: importing it, and taking its objects ready-made, by URL or when needed."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from functools import cache, partial
from inspect import iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Generic, TypeVar

from werkzeug.local import LocalProxy

from ....errors import ConfigurationError, MissingDependency
from ....process import renew_in_child

D = TypeVar("D")


_SUPPLIERS = (LocalProxy, FunctionType, MethodType, partial, type(cache(str)))


class DriverSource(Generic[D]):
    """A driver's object that is ready, a URL, or a function or proxy that returns an object.

    A URL is opened when it is first needed, and anew in a forked child, which must not share its
    parent's sockets.

    Args:
        source: The object, URL, function or proxy.
        accepts: Tells whether an object is one that the adapter can work with.
        wanted: What is accepted, as the sentence of an error message.
        prepare: Turns the object into the one to work with.
        open_url: Makes an object from a URL.

    Raises:
        ConfigurationError: If it is none of these; from :meth:`get`, if it returned none.
    """

    def __init__(
        self,
        source: object,
        accepts: Callable[[object], bool],
        wanted: str,
        prepare: Callable[[Any], D],
        open_url: Callable[[str], object],
    ) -> None:
        self._source = partial(open_url, source) if isinstance(source, str) else source
        self._is_url = isinstance(source, str)
        self._accepts = accepts
        self._wanted = wanted
        self._prepare = prepare
        self._ready: D | None = None
        self._pid = os.getpid()
        self._free()
        renew_in_child(self, DriverSource._free)
        # Not callable(): drivers make objects callable only to refuse the call.
        if not isinstance(self._source, _SUPPLIERS):
            self._ready = self._checked(source)

    def _free(self) -> None:
        self._opening = threading.Lock()

    def get(self) -> D:
        """Return the driver's object, prepared."""
        if self._is_url:
            return self._opened()
        return self._checked(_supplied(self._source)) if self._ready is None else self._ready

    def _opened(self) -> D:
        with self._opening:
            if self._ready is None or self._pid != os.getpid():
                self._ready = self._checked(_supplied(self._source))
                self._pid = os.getpid()
            return self._ready

    def _checked(self, value: object) -> D:
        if not self._accepts(value):
            raise ConfigurationError(f"{self._wanted} This is a {type(value).__name__}.")
        return self._prepare(value)


def _supplied(source: Any) -> object:
    if isinstance(source, LocalProxy):
        source = source._get_current_object()
    return source() if isinstance(source, _SUPPLIERS) else source


def has_sync_methods(value: object, *names: str) -> bool:
    """Whether the class of an object has these methods, and none is a coroutine function.

    The class is asked, since a PyMongo database and many a proxy answer to any attribute name.
    """
    methods = [getattr(type(value), name, None) for name in names]
    return all(methods) and not any(map(iscoroutinefunction, methods))


def require(module: str, *, feature: str, package: str, extra: str) -> Any:
    """Import an optional driver.

    Args:
        module: The module to import.
        feature: What needs it.
        package: The package's name on PyPI.
        extra: The extra of this project that installs it.

    Raises:
        MissingDependency: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependency(feature, package, extra) from error
