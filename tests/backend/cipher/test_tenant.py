"""Keys of tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import TenantCipher, TokenCipher, TokenKey
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError, TokenDecryptError
from flask_dance_nosql.testing import at_once

ADA, BOB, ADA_AT_ACME = (
    TokenKey("github", "ada"),
    TokenKey("github", "bob"),
    TokenKey("acme", "ada"),
)
TOKEN = {"access_token": "at"}


class Service:
    """A key service, which counts how often it is asked for whose keys."""

    def __init__(self) -> None:
        self.keys: dict[Any, Any] = {}
        self.asked: Counter[Any] = Counter()
        self.is_down = False

    def __call__(self, key: TokenKey) -> Any:
        self.asked[key.user_id] += 1
        if self.is_down:
            raise BackendUnavailable("open", "key service")
        keys = self.keys.setdefault(key.user_id, TokenCipher.generate_key())
        if isinstance(keys, Exception):
            raise keys
        return keys


@pytest.fixture
def service() -> Service:
    """A key service."""
    return Service()


@pytest.fixture
def move_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of this process to so many seconds."""
    return lambda seconds: monkeypatch.setattr(clock, "monotonic", lambda: seconds)


def test_each_tenant_has_a_key(service: Service) -> None:
    """What is sealed with a tenant's key opens with no other's."""
    cipher = TenantCipher(service)
    sealed = {key: cipher.seal(key, TOKEN) for key in (ADA, BOB)}
    assert all(cipher.open(key, each) == TOKEN for key, each in sealed.items())
    assert cipher.key_id_of(sealed[ADA]) == cipher.key_ids(ADA)[0] != cipher.key_ids(BOB)[0]
    assert TokenCipher(service.keys["ada"]).open(ADA, sealed[ADA]) == TOKEN
    with pytest.raises(TokenDecryptError):
        TokenCipher(service.keys["bob"]).open(ADA, sealed[ADA])


def test_keys_are_remembered_for_a_time(
    service: Service, move_clock: Callable[[float], None]
) -> None:
    """The service is asked once for each tenant, and again when the time is up."""
    cipher = TenantCipher(service, seconds=60)
    for seconds, asked in ((0, 1), (59.9, 1), (60, 2), (119, 2)):
        move_clock(seconds)
        for key in (ADA, ADA_AT_ACME, BOB):
            cipher.open(key, cipher.seal(key, TOKEN))
        assert service.asked == {"ada": asked, "bob": asked}


def test_the_keys_of_so_many_tenants_are_remembered(service: Service) -> None:
    """Those that were met last, and no more than ``maxsize``."""
    cipher = TenantCipher(service, maxsize=2)
    for user_id in ("1", "2", "1", "3", "1", "2"):
        cipher.seal(TokenKey("github", user_id), TOKEN)
    assert service.asked == {"1": 1, "2": 2, "3": 1}


def test_what_tells_tenants_apart(service: Service) -> None:
    """Users of a tenant share what is remembered, by what the second function says."""
    cipher = TenantCipher(service, lambda key: key.provider)
    cipher.open(BOB, cipher.seal(ADA, TOKEN) and cipher.seal(BOB, TOKEN))
    assert service.asked == {"ada": 1}


def test_fallbacks(service: Service) -> None:
    """A list is the key that seals, and those that only open."""
    old, new = (TokenCipher.generate_key() for _ in range(2))
    service.keys["ada"] = old
    cipher = TenantCipher(service, seconds=0)
    sealed = cipher.seal(ADA, TOKEN)
    service.keys["ada"] = [new, old]
    assert cipher.open(ADA, sealed) == TOKEN
    assert cipher.key_id_of(sealed) == cipher.key_ids(ADA)[1]
    service.keys["ada"] = (new,)
    with pytest.raises(TokenDecryptError):
        cipher.open(ADA, sealed)


def test_a_service_that_does_not_answer(service: Service) -> None:
    """Its error reaches the caller, and the next call asks again."""
    cipher = TenantCipher(service)
    service.is_down = True
    with pytest.raises(BackendUnavailable):
        cipher.seal(ADA, TOKEN)
    service.is_down = False
    assert cipher.open(ADA, cipher.seal(ADA, TOKEN)) == TOKEN


