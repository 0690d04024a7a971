"""The contract that an adapter for a database fulfils, and what every adapter needs."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar

from werkzeug.local import LocalProxy

from ...errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
    MissingDependency,
)
from .document import TokenDocument, TokenKey

D = TypeVar("D")
S = TypeVar("S", bound="TokenStore")
P = ParamSpec("P")
R = TypeVar("R")


class TokenStore(ABC):
    """Moves token documents to and from a database, by key.

    A store knows no Flask, no user and no blueprint.
    :class:`~flask_dance_nosql.consumer.backend.UserScopedBackend` puts it to use. Each operation is
    one round trip and atomic. Decorate each with :func:`translated`, and name the driver's errors
    in the two class attributes.
    """

    unavailable_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """The driver's errors that mean "the server did not answer"."""

    driver_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """The driver's other errors."""

    @abstractmethod
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document under a key, or ``None`` if there is none.

        Args:
            key: Whose token.

        Raises:
            BackendUnavailable: If the server did not answer.
            CorruptToken: If there is something else under the key.
        """

    @abstractmethod
    def save(self, document: TokenDocument) -> TokenDocument:
        """Store a document in place of any other with its key, and return it as stored.

        The version becomes one higher than the replaced document's, or 1; ``created_at`` stays that
        of the first write.

        Args:
            document: What to store; its version is not looked at.

        Raises:
            BackendUnavailable: If the server did not answer.
        """

    @abstractmethod
    def delete(self, key: TokenKey) -> None:
        """Remove the document under a key; it is no error if there is none.

        Args:
            key: Whose token.

        Raises:
            BackendUnavailable: If the server did not answer.
        """

    def corrupt(self, operation: str, key: TokenKey, reason: str) -> CorruptToken:
        """Return the error for something under a key that is not its document."""
        return CorruptToken(operation, type(self).__name__, key.provider, key.user_id, reason)


def translated(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Decorate an operation of a store so that the driver's errors become this package's."""

    @wraps(method)
    def operation(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except self.unavailable_errors as error:
            reason = f"no answer ({type(error).__name__}). Is the server up and within reach?"
            raise BackendUnavailable(method.__name__, type(self).__name__, reason) from error
        except self.driver_errors as error:
            reason = f"refused ({type(error).__name__}). The cause says more."
            raise BackendError(method.__name__, type(self).__name__, reason) from error

    return operation  # type: ignore[return-value] # mypy loses that self is positional


_SUPPLIERS = (LocalProxy, FunctionType, MethodType, partial)


class DriverSource(Generic[D]):
    """A driver's object that is ready, or a function or proxy that returns one when it is needed.

    Args:
        source: The object, function or proxy.
        accepts: Tells whether an object is one that the adapter can work with.
        wanted: What is accepted, as the sentence of an error message.
        prepare: Turns the object into the one to work with.

    Raises:
        ConfigurationError: If it is none of these; from :meth:`get`, if it returned none.
    """

    def __init__(
        self,
        source: object,
        accepts: Callable[[object], bool],
        wanted: str,
        prepare: Callable[[Any], D],
    ) -> None:
        self._source = source
        self._accepts = accepts
        self._wanted = wanted
        self._prepare = prepare
        self._ready: D | None = None
        # Not callable(): drivers make objects callable only to refuse the call.
        if not isinstance(source, _SUPPLIERS):
            self._ready = self._checked(source)

    def get(self) -> D:
        """Return the driver's object, prepared."""
        return self._checked(_supplied(self._source)) if self._ready is None else self._ready

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


def dereference(reference: Any) -> Any:
    """Return what a value, a function that returns one, or a proxy stands for."""
    if isinstance(reference, LocalProxy):
        reference = reference._get_current_object()
    return reference() if callable(reference) else reference


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
