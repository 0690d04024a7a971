"""A store of tokens in the table of a user's model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, exc, select, tuple_

from ....errors import BackendError, ConfigurationError, CorruptToken
from ..store.base import SCAN_BATCH, Record
from ..store.document import TokenDocument, TokenKey
from ..store.findings import Finding, is_answered, pinged
from ..store.shard import Shard
from .accounts import Accounts
from .checks import Checks
from .columns import Columns, Defaults
from .errors import SQLErrors
from .locks import Locks
from .rows import Rows
from .saving import Saving
from .statements import Statements
from .transactions import Transactions


class SQLAlchemyStore(SQLErrors):
    """Keeps each token as one row of a model's table, which a write updates in place.

    The model needs ``provider`` and ``token``. With a ``user_id``, or a ``user`` relationship, it
    tells users' tokens apart. With the further columns of :class:`OAuthTokenMixin` it counts
    versions and keeps when records end. Other columns are yours, and stay as they are.

    Each operation takes a connection from the engine, and commits nothing but its own work. So the
    engine's pool needs one connection more than your threads hold at once, and a change of the same
    row that your session has flushed has to be committed before. With ``commit=False``, and where
    there is one connection only, as with an in-memory SQLite database, operations are part of the
    session's transaction.

    Locks are rows of the table ``flask_dance_locks``, which belongs to the model's metadata. It is
    created by ``create_all``, by :meth:`prepare`, or when the first lock is taken.

    Args:
        model: The model.
        session: A ``Session`` or ``scoped_session`` such as Flask-SQLAlchemy's ``db.session``, a
            function or proxy that returns one, or a database's URL.
        commit: Whether to commit; if not, writes are flushed, and the commit is yours.
        defaults: What else a new row needs, as the keyword arguments of the model: a dict, or a
            function that returns one for a :class:`TokenDocument`.
        tenant: A function that returns the name of the current tenant, by which caches and locks
            tell tenants apart where the database's URL and the schema don't; ``None``, the default,
            if they do. See :doc:`/sqlalchemy`.
        on_begin: A function that is called with each connection of the store's own when its
            transaction begins, to do what the session does to its connection, such as
            ``SET LOCAL search_path``. It needs ``tenant``.

    Raises:
        ConfigurationError: If the model or the session is something else, or the model's rows can't
            be told apart.
    """

    def __init__(
        self,
        model: type[Any],
        session: object,
        *,
        commit: bool = True,
        defaults: Defaults = None,
        tenant: Callable[[], str] | None = None,
        on_begin: Callable[[Connection], object] | None = None,
    ) -> None:
        self._columns = Columns(model, lambda: self._transactions.dialect())  # noqa: PLW0108 - made below
        self._statements = Statements(self._columns)
        self._transactions = Transactions(
            session, self._columns, commit=commit, tenant=tenant, on_begin=on_begin
        )
        rows = self._rows = Rows(self._columns, self._statements, self._transactions)
        self._saving = Saving(
            *(self._columns, self._statements, self._transactions, rows),
            commit=commit,
            defaults=defaults,
            conflict=self.conflict,
        )
        self._locks = Locks(self._columns.table, self._transactions, self._create)
        self._accounts = Accounts(self._columns, self._statements, self._transactions)
        self._defaults = defaults

    @property
    def place(self) -> str:
        """The server, database and schema that the session writes to now, the table and model."""
        # Models that share a table have no rows in common, unless one is based on the other.
        kinds = self._columns.kinds[:1]
        return "/".join((self._transactions.place, *map(repr, kinds)))

    @property
    def listings(self) -> frozenset[str]:
        """The place, and those of the models below this one in its table."""
        place = self._transactions.place
        return frozenset(f"{place}/{kind!r}" for kind in self._columns.kinds) or super().listings

    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document in a key's row, by one statement."""
        return self._live("load", key, self._rows.one(key, fresh=False))

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        """Load as :meth:`load` does, from where the session sends writes."""
        return self._live("load_fresh", key, self._rows.one(key, fresh=True))

    def _record(self, row: Row[Any]) -> Record:
        """Return the document in a row, or the error if it holds none."""
        try:
            key = self._columns.key(row)
        except (TypeError, ValueError):
            error = self.corrupt("scan", TokenKey("?"), "its provider or user is no part of a key")
            error.key = None
            return error
        try:
            return self._document("scan", key, row)
        except CorruptToken as error:
            return error

    def _live(self, operation: str, key: TokenKey, row: Row[Any] | None) -> TokenDocument | None:
        if row is None:
            return None
        document = self._document(operation, key, row)
        return None if document.expired else document

    def _document(self, operation: str, key: TokenKey, row: Row[Any]) -> TokenDocument:
        try:
            return self._columns.document(key, row)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Update a key's row or insert one: by one statement, or by two in a transaction."""
        return self._saving.save(document, if_version)

    def save_as(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save as :meth:`save_apart` does, with the document's version, if the model has one."""
        return self._saving.save_apart(document, if_version, document.version)

    def save_apart(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save and commit on a connection of its own, with ``commit=False`` too, if possible."""
        return self._saving.save_apart(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Delete a key's row, by one statement; two with a version to compare."""
        transactions = self._transactions
        statements, parameters = self._statements.of(key)
        with transactions.write() as connection:
            # Elsewhere, what should not have been deleted can't be undone.
            is_undone = transactions.is_own(connection) and _returns(connection)
            if if_version is not None or not is_undone:
                self._delete_locked(connection, key, if_version)
                return
            deleted = connection.execute(statements.delete_returning, parameters).all()
            if all(self._columns.is_of(key, row) for row in deleted):
                return
            connection.rollback()
        # Another connection, since a rollback ends what on_begin has done to one.
        with transactions.write() as connection:
            self._delete_locked(connection, key, None)

    def _delete_locked(self, connection: Connection, key: TokenKey, if_version: int | None) -> None:
        columns = self._columns
        rows = self._rows.locked(connection, key)
        row = self._rows.newest(key, rows)
        if row is not None and if_version not in (None, columns.version(row)):
            raise self.conflict("delete", key)
        own = [columns.identity(row) for row in rows if columns.is_of(key, row)]
        if own:
            connection.execute(self._statements.delete(own))

    def link(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save a document, whose account the database's own constraint keeps unique."""
        self._accounts.make_free(document, self.delete)
        try:
            return self.save(document, if_version)
        except BackendError:
            # Somebody else may have been first.
            self._accounts.make_free(document, self.delete)
            raise

    def put(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Store what another store has; the row itself has its account, if the model has one."""
        if document.provider_user_id is None or not self._columns.keeps_accounts_unique:
            return self.save_as(document, if_version)
        self._accounts.make_free(document, self.delete)
        try:
            return self.save_as(document, if_version)
        except BackendError:
            # As in link().
            self._accounts.make_free(document, self.delete)
            raise

    def linked(self, provider: str, provider_user_id: str) -> TokenKey | None:
        """Return the key of the row that has an account, if it has not expired."""
        return self._accounts.owner(provider, provider_user_id)

    def unlink(self, key: TokenKey, provider_user_id: str) -> None:
        """Do nothing: the account is in the row itself."""

    def mark(self, key: TokenKey, names: Iterable[str]) -> None:
        """Do nothing: rows are a user's, and there is no room for entries."""

    def marked(self, provider: str, name: str) -> list[TokenDocument]:  # noqa: ARG002 - as above
        """Return all documents of a provider."""
        return list(self.scan(provider))

    def unmark(self, key: TokenKey, names: Iterable[str], *, is_replaced: bool = False) -> None:
        """Do nothing."""

    def keys(self, provider: str | None, user_id: str) -> list[TokenKey]:
        """Return the keys of a user's rows."""
        return self._accounts.keys(provider, user_id)

    def forget(self, user_id: str, keys: Iterable[TokenKey]) -> None:
        """Delete a user's rows, the locks of the keys, and locks that have ended."""
        self._accounts.forget(user_id)
        self._locks.forget(keys)

    def records(
        self,
        provider: str | None = None,
        user_id: str | None = None,
        shard: Shard | None = None,
    ) -> Iterator[Record]:
        """Yield rows in batches of 500, in the order of the primary key; parts by its remainder."""
        columns = self._columns
        query, is_in_part = self._statements.part(provider, user_id, shard)
        query = page = query.limit(SCAN_BATCH)
        while True:
            with self._transactions.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                if not is_in_part(columns.identity(row)):
                    continue
                record = self._record(row)
                is_found = isinstance(record, CorruptToken) or (
                    # A collation that ignores case may have found it.
                    provider in (None, record.provider) and user_id in (None, record.user_id)
                )
                if is_found:
                    yield record
            if len(rows) < SCAN_BATCH:
                return
            query = page.where(tuple_(*columns.primary_key) > columns.identity(rows[-1]))

    def prepare(self) -> None:
        """Create the tables that are missing: the model's, and that of the locks."""
        self._create(self._columns.table, self._locks.table)

    def _create(self, *tables: Table) -> None:
        metadata, transactions = self._columns.table.metadata, self._transactions
        # Another process may create each table between the check for it and its creation.
        for tries_left in reversed(range(len(tables) + 1)):
            try:
                with transactions.write(apart=True) as connection, transactions.attempt(connection):
                    metadata.create_all(connection, tables=tables)
                    return
            except exc.DBAPIError as error:
                is_outage = self.is_unavailable(error) and "exists" not in str(error.orig)
                if is_outage or not tries_left:
                    raise

    def ping(self) -> None:
        """Ask the database for a sign of life, whichever tenant it is."""
        with self._transactions.read(enters=False) as connection:
            connection.execute(select(1))

    def checks(self) -> Iterator[Finding]:
        """Yield how the tables, their constraints and the server are; nothing is committed."""
        found = pinged(self.ping)
        yield found
        if is_answered([found]):
            yield from Checks(
                *(self._columns, self._statements, self._transactions),
                *(self._locks, self._defaults),
            ).run()

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key, by the database's time."""
        return self._locks.acquire(key, holder, seconds)

    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        self._locks.release(key, holder)

    def require_expiry(self) -> None:
        """Raise a ``ConfigurationError`` if the model has no ``expires_at``."""
        if "expires_at" not in self._columns.optional:
            raise ConfigurationError(
                f"The model {self._columns.name} has no expires_at, so that a ttl can't be kept. "
                "Base it on OAuthTokenMixin."
            )

    @property
    def kept_fields(self) -> frozenset[str]:
        """The fields for which the model has a column."""
        return frozenset(self._columns.optional)

    @property
    def keeps_failures(self) -> bool:
        """Whether the model has a ``refresh_failure``."""
        return "refresh_failure" in self._columns.optional

    def require_links(self) -> None:
        """Raise a ``ConfigurationError`` if the model keeps no account to one row."""
        self._columns.require_links()

    def require_accounts(self) -> None:
        """Raise a ``ConfigurationError`` if the model has no ``account``."""
        self._columns.require_accounts()


def _returns(connection: Connection) -> bool:
    """Whether a database tells which rows it has deleted."""
    return bool(connection.dialect.delete_returning)
