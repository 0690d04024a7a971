"""The settings that only a blueprint of OpenID Connect has, and what their values have to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, overload
from urllib.parse import urlsplit

from ..settings import Setting
from ..token import scopes_of
from ..urls import is_full_url
from .keys import ALGORITHMS


def is_issuer(value: str) -> bool:
    """a full URL without query and fragment, as the provider writes it"""  # noqa: D403, D415 - a message's part
    return is_full_url(value) and not urlsplit(value).query and "#" not in value


def are_algorithms(value: list[str]) -> bool:
    """a list of algorithms of RFC 7518 that sign, without none"""  # noqa: D403, D415 - likewise
    return bool(value) and all(each in ALGORITHMS for each in value)


def with_openid(scope: Any) -> Any:
    """Return scopes, to which ``openid`` belongs."""
    if isinstance(scope, Iterable) and not isinstance(scope, str | bytes):
        listed = list(scope)
        return listed if "openid" in listed else ["openid", *listed]
    if scope is None or isinstance(scope, str):
        return scope if "openid" in scopes_of(scope) else f"openid {scope or ''}".strip()
    return scope


class Discovered(Setting[str | None]):
    """An endpoint: as it was given, else as the provider's discovery document says."""

    @overload
    def __get__(self, blueprint: None, owner: type) -> Self: ...
    @overload
    def __get__(self, blueprint: object, owner: type) -> str | None: ...
    def __get__(self, blueprint: Any, owner: type) -> Self | str | None:
        value = super().__get__(blueprint, owner)
        if blueprint is None or value is not None:
            return value  # type: ignore[no-any-return] # it is the base's
        found: str | None = blueprint.metadata().endpoints.get(self._name)
        return found
