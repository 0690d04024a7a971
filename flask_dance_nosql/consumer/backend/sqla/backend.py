"""The backend on a store of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from sqlalchemy import Connection

from ....errors import ConfigurationError
from ..options import MoreOptions
from ..scoped import UserScopedBackend
from .columns import Defaults
from .store import SQLAlchemyStore


class SQLAlchemyBackend(UserScopedBackend):
    """Keeps tokens in the table of a SQLAlchemy model, one row for each provider and user.

    Args:
        model: The model; see :class:`SQLAlchemyStore`.
        session: The session; see there.
        user: See :class:`UserScopedBackend`, as for the four that follow and ``options``.
        user_id: The user's id.
        user_required: Whether there must be a user.
        anon_user: The class of anonymous users.
        cache: The cache; none with ``commit=False``, since it would keep what is rolled back.
        commit: Whether writes are committed; see :class:`SQLAlchemyStore`.
        defaults: What a new row needs besides the token; see there.
        tenant: Names the current tenant; see there.
        on_begin: Prepares each connection of the store's own; see there.
        **options: The other options.

    Raises:
        ConfigurationError: If an argument, or a combination of them, is none of these.
    """

    def __init__(
        self,
        model: type[Any],
        session: object,
        user: Any = None,
        user_id: Any = None,
        user_required: bool | None = None,
        anon_user: type | tuple[type, ...] | None = None,
        cache: Any = None,
        *,
        commit: bool = True,
        defaults: Defaults = None,
        tenant: Callable[[], str] | None = None,
        on_begin: Callable[[Connection], object] | None = None,
        **options: Unpack[MoreOptions],
    ) -> None:
        if cache is not None and not commit:
            raise ConfigurationError(
                "commit=False and a cache don't go together: what the session rolls back would "
                "stay in the cache."
            )
        store = SQLAlchemyStore(
            model, session, commit=commit, defaults=defaults, tenant=tenant, on_begin=on_begin
        )
        super().__init__(
            store,
            user=user,
            user_id=user_id,
            user_required=user_required,
            anon_user=anon_user,
            cache=cache,
            **options,
        )
