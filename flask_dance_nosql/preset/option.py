"""The options of a factory: what each is, and what it does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from ..consumer.settings import Argument
from ..errors import ConfigurationError

HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
"""A host name, with or without a port."""

WORD = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
"""A part of a host name or of a path."""


class Option(Argument):
    """An argument of a factory, and what it does; see :func:`option`."""

    def __init__(
        self, help: str, default: Any, pattern: str | None, kw_only: bool, **does: Any
    ) -> None:
        super().__init__(default=default, kw_only=kw_only)
        self.help = help
        self.pattern = pattern
        self.adds: str | None = does.get("adds")
        self.otherwise: str | None = does.get("otherwise")
        self.texts: Mapping[Any, str] | None = does.get("texts")
        self.refreshes: bool = does.get("refreshes", False)
        self.names: str | None = does.get("names")
        self.ends: str = does.get("ends", "")

    def check(self, value: object, where: str) -> None:
        """Raise :class:`ConfigurationError` for a value of another type, or one that may not be."""
        super().check(value, where)
        if not self.pattern or value is None or (self.ends and value == ""):
            return
        if not re.fullmatch(self.pattern, str(value)):
            raise ConfigurationError(f"{where} can't be {value!r}: {self.help}")


def option(  # noqa: D417 - the last ones are told together
    help: str,
    *,
    default: Any = Parameter.empty,
    pattern: str | None = None,
    kw_only: bool = True,
    **does: Any,
) -> Any:
    """Declare an option of a factory.

    Args:
        help: What it is for, in a sentence.
        default: Its default; without one it is required.
        pattern: What a text for it matches as a whole. It needs one to be part of a URL.
        kw_only: Whether it is given by name only.
        adds: The parameter of the authorization URL that it adds if it is set, as ``name=value``,
            with ``{}`` for the option's own value. Those of several options are joined by spaces.
        otherwise: What it adds if it is not set.
        texts: What its values are as part of a URL, if not themselves.
        refreshes: Whether the provider issues a refresh token if it is set.
        names: The argument that it is another name of.
        ends: What stands behind its value as part of a URL. Without a value there is neither.
    """
    return Option(help, default, pattern, kw_only, **does)


OFFLINE = option("Get a refresh token.", default=False, adds="access_type=offline", refreshes=True)
CONSENT = option("Ask for the consent anew.", default=False, adds="prompt=consent")
USER_AGENT = option(
    "What the app calls itself.", default="Flask-Dance-NoSQL", pattern=r"[ -~]{1,200}"
)
