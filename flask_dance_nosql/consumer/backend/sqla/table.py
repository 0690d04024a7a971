"""A store of tokens in a table that there is no model of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, MetaData, Table, exc
from sqlalchemy.orm import registry

from ....errors import BackendUnavailable, ConfigurationError
from .store import SQLAlchemyStore
from .transactions import session_source


def store_of_table(
    session: object,
    table: str = "flask_dance_oauth",
    *,
    user: str | None = "user_id",
    schema: str | None = None,
) -> SQLAlchemyStore:
    """Return a store of the tokens in a table, such as one that Flask-Dance has made.

    The table's columns are read from the database. ``provider`` and ``token`` have to be among
    them, and count as they do in a model of
    :class:`~flask_dance_nosql.consumer.backend.sqla.OAuthConsumerMixin`.

    Args:
        session: A session, a function or proxy that returns one, or a database's URL, as of
            :class:`SQLAlchemyStore`. The database has to be within reach now.
        table: The table's name; default: that of a Flask-Dance model named ``OAuth``.
        user: The name of the column with the user's id; ``None`` if tokens belong to nobody. If the
            table has no ``user_id``, which is the default, it has no users.
        schema: The table's schema; ``None``, the default, for the usual one.

    Raises:
        ConfigurationError: If there is no such table, or it has no such columns.
        BackendUnavailable: If the database did not answer.

    .. versionadded:: 1.0
    """
    source = session_source(session)
    # Its rows are read in whatever way their driver gives JSON, be it text.
    token = Column("token", JSON)
    try:
        found = Table(
            table,
            MetaData(),
            token,
            schema=schema,
            autoload_with=source.get().get_bind(),
            resolve_fks=False,
        )
    except exc.NoSuchTableError:
        raise ConfigurationError(f"The database has no table {table!r}.") from None
    except exc.OperationalError as error:
        reason = f"no answer ({type(error).__name__}). Is the server up and within reach?"
        raise BackendUnavailable("prepare", "SQLAlchemyStore", reason) from None
    has_user = user is not None and user in found.c
    if "provider" not in found.c or (user not in (None, "user_id") and not has_user):
        raise ConfigurationError(
            f"The table {table!r} needs the columns provider and token, and the user's. It has: "
            f"{', '.join(column.name for column in found.c)}."
        )
    model: type[Any] = type("TokenInTable", (), {})
    properties = {"user_id": found.c[user]} if user is not None and has_user else {}
    left_out = [] if user is not None else ["user_id"]
    registry().map_imperatively(model, found, properties=properties, exclude_properties=left_out)
    return SQLAlchemyStore(model, source.get if isinstance(session, str) else session)
