"""Encryption of tokens with a key for each tenant, or for each user."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from .... import clock
from ....errors import ConfigurationError
from ....process import PerProcess
from ..store.document import TokenKey
from .envelope import TokenCipher
from .keyring import Keyring, key_sources

Keys = str | bytes | Sequence[str | bytes]
"""A key, or a key that seals, followed by its fallbacks."""


class TenantCipher(TokenCipher):
    """Seals each tenant's tokens with a key of the tenant's own.

    It is a :class:`TokenCipher` in all else. Who removes a tenant's key makes the tokens of that
    tenant unreadable, those in backups included, once the time that a process remembers it is up.

    The function is where a key management service comes in: it gets the key of a tenant unwrapped
    there. It is called when a tenant's first token is sealed or opened, in the thread that does it,
    and again when ``seconds`` have passed; several threads may call it at the same time. What it
    raises reaches the caller, and it is called again the next time.
    :exc:`~flask_dance_nosql.errors.BackendUnavailable` is the error for a service that does not
    answer. See :doc:`/key-rotation` for an example.

    Args:
        keys_for: Returns the key for the token of a :class:`TokenKey`, as
            :meth:`TokenCipher.generate_key` makes it, or a list of the key that seals and of those
            that only open.
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
        keys_for: Callable[[TokenKey], Keys],
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
        self._tenant_of = tenant_of or _user_of
        self._seconds = seconds
        self._remembered = PerProcess(partial(_Remembered, maxsize))

    def key_ids(self, key: TokenKey | None = None) -> tuple[str, ...]:
        """Return the ids of a tenant's keys, as of a token's key; none are everybody's."""
        return () if key is None else self.keyring_for(key).ids

    def keyring_for(self, key: TokenKey | None) -> Keyring:
        """Return the keys for the token of a key, as the function has given them."""
        if key is None:
            raise ConfigurationError("A TenantCipher has no keys for all tokens.")
        tenant, remembered, now = self._tenant_of(key), self._remembered.get(), clock.monotonic()
        keyring = remembered.get(tenant, now)
        if keyring is None:
            # No lock is held: it may take as long as a service does.
            keys = self._keys_for(key)
            first, *others = [keys] if isinstance(keys, str | bytes) else keys or [""]
            keyring = Keyring(key_sources(first, others))
            remembered.put(tenant, keyring, now + self._seconds)
        return keyring


class _Remembered:
    """The keys of the tenants that were met last."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._mutex = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[Keyring, float]] = OrderedDict()

    def get(self, tenant: Hashable, now: float) -> Keyring | None:
        with self._mutex:
            keyring, until = self._found.get(tenant, (None, 0.0))
            if keyring is None or until <= now:
                return None
            self._found.move_to_end(tenant)
            return keyring

    def put(self, tenant: Hashable, keyring: Keyring, until: float) -> None:
        with self._mutex:
            self._found[tenant] = (keyring, until)
            self._found.move_to_end(tenant)
            while len(self._found) > self._maxsize:
                self._found.popitem(last=False)


def _user_of(key: TokenKey) -> Hashable:
    return key.user_id
