"""The contract between a blueprint and whatever keeps its tokens, and the two simplest backends."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

from ...errors import ConfigurationError
from .owner import CURRENT, Who
from .slot import BackendLike, BlueprintLike, PlainSlot, TokenSlot
from .store.values import Token, json_token

__all__ = ["BaseBackend", "BlueprintLike", "MemoryBackend", "NullBackend", "Token", "slot_of"]


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

    def slot(self, blueprint: BlueprintLike, who: Who = CURRENT) -> TokenSlot:
        """Return one owner's token, as the package itself reads and writes it.

        The default works by the three methods.

        Args:
            blueprint: The blueprint that asks.
            who: Whose token; by default the current user's.

        Raises:
            ConfigurationError: If a user is named and the backend keeps no token for each.
        """
        _refuse_named(self, who)
        return PlainSlot(self, blueprint, self.owner(blueprint))


def slot_of(backend: BackendLike, blueprint: BlueprintLike, who: Who = CURRENT) -> TokenSlot:
    """Return one owner's token in any backend, also in one that is no :class:`BaseBackend`."""
    if isinstance(backend, BaseBackend):
        return backend.slot(blueprint, who)
    _refuse_named(backend, who)
    return PlainSlot(backend, blueprint)


def _refuse_named(backend: BackendLike, who: Who) -> None:
    if who.is_named:
        raise ConfigurationError(
            f"{type(backend).__name__} can't be asked for the token of a user. Use MongoBackend, "
            "RedisBackend, SQLAlchemyBackend or another UserScopedBackend."
        )


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
