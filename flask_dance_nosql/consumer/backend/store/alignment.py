"""Making two stores alike, one key after the other."""

from __future__ import annotations

import logging
from contextlib import suppress

from msgspec.structs import replace

from ....errors import AccountAlreadyLinked, BackendError, CorruptToken, VersionConflict
from .base import TokenStore
from .document import TokenDocument, TokenKey

log = logging.getLogger(__name__)

_ROUNDS = 10

Followed = tuple[TokenDocument | None, int | None]
"""What the follower has, and its version: 0 for nothing, ``None`` for what can't be read."""


class Alignment:
    """Makes a store that follows like the one that leads, or brings the leader up to it.

    Which document of a key is newer is told by the versions alone, since clocks of servers differ.
    Whoever sees both stores raises the leader to the version of the follower before saving, so that
    what is saved outranks all that was there. Documents with the same version were written at the
    same time, by processes in which either store leads: for all of them, the new store's counts.

    Args:
        leader: The store that is read.
        follower: The other one.
        leads_new: Whether the leader is the new one.
    """

    def __init__(self, leader: TokenStore, follower: TokenStore, *, leads_new: bool) -> None:
        self._leader = leader
        self._follower = follower
        self._leads_new = leads_new
        self._fields = leader.kept_fields & follower.kept_fields
        # Versions that are made of what is in a row tell nothing about the order.
        self._counts = "version" in self._fields

    def outranks(self, following: TokenDocument, leading: TokenDocument) -> bool:
        """Whether the leader has to be brought up to a document of the follower."""
        if not self._counts or following.version < leading.version:
            return False
        return following.version > leading.version or not (
            self._leads_new or leading.is_like(following, self._fields)
        )

    def followed(self, key: TokenKey) -> Followed:
        """Return what the follower has."""
        try:
            following = self._follower.load_fresh(key)
        except CorruptToken:
            return None, None
        return following, 0 if following is None else following.version

    def level(self, key: TokenKey, if_version: int | None) -> tuple[Followed, int | None]:
        """Raise the leader to the follower's version, before something is saved.

        Returns:
            What the follower has, and the version to compare: that of the same document now.
        """
        found = self.followed(key)
        for _ in range(_ROUNDS):
            following, leading = found[0], None
            if self._counts and following is not None:
                leading = self.leading(key)
            if following is None or leading is None or not self.outranks(following, leading):
                break
            try:
                raised = self._bring_up(leading, following)
            except VersionConflict:
                found = self.followed(key)
                continue
            except AccountAlreadyLinked:
                # What is saved is given a higher version afterwards.
                break
            if if_version == leading.version and leading.is_like(following, self._fields):
                if_version = raised.version
            break
        return found, if_version

    def leading(self, key: TokenKey) -> TokenDocument | None:
        """Return what the leader has, if that can be read."""
        with suppress(CorruptToken):
            return self._leader.load_fresh(key)
        return None

    def _bring_up(
        self, leading: TokenDocument, following: TokenDocument, *, is_older: bool = False
    ) -> TokenDocument:
        """Write a document that outranks the leader's to the leader, or just its version."""
        if not is_older and not leading.is_like(following, self._fields):
            return self._leader.put(following, if_version=leading.version)
        raised = replace(leading, version=following.version + is_older)
        return self._leader.save_as(raised, if_version=leading.version)

    def settle(
        self,
        key: TokenKey,
        known: tuple[TokenDocument, Followed] | None = None,
    ) -> TokenDocument | None:
        """Make both stores alike. It raises an error of the follower.

        Args:
            key: The key.
            known: What has just been saved to the leader, and what the follower had before;
                ``None``, the default, to load both.

        Returns:
            What the leader has.
        """
        refused = False
        for _ in range(_ROUNDS):
            try:
                leading, followed = known or self._both(key)
            except CorruptToken:
                return None
            try:
                if leading is None:
                    if self._is_gone(key, followed):
                        return None
                elif self._is_alike(leading, followed, is_older=known is not None):
                    return leading
            except VersionConflict:
                pass
            except AccountAlreadyLinked as error:
                self._settle_owners(key, error, refused=refused)
                refused = True
            known = None
        log.warning("A token is written so often that two stores are not alike yet.")
        return None

    def _settle_owners(self, key: TokenKey, error: AccountAlreadyLinked, *, refused: bool) -> None:
        """Whoever had an account in the store that leads has it no longer."""
        if refused:
            reason = "somebody else has the account there. Look at both records."
            raise BackendError("put", type(self._follower).__name__, reason) from error
        for store in (self._follower, self._leader):
            owner = store.linked(error.provider, error.provider_user_id)
            if owner is not None and owner != key:
                self.settle(owner)

    def _both(self, key: TokenKey) -> tuple[TokenDocument | None, Followed]:
        return self._leader.load_fresh(key), self.followed(key)

    def _is_alike(self, leading: TokenDocument, followed: Followed, *, is_older: bool) -> bool:
        """Whether the follower has what the leader has. If not, it is written, once.

        ``is_older`` says that it was there before the leader's was saved.
        """
        (following, version), key = followed, leading.key
        if following is not None and self.outranks(following, leading):
            self._bring_up(leading, following, is_older=is_older)
            return False
        if leading.grant_ended and not self._follower.keeps_failures:
            # There, it would be a token like any other.
            return self._is_gone(key, followed)
        if following is not None and self._are_same(leading, following):
            return True
        self._follower.put(leading, if_version=version)
        current = self._leader.load_fresh(key)
        return current is not None and current.version == leading.version

    def _are_same(self, leading: TokenDocument, following: TokenDocument) -> bool:
        is_same_version = not self._counts or following.version == leading.version
        return is_same_version and leading.is_like(following, self._fields)

    def _is_gone(
        self, key: TokenKey, followed: Followed, kept_after: TokenDocument | None = None
    ) -> bool:
        """Whether the follower has nothing. If not, it is removed, once.

        Or else it is brought to the leader, if it is another token than ``kept_after``, and later.
        """
        following, version = followed
        if following is None and version is not None:
            return True
        if following and kept_after and self._counts and _is_later(following, kept_after):
            self._leader.put(following, if_version=0)
        else:
            self._follower.delete(key, if_version=version)
        return False

    def clear(self, key: TokenKey, removed: TokenDocument | None, *, keeps_later: bool) -> None:
        """Remove what somebody has brought back who had read it before it was removed from both.

        Args:
            key: The key.
            removed: What was removed, if it could be read.
            keeps_later: Whether another token stays that was written to the follower since.
        """
        has_removed = False
        for _ in range(_ROUNDS):
            with suppress(CorruptToken, VersionConflict):
                leading, followed = self._both(key)
                if leading is None:
                    if self._is_gone(key, followed, removed if keeps_later else None):
                        return
                    has_removed = True
                elif removed and self._counts and leading.version <= removed.version:
                    self._leader.delete(key, if_version=leading.version)
                else:
                    # It was written again. The follower gets it, if its writer has not done that.
                    if has_removed:
                        self.settle(key)
                    return

    def remove_seen(self, key: TokenKey, if_version: int) -> TokenDocument | None:
        """Remove what the follower has of a document that was seen in the leader with a version.

        Returns:
            What the leader has.

        Raises:
            VersionConflict: If there is something else by now in either.
        """
        for _ in range(_ROUNDS):
            # The follower is read first: where it leads, it is written first.
            following, version = self.followed(key)
            leading = self.leading(key)
            if leading is not None and leading.version != if_version:
                break
            if following is not None and self._counts:
                is_like = leading is not None and leading.is_like(following, self._fields)
                is_later = leading is None and following.version > if_version
                if is_later or (leading and not is_like and self.outranks(following, leading)):
                    break
            try:
                if version != 0:
                    self._follower.delete(key, if_version=version)
            except VersionConflict:
                continue
            return leading
        raise self._leader.conflict("delete", key)

    def write_anew(self, key: TokenKey) -> bool:
        """Write what both have once more, as it is.

        The old store comes first: what somebody writes to the new one meanwhile has the same
        version then, and counts.

        Returns:
            Whether both have it.

        Raises:
            VersionConflict: If somebody else writes it meanwhile.
        """
        leading, (following, version) = self._both(key)
        if leading is None or version == 0:
            return False
        if following is None or not self._are_same(leading, following):
            self.settle(key)
            raise self._leader.conflict("save", key)
        pairs = [(self._follower, following), (self._leader, leading)]
        (old, first), (new, second) = pairs if self._leads_new else reversed(pairs)
        saved = old.save_as(first, if_version=first.version)
        if self._counts:
            new.save_as(replace(second, version=saved.version), if_version=second.version)
        else:
            new.save_apart(second, if_version=second.version)
        return True


def _is_later(document: TokenDocument, other: TokenDocument) -> bool:
    """Whether it is another token, and not just the same one written anew."""
    return document.version > other.version and document.token != other.token
