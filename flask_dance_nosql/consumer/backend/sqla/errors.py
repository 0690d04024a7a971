"""What errors of SQLAlchemy mean, and what of them may be shown."""

from __future__ import annotations

from sqlalchemy import exc

from ..store.listed import ListedStore

# SQLite, PostgreSQL and MySQL.
_LOCKED = ("database is locked", "table is locked", "lock timeout", "Lock wait timeout", "deadlock")


class SQLErrors(ListedStore):
    """A store whose driver is SQLAlchemy."""

    unavailable_errors = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
    driver_errors = (exc.SQLAlchemyError,)

    def is_unavailable(self, error: Exception) -> bool:
        """Whether an error means that there is no answer; SQLite says so of a missing table."""
        return super().is_unavailable(error) and "no such" not in str(error)

    def hint(self, error: Exception) -> str:
        """Return what to do about a lock that somebody holds: the session itself, as a rule."""
        told = str(getattr(error, "orig", ""))
        if not any(sign in told for sign in _LOCKED):
            return ""
        return (
            "Another transaction holds a lock of the database, and most likely it is that of this "
            "request's own session, which has flushed a change and not committed it. Commit before "
            "a token is stored. See 'Transactions' in the documentation of SQLAlchemy."
        )

    def shown(self, error: Exception) -> Exception:
        """Return an error without the values of the statement, and without the driver's details."""
        if isinstance(error, exc.StatementError):
            error.hide_parameters = True
            error.args = tuple(str(part).partition("\n")[0] for part in error.args)
            error.__cause__, error.__context__ = None, None
        return error
