"""The rows that have an account at a provider."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from .... import clock
from ....errors import AccountAlreadyLinked
from ..store.document import TokenDocument, TokenKey
from .columns import Columns
from .statements import Statements
from .transactions import Transactions


class Accounts:
    """Finds who has an account, by the model's column ``provider_user_id``.

    Args:
        columns: Those of the model.
        statements: The statements about them.
        transactions: Lends connections.
    """

    def __init__(
        self, columns: Columns, statements: Statements, transactions: Transactions
    ) -> None:
        self._columns = columns
        self._statements = statements
        self._transactions = transactions

    def owner(self, provider: str, account: str) -> TokenKey | None:
        """Return the key of the row that has an account, if it has not expired."""
        if "provider_user_id" not in self._columns.optional:
            return None
        rows = self._rows(provider, account)
        return next((key for key, is_over in rows if not is_over), None)

    def make_free(self, document: TokenDocument, delete: Callable[[TokenKey], None]) -> None:
        """Have no other row than a document's have its account, or raise an error.

        A row whose time is up is deleted.
        """
        self._columns.require_links()
        key, account = document.key, str(document.provider_user_id)
        for other, is_over in self._rows(key.provider, account):
            if other != key and not is_over:
                raise AccountAlreadyLinked(key.provider, account)
            if other != key:
                delete(other)

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's rows, whatever else is in them."""
        with self._transactions.read(fresh=True) as connection:
            rows = connection.execute(self._statements.listing(provider, user_id)).all()
        found = []
        for row in rows:
            with suppress(TypeError, ValueError):
                found.append(self._columns.key(row))
        # With a collation that ignores case, another user's are found, too.
        return [key for key in found if key.user_id == user_id and provider in (None, key.provider)]

    def forget(self, user_id: str) -> None:
        """Delete a user's rows, those included whose provider is none."""
        columns, statements = self._columns, self._statements
        with self._transactions.write() as connection:
            rows = connection.execute(statements.listing(None, user_id)).all()
            own = [columns.identity(row) for row in rows if columns.user_id(row) == user_id]
            if own:
                connection.execute(statements.delete(own))

    def _rows(self, provider: str, account: str) -> list[tuple[TokenKey, bool]]:
        """Return the keys of the rows that have an account, and whether their time is up."""
        columns, now, found = self._columns, clock.now(), []
        with self._transactions.read(fresh=True) as connection:
            rows = connection.execute(self._statements.linked(provider, account)).all()
        for row in rows:
            end = columns.moment(row, "expires_at")
            # With a collation that ignores case, another account is found, too.
            if (row.its_provider, row.its_provider_user_id) == (provider, account):
                with suppress(TypeError, ValueError):
                    found.append((columns.key(row), end is not None and end <= now))
        return found
