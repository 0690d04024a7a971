"""The backend on a store of SQLAlchemy."""

from __future__ import annotations

from typing import Any, Unpack

from ....errors import ConfigurationError
from ..options import MoreOptions
from ..scoped import UserScopedBackend
from .store import Defaults, SQLAlchemyStore


class SQLAlchemyBackend(UserScopedBackend):
    """Keeps tokens in the table of a SQLAlchemy model, one row for each provider and user.

    Args:
        model: As of :class:`SQLAlchemyStore`.
        session: As there.
        user: As of :class:`UserScopedBackend`, like the others up to ``cache``.
        user_id: As there.
        user_required: As there.
        anon_user: As there.
        cache: As there.
        commit: As of :class:`SQLAlchemyStore`.
        defaults: As there.
        **options: The others of :class:`UserScopedBackend`.

    Raises:
        ConfigurationError: As of these two, and if there is a cache although the session commits:
            it would keep what is rolled back.
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
        **options: Unpack[MoreOptions],
    ) -> None:
        if cache is not None and not commit:
            raise ConfigurationError(
                "commit=False and a cache don't go together: what the session rolls back would "
                "stay in the cache."
            )
        store = SQLAlchemyStore(model, session, commit=commit, defaults=defaults)
        super().__init__(
            store,
            user=user,
            user_id=user_id,
            user_required=user_required,
            anon_user=anon_user,
            cache=cache,
            **options,
        )
