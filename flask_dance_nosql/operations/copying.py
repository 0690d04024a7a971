"""Copying tokens from one store to another."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ..consumer.backend.store.document import TokenDocument, TokenKey
from ..consumer.backend.store.shard import Shard
from ..errors import AccountAlreadyLinked, CorruptToken, VersionConflict
from .comparing import Likeness, Place, documents_in, marks_of, remove_document
from .found import LeftRecords, Told, left_if_it_fails, require_keys, store_of

# How often one record is tried again if somebody else writes it while it is copied.
_ROUNDS = 10
# A target that lacks so many records in a row is empty, and is not read yet: it is written to
# without a look before. Where it is read, a token that was removed from both must not come back.
_EMPTY = 100


@dataclass
class Copied:
    """What :func:`copy_tokens` has found and done. Nothing in it is secret.

    Attributes:
        records: How many records of the source it has looked at.
        copied: How many it has copied or, if nothing was to be written, how many it would have.
        same: How many the target had already.
        newer: How many the target has in a newer form, which stay as they are.
        ended: How many are over, or were removed meanwhile.
        left: Those that could not be copied: the first thousand, each with its reason, and the
            ``total``.

    .. versionadded:: 1.0
    """

    records: int = 0
    copied: int = 0
    same: int = 0
    newer: int = 0
    ended: int = 0
    left: LeftRecords = field(default_factory=LeftRecords)


def copy_tokens(
    source: Place,
    target: Place,
    provider: str | None = None,
    shard: Shard | None = None,
    *,
    dry_run: bool = False,
    told: Told | None = None,
) -> Copied:
    """Copy tokens from one backend to another, whatever their databases are, beside live traffic.

    Tokens are opened with the source's cipher and sealed with the target's. Their dates, their
    accounts, how refreshes of them failed and, where the target's database can, their versions are
    kept, and the entries by which accounts and names are found are made in the target. Of two
    records of one key the newer one stays. One that is written or removed in the source while it is
    copied is looked at again.

    It may be stopped at any time and called again, and passes over what is there already. What is
    written to the source alone after a record was copied takes another call, and what is removed
    there is told by :func:`compare_tokens`; with a
    :class:`~flask_dance_nosql.consumer.backend.MovingBackend` at work, there is neither. It takes
    as much memory for many tokens as for few.

    Args:
        source: A backend or a store.
        target: Likewise.
        provider: Only tokens of this provider; ``None``, the default, for all.
        shard: Only this part of the source; ``None``, the default, for all.
        dry_run: Whether to write nothing; default: no.
        told: Called after each record; ``None``, the default, for nothing.

    Returns:
        What was found and done.

    Raises:
        ConfigurationError: If the target can't keep what is to be copied: accounts, for one. Or if
            a cipher has no key.
        BackendUnavailable: If one of them did not answer.

    .. versionadded:: 1.0
    """
    copying = _Copying(source, target, dry_run=dry_run)
    result = copying.result

    def counted() -> None:
        result.records += 1
        if told is not None:
            told()

    for document in documents_in(copying.source, provider, shard, result.left, counted):
        copying.require(document)
        with left_if_it_fails(document.key, result.left):
            copying.copy(document)
    return result


class _Copying:
    """One call of :func:`copy_tokens`."""

    def __init__(self, source: Place, target: Place, *, dry_run: bool) -> None:
        self.source = store_of(source)
        self.result = Copied()
        self._target = store_of(target)
        require_keys(self.source, self._target)
        self._likeness = Likeness(self.source, self._target)
        self._marks = marks_of(source, target)
        self._dry_run = dry_run
        # How many records in a row the target did not have.
        self._missing = 0

    def require(self, document: TokenDocument) -> None:
        """Make sure that the target can keep what a document has."""
        if self._is_ended(document):
            return
        if document.account is not None:
            self._target.require_accounts()
        if document.expires_at is not None:
            self._target.require_expiry()

    def _is_ended(self, document: TokenDocument) -> bool:
        return document.expired or (document.grant_ended and not self._target.keeps_failures)

    def copy(self, document: TokenDocument) -> None:
        """Bring a document of the source over, and count it."""
        outcome = self._copy_freely(document)
        if outcome == "left":
            reason = "it is written again and again. Copy it again."
            self.result.left.note(document.key, reason)
        else:
            setattr(self.result, outcome, getattr(self.result, outcome) + 1)

    def _copy_freely(self, document: TokenDocument) -> str:
        try:
            return self._copy_marked(document)
        except AccountAlreadyLinked as error:
            owner = self._target.linked(error.provider, error.provider_user_id)
            if owner is None or not self._brings_up_to_date(owner, error.provider_user_id):
                raise
        return self._copy_marked(document)

    def _brings_up_to_date(self, owner: TokenKey, account: str) -> bool:
        """Take an account from an owner in the target who has it in the source no longer."""
        now, there = self.source.load_fresh(owner), self._target.load_fresh(owner)
        if there is None or (now is not None and now.provider_user_id == account):
            return False
        if now is not None:
            return self._copy_marked(now) == "copied"
        return remove_document(self._target, there, self._marks)

    def _copy_marked(self, document: TokenDocument) -> str:
        names_of = self._marks.get(document.provider)
        names = set() if names_of is None or self._dry_run else names_of(document.token)
        if names:
            self._target.mark(document.key, names)
        outcome = self._copy(document)
        if names and outcome == "copied":
            # Before the document was there, another process may have removed its entries as unused.
            self._target.mark(document.key, names)
        return outcome

    def _copy(self, document: TokenDocument) -> str:
        """Bring a document over, unless the target has a newer one. Returns what came of it."""
        key = document.key
        current: TokenDocument | None = None
        if_version: int | None = 0
        is_looked_at = self._dry_run or self._missing < _EMPTY
        if is_looked_at:
            current, if_version = self._there(key)
            self._missing = self._missing + 1 if current is None else 0
        for _ in range(_ROUNDS):
            if is_looked_at and not (current and self._likeness.are_same(document, current)):
                # Read the source after the target: a change of both since then shows here.
                again = self.source.load_fresh(key)
                if again is None:
                    return "ended"
                document = again
            if (outcome := self._outcome(document, current)) is not None:
                return outcome
            try:
                saved = self._target.put(document, if_version)
            except VersionConflict:
                current, if_version = self._there(key)
                self._missing, is_looked_at = 0, True
                continue
            # An application that writes to the source alone may have changed it since it was read.
            now = self.source.load_fresh(key)
            if now is None:
                with suppress(VersionConflict):
                    self._target.delete(key, if_version=saved.version)
                return "ended"
            if now.version == document.version:
                return "copied"
            document, current, if_version = now, None, saved.version
            is_looked_at = False
        return "left"

    def _there(self, key: TokenKey) -> tuple[TokenDocument | None, int | None]:
        """Return what the target has, and its version; a record that can't be read is replaced."""
        try:
            current = self._target.load_fresh(key)
        except CorruptToken:
            return None, None
        return current, 0 if current is None else current.version

    def _outcome(self, document: TokenDocument, current: TokenDocument | None) -> str | None:
        """Return what is to be told of a document that need not be written, or ``None``."""
        if self._is_ended(document):
            return "ended"
        if current is not None:
            if self._likeness.are_same(document, current):
                return "same"
            if self._likeness.is_newer(current, document):
                return "newer"
        return "copied" if self._dry_run else None
