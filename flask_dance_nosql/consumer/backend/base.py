"""The contract between a blueprint and whatever keeps its tokens, and the two simplest backends."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Protocol

from .store.values import json_token

Token = dict[str, Any]


class BlueprintLike(Protocol):
    """What a backend may ask of a blueprint: also true of Flask-Dance's own blueprints."""

    @property
    def name(self) -> str:
        """The provider's name."""

    @property
    def config(self) -> Any:
        """A mapping that may hold ``user`` and ``user_id``."""


class BaseBackend(ABC):
    """Where a blueprint keeps its tokens.

    To write your own, subclass this and write the three methods; everything in this package works
    with it.
    """

    @abstractmethod
    def get(self, blueprint: BlueprintLike) -> Token | None:
        """Return the token for this blueprint, or ``None`` if there is none.

        "There is none" and "I could not find out" are different answers: for the latter, raise.

        Args:
            blueprint: The blueprint that asks; its ``name`` is the provider's.
        """

    @abstractmethod
    def set(self, blueprint: BlueprintLike, token: Token) -> None:
        """Store the token for this blueprint in place of any other, or raise.

        Args:
            blueprint: The blueprint that asks.
            token: The token: a dict that JSON can hold.
        """

    @abstractmethod
    def delete(self, blueprint: BlueprintLike) -> None:
        """Remove the token for this blueprint; it is no error if there is none.

        Args:
            blueprint: The blueprint that asks.
        """

    def owner(self, blueprint: BlueprintLike) -> object:  # noqa: ARG002 - for subclasses
        """Return something that differs whenever ``get`` would answer for somebody else.

        A session reads the token once and keeps it for the request; when the owner changes, as it
        does when a user logs in, it reads again. The default says that the owner never changes
        within a request.

        Args:
            blueprint: The blueprint that asks.
        """
        return None


class NullBackend(BaseBackend):
    """Keeps nothing: every token set is dropped."""

    def get(self, blueprint: BlueprintLike) -> None:
        """Return ``None``."""

    def set(self, blueprint: BlueprintLike, token: Token) -> None:
        """Drop the token."""

    def delete(self, blueprint: BlueprintLike) -> None:
        """Do nothing."""


class MemoryBackend(BaseBackend):
    """Keeps one token in memory, for every user and blueprint alike; for tests.

    Args:
        token: The token to begin with, or ``None``.

    Attributes:
        token: The token kept.
    """

    def __init__(self, token: Token | None = None) -> None:
        self.token = token

    def get(self, blueprint: BlueprintLike) -> Token | None:  # noqa: ARG002 - the contract's
        """Return a copy of the token, or ``None``."""
        return copy.deepcopy(self.token)

    def set(self, blueprint: BlueprintLike, token: Token) -> None:  # noqa: ARG002 - the contract's
        """Keep a copy of the token.

        Raises:
            TypeError: If the token is not a dict, or JSON has no type for something in it.
            ValueError: If JSON can't express it.
        """
        self.token = json_token(token)

    def delete(self, blueprint: BlueprintLike) -> None:  # noqa: ARG002 - the contract's
        """Forget the token."""
        self.token = None
