"""What stores have in place of the operations that their authors have written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Protocol
from weakref import WeakSet

from msgspec.structs import replace

from ....errors import BackendError, BackendUnavailable
from .document import TokenDocument, TokenKey
from .entries import is_of_entries, tokens_in

_TEXT_OR_NONE = (str, type(None))

translations: WeakSet[Callable[..., Any]] = WeakSet()
"""All that :func:`translated` has returned."""


class Translating(Protocol):
    """What is needed of a store."""

    unavailable_errors: Any
    driver_errors: Any

    def is_unavailable(self, error: Exception) -> bool: ...  # noqa: D102 - as the store's
    def hint(self, error: Exception) -> str: ...  # noqa: D102 - likewise
    def shown(self, error: Exception) -> Exception: ...  # noqa: D102 - likewise


def translated(operation: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return an operation of a store that raises this package's errors for the driver's."""

    def documents(self: Translating, *args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            found = operation(self, *args, **kwargs)
            # Entries are for those who ask for them.
            yield from found if args[0] and is_of_entries(args[0]) else tokens_in(found)
        except self.unavailable_errors + self.driver_errors as error:
            raise _translation(self, name, error) from self.shown(error)

    @wraps(operation)
    def scanning(
        self: Translating, provider: Any = None, user_id: Any = None, *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        # Here and not when the first document is asked for, far from the mistake.
        key = TokenKey("any" if provider is None else provider, user_id)
        wanted = None if provider is None else key.provider
        return documents(self, wanted, key.user_id, *args, **kwargs)

    @wraps(operation)
    def single(self: Translating, *args: Any, **kwargs: Any) -> Any:
        try:
            return operation(self, *args, **kwargs)
        except self.unavailable_errors + self.driver_errors as error:
            raise _translation(self, name, error) from self.shown(error)

    @wraps(operation)
    def saving(self: Translating, document: TokenDocument, *args: Any, **kwargs: Any) -> Any:
        if (
            type(document.user_id) not in _TEXT_OR_NONE
            or type(document.provider) is not str
            or document.account is not None
        ):
            key = document.key
            document = replace(
                document, provider=key.provider, user_id=key.user_id, account=key.account
            )
        try:
            return operation(self, document, *args, **kwargs)
        except self.unavailable_errors + self.driver_errors as error:
            raise _translation(self, name, error) from self.shown(error)

    kinds: dict[str, Callable[..., Any]] = {
        **dict.fromkeys(("scan", "records"), scanning),
        **dict.fromkeys(("save", "save_apart", "save_as", "put"), saving),
    }
    translation = kinds.get(name, single)
    translations.add(translation)
    return translation


def _translation(store: Translating, operation: str, error: Exception) -> BackendError:
    backend, name = type(store).__name__, type(error).__name__
    if store.is_unavailable(error):
        hint = store.hint(error) or "Is the server up and within reach?"
        return BackendUnavailable(operation, backend, f"no answer ({name}). {hint}")
    return BackendError(operation, backend, f"refused ({name}).")
