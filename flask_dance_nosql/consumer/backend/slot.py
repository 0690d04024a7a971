"""One owner's token in a backend, as a refresh needs it: locked, and replaced if unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from ... import clock
from ...errors import ConfigurationError, UserRequired, VersionConflict
from .base import BaseBackend, BlueprintLike, Token
from .store.document import TokenDocument, TokenKey
from .store.values import json_token

if TYPE_CHECKING:
    from .scoped import UserScopedBackend


class StoredToken(NamedTuple):
    """A token as it was read: what it may be replaced by depends on that it is still there."""

    token: Token | None
    document: TokenDocument | None = None

    @property
    def digest(self) -> str | None:
        """What stands for the token as it was issued, and tells nothing of it."""
        if self.token is None:
            return None
        parts = (str(self.token.get(name)) for name in ("access_token", "refresh_token"))
        return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class TokenSlot:
    """The token that a backend with no more than ``get``, ``set`` and ``delete`` has for a caller.

    Such a backend can't lock, nor compare and set: what is done here holds among the threads of one
    process, if they take turns.

    Args:
        backend: The backend.
        blueprint: The blueprint that asks.
    """

    is_shared = False
    """Whether another request is sure to read what one has written; a cookie is its own."""

    user_id: str | None = None
    """Whose token it is, if the backend knows."""

    def __init__(self, backend: BaseBackend, blueprint: BlueprintLike) -> None:
        self._backend = backend
        self._blueprint = blueprint

    @contextmanager
    def lease(self, seconds: float, wait: float) -> Iterator[bool]:  # noqa: ARG002 - for stores
        """Lock the token among processes while the block runs. Gives whether that was possible.

        Args:
            seconds: After how long the lock ends, should this process die.
            wait: How many seconds to wait for it at most.
        """
        yield True

    def current(self) -> StoredToken:
        """Return what is there now, past any cache."""
        return StoredToken(self._backend.get(self._blueprint))

    def replace(self, seen: StoredToken, token: Token) -> None:
        """Store a token in place of the one that was seen.

        Raises:
            VersionConflict: If there is another one by now, or none.
        """
        self._require(seen, "set")
        self._backend.set(self._blueprint, token)

    def drop(self, seen: StoredToken) -> None:
        """Remove the token that was seen.

        Raises:
            VersionConflict: If there is another one by now, or none.
        """
        self._require(seen, "delete")
        self._backend.delete(self._blueprint)

    def _require(self, seen: StoredToken, operation: str) -> None:
        if self.current().token != seen.token:
            name = type(self._backend).__name__
            raise VersionConflict(operation, name, self._blueprint.name, self.user_id)


class StoreSlot(TokenSlot):
    """A token in a :class:`UserScopedBackend`: its store locks, and compares versions.

    Args:
        backend: The backend.
        blueprint: The blueprint that asks.
        user: Whose token, in place of the user that the backend was given.
        user_id: The same by id.
    """

    is_shared = True

    def __init__(
        self,
        backend: UserScopedBackend,
        blueprint: BlueprintLike,
        user: Any = None,
        user_id: Any = None,
    ) -> None:
        super().__init__(backend, blueprint)
        self._scoped = backend
        self.key = backend.owner(blueprint, user, user_id)

    @property
    def _key(self) -> TokenKey:
        if self.key is None:
            raise UserRequired("get")
        return self.key

    @property
    def user_id(self) -> str | None:  # type: ignore[override] # a class attribute there
        """Whose token it is; the random id of a browser is nobody's business."""
        return None if self.key is None else self._scoped.shown_user_id(self.key)

    @contextmanager
    def lease(self, seconds: float, wait: float) -> Iterator[bool]:
        """Take the store's lock, and keep it while the block runs."""
        lock = self._scoped.store.lock(self._key, lease=seconds, wait=wait)
        if lock is None:
            yield False
            return
        with lock, lock.kept():
            yield True

    def current(self) -> StoredToken:
        """Return what the store has now, past the cache."""
        document = None if self.key is None else self._scoped.store.load_fresh(self.key)
        return StoredToken(None if document is None else document.token, document)

    def replace(self, seen: StoredToken, token: Token) -> None:
        """Store a token if the document that was seen is still there."""
        old = cast(TokenDocument, seen.document)
        plain, now = json_token(token), clock.now()
        new = msgspec.structs.replace(
            old, token=plain, updated_at=now, expires_at=self._scoped.end_of_record(plain, now)
        )
        self._scoped.store.save(new, if_version=old.version)

    def drop(self, seen: StoredToken) -> None:
        """Remove the document that was seen, if it is still there."""
        self._scoped.store.delete(self._key, if_version=cast(TokenDocument, seen.document).version)


def slot_of(
    backend: BaseBackend, blueprint: BlueprintLike, user: Any = None, user_id: Any = None
) -> TokenSlot:
    """Return a token's slot, by the backend's own method ``slot`` if it has one.

    Raises:
        ConfigurationError: If a user is named and the backend keeps no token for each.
        UserRequired: If there is no user and one is required.
    """
    make = getattr(backend, "slot", None)
    if make is not None:
        return cast(TokenSlot, make(blueprint, user, user_id))
    if user is not None or user_id is not None:
        raise ConfigurationError(
            f"{type(backend).__name__} can't be asked for the token of a user. Use MongoBackend, "
            "RedisBackend, SQLAlchemyBackend or another UserScopedBackend."
        )
    return TokenSlot(backend, blueprint)
