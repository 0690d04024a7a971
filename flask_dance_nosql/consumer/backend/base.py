"""The contract between a blueprint and whatever keeps its tokens, and the two simplest backends."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from ...errors import (
    ConfigurationError,
    CorruptToken,
    FlaskDanceNoSQLError,
    UserRequired,
    VersionConflict,
)
from .owner import CURRENT, NOT_GIVEN, Who
from .store.document import RefreshFailure, TokenDocument, TokenKey
from .store.values import Token, json_token

_ISSUED = ("access_token", "refresh_token", "oauth_token", "oauth_token_secret")


class BlueprintLike(Protocol):
    """What a backend may ask of a blueprint: also true of Flask-Dance's own blueprints."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the provider's name

    @property
    def config(self) -> Any: ...  # noqa: D102 - a mapping


class StoredToken(NamedTuple):
    """A token as it was read, and the document that it was in, if the backend has documents."""

    token: Token | None
    document: TokenDocument | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {'no token' if self.token is None else 'a token'}>"

    @property
    def issued(self) -> str | None:
        """A digest of what the provider has issued; what an app adds to the token is no part."""
        return None if self.token is None else issued_digest(self.token)


def digest_of(*secrets: object) -> str:
    """Return what stands for secrets, as a token may have, in memory, and tells nothing of them."""
    digest = sha256()
    for secret in secrets:
        try:
            text = str(secret)
        except ValueError:
            # A number with more digits than Python writes, or something with one in it.
            text = f"{type(secret).__name__} that is no text"
        digest.update(b"\0" + text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def issued_digest(token: Token) -> str:
    """Return a digest of the fields of a token that the provider has issued as secrets."""
    return digest_of(*map(token.get, _ISSUED))


NOTHING = StoredToken(None)


class TokenSlot(ABC):
    """One owner's token in one backend.

    An operation asks for it once, and does everything through it: what it reads, stores, locks and
    signals is then about one owner, whatever happens to the current user meanwhile.

    Attributes:
        key: Whose token it is, or ``None`` if the backend keeps no token for each, or it is nobody.
        user_id: The user's id as signals may tell it, or ``None``.
        owner: Equal for two slots if they are of one owner.
        is_shared: Whether each request is sure to read what another has written. A cookie is not.
        is_person: Whether two logins are of one person, unless their tokens say otherwise. In a
            browser, and where all share a token, it is not so.
    """

    key: TokenKey | None = None
    user_id: str | None = None
    owner: object = None
    is_shared = False
    is_person = False

    @property
    def name(self) -> tuple[str, TokenKey] | None:
        """What names the slot in a process, or ``None`` if the backend tells no owners apart."""
        return None

    @abstractmethod
    def read(self, fresh: bool = False) -> StoredToken:
        """Return what is there.

        Args:
            fresh: Whether to read past the cache, and from where writes go.

        Raises:
            UserRequired: If there is no user and one is required.
            BackendUnavailable: If the store did not answer.
            CorruptToken: If what is there is no token, or can't be opened.
        """

    @abstractmethod
    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Store a token and return it as it is stored.

        Args:
            token: The token: a dict that JSON can hold.
            seen: What it takes the place of. The write is then refused if something else is there,
                and stays if the application rolls a transaction back. ``None``, the default,
                replaces whatever is there.

        Raises:
            TypeError, ValueError: If JSON can't hold the token.
            UserRequired: If there is nobody whose token it could be.
            VersionConflict: If something else than ``seen`` is there.
            BackendUnavailable: If the store did not answer.
        """

    @abstractmethod
    def erase(self, seen: StoredToken | None = None) -> None:
        """Remove the token; it is no error if there is none.

        Args:
            seen: What is to be removed; something else stays. ``None``, the default, removes
                whatever is there. It raises as :meth:`write` does.
        """

    def keep_failure(
        self,
        seen: StoredToken,
        failure: RefreshFailure,  # noqa: ARG002 - for those that keep it
        *,
        is_over: bool = False,
    ) -> None:
        """Keep with a token that it could not be refreshed, where that can be kept.

        Args:
            seen: What could not be refreshed; something else stays as it is.
            failure: How.
            is_over: Whether the grant has ended. The token goes then, wherever it is.

        Raises:
            VersionConflict: If something else than ``seen`` is there.
            BackendUnavailable: If the store did not answer.
        """
        if is_over:
            self.erase(seen)

    @contextmanager
    def lease(self, seconds: float = 30.0, wait: float = 0.0) -> Iterator[bool]:  # noqa: ARG002
        """Lock the slot among processes while the block runs. Gives whether it is ours.

        Args:
            seconds: After how long the lock ends by itself, should this process die.
            wait: How many seconds to wait for it at most.
        """
        yield True


class PlainSlot(TokenSlot):
    """What a backend with the three methods has for the caller, also one of no class of ours.

    Such a backend can't lock, nor compare and set: what is done here holds among the threads of one
    process, if they take turns. It raises :class:`ConfigurationError` if a user is named.
    """

    is_person = True

    def __init__(self, backend: Any, blueprint: BlueprintLike, who: Who = CURRENT) -> None:
        if who is not CURRENT and who.is_named:
            raise ConfigurationError(
                f"{type(backend).__name__} can't be asked for the token of a user. Use "
                "MongoBackend, RedisBackend, SQLAlchemyBackend or another UserScopedBackend."
            )
        if who is not CURRENT and who.account is not NOT_GIVEN and who.account is not None:
            raise ConfigurationError(
                f"{type(backend).__name__} keeps one token, and no accounts. Use MongoBackend, "
                "RedisBackend, SQLAlchemyBackend or another UserScopedBackend."
            )
        self._backend = backend
        self._blueprint = blueprint
        self.owner = backend.owner(blueprint) if isinstance(backend, BaseBackend) else None

    def read(self, fresh: bool = False) -> StoredToken:  # noqa: ARG002 - there is no other way
        """Return what the backend's ``get`` gives."""
        try:
            token = self._backend.get(self._blueprint)
        except ValueError as error:
            # As Flask-Dance's own backends say it.
            if isinstance(error, FlaskDanceNoSQLError) or "without an associated user" not in str(
                error
            ):
                raise
            raise UserRequired("get") from error
        if token is not None and not isinstance(token, dict):
            name, reason = type(self._backend).__name__, "it is no dict"
            raise CorruptToken("get", name, self._blueprint.name, None, reason)
        return StoredToken(token)

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Store a token by the backend's ``set``."""
        if seen is not None:
            before, current = seen.token or {}, self._require(seen, "set").token or {}
            # What others have changed meanwhile stays, unless this write changes it, too.
            kept = [name for name in current if token.get(name) == before.get(name)]
            token = {**token, **{name: current[name] for name in kept}}
        self._backend.set(self._blueprint, token)
        return StoredToken(token)

    def erase(self, seen: StoredToken | None = None) -> None:
        """Remove the token by the backend's ``delete``."""
        if seen is not None:
            self._require(seen, "delete")
        self._backend.delete(self._blueprint)

    def _require(self, seen: StoredToken, operation: str) -> StoredToken:
        current = self.read()
        # Not the whole token: a backend may add to it at each reading.
        if current.issued != seen.issued:
            name = type(self._backend).__name__
            raise VersionConflict(operation, name, self._blueprint.name, self.user_id)
        return current


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
        """Store a token, a dict that JSON can hold, in place of any other, or raise."""

    @abstractmethod
    def delete(self, blueprint: BlueprintLike) -> None:
        """Remove the token for this blueprint; it is no error if there is none."""

    def owner(self, blueprint: BlueprintLike) -> object:  # noqa: ARG002 - for subclasses
        """Return something that differs whenever ``get`` would answer for somebody else.

        A session reads the token once and keeps it for the request; when the owner changes, as it
        does when a user logs in, it reads again. The default says that the owner never changes
        within a request.
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
        return PlainSlot(self, blueprint, who)


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
        token: The token to begin with, or ``None``; the attribute of that name has the current one.
    """

    def __init__(self, token: Token | None = None) -> None:
        self.token = token

    def get(self, blueprint: BlueprintLike) -> Token | None:  # noqa: ARG002 - the contract's
        """Return a copy of the token, or ``None``."""
        return copy.deepcopy(self.token)

    def set(self, blueprint: BlueprintLike, token: Token) -> None:  # noqa: ARG002 - the contract's
        """Keep a copy of the token, if JSON can hold it."""
        self.token = json_token(token)

    def delete(self, blueprint: BlueprintLike) -> None:  # noqa: ARG002 - the contract's
        """Forget the token."""
        self.token = None
