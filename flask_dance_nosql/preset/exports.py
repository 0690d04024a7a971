"""What a module of a provider has for applications: a factory of blueprints, and a proxy."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from flask import current_app, has_app_context
from werkzeug.local import LocalProxy

from .base import EXTENSION, B, BasePreset, OAuth1Preset, OpenIDPreset, Preset

if TYPE_CHECKING:
    from ..consumer.oauth2 import OAuth2ConsumerBlueprint
    from ..consumer.oidc import OIDCConsumerBlueprint, OIDCSession
    from ..consumer.requests import OAuth1Session, OAuth2Session

    S = TypeVar("S")

    class _Proxy(Generic[S]):
        def _get_current_object(self) -> S: ...
        def __bool__(self) -> bool: ...

    class _OAuth1Proxy(OAuth1Session, _Proxy[OAuth1Session]): ...  # type: ignore[misc] # as the session

    class _OAuth2Proxy(OAuth2Session, _Proxy[OAuth2Session]): ...

    class _OIDCProxy(OIDCSession, _Proxy[OIDCSession]): ...


P = ParamSpec("P")
B_co = TypeVar("B_co", covariant=True)


class Factory(Protocol[P, B_co]):
    """Makes blueprints of OAuth 2, or those of OpenID Connect with the further arguments of these.

    Where ``oidc`` says which, type checkers can't know the further arguments beside the preset's
    own; all are checked when the blueprint is made.
    """

    @overload
    def __call__(self, *args: Any, oidc: Literal[True], **kwargs: Any) -> OIDCConsumerBlueprint: ...
    @overload
    def __call__(
        self, *args: Any, oidc: Literal[False], **kwargs: Any
    ) -> OAuth2ConsumerBlueprint: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> B_co: ...


@overload
def factory(preset: Callable[P, OpenIDPreset]) -> Factory[P, OIDCConsumerBlueprint]: ...
@overload
def factory(preset: Callable[P, Preset]) -> Factory[P, OAuth2ConsumerBlueprint]: ...
@overload
def factory(preset: Callable[P, BasePreset[B]]) -> Callable[P, B]: ...
def factory(preset: Callable[..., BasePreset[Any]]) -> Any:
    """Return the factory of a preset: a function with the arguments of the class."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return preset(*args, **kwargs).blueprint()

    kind = cast(type[BasePreset[Any]], preset)
    make.__name__ = make.__qualname__ = f"make_{kind.blueprint_name()}_blueprint"
    make.__module__, make.__doc__ = kind.__module__, f"Make a blueprint for {kind.display}."
    make.__signature__ = kind._signature  # type: ignore[attr-defined] # for readers
    return make


class SessionProxy(LocalProxy[Any]):
    """Stands for the session of the current app's blueprint of a preset.

    It can always be asked whether there is one here.
    """

    def __bool__(self) -> bool:
        """Whether there is a session here."""
        return self._found() is not None

    def __repr__(self) -> str:
        session = self._found()
        try:
            return f"<{type(self).__name__} unbound>" if session is None else repr(session)
        except Exception:  # noqa: BLE001 - likewise
            return f"<{type(self).__name__} of {type(session).__name__}>"

    def authorization_required(self, view: Callable[P, Any]) -> Callable[P, Any]:
        """Decorate a view as the session's method does, also where there is no session yet."""

        @wraps(view)
        def check(*args: P.args, **kwargs: P.kwargs) -> Any:
            return self._get_current_object().authorization_required(view)(*args, **kwargs)

        return check

    def _found(self) -> Any:
        try:
            return self._get_current_object()
        except Exception:  # noqa: BLE001 - a session class of the application's may raise anything
            return None


@overload
def proxy(  # type: ignore[overload-overlap] # the more special one comes first
    preset: type[OpenIDPreset],
) -> _OIDCProxy: ...
@overload
def proxy(preset: type[Preset]) -> _OAuth2Proxy: ...
@overload
def proxy(preset: type[OAuth1Preset]) -> _OAuth1Proxy: ...
def proxy(preset: type[BasePreset[Any]]) -> Any:
    """Return the proxy of a preset. Where there is no session, using it is a RuntimeError."""

    def session() -> Any:
        blueprints = current_app.extensions.get(EXTENSION, {}) if has_app_context() else {}
        if preset in blueprints:
            return blueprints[preset].session
        name = preset.blueprint_name()
        where = "on this app" if has_app_context() else "here: there is no app context"
        raise RuntimeError(
            f"{name} is not usable {where}. Register make_{name}_blueprint() on the app, and use "
            "it within a view or app.app_context()."
        )

    return SessionProxy(session)
