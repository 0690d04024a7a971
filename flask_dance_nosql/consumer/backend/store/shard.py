"""One of several equal parts of a store, so that several processes can walk over it together."""

from __future__ import annotations

from hashlib import sha256

import msgspec


class Shard(msgspec.Struct, frozen=True):
    """Part ``number`` of ``count``, as ``--shard 1/4`` says it.

    Each record is in exactly one part of a count, and in the same one each time. In which is the
    store's choice.

    Args:
        number: Which part, from 1.
        count: How many parts there are.

    Raises:
        ValueError: If there is no such part.

    .. versionadded:: 1.0
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"There is no part {self.number} of {self.count}.")

    @classmethod
    def of_text(cls, text: str) -> Shard:
        """Return the part that a text such as ``1/4`` names, or raise ``ValueError``."""
        number, slash, count = text.partition("/")
        if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
            raise ValueError("A part is given as its number and their count, such as 1/4.")
        return cls(int(number), int(count))

    def has(self, name: str | bytes) -> bool:
        """Whether the record of a name is in this part, where the name decides."""
        text = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
        return int.from_bytes(sha256(text).digest()[:8]) % self.count == self.number - 1
