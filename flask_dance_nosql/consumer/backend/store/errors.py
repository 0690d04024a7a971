"""What a driver's errors mean, and the errors of a store's own."""

from __future__ import annotations

import logging
from typing import ClassVar

from ....errors import CorruptToken, VersionConflict
from .document import TokenKey

log = logging.getLogger(__name__)


class DriverErrors:
    """Tells which errors of a driver mean what; :class:`TokenStore` raises its own for them."""

    unavailable_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """The driver's errors that mean that the server did not answer."""

    driver_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """The driver's other errors."""

    def is_unavailable(self, error: Exception) -> bool:
        """Whether a driver's error means that the server did not answer."""
        return isinstance(error, self.unavailable_errors)

    def hint(self, error: Exception) -> str:  # noqa: ARG002 - for subclasses
        """Return what to look at if a driver's error means that there was no answer, or nothing."""
        return ""

    def shown(self, error: Exception) -> Exception:
        """Return a driver's error as it may be shown: without anything secret."""
        return error

    def corrupt(self, operation: str, key: TokenKey, reason: str) -> CorruptToken:
        """Return the error for something under a key that is not its document, and log it."""
        error = CorruptToken(operation, type(self).__name__, key.provider, key.user_id, reason)
        error.key = key
        log.error("%s", error)
        return error

    def conflict(self, operation: str, key: TokenKey) -> VersionConflict:
        """Return the error for a document whose version is not the expected one."""
        return VersionConflict(operation, type(self).__name__, key.provider, key.user_id)
