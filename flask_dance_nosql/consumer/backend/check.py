"""A check of a backend: of its server, its cipher and cache, and of all that is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ...errors import BackendUnavailable, CorruptToken, TokenDecryptError
from .cipher.envelopes import is_sealed, use_of
from .cipher.sealed import sealed_in
from .store.base import TokenStore
from .store.document import TokenDocument, TokenKey
from .store.findings import (
    Finding,
    guarded,
    is_answered,
    ok,
    problem,
    reason_of,
    several,
    warning,
)
from .store.moving import MovingStore
from .store.shard import Shard
from .store.wrapper import StoreWrapper

if TYPE_CHECKING:
    from .cipher.envelope import TokenCipher

_RESEAL = "Run: flask tokens reseal"
_LOST = "Put the key among the fallbacks. If it is lost, the owners of the tokens log in again."


class Wanted(NamedTuple):
    """Which records to look at: the arguments of ``check()``."""

    sample: int | None = None
    except_providers: Collection[str] = ()
    shard: Shard | None = None
    told: Callable[[], object] | None = None


def checked(store: TokenStore, wanted: Wanted) -> list[Finding]:
    """Return what a check of a store finds."""
    if isinstance(store, MovingStore):
        return list(store.each_named(lambda each: checked(each, wanted)))
    found = list(guarded("store", store.checks))
    has_table = not any(
        each.name.startswith("table") and each.status == "problem" for each in found
    )
    if is_answered(found) and has_table:
        found += guarded("records", partial(_walk, store, wanted))
    return found


def _walk(store: TokenStore, wanted: Wanted) -> Iterator[Finding]:
    """Read the records once, as they are stored, and yield how they are."""
    sealed = sealed_in(store)
    counts = _Counts(None if sealed is None else sealed.cipher)
    while isinstance(store, StoreWrapper):
        store = store.inner
    records = iter(store.records(None, None, wanted.shard))
    for record in islice(records, wanted.sample):
        if record.provider not in wanted.except_providers:
            counts.add(record)
        if wanted.told is not None:
            wanted.told()
    is_whole = wanted.shard is None and next(records, None) is None
    yield from counts.findings(is_whole)


class _Counts:
    """What the records are that were read so far."""

    def __init__(self, cipher: TokenCipher | None) -> None:
        self._cipher = cipher
        # If the cipher has no key, tokens that can't be opened are not reported as damaged.
        self._ids = _key_ids(cipher)
        self._can_open = cipher is None or self._ids is not None
        self._total = self._unreadable = self._plain = self._sealed = self._damaged = 0
        # By id; where each tenant has keys, by what the key is to the token's tenant.
        self._used: Counter[str] = Counter()
        self._without_keys: Counter[str] = Counter()
        # Why keys could not be had: those of any tenant, and those of one.
        self._outage: str | None = None
        self._refused: dict[Hashable, str] = {}

    def add(self, record: TokenDocument | CorruptToken) -> None:
        """Count one more."""
        self._total += 1
        if isinstance(record, CorruptToken):
            self._unreadable += 1
        elif record.grant_ended and not record.token:
            # Nothing was left to seal.
            pass
        elif self._cipher is None:
            self._sealed += is_sealed(record.token)
        else:
            self._open(self._cipher, record)

    def _open(self, cipher: TokenCipher, record: TokenDocument) -> None:
        if not is_sealed(record.token):
            self._plain += 1
            return
        key_id, ids = cipher.key_id_of(record.token), self._ids
        if ids == ():
            ids, reason = self._ids_of_tenant(cipher, record.key)
            if reason is not None:
                self._without_keys[reason] += 1
                return
            if not ids:
                self._without_keys["there are none"] += 1
                return
            self._used[use_of(key_id, ids)] += bool(key_id)
        elif key_id:
            self._used[key_id] += 1
        if ids is not None and (not key_id or key_id in ids):
            try:
                cipher.open(record.key, record.token)
            except TokenDecryptError:
                self._damaged += 1

    def _ids_of_tenant(
        self, cipher: TokenCipher, key: TokenKey
    ) -> tuple[tuple[str, ...], str | None]:
        """Return the ids of the keys for a token, or why there are none: each is asked for once.

        A service that does not answer is not asked again in this walk, by no tenant's token: each
        question may take as long as its time limit.
        """
        reason, tenant = self._outage, None
        try:
            if reason is None:
                tenant = cipher.tenant_of(key)
                reason = self._refused.get(tenant)
            return (cipher.key_ids(key) if reason is None else ()), reason
        except BackendUnavailable as error:
            self._outage = reason = reason_of(error)
        except Exception as error:  # noqa: BLE001 - it is the application's function
            reason = self._refused[tenant] = reason_of(error)
        return (), reason

    def findings(self, is_whole: bool) -> Iterator[Finding]:
        """Yield how the records are."""
        looked_at = several(self._total, "record")
        message = f"{looked_at} {'was' if self._total == 1 else 'were'} read"
        message += "." if is_whole else ", and there are more."
        yield ok("records", message)
        if self._unreadable:
            message = f"{several(self._unreadable, 'record')} can't be read as token documents."
            advice = (
                "List them by: flask tokens list --state unreadable. Remove what can't be mended "
                "by: flask tokens purge --unreadable. The application raises CorruptToken for "
                "their owners until they log in again."
            )
            yield problem("unreadable records", message, advice)
        else:
            yield ok("unreadable records", "All can be read.")
        if self._cipher is None:
            if self._sealed:
                are = several(self._sealed, "token is", "tokens are")
                advice = "Give the backend the cipher that sealed them."
                yield problem("cipher", f"{are} encrypted; there is no cipher.", advice)
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
        yield from self._of_keys(is_whole) if self._ids else self._of_tenants()
        if self._damaged:
            count = several(self._damaged, "token")
            message = f"{count} can't be opened by the key that is named in them."
            advice = "They were changed, or copied from another record. Their owners log in again."
            yield problem("damaged tokens", message, advice)

    def _of_tenants(self) -> Iterator[Finding]:
        used = self._used
        yield ok("key", f"{several(used['current'], 'token')} under the key of their tenant.")
        if count := used["fallback"]:
            message = f"{several(count, 'token')} under a fallback key of their tenant."
            yield warning("fallback key", message, f"{_RESEAL}. Then the key can go.")
        if count := used["missing"]:
            message = f"{several(count, 'token')} under a key that their tenant has not."
            yield problem("missing key", message, _LOST)
        for reason, count in self._without_keys.items():
            message = f"The keys for {several(count, 'token')} could not be had: {reason}."
            advice = "Let the function of the TenantCipher return keys, or delete these tokens."
            yield problem("keys of tenants", message, advice)

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
            yield problem("missing key", message, _LOST)


def _key_ids(cipher: TokenCipher | None) -> tuple[str, ...] | None:
    try:
        return None if cipher is None else cipher.key_ids()
    except Exception:  # noqa: BLE001 - an application's function; the cipher's check tells of it
        return None
