"""Encryption of tokens with a key for each tenant, or for each user."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import NamedTuple

from .... import clock
from ....errors import ConfigurationError
from ....process import PerProcess
from ..store.document import TokenKey
from .envelope import TokenCipher
from .keyring import Keyring

# A token under an unknown key has the keys of its tenant asked for once in so many seconds.
_AGAIN = 1.0

Keys = str | bytes | Sequence[str | bytes]
"""A key, or a key that seals, followed by its fallbacks."""


class TenantCipher(TokenCipher):
    """Seals each tenant's tokens with a key of the tenant's own.

    It is a :class:`TokenCipher` in all else. Who removes a tenant's key makes the tokens of that
    tenant unreadable, those in backups included, once the time that a process remembers it is up.

    The function is where a key management service comes in: it gets the key of a tenant unwrapped
    there. It is called when a tenant's first token is sealed or opened, in the thread that does it,
    again when ``seconds`` have passed, and when a token has a key that it did not return, but then
    once a second at most. That there are none is remembered for a second, and not at all when a
    token is sealed. Several threads may call it at the same time.

    If it returns nothing, or raises a :exc:`LookupError`, the tenant has no keys: its tokens can't
    be opened, which is a ``TokenDecryptError``, and none can be sealed, which is a
    ``ConfigurationError``. Whatever else it raises reaches the caller, and it is called again the
    next time. :exc:`~flask_dance_nosql.errors.BackendUnavailable` is the error for a service that
    does not answer. See :doc:`/key-rotation` for an example.

    Args:
        keys_for: Returns the key for the token of a :class:`TokenKey`, as
            :meth:`TokenCipher.generate_key` makes it, or a list of the key that seals and of those
            that only open; an empty one or ``None`` if the tenant has none.
        tenant_of: Returns whose keys they are: any value that can be in a set. Tokens for which it
            is the same share what is remembered. ``None``, the default, is the user's id.
        maxsize: How many tenants' keys a process remembers at most.
        seconds: How many seconds it remembers them; 0 for not at all.
        allow_plaintext: As of :class:`TokenCipher`.

    Raises:
        ConfigurationError: If ``maxsize`` or ``seconds`` is no such number.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        keys_for: Callable[[TokenKey], Keys | None],
        tenant_of: Callable[[TokenKey], Hashable] | None = None,
        *,
        maxsize: int = 1000,
        seconds: float = 300.0,
        allow_plaintext: bool = False,
    ) -> None:
        if type(maxsize) is not int or maxsize < 1:
            raise ConfigurationError("maxsize is how many tenants' keys are kept, at least 1.")
        if not seconds >= 0:
            raise ConfigurationError("seconds is how long keys are remembered; 0 for not at all.")
        super().__init__(allow_plaintext=allow_plaintext)
        self._keys_for = keys_for
        self._told_tenant_of = tenant_of or _user_of
        self._seconds = seconds
        self._remembered = PerProcess(partial(_Remembered, maxsize))

    def tenant_of(self, key: TokenKey) -> Hashable:
        """Return whose keys the token of a key has."""
        return self._told_tenant_of(key)

    def key_ids(self, key: TokenKey | None = None) -> tuple[str, ...]:
        """Return the ids of a tenant's keys, as of a token's key; none are everybody's."""
        return () if key is None else self.keyring_for(key).ids

    def keyring_for(self, key: TokenKey | None) -> Keyring:
        """Return the keys for the token of a key, as the function has given them."""
        if key is None:
            raise ConfigurationError("A TenantCipher has no keys for all tokens.")
        found = self._remembered.get().get(self.tenant_of(key), clock.monotonic())
        return self._asked(key) if found is None else found.keyring

    def keyring_to_seal(self, key: TokenKey) -> Keyring:
        """Return the keys of a tenant, who may have got one since there were none."""
        found = self._remembered.get().get(self.tenant_of(key), clock.monotonic())
        keyring = self._asked(key) if found is None or not found.keyring.ids else found.keyring
        if not keyring.ids:
            raise ConfigurationError(
                f"The user {key.user_id!r} is of a tenant without keys: the function of the "
                "TenantCipher has returned none."
            )
        return keyring

    def renewed(self, key: TokenKey, keyring: Keyring) -> Keyring:
        """Ask the function again, unless it was asked a moment ago: it may know a new key."""
        now = clock.monotonic()
        found = self._remembered.get().get(self.tenant_of(key), now)
        if found is not None and now < found.since + _AGAIN:
            return found.keyring
        return self._asked(key) if found is not None else keyring

    def _asked(self, key: TokenKey) -> Keyring:
        now = clock.monotonic()
        # No lock is held: it may take as long as a service does.
        try:
            keys = self._keys_for(key)
        except LookupError:
            keys = None
        found = Known(Keyring((keys,) if isinstance(keys, str | bytes) else tuple(keys or ())), now)
        # Whoever has no keys may be given some at any time.
        seconds = self._seconds if found.keyring.ids else min(self._seconds, _AGAIN)
        self._remembered.get().put(self.tenant_of(key), found, now + seconds)
        return found.keyring


class Known(NamedTuple):
    """A tenant's keys, and when they were asked for."""

    keyring: Keyring
    since: float


class _Remembered:
    """The keys of the tenants that were met last."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._mutex = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[Known, float]] = OrderedDict()

    def get(self, tenant: Hashable, now: float) -> Known | None:
        with self._mutex:
            known, until = self._found.get(tenant, (None, 0.0))
            if known is None or until <= now:
                return None
            self._found.move_to_end(tenant)
            return known

    def put(self, tenant: Hashable, known: Known, until: float) -> None:
        with self._mutex:
            self._found[tenant] = (known, until)
            self._found.move_to_end(tenant)
            while len(self._found) > self._maxsize:
                self._found.popitem(last=False)


def _user_of(key: TokenKey) -> Hashable:
    return key.user_id
