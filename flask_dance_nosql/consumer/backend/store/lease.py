"""A lock that ends by itself."""

from __future__ import annotations

import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Self

from ....errors import BackendError
from .document import TokenKey

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_JOIN_SECONDS = 5.0


@dataclass(eq=False, repr=False)
class Lease:
    """The lock of a key in a store, which lasts some seconds after each renewal."""

    store: Any
    key: TokenKey
    seconds: float

    def __post_init__(self) -> None:
        self._holder = secrets.token_urlsafe(16)
        self._pid = os.getpid()

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
        """Take or extend the lock. Returns whether it is ours."""
        return bool(self.store.acquire(self.key, self._holder, self.seconds))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lock, from a thread, while the block runs, however long that is."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(self.seconds / 3):
                try:
                    self.renew()
                except BackendError as error:
                    log.warning("A lock could not be renewed. %s", error)

        # The store's client may come from the current app.
        thread = threading.Thread(target=copy_context().run, args=(keep,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            # A store may take very long to answer. The lock ends by itself after a last renewal.
            thread.join(_JOIN_SECONDS)

    def release(self) -> None:
        """Release the lock, unless somebody else has it by now."""
        # A child that was forked meanwhile leaves it to its parent.
        if os.getpid() == self._pid:
            self.store.release(self.key, self._holder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()
