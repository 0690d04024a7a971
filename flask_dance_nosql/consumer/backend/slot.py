"""One owner's token in one backend: what an operation gets when it has asked whose token it is."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from ... import clock
from ...errors import BackendError, UserRequired, VersionConflict
from .owner import browser_key, keep_browser_id, new_browser_key
from .store.base import TokenStore
from .store.document import TokenDocument, TokenKey
from .store.values import Token, json_token

log = logging.getLogger(__name__)

_ISSUED = ("access_token", "refresh_token", "oauth_token", "oauth_token_secret")


class BlueprintLike(Protocol):
    """What a backend may ask of a blueprint: also true of Flask-Dance's own blueprints."""

    @property
    def name(self) -> str:
        """The provider's name."""

    @property
    def config(self) -> Any:
        """A mapping that may hold ``user`` and ``user_id``."""


class BackendLike(Protocol):
    """The three methods of a backend, whatever its class."""

    def get(self, blueprint: Any) -> Any:
        """Return the token, or ``None``."""

    def set(self, blueprint: Any, token: Token) -> Any:
        """Store the token."""

    def delete(self, blueprint: Any) -> Any:
        """Remove the token."""


class StoredToken(NamedTuple):
    """A token as it was read, and the document that it was in, if the backend has documents."""

    token: Token | None
    document: TokenDocument | None = None

    @property
    def issued(self) -> str | None:
        """A digest of what the provider has issued; what an app adds to the token is no part."""
        return None if self.token is None else issued_digest(self.token)


def issued_digest(token: Token) -> str:
    """Return a digest of the fields of a token that the provider has issued as secrets."""
    parts = (str(token.get(name)) for name in _ISSUED)
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


NOTHING = StoredToken(None)


class TokenSlot(ABC):
    """One owner's token in one backend.

    An operation asks for it once, and does everything through it: what it reads, stores, locks and
    signals is then about one owner, whatever happens to the current user meanwhile.

    Attributes:
        key: Whose token it is, or ``None`` if the backend keeps no token for each, or it is nobody.
        user_id: The user's id as signals may tell it, or ``None``.
        owner: Equal for two slots if they are of one owner.
        name: Names the slot among those of the blueprint in a process, or ``None`` if the backend
            does not tell owners apart.
        is_shared: Whether each request is sure to read what another has written. A cookie is not.
        is_person: Whether two logins are of one person, unless their tokens say otherwise. In a
            browser, and where all share a token, it is not so.
    """

    key: TokenKey | None = None
    user_id: str | None = None
    owner: object = None
    name: TokenKey | None = None
    is_shared = False
    is_person = False

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
                whatever is there.

        Raises:
            UserRequired: If there is no user and one is required.
            VersionConflict: If something else than ``seen`` is there.
            BackendUnavailable: If the store did not answer.
        """

    @contextmanager
    def lease(self, seconds: float = 30.0, wait: float = 0.0) -> Iterator[bool]:  # noqa: ARG002
        """Lock the slot among processes while the block runs. Gives whether it is ours.

        Args:
            seconds: After how long the lock ends by itself, should this process die.
            wait: How many seconds to wait for it at most.
        """
        yield True


class PlainSlot(TokenSlot):
    """What a backend with the three methods has for the caller.

    Such a backend can't lock, nor compare and set: what is done here holds among the threads of one
    process, if they take turns.

    Args:
        backend: The backend.
        blueprint: The blueprint that asks.
        owner: What the backend says of the owner.
    """

    is_person = True

    def __init__(
        self, backend: BackendLike, blueprint: BlueprintLike, owner: object = None
    ) -> None:
        self._backend = backend
        self._blueprint = blueprint
        self.owner = owner

    def read(self, fresh: bool = False) -> StoredToken:  # noqa: ARG002 - there is no other way
        """Return what the backend's ``get`` gives."""
        return StoredToken(self._backend.get(self._blueprint))

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Store a token by the backend's ``set``."""
        if seen is not None:
            current = self._require(seen, "set").token or {}
            # What others have changed meanwhile stays, unless this write changes it, too.
            kept = {
                name: value
                for name, value in current.items()
                if token.get(name) == (seen.token or {}).get(name)
            }
            token = {**token, **kept}
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


