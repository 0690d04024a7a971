"""What a blueprint is set up with: each argument declared once, with its type and default."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from types import SimpleNamespace, UnionType
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from flask import current_app, has_app_context, has_request_context
from werkzeug.local import LocalProxy

from ..errors import ConfigurationError

T = TypeVar("T")

SESSION_ARGUMENTS = "_session_arguments"
"""Where a blueprint keeps what a session is made with, if nothing of it depends on the app."""


class Argument:
    """An argument of a blueprint's constructor; not kept here, and required without a default."""

    kind: Any = Any
    """The type of its values, from the annotation."""

    rule: Callable[[Any], bool] | None = None
    """What a value has to fulfil besides its type; its docstring says what that is."""

    def __init__(self, *, default: Any = Parameter.empty, kw_only: bool = True) -> None:
        self.default = default
        self.kw_only = kw_only

    def check(self, value: object, where: str) -> None:
        """Raise :class:`ConfigurationError` for a value of another type than the annotation's."""
        if value is self.default or type(value) is LocalProxy:
            return
        if not fits(value, self.kind):
            named = str(self.kind) if get_args(self.kind) else self.kind.__name__
            raise ConfigurationError(f"{where} is {named}, not {type(value).__name__}.")
        if self.rule is not None and value is not None and not self.rule(value):
            # A dict may hold secrets.
            given = repr(value) if isinstance(value, str) else "what was given"
            raise ConfigurationError(f"{where} is {self.rule.__doc__}, not {given}.")


def argument(*, default: Any = Parameter.empty, kw_only: bool = True) -> Any:
    """Declare an :class:`Argument`; type checkers take the type from the annotation."""
    return Argument(default=default, kw_only=kw_only)


class Setting(Argument, Generic[T]):
    """An argument of a blueprint's constructor, and its attribute of the same name.

    ``from_config`` can tie it to a key of the app's configuration. Reading it then gives the
    current app's value if the app has that key with a value other than ``None``, and otherwise what
    was given or assigned. Nothing of an app is ever written to the blueprint, so one blueprint
    serves several apps.

    A subclass adds its own like this::

        class MyBlueprint(OAuth2ConsumerBlueprint):
            user_agent: Setting[str | None] = Setting(default=None)

    Args:
        default: Its default.
        kw_only: Whether it is given by name only.
        for_session: Whether the session class is given it as an argument of the same name; ``None``
            is as in the class whose setting it takes the place of.
        rule: Tells whether a value will do, besides its type. Its docstring completes the message
            "... is" for one that will not.
    """

    def __init__(
        self,
        *,
        default: Any = None,
        kw_only: bool = True,
        for_session: bool | None = None,
        rule: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__(default=default, kw_only=kw_only)
        self.for_session = for_session
        self.rule = rule

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, blueprint: None, owner: type) -> Self: ...
    @overload
    def __get__(self, blueprint: object, owner: type) -> T: ...
    def __get__(self, blueprint: object | None, owner: type) -> Self | T:
        if blueprint is None:
            return self
        state = vars(blueprint)
        if state.get("from_config"):
            key = state["from_config"].get(self._name)
            value = configured(key)
            if value is not None:
                self.check(value, f"{self._name}, from the app's configuration {key!r},")
                return value  # type: ignore[no-any-return] # the app's configuration is Any
        return state.get(self._name)  # type: ignore[return-value] # as assigned

    def __set__(self, blueprint: object, value: T) -> None:
        if has_request_context() and vars(blueprint).get("is_registered"):
            raise ConfigurationError(
                f"{self._name} can't be set within a request: it would hold for every visitor. To "
                "ask this visitor for another scope, return blueprint.begin(scope=...) from a view."
            )
        self.check(value, self._name)
        state = vars(blueprint)
        state[self._name] = value
        state.pop(SESSION_ARGUMENTS, None)


def configured(key: str | None) -> Any:
    """Return the current app's value for a configuration key, or ``None`` if there is none."""
    if key is None or not has_app_context():
        return None
    return current_app.config.get(key)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(argument, Setting))
