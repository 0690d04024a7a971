"""A check of a backend: of its server, its cipher and cache, and of all that is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ...errors import CorruptToken, TokenDecryptError
from .cipher.sealed import SealedStore
from .store.base import TokenStore
from .store.document import TokenDocument
from .store.findings import Finding, guarded, is_answered, ok, problem, several, warning
from .store.wrapper import StoreWrapper

if TYPE_CHECKING:
    from .cipher.envelope import TokenCipher

_RESEAL = "Run: flask tokens reseal"


def checked(
    store: TokenStore, sample: int | None = None, except_providers: Collection[str] = ()
) -> list[Finding]:
    """Return what a check of a store finds; the arguments are those of ``check()``."""
    found = list(guarded("store", store.checks))
    if is_answered(found):
        found += guarded("records", partial(_walk, store, sample, except_providers))
    return found


def _walk(
    store: TokenStore, sample: int | None, except_providers: Collection[str]
) -> Iterator[Finding]:
    """Read the records once, as they are stored, and yield how they are."""
    cipher: TokenCipher | None = None
    while isinstance(store, StoreWrapper):
        if isinstance(store, SealedStore):
            cipher = store.cipher
        store = store.inner
    counts = _Counts(cipher)
    records = iter(store.records())
    for record in records if sample is None else islice(records, sample):
        if record.provider not in except_providers:
            counts.add(record)
    is_whole = sample is None or next(records, None) is None
    yield from counts.findings(is_whole)


class _Counts:
    """What the records are that were read so far."""

    def __init__(self, cipher: TokenCipher | None) -> None:
        self._cipher = cipher
        # Without a key, that each token can't be opened is not the tokens' fault.
        self._ids = _key_ids(cipher)
        self._can_open = cipher is None or self._ids is not None
        self._total = self._unreadable = self._plain = self._sealed = self._damaged = 0
        self._used: Counter[str] = Counter()

    def add(self, record: TokenDocument | CorruptToken) -> None:
        """Count one more."""
        self._total += 1
        if isinstance(record, CorruptToken):
            self._unreadable += 1
        elif record.grant_ended and not record.token:
            # Nothing was left to seal.
            pass
        elif self._cipher is None:
            self._sealed += set(record.token) == {"sealed"}
        else:
            self._open(self._cipher, record)

    def _open(self, cipher: TokenCipher, record: TokenDocument) -> None:
        key_id = cipher.key_id_of(record.token)
        is_sealed = set(record.token) == {"sealed"}
        if not is_sealed:
            self._plain += 1
            return
        if key_id is not None:
            self._used[key_id] += 1
        if self._ids is not None and (key_id is None or key_id in self._ids):
            try:
                cipher.open(record.key, record.token)
            except TokenDecryptError:
                self._damaged += 1

    def findings(self, is_whole: bool) -> Iterator[Finding]:
        """Yield how the records are."""
        looked_at = several(self._total, "record")
        message = f"{looked_at} {'was' if self._total == 1 else 'were'} read"
        message += "." if is_whole else ", and there are more."
        yield ok("records", message)
        if self._unreadable:
            message = f"{several(self._unreadable, 'record')} can't be read as token documents."
            advice = (
                "See the log for which they are. Mend them, or delete them: the application raises "
                "CorruptToken for their owners until they log in again."
            )
            yield problem("unreadable records", message, advice)
        else:
            yield ok("unreadable records", "All can be read.")
        if self._cipher is None:
            if self._sealed:
                message = f"{several(self._sealed, 'token')} are encrypted; there is no cipher."
                yield problem("cipher", message, "Give the backend the cipher that sealed them.")
        elif self._can_open:
            yield from self._of_cipher(self._cipher, is_whole)

    def _of_cipher(self, cipher: TokenCipher, is_whole: bool) -> Iterator[Finding]:
        if self._plain and cipher.allow_plaintext:
            message = f"{several(self._plain, 'token is', 'tokens are')} not encrypted."
            yield warning("plain tokens", message, f"{_RESEAL}. Then take allow_plaintext away.")
        elif self._plain:
            message = f"{several(self._plain, 'token is', 'tokens are')} not encrypted, nor used."
            advice = "Give the cipher allow_plaintext=True. Then run: flask tokens reseal"
            yield problem("plain tokens", message, advice)
        elif cipher.allow_plaintext and is_whole:
            message = "All tokens are encrypted, and the cipher takes those that are not."
            yield warning("plain tokens", message, "Take allow_plaintext=True away.")
        else:
            yield ok("plain tokens", "There are none.")
        yield from self._of_keys(is_whole)
        if self._damaged:
            count = several(self._damaged, "token")
            message = f"{count} can't be opened by the key that is named in them."
            advice = "They were changed, or copied from another record. Their owners log in again."
            yield problem("damaged tokens", message, advice)

    def _of_keys(self, is_whole: bool) -> Iterator[Finding]:
        current, *fallbacks = self._ids or ("",)
        yield ok("key", f"{several(self._used[current], 'token')} under the key {current}.")
        for each in fallbacks:
            if count := self._used[each]:
                message = f"{several(count, 'token')} under the fallback key {each}."
                yield warning("fallback key", message, f"{_RESEAL}. Then the key can go.")
            elif is_whole and not self._unreadable:
                message = f"No token is under the fallback key {each}."
                advice = (
                    "Take it away, once no other store, session, cache or backup needs it. It is "
                    "the one of FLASK_DANCE_TOKEN_KEY_FALLBACKS with this id."
                )
                yield warning("fallback key", message, advice)
        for each in sorted(self._used.keys() - {current, *fallbacks}):
            tokens = several(self._used[each], "token")
            message = f"{tokens} under the key {each}, which is not here, can't be opened."
            advice = (
                "Put the key among the fallbacks. If it is lost, the owners of the tokens log in "
                "again."
            )
            yield problem("missing key", message, advice)


def _key_ids(cipher: TokenCipher | None) -> tuple[str, ...] | None:
    try:
        return None if cipher is None else cipher.key_ids()
    except Exception:  # noqa: BLE001 - an application's function; the cipher's check tells of it
        return None
