"""What a check looks at in a relational database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Inspector, Table, exc, false, func, inspect, select, text

from ..store.findings import (
    PREPARE,
    Finding,
    guarded,
    lock_probed,
    not_probed,
    ok,
    probe_document,
    problem,
    several,
    skew,
    warning,
)
from .columns import Columns, Defaults
from .locks import Locks
from .statements import Statements, seconds_now
from .transactions import Transactions

_MIGRATE = "Add it by a migration of the application."
# The sequence of a column, the last number that it has given, and the last one that there can be.
_USED = """
SELECT found.name AS sequence, pg_sequence_last_value(found.name::regclass) AS taken,
    LEAST(seqmax, CASE atttypid WHEN 'int8'::regtype THEN seqmax ELSE 2147483647 END) AS most
FROM (SELECT pg_get_serial_sequence(:table, :column) AS name) AS found
JOIN pg_sequence ON seqrelid = found.name::regclass
JOIN pg_attribute ON attrelid = CAST(:table AS regclass) AND attname = :column
"""
_MANY, _NEARLY_ALL = 0.5, 0.9
# How each database tells that it takes no writes.
_READ_ONLY = {
    "postgresql": ("SELECT pg_is_in_recovery()", "SHOW transaction_read_only"),
    "mysql": ("SELECT @@global.read_only",),
    "mariadb": ("SELECT @@global.read_only",),
    "sqlite": ("PRAGMA query_only",),
}


class Checks:
    """Looks at the table of a model, and at its database.

    Args:
        columns: Those of the model.
        statements: The statements about them.
        transactions: Lends connections.
        locks: The locks, in a table of their own.
        defaults: As of the store.
    """

    def __init__(
        self,
        columns: Columns,
        statements: Statements,
        transactions: Transactions,
        locks: Locks,
        defaults: Defaults,
    ) -> None:
        self._columns = columns
        self._statements = statements
        self._transactions = transactions
        self._locks = locks
        self._defaults = defaults

    def run(self) -> Iterator[Finding]:
        """Yield how the tables, their constraints and the server are, once it has answered."""
        tables = list(guarded("table", self._tables))
        yield from tables
        if all(each.status != "problem" for each in tables):
            yield self._probe()
            if all(each.status == "ok" for each in tables):
                yield lock_probed(self._locks.acquire, self._locks.release)
            yield from guarded("unique", self._uniqueness)
            yield from guarded("index expires_at", self._expiry)
            yield from guarded("row numbers", self._numbers)
        yield from self._model()
        yield from guarded("replica", self._replica)
        yield from guarded("clock", self._clock)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Lend a connection whose errors end no transaction of the application."""
        transactions = self._transactions
        with transactions.write(apart=True) as connection, transactions.attempt(connection):
            yield connection

    def _schema(self, connection: Connection) -> str | None:
        schemas: Any = connection.get_execution_options().get("schema_translate_map") or {}
        schema = self._columns.table.schema
        found: str | None = schemas.get(schema, schema)
        return found

    def _tables(self) -> Iterator[Finding]:
        table, locks = self._columns.table, self._locks.table.name
        name, advice = f"table {table.name}", PREPARE
        with self._connection() as connection:
            inspector, schema = inspect(connection), self._schema(connection)
            if inspector.has_table(table.name, schema):
                there = {each["name"] for each in inspector.get_columns(table.name, schema)}
                missing = [column.name for column in table.columns if column.name not in there]
                if missing:
                    message = f"It lacks columns that the model has: {', '.join(missing)}."
                    yield problem(name, message, "Add them by a migration of the application.")
                else:
                    yield ok(name, "It has all columns of the model.")
            else:
                migrate = f"{advice}, or the migrations of the application."
                yield problem(name, "There is no such table.", migrate)
            if inspector.has_table(locks, schema):
                yield ok(f"table {locks}", "It is there.")
            else:
                message = "There is no such table. The first refresh has to create it."
                yield warning(f"table {locks}", message, advice)

    def _probe(self) -> Finding:
        """Write a row and read it, and take it back, by a transaction that is not committed."""
        columns, step = self._columns, "written"
        table = columns.table
        document = msgspec.structs.replace(probe_document(), user_id=None)
        document = msgspec.structs.replace(document, provider_user_id=document.provider)
        try:
            with self._transactions.write(apart=True) as connection:
                attempt = connection.begin_nested()
                try:
                    # A user's row needs the user. Whether it may be written is told without one.
                    may_insert = columns.user is None or bool(columns.user.nullable)
                    if may_insert and not callable(self._defaults):
                        new_row = columns.inserted(document, self._defaults)
                        new_row |= columns.written(document, None)
                        connection.execute(table.insert().values(new_row))
                        message = "A row was written, read and taken back."
                    else:
                        names = [column.name for column in table.columns]
                        rows = select(*table.columns).where(false())
                        nothing = table.insert().from_select(names, rows, include_defaults=False)
                        connection.execute(nothing)
                        message = "This user of the database may write, read and delete rows."
                    same = {columns.provider: columns.provider}
                    connection.execute(table.update().where(false()).values(same))
                    step = "read"
                    statements, parameters = self._statements.of(document.key)
                    connection.execute(statements.select, parameters).all()
                    step = "deleted"
                    connection.execute(table.delete().where(false()))
                finally:
                    attempt.rollback()
        except exc.DBAPIError as error:
            # The driver's name of it says more, and its text may say too much.
            return not_probed(step, error.orig if isinstance(error.orig, Exception) else error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return not_probed(step, error)
        return ok("probe", message)

    def _owner(self) -> list[Any]:
        """Return the columns that tell owners apart."""
        columns = self._columns
        found = (columns.provider, columns.kind, columns.user, columns.account)
        return [column for column in found if column is not None]

    def _uniqueness(self) -> Iterator[Finding]:
        columns, owner = self._columns, self._owner()
        wanted = frozenset(column.name for column in owner)
        nobody = wanted if columns.user is None else wanted - {columns.user.name}
        with self._connection() as connection:
            whole, partial = _unique(inspect(connection), columns.table, self._schema(connection))
            dialect = connection.dialect.name
            has_user = columns.user is not None
            is_wanted = columns.conflict_target(dialect, has_user=has_user) is not None
            narrow = [sorted(each) for each in whole if each < wanted]
            if narrow:
                names = ", ".join(narrow[0])
                message = f"The database keeps {names} unique, which several tokens have alike."
                yield problem("unique", message, f"Drop what keeps {names} unique.")
            elif wanted in whole:
                yield ok("unique", "The database keeps to one row for each owner.")
            elif is_wanted:
                message = "The database lacks the constraint of the model for one row an owner."
                yield problem("unique", message, _MIGRATE)
            else:
                message = f"The model {columns.name} may have several rows for one owner."
                yield warning("unique", message, "Give it unique_per_user(), and migrate.")
            may_be_nobodys = columns.user is not None and bool(columns.user.nullable)
            lacks_nobodys = may_be_nobodys and nobody not in partial | whole
            if wanted in whole and lacks_nobodys and dialect in ("postgresql", "sqlite"):
                message = "The database may have several rows for the tokens of no user."
                yield warning("unique of nobody", message, f"{_MIGRATE} unique_per_user() has it.")
            yield self._duplicates(connection, wanted in whole, lacks_nobodys)

    def _duplicates(self, connection: Connection, is_unique: bool, lacks_nobodys: bool) -> Finding:
        name, columns, owner = "duplicate rows", self._columns, self._owner()
        if is_unique and not lacks_nobodys:
            return ok(name, "There can't be any.")
        groups = select(*owner).group_by(*owner).having(func.count() > 1)
        if is_unique and columns.user is not None:
            groups = groups.where(columns.user.is_(None))
        count = connection.execute(select(func.count()).select_from(groups.subquery())).scalar()
        if not count:
            return ok(name, "There are none.")
        message = f"{several(count, 'owner has', 'owners have')} more rows than one; the newest is "
        advice = "Delete the older rows, and have the database keep owners unique."
        return problem(name, f"{message}read.", advice)

    def _expiry(self) -> Iterator[Finding]:
        column, table = self._columns.optional.get("expires_at"), self._columns.table
        if column is None:
            return
        with self._connection() as connection:
            indexes = inspect(connection).get_indexes(table.name, self._schema(connection))
        if any(each["column_names"][:1] == [column.name] for each in indexes):
            yield ok("index expires_at", "Expired rows are found quickly.")
        else:
            message = "There is no index on expires_at: to find expired rows is to read all."
            yield warning("index expires_at", message, _MIGRATE)

    def _numbers(self) -> Iterator[Finding]:
        """Yield how many of the numbers of new rows are used up: by each upsert, on PostgreSQL."""
        table, column = self._columns.table, self._columns.table.autoincrement_column
        with self._connection() as connection:
            if connection.dialect.name != "postgresql" or column is None:
                return
            quote = connection.dialect.identifier_preparer.quote
            schema = self._schema(connection)
            name = ".".join(quote(part) for part in (schema, table.name) if part)
            asked = {"table": name, "column": column.name}
            used = connection.execute(text(_USED), asked).one_or_none()
        if used is None or used.taken is None:
            return
        share = used.taken / used.most
        message = f"{share:.0%} of the numbers of the column {column.name} are used."
        if share < _MANY:
            yield ok("row numbers", message)
            return
        finding = problem if share > _NEARLY_ALL else warning
        alter = f"ALTER TABLE {name} ALTER COLUMN {quote(column.name)} TYPE bigint"
        advice = f"Run: {alter}; ALTER SEQUENCE {used.sequence} AS bigint"
        yield finding("row numbers", message, advice)

    def _model(self) -> Iterator[Finding]:
        wanted = {
            "version": "versions are hashes of the token",
            "expires_at": "a ttl can't be kept",
            "refresh_failure": "how refreshes fail is not remembered",
        }
        lost = {name: what for name, what in wanted.items() if name not in self._columns.optional}
        if lost:
            without = "; ".join(f"without {name}, {what}" for name, what in lost.items())
            message = f"The model {self._columns.name} lacks columns: {without}."
            yield warning("model", message, "Base it on OAuthTokenMixin, and migrate.")
        else:
            yield ok("model", "The model has all columns of a token document.")

    def _replica(self) -> Iterator[Finding]:
        with self._connection() as connection:
            questions = _READ_ONLY.get(connection.dialect.name, ())
            answers = [connection.execute(text(each)).scalar() for each in questions]
        if any(answer in (True, 1, "on", "ON") for answer in answers):
            message = "The database takes no writes: it is a replica, or its sessions read only."
            advice = "Send what the backend writes to the primary, by the session's get_bind."
            yield problem("replica", message, advice)
        elif questions:
            yield ok("replica", "The database takes writes.")

    def _clock(self) -> Iterator[Finding]:
        with self._connection() as connection:
            now = select(seconds_now(connection.dialect.name))
            yield skew(lambda: float(connection.execute(now).scalar_one()))


def _unique(
    inspector: Inspector, table: Table, schema: str | None
) -> tuple[set[frozenset[Any]], set[frozenset[Any]]]:
    """Return which columns the database keeps unique together: in all rows, and in some."""
    key = inspector.get_pk_constraint(table.name, schema)["constrained_columns"]
    whole: set[frozenset[Any]] = {frozenset(key)} if key else set()
    for constraint in inspector.get_unique_constraints(table.name, schema):
        whole.add(frozenset(constraint["column_names"]))
    partial: set[frozenset[Any]] = set()
    for index in inspector.get_indexes(table.name, schema):
        if index["unique"]:
            options: Any = index.get("dialect_options") or {}
            is_part = any(k.endswith("_where") and v is not None for k, v in options.items())
            (partial if is_part else whole).add(frozenset(index["column_names"]))
    return whole, partial
