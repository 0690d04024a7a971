"""What a store keeps of documents."""

from __future__ import annotations

from ....errors import ConfigurationError

_KEPT = frozenset(
    (
        *("version", "created_at", "updated_at", "expires_at"),
        *("provider_user_id", "refresh_failure"),
    )
)


class Abilities:
    """Says what a :class:`TokenStore` keeps; one that keeps less than all overrides it."""

    @property
    def kept_fields(self) -> frozenset[str]:
        """Which fields of documents it keeps, besides the token and the key; by default all.

        .. versionadded:: 1.0
        """
        return _KEPT

    @property
    def keeps_failures(self) -> bool:
        """Whether it keeps the ``refresh_failure`` of documents; ``True`` by default."""
        return True

    def require_expiry(self) -> None:
        """Make sure that the store keeps when a record ends.

        Raises:
            ConfigurationError: If it can't.
        """

    def require_links(self) -> None:
        """Make sure that the store can keep an account at a provider to one user, see :meth:`link`.

        Raises:
            ConfigurationError: If it can't.
        """

    def require_accounts(self) -> None:
        """Make sure that the store tells keys with an ``account`` from each other.

        A store that makes all its names of :attr:`TokenKey.text`, and gives the ``account`` of a
        document back, overrides it with a method that does nothing.

        Raises:
            ConfigurationError: If it can't, as by default.
        """
        raise ConfigurationError(
            f"{type(self).__name__} keeps one token for each user and provider, and can't keep "
            "several accounts apart. See 'Accounts' in the documentation of writing a backend."
        )