class Configurable:
    """A class whose constructor takes the ``arguments`` that it and its bases declare."""

    arguments: ClassVar[dict[str, Argument]] = {}
    session_settings: ClassVar[tuple[str, ...]] = ()
    _signature: ClassVar[Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: each for name, each in vars(cls).items() if isinstance(each, Argument)}
        inherited = [vars(base).get("arguments", {}) for base in reversed(cls.__mro__[1:])]
        cls.arguments = {name: each for known in [*inherited, own] for name, each in known.items()}
        for name, each in own.items():
            each.kind = _kind_of(cls, name)
            if isinstance(each, Setting) and each.for_session is None:
                each.for_session = name in cls.session_settings
        settings = [(n, it) for n, it in cls.arguments.items() if isinstance(it, Setting)]
        cls.session_settings = tuple(name for name, each in settings if each.for_session)
        for name, each in own.items():
            if type(each) is Argument:
                # It hides an attribute of a base that the constructor is to set.
                delattr(cls, name)
        parameters = []
        for name, each in sorted(cls.arguments.items(), key=lambda item: item[1].kw_only):
            kind = Parameter.KEYWORD_ONLY if each.kw_only else Parameter.POSITIONAL_OR_KEYWORD
            parameters.append(Parameter(name, kind, default=each.default))
        cls._signature = Signature(parameters)
        if "__init__" not in vars(cls):
            cls.__signature__ = cls._signature  # type: ignore[attr-defined] # for readers

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        further = {name: kwargs.pop(name) for name in kwargs.keys() - self.arguments.keys()}
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        for name, value in bound.arguments.items():
            self.arguments[name].check(value, f"{type(self).__name__}: {name}")
        bound.apply_defaults()
        self.from_config: dict[str, str] = {}
        self._set_up(bound.arguments, further)

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        """Take the values of all arguments, and further ones that are not declared."""
        raise NotImplementedError


def _kind_of(cls: type, name: str) -> Any:
    """Return the type of an argument's values, or ``Any`` if its annotation can't be read here."""
    annotated = SimpleNamespace(__annotations__={name: cls.__annotations__.get(name, Any)})
    try:
        kind = get_type_hints(annotated, vars(sys.modules[cls.__module__]))[name]
    except Exception:  # noqa: BLE001 - it may have names that only type checkers know
        return Any
    origin = get_origin(kind) or kind
    if not isinstance(origin, type) or not issubclass(origin, Argument):
        return kind
    return next(iter(get_args(kind)), Any)


def fits(value: Any, kind: Any) -> bool:  # noqa: C901, PLR0911 - one for each form of a type
    """Whether a value is of a type, as far as that can be told without using it."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if isinstance(kind, TypeVar) or kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if kind is None or kind is type(None):
        return value is None
    if origin is Callable:
        return callable(value)
    if origin is type:
        return isinstance(value, type)
    if origin in (int, float):
        numbers = (int,) if origin is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if origin is list and parts:
        # Any collection will do, as it always has.
        is_many = isinstance(value, list | tuple | set | frozenset)
        return is_many and all(fits(each, parts[0]) for each in value)
    if origin is tuple and parts[1:] == (...,):
        return isinstance(value, tuple) and all(fits(each, parts[0]) for each in value)
    if origin is dict:
        return isinstance(value, Mapping)
    if origin is tuple and parts:
        return (
            isinstance(value, tuple) and len(value) == len(parts) and all(map(fits, value, parts))
        )
    try:
        return not isinstance(origin, type) or isinstance(value, origin)
    except TypeError:
        # A protocol or a TypedDict, which tell nothing of an object.
        return True


def refuse_unknown(owner: type, given: dict[str, Any], session_class: Any) -> None:
    """Raise :class:`ConfigurationError` for an argument that the session class does not name."""
    known = set(owner.arguments)  # type: ignore[attr-defined] # a Configurable
    is_class = isinstance(session_class, type)
    ancestors = session_class.__mro__ if is_class else ()
    constructors = [each.__init__ for each in ancestors if "__init__" in vars(each)]
    for constructor in constructors or [session_class]:
        try:
            parameters = signature(constructor).parameters.values()
        except (TypeError, ValueError):
            continue
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
        if takes_any and not is_class:
            return
        known |= {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
    for name in given:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigurationError(
                f"{owner.__name__} has no argument {name!r}, and its session class has none.{hint}"
            )