class StoreSlot(TokenSlot):
    """A token in a store, which locks, and compares versions.

    Args:
        store: The store.
        key: Whose token, or ``None`` for nobody, who has none.
        end_of_record: Returns when a record that is written now may be dropped, or ``None``.
        is_required: Whether every operation for nobody is an error.
        is_person: Whether the key is of a person.
    """

    is_shared = True

    def __init__(
        self,
        store: TokenStore,
        key: TokenKey | None,
        end_of_record: Callable[[Token, datetime], datetime | None],
        *,
        is_required: bool = False,
        is_person: bool = False,
    ) -> None:
        self._store = store
        self._end_of_record = end_of_record
        self._is_required = is_required
        self.is_person = is_person
        self.key = self.owner = self.name = key
        self.user_id = None if key is None or not is_person else key.user_id

    def read(self, fresh: bool = False) -> StoredToken:
        """Load the document."""
        if self.key is None:
            self._refuse_nobody("get")
            return NOTHING
        load = self._store.load_fresh if fresh else self._store.load
        document = load(self.key)
        return NOTHING if document is None else StoredToken(document.token, document)

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Save a document."""
        plain, now = json_token(token), clock.now()
        if self.key is None:
            raise UserRequired("set")
        old = None if seen is None else seen.document
        document = TokenDocument(
            provider=self.key.provider,
            user_id=self.key.user_id,
            provider_user_id=None if old is None else old.provider_user_id,
            token=plain,
            created_at=now,
            updated_at=now,
            expires_at=self._end_of_record(plain, now),
        )
        if seen is None:
            saved = self._store.save(document)
        else:
            saved = self._store.save_apart(document, 0 if old is None else old.version)
        return StoredToken(plain, saved)

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document."""
        if self.key is None:
            self._refuse_nobody("delete")
        elif seen is None:
            self._store.delete(self.key)
        elif seen.document is not None:
            self._store.delete(self.key, if_version=seen.document.version)

    @contextmanager
    def lease(self, seconds: float = 30.0, wait: float = 0.0) -> Iterator[bool]:
        """Take the store's lock, and renew it while the block runs."""
        if self.key is None:
            yield True
            return
        lock = self._store.lock(self.key, lease=seconds, wait=wait)
        if lock is None:
            yield False
            return
        try:
            with lock.kept():
                yield True
        finally:
            try:
                lock.release()
            except BackendError as error:
                # What was done under the lock is done; the lock ends by itself.
                log.warning("A lock could not be released. %s", error)

    def _refuse_nobody(self, operation: str) -> None:
        if self._is_required:
            raise UserRequired(operation)


class BrowserSlot(StoreSlot):
    """A browser's token for one provider, found by a random id in the Flask session.

    Whoever logs in, or out, gets another id, and the record of the old one is removed: an old copy
    of the cookie leads to nobody's token.

    Args:
        store: The store.
        provider: The provider.
        end_of_record: As of :class:`StoreSlot`.
        is_required: As there.
    """

    def __init__(
        self,
        store: TokenStore,
        provider: str,
        end_of_record: Callable[[Token, datetime], datetime | None],
        *,
        is_required: bool = False,
    ) -> None:
        super().__init__(store, browser_key(provider), end_of_record, is_required=is_required)
        self._provider = provider

    def write(self, token: Token, seen: StoredToken | None = None) -> StoredToken:
        """Save a document: under a new id, unless it takes the place of another token."""
        if seen is not None:
            return super().write(token, seen)
        left = self.key
        self.key, browser_id = new_browser_key(self._provider)
        try:
            written = super().write(token)
        except BaseException:
            self.key = left
            raise
        self.owner = self.name = self.key
        keep_browser_id(self._provider, browser_id)
        if left is not None:
            try:
                self._store.delete(left)
            except BackendError as error:
                log.warning("The token of the browser's last login stays stored. %s", error)
        return written

    def erase(self, seen: StoredToken | None = None) -> None:
        """Delete the document, and forget the id."""
        super().erase(seen)
        if self.key is not None and browser_key(self._provider) == self.key:
            keep_browser_id(self._provider, None)
