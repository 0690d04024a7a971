"""A lock that ends by itself."""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Protocol, Self

from ....errors import BackendError
from .document import TokenKey

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class Locks(Protocol):
    """What has locks: a store."""

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key if it is free."""

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""


class Lease:
    """A lock that somebody holds until it is released or its time is up.

    It is a context manager that releases it in the end.

    Args:
        store: The store whose lock it is.
        key: The locked key.
        seconds: How long it lasts, from each renewal.
    """

    def __init__(self, store: Locks, key: TokenKey, seconds: float) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._holder = secrets.token_urlsafe(16)

    def wait(self, seconds: float) -> bool:
        """Take the lock, waiting for it at most this long. Returns whether it is ours."""
        deadline = time.monotonic() + seconds
        pause = _FIRST_PAUSE
        while not self.renew():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # Waiters that began together must not go on asking together.
            time.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)
        return True

    def renew(self) -> bool:
        """Begin the time anew. Returns whether the lock is still, or again, ours."""
        return self._store.acquire(self._key, self._holder, self._seconds)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lock, from a thread, while the block runs, however long that is."""
        ended = threading.Event()
        # The store may be reached through the app.
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(self._keep, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds / 3):
            try:
                self.renew()
            except BackendError as error:
                log.warning("A lock could not be renewed. %s", error)

    def release(self) -> None:
        """Give the lock up. One that was lost to another holder meanwhile stays theirs."""
        self._store.release(self._key, self._holder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()
