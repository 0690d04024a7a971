"""A backend for the time in which tokens move from one database to another."""

from __future__ import annotations

from typing import Literal

from ...errors import ConfigurationError
from .scoped import UserScopedBackend
from .scoped_slot import StoreBackend
from .store.moving import MovingStore


class MovingBackend(UserScopedBackend):
    """Keeps tokens in two backends while an application moves from one to the other, at work.

    Deploy it in two steps, between those with ``old`` and with ``new`` alone. Processes of each
    step may run beside those of the step before and the one after:

    1. ``MovingBackend(new, old)``: ``old`` leads. It is read, and what is written there is written
       to ``new``, too. ``flask tokens copy`` brings over all the rest.
    2. ``MovingBackend(new, old, leads="new")``: the same the other way round. Run ``flask tokens
       copy`` once more when all processes have it, and before any has ``new`` alone.

    A token is removed from both, and a refresh takes the lock where the processes of the steps on
    both sides look for it. Which of two tokens is newer is told by their versions. If the one that
    does not lead can't be reached, or refuses a token, tokens are read and written all the same,
    but none is removed; what it lacks then is copied over by ``flask tokens copy``, which tells
    whether there is a difference with ``--verify``. See :doc:`/moving`.

    Whose tokens they are, and how long they are kept, is as of ``new``; each of the two has its own
    cipher and cache.

    Args:
        new: Where tokens move to: a ``MongoBackend``, a ``RedisBackend``, an ``SQLAlchemyBackend``
            or a :class:`UserScopedBackend` on any store.
        old: Where they are, likewise.
        leads: Which one is read, and decides whether there is a token: ``"old"``, the default, or
            ``"new"``.
        fall_through: Whether what ``new`` lacks is looked for in ``old``, and moved over by whoever
            reads it. It needs ``leads="new"``, and is for applications of which all processes are
            started anew at the same time. No process may then have ``new`` alone before
            ``flask tokens copy`` is done and this is off again: what such a process removes would
            come back. Default: no.

    Attributes:
        new: As above.
        old: Likewise.
        leads: Likewise.
        falls_through: Whether ``fall_through`` is on.

    Raises:
        ConfigurationError: If an argument is none of these.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        new: UserScopedBackend,
        old: UserScopedBackend,
        *,
        leads: Literal["old", "new"] = "old",
        fall_through: bool = False,
    ) -> None:
        for each in (new, old):
            if isinstance(each, MovingBackend) or not _has_store(each):
                kind = type(each).__name__
                raise ConfigurationError(
                    "MovingBackend takes two backends with a store, such as a MongoBackend and a "
                    f"RedisBackend. This is a {kind}."
                )
        if leads not in ("old", "new") or (fall_through and leads == "old"):
            raise ConfigurationError(
                "leads is 'old' or 'new', and fall_through needs leads='new'. See 'Moving to "
                "another database' in the documentation."
            )
        self.new = new
        self.old = old
        self.leads = leads
        self.falls_through = fall_through
        StoreBackend.__init__(self, self.joined(), new._owners, new._ttl)
        # What a blueprint adds to them is known to those who copy, too.
        new.marks = old.marks = self.marks

    def joined(self) -> MovingStore:
        """Return a store made of those that the two backends have now."""
        new, old = self.new.store, self.old.store
        return MovingStore(new, old, leads_new=self.leads == "new", falls=self.falls_through)


def _has_store(backend: object) -> bool:
    return isinstance(backend, UserScopedBackend)