@pytest.mark.parametrize("keys", ["no key", "", [7], ["no key"]])
def test_what_is_no_key_is_told(service: Service, keys: Any) -> None:
    """It is an error that says what a key is, and shows nothing."""
    service.keys["ada"] = keys
    with pytest.raises(ConfigurationError, match=r"flask tokens generate-key") as caught:
        TenantCipher(service).seal(ADA, TOKEN)
    assert "no key" not in str(caught.value)


@pytest.mark.parametrize("keys", [[], None, (), KeyError("ada"), IndexError()], ids=repr)
def test_a_tenant_without_keys(service: Service, keys: Any) -> None:
    """Its tokens can't be opened, none is sealed, and other tenants' are."""
    cipher = TenantCipher(service, seconds=0)
    sealed = cipher.seal(ADA, TOKEN)
    service.keys["ada"] = keys
    with pytest.raises(TokenDecryptError):
        cipher.open(ADA, sealed)
    with pytest.raises(ConfigurationError, match="without keys"):
        cipher.seal(ADA, TOKEN)
    assert cipher.key_ids(ADA) == ()
    assert cipher.open(BOB, cipher.seal(BOB, TOKEN)) == TOKEN


def test_a_key_that_is_not_known_yet(service: Service, move_clock: Callable[[float], None]) -> None:
    """Who meets a token under a tenant's new key asks for it, but not again and again."""
    move_clock(0.0)
    cipher, other = TenantCipher(service), TenantCipher(service)
    before = cipher.seal(ADA, TOKEN)
    service.keys["ada"] = [TokenCipher.generate_key(), service.keys["ada"]]
    after = other.seal(ADA, TOKEN)
    move_clock(1.0)
    assert cipher.open(ADA, after) == cipher.open(ADA, before) == TOKEN
    assert service.asked == {"ada": 3}
    unknown = TokenCipher(TokenCipher.generate_key()).seal(ADA, TOKEN)
    for moment in (1.1, 1.9, 2.5, 2.6):
        move_clock(moment)
        with pytest.raises(TokenDecryptError):
            cipher.open(ADA, unknown)
    assert service.asked == {"ada": 4}


def test_many_threads(service: Service) -> None:
    """Threads that need the same keys at once all get them."""
    cipher = TenantCipher(service, maxsize=2)
    keys = [TokenKey("github", str(number % 4)) for number in range(16)]
    service.keys |= {str(number): TokenCipher.generate_key() for number in range(4)}
    found = at_once(16, lambda n: cipher.open(keys[n], cipher.seal(keys[n], TOKEN)))
    assert found == [TOKEN] * 16


@pytest.mark.parametrize("options", [{"maxsize": 0}, {"maxsize": True}, {"seconds": -1}])
def test_what_can_not_be_is_told(service: Service, options: dict[str, Any]) -> None:
    """A mistake in an argument is an error where it is made."""
    with pytest.raises(ConfigurationError):
        TenantCipher(service, **options)


def test_no_keys_are_everybodys(service: Service) -> None:
    """Without a tenant there are no ids to tell, and nothing is sealed."""
    cipher = TenantCipher(service)
    assert cipher.key_ids() == ()
    assert repr(cipher) == "<TenantCipher allow_plaintext=False>"


def test_a_tenant_who_gets_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had none has them at the next login, and is read with them a second later."""
    keys: dict[str | None, str] = {}
    asked: list[TokenKey] = []

    def keys_for(key: TokenKey) -> str | None:
        asked.append(key)
        return keys.get(key.user_id)

    cipher, key, now = TenantCipher(keys_for), TokenKey("acme", "ann"), 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    with pytest.raises(ConfigurationError, match="without keys"):
        cipher.seal(key, {"access_token": "at"})
    assert len(asked) == 1
    keys["ann"] = TokenCipher.generate_key()
    sealed = cipher.seal(key, {"access_token": "at"})
    assert cipher.open(key, sealed) == {"access_token": "at"}
    assert len(asked) == 2
    other = TenantCipher(keys_for)
    del keys["ann"]
    assert other.key_ids(key) == ()
    keys["ann"] = TokenCipher.generate_key()
    assert other.key_ids(key) == ()
    now += 1.0
    assert len(other.key_ids(key)) == 1
