"""Reaching a driver: importing it, and taking its objects ready-made, by URL or when needed."""

from __future__ import annotations

import importlib
import secrets
import weakref
from collections.abc import Callable
from functools import cache, lru_cache, partial
from inspect import iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Generic, TypeVar

from werkzeug.local import LocalProxy

from ....errors import ConfigurationError, MissingDependency
from ....process import PerProcess

D = TypeVar("D")

_SUPPLIERS = (LocalProxy, FunctionType, MethodType, partial, type(cache(str)))


class DriverSource(Generic[D]):
    """A driver's object that is ready, a URL, or a function or proxy that returns an object.

    A URL is opened when it is first needed, and anew in a forked child, which must not share its
    parent's sockets. No lock is held meanwhile: of several threads that open it at the same time,
    the first one's object is kept for all, and the others' are closed. An object that ``accepts``
    refuses is a :exc:`ConfigurationError`, whose message begins with ``wanted``. :meth:`get`
    returns what ``prepare`` makes of it, and so is ``ready`` for an object that was given ready.

    An extension may pass on to an object of the driver what it is asked, such as a ``FlaskRedis``
    that gets its client with its app. It stands for the object whose method ``wraps`` it has.
    """

    def __init__(
        self,
        source: object,
        accepts: Callable[[Any], bool],
        wanted: str,
        prepare: Callable[[Any], D],
        open_url: Callable[[str], object],
        close: Callable[[D], object] | None = None,
        wraps: str = "",
    ) -> None:
        self._accepts = accepts
        self._wraps = wraps
        self._wanted = wanted
        self._prepare = prepare
        self.ready: D | None = None
        self._supply: Callable[[], D] = partial(self._supplied, source)
        if isinstance(source, str):
            self._supply = PerProcess(lambda: self._checked(open_url(source)), close).get
        # Not callable(): drivers make objects callable only to refuse the call.
        elif not isinstance(source, _SUPPLIERS) and not self._may_wrap(source):
            self.ready = self._checked(source)

    def get(self) -> D:
        """Return the driver's object, prepared."""
        return self._supply() if self.ready is None else self.ready

    def _supplied(self, source: Any) -> D:
        if isinstance(source, LocalProxy):
            source = source._get_current_object()
        return self._checked(source() if isinstance(source, _SUPPLIERS) else source)

    def _may_wrap(self, value: Any) -> bool:
        """Whether a value passes methods on to an object, or to one that it does not have yet."""
        if not self._wraps or self._accepts(value):
            return False
        method = getattr(value, self._wraps, None)
        if method is None:
            return hasattr(type(value), "__getattr__")
        return self._accepts(getattr(method, "__self__", None))

    def _checked(self, value: Any) -> D:
        found = value
        if self._may_wrap(value):
            found = getattr(getattr(value, self._wraps, None), "__self__", None)
        if not self._accepts(found):
            has_none = "" if found is value else ", which has none yet"
            raise ConfigurationError(f"{self._wanted} This is a {type(value).__name__}{has_none}.")
        return self._prepare(found)


class Remembered(Generic[D]):
    """A function of an object whose result is remembered for as long as the object exists.

    Objects are told apart by identity, since drivers have clients of different servers that are
    equal. For an object that can't be weakly referenced the function is called each time.
    """

    def __init__(self, function: Callable[[Any], D]) -> None:
        self._function = function
        self._results: dict[int, tuple[weakref.ref[Any], D]] = {}

    def __call__(self, thing: Any) -> D:
        """Return the result for an object."""
        found = self._results.get(id(thing))
        if found is not None and found[0]() is thing:
            return found[1]
        result, number = self._function(thing), id(thing)
        try:
            reference = weakref.ref(thing, lambda _: self._results.pop(number, None))
        except TypeError:
            return result
        # Another thread may have been first, whose result is the one that counts.
        return self._results.setdefault(number, (reference, result))[1]


random_name = Remembered(lambda _: secrets.token_hex(8))
"""Returns a name for an object, which no other object has in any process."""


@lru_cache(maxsize=64)
def has_sync_methods(kind: type, *names: str) -> bool:
    """Whether a class has these methods, and none is a coroutine function.

    Objects are no use here: a PyMongo database and many a proxy answer to any attribute name.
    """
    methods = [getattr(kind, name, None) for name in names]
    return all(methods) and not any(map(iscoroutinefunction, methods))


def require(module: str, *, feature: str, package: str, extra: str) -> Any:
    """Import an optional driver, or raise :exc:`MissingDependency` with the other arguments."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependency(feature, package, extra) from error


def importer(package: str, modules: dict[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which imports a public name's module at its first use."""

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(f".{modules[name]}", package)
        except MissingDependency as error:
            raise MissingDependency(name, error.package, error.extra) from error.__cause__
        return getattr(module, name)

    return find
