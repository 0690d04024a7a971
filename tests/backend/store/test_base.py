"""What an author of a store can rely on: errors, sources of drivers, optional imports."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from werkzeug.local import LocalProxy

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.store.driver import (
    DriverSource,
    Remembered,
    has_sync_methods,
    require,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    MissingDependency,
)
from flask_dance_nosql.testing import at_once

from ..places import document

KEY = TokenKey("demo", "42")
SECRET = "at-very-secret"


class Gone(Exception):
    """What a driver raises when its server is gone."""


class Refused(Exception):
    """What a driver raises when its server refuses."""


class BrokenStore(MemoryStore):
    """A store whose driver raises what it is given."""

    unavailable_errors = (Gone,)
    driver_errors = (Exception,)

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Fail."""
        raise self.error

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Fail."""
        raise self.error

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Fail."""
        raise self.error


OPERATIONS: dict[str, Callable[[TokenStore], Any]] = {
    "load": lambda store: store.load(KEY),
    "save": lambda store: store.save(document(KEY)),
    "delete": lambda store: store.delete(KEY),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("raised", "told"), [(Gone, BackendUnavailable), (Refused, BackendError)])
def test_driver_errors_are_translated(
    operation: str, raised: type[Exception], told: type[BackendError]
) -> None:
    """A driver's error becomes ours, without its text, and stays as the cause."""
    error = raised(f"mongodb://me:{SECRET}@host")
    with pytest.raises(told) as caught:
        OPERATIONS[operation](BrokenStore(error))
    assert type(caught.value) is told
    assert (caught.value.operation, caught.value.backend) == (operation, "BrokenStore")
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith(f"BrokenStore.{operation}: ")
    assert SECRET not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("left_out", ["load", "save", "delete"])
def test_a_store_has_all_three_operations(left_out: str) -> None:
    """A store that leaves an operation out can't be made: none quietly does nothing."""
    methods = {name: getattr(BrokenStore, name) for name in OPERATIONS if name != left_out}
    incomplete = type("Incomplete", (TokenStore,), methods)
    with pytest.raises(TypeError, match=left_out):
        incomplete()


class Thing:
    """What a pretended driver works with."""

    def get(self) -> None:
        """Do nothing."""


def give(thing: Any = None) -> Any:
    """Return what it is given, or a new thing."""
    return Thing() if thing is None else thing


def thing_source(source: Any) -> DriverSource[Any]:
    """Make a source of things."""
    return DriverSource(
        source, lambda value: isinstance(value, Thing), "A Thing.", lambda t: (t,), Thing
    )


class Holder:
    """Has a method that returns a thing."""

    def give(self) -> Thing:
        """Return a new thing."""
        return Thing()


@pytest.mark.parametrize(
    "source",
    [Thing(), give, lambda: give(Thing()), partial(give, Thing()), Holder().give, LocalProxy(give)],
    ids=["object", "function", "lambda", "partial", "method", "proxy"],
)
def test_a_driver_source_gives_the_prepared_object(source: Any) -> None:
    """An object, a function, a method or a proxy all lead to the object, prepared."""
    (thing,) = thing_source(source).get()
    assert type(thing) is Thing


def test_a_driver_source_asks_its_function_each_time() -> None:
    """What a function returns is not kept: it may be another one for another app."""
    things: list[Thing] = []
    source = thing_source(lambda: things[-1])
    for _ in range(2):
        things.append(Thing())
        assert source.get() == (things[-1],)


def test_a_url_is_opened_once_for_all_threads() -> None:
    """No thread waits for another's connection; the first one counts, and others are closed."""
    barrier, opened, closed = threading.Barrier(8, timeout=10), [], []

    def open_url(_: str) -> Thing:
        # Each thread is here before any of them goes on: a lock would end in a broken barrier.
        barrier.wait()
        opened.append(Thing())
        return opened[-1]

    source: DriverSource[Thing] = DriverSource(
        "url", lambda _: True, "A Thing.", lambda thing: thing, open_url, closed.append
    )
    given = at_once(8, lambda _: source.get())
    assert len(opened) == 8
    assert {*map(id, given)} == {id(source.get())}
    assert {*map(id, closed)} == {*map(id, opened)} - {id(source.get())}
    assert len(closed) == 7


@pytest.mark.parametrize("make", [Thing, object])
def test_what_is_remembered_goes_with_its_object(make: Any) -> None:
    """A result is remembered by identity, as long as its object exists, if that can be told."""
    results = iter(range(10))
    remembered = Remembered(lambda _: next(results))
    one, other = make(), make()
    asked = [remembered(thing) for thing in (one, one, other)]
    assert asked == ([0, 0, 1] if make is Thing else [0, 1, 2])
    del one, other
    gc.collect()
    assert remembered._results == {}


@pytest.mark.parametrize("wrong", [None, 5, Thing, {}, object()])
def test_a_driver_source_refuses_other_things(wrong: Any) -> None:
    """A wrong object is an error at once, and a wrong answer of a function when it is asked."""
    with pytest.raises(ConfigurationError, match=r"^A Thing\. This is a "):
        thing_source(wrong)
    with pytest.raises(ConfigurationError, match=r"^A Thing\. This is a "):
        thing_source(lambda: wrong).get()


def test_sync_methods_are_those_of_the_class() -> None:
    """Neither coroutine methods nor an answer to any attribute name count as methods."""

    class Async:
        async def get(self) -> None:
            """Do nothing."""

    class AnyName:
        def __getattr__(self, name: str) -> Any:
            return give

    assert has_sync_methods(Thing, "get")
    assert not has_sync_methods(Thing, "get", "set")
    assert not has_sync_methods(Async, "get")
    assert not has_sync_methods(AnyName, "get")


def test_a_driver_that_is_not_there_is_named() -> None:
    """Requiring a module that can't be imported says what needs it and how to get it."""
    with pytest.raises(MissingDependency, match=r"X needs the package 'y'.*\[z\]") as caught:
        require("no_such_module_of_ours", feature="X", package="y", extra="z")
    assert isinstance(caught.value.__cause__, ImportError)
    assert require("json", feature="X", package="y", extra="z") is __import__("json")
