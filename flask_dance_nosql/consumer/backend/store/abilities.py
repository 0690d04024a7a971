"""What a store keeps of documents, and where."""

from __future__ import annotations

from ....errors import ConfigurationError

_KEPT = frozenset(
    (
        *("version", "created_at", "updated_at", "expires_at"),
        *("provider_user_id", "refresh_failure"),
    )
)


class Abilities:
    """Says what a :class:`TokenStore` keeps, and where; one that keeps less overrides it."""

    @property
    def place(self) -> str:
        """The name of this store in a cache that several stores share.

        Two stores with the same records have the same place, in every process, and no others. Make
        it of the server's address as it was configured, the database and the table. It is asked for
        at each cached read, so it must be quick, and it must hold nothing secret. The default is
        the name of the class.
        """
        return type(self).__name__

    @property
    def listings(self) -> frozenset[str]:
        """The names of what :meth:`records` lists, by which two that list the same are told.

        Of two stores that have one in common, the one that has more of them lists all that the
        other one lists. The default is the :attr:`place` alone.

        .. versionadded:: 1.0
        """
        return frozenset((self.place,))

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
