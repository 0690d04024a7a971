"""One account of a user at a provider."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from ..errors import ConfigurationError, ProviderError
from .backend.base import TokenSlot
from .backend.owner import Who
from .backend.store.values import Token
from .signals import token_deleted, token_saved
from .token import with_expires_at, with_expires_in

log = logging.getLogger(__name__)


class Account:
    """One account of a user at a provider, as :meth:`AccountClient.account` gives it.

    Args:
        blueprint: The blueprint.
        who: Whose account, and which.

    .. versionadded:: 1.0
    """

    def __init__(self, blueprint: Any, who: Who) -> None:
        self._blueprint = blueprint
        self._who = who

    @cached_property
    def session(self) -> Any:
        """A session that calls the provider with the account's token, and refreshes it."""
        session = self._blueprint._make_session()
        session.who = self._who
        return session

    @property
    def token(self) -> Token | None:
        """The account's token, as :attr:`OAuthClient.token` has the current user's."""
        token = self.slot().read().token
        return None if token is None else with_expires_in(token)

    @token.setter
    def token(self, value: Token) -> None:
        slot = self.slot()
        self._blueprint._link(slot, value)
        slot.write(with_expires_at(value))
        self._changed()
        token_saved.send(self._blueprint, user_id=slot.user_id)

    @token.deleter
    def token(self) -> None:
        slot = self.slot()
        slot.erase()
        self._changed()
        token_deleted.send(self._blueprint, user_id=slot.user_id)

    def slot(self) -> TokenSlot:
        """Return the account's token in the backend."""
        slot: TokenSlot = self._blueprint.slot(*self._who)
        return slot

    def revoke(self) -> bool:
        """End the account's grant at the provider, and remove its token.

        It returns and raises what :meth:`OAuth2ConsumerBlueprint.revoke` does.
        """
        is_over: bool = self._blueprint.revoke(*self._who)
        self._changed()
        return is_over

    def disconnect(self) -> bool:
        """Remove the account's token in any case, and end its grant if the provider can be told.

        Returns:
            Whether the provider has confirmed that the grant is over. If not, the user may have to
            remove the application there.

        Raises:
            BackendUnavailable: If the store did not answer. The token may be there still.
        """
        try:
            return self.revoke()
        except (ConfigurationError, ProviderError) as error:
            log.warning("A token is removed here, and not at the provider. %s", error)
        del self.token
        return False

    def _changed(self) -> None:
        if "session" in vars(self):
            del self.session.token
        self._blueprint.forget_token()
