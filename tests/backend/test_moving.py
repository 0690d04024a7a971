"""An application moves to another database while it works."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    MovingBackend,
    TokenCipher,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.owner import Who
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import ConfigurationError
from flask_dance_nosql.operations.comparing import compare_tokens
from flask_dance_nosql.operations.copying import copy_tokens

from ..operations.places import store_of_kind

USERS = 24
THREADS = 8
CIPHERS = [TokenCipher(TokenCipher.generate_key()) for _ in range(2)]


def steps(old: TokenStore, new: TokenStore) -> list[Callable[[], UserScopedBackend]]:
    """Return what makes the backend of a process in each step of a move, from first to last.

    Both databases have their own key, as is usual.
    """

    def on(store: TokenStore, cipher: TokenCipher) -> UserScopedBackend:
        return UserScopedBackend(store, cipher=cipher, user_id=1)

    def both(**options: Any) -> MovingBackend:
        return MovingBackend(on(new, CIPHERS[1]), on(old, CIPHERS[0]), **options)

    return [
        lambda: on(old, CIPHERS[0]),
        both,
        lambda: both(leads="new"),
        lambda: on(new, CIPHERS[1]),
    ]


class Traffic:
    """Eight threads, each a process of its own, in which users read, refresh, log in and out."""

    def __init__(self, backend: UserScopedBackend, blueprint: OAuth2ConsumerBlueprint) -> None:
        self.backends = [backend] * THREADS
        self.blueprint = blueprint
        self.failures: list[str] = []
        self.refreshed: Counter[tuple[str, int]] = Counter()
        self.acknowledged = dict.fromkeys(map(str, range(USERS)), 0)
        # Of those who log in and out, what they did last.
        self.connected = {f"x{number}": False for number in range(THREADS)}
        self.done = [0] * THREADS
        self._ended = threading.Event()
        self._moved = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(THREADS)]
        for user_id in self.acknowledged:
            backend.set(blueprint, {"access_token": "at", "n": 0}, user_id=user_id)

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, each: int = 20) -> None:
        """Wait until each thread has done so much more."""
        wanted = [count + each for count in self.done]
        with self._moved:
            assert self._moved.wait_for(
                lambda: self.failures or all(map(int.__ge__, self.done, wanted)), 100
            )

    def deploy(self, make: Callable[[], UserScopedBackend]) -> None:
        """Replace one process after the other."""
        for number in range(THREADS):
            self.backends[number] = make()
            self.go_on(5)

    def _work(self, number: int) -> None:
        chosen, own = random.Random(number), f"x{number}"
        while not self._ended.is_set() and not self.failures:
            backend = self.backends[number]
            try:
                user_id = str(chosen.randrange(USERS))
                if chosen.random() < 0.6:
                    self._read(backend, user_id)
                elif chosen.random() < 0.6:
                    self._refresh(backend, user_id)
                else:
                    self._log_in_or_out(backend, own)
            except Exception as error:  # noqa: BLE001 - any is a failure
                self.failures.append(repr(error))
            with self._moved:
                self.done[number] += 1
                self._moved.notify_all()

    def _read(self, backend: UserScopedBackend, user_id: str) -> None:
        least = self.acknowledged[user_id]
        token = backend.get(self.blueprint, user_id=user_id)
        if token is None or token["n"] < least:
            self.failures.append(f"{user_id} has {token}, and {least} was written")

    def _refresh(self, backend: UserScopedBackend, user_id: str) -> None:
        slot = backend.slot(self.blueprint, Who(user_id=user_id))
        with slot.lease(30.0) as is_ours:
            if not is_ours:
                return
            seen = slot.read(fresh=True)
            assert seen.token is not None
            # Whoever sends a refresh token for the second time is logged out by the provider.
            self.refreshed[user_id, seen.token["n"]] += 1
            slot.write({**seen.token, "n": seen.token["n"] + 1}, seen)
            self.acknowledged[user_id] = seen.token["n"] + 1

    def _log_in_or_out(self, backend: UserScopedBackend, own: str) -> None:
        is_connected = backend.get(self.blueprint, user_id=own) is not None
        if is_connected != self.connected[own]:
            self.failures.append(f"{own} is connected: {is_connected}")
        if is_connected:
            backend.delete(self.blueprint, user_id=own)
        else:
            backend.set(self.blueprint, {"access_token": "own"}, user_id=own)
        self.connected[own] = not is_connected


@pytest.fixture(
    params=[
        ("memory", "memory"),
        ("mongo", "redis"),
        ("redis", "postgresql"),
        ("postgresql", "mongo"),
    ]
)
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[TokenStore, TokenStore]]:
    """An old and a new store, empty."""
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(store_of_kind(kind, request, name))
            for name, kind in zip(("old", "new"), request.param, strict=True)
        )
        yield old, new


def test_traffic_goes_on_through_every_step(
    stores: tuple[TokenStore, TokenStore], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """While processes are replaced one by one, from the old store alone to the new one alone.

    No read fails or gives what is outdated, no write is lost, nobody is logged out or comes back,
    and no refresh token is sent twice.
    """
    first, *others = steps(*stores)
    with Traffic(first(), blueprint) as traffic:
        traffic.go_on()
        for number, make in enumerate(others):
            traffic.deploy(make)
            if number == 0:
                lead = make()
                assert isinstance(lead, MovingBackend)
                copied = copy_tokens(lead.old, lead.new)
                assert copied.left == []
            traffic.go_on()
    assert traffic.failures == []
    assert set(traffic.refreshed.values()) == {1}
    there = others[-1]()
    for user_id, number in traffic.acknowledged.items():
        assert there.get(blueprint, user_id=user_id) == {"access_token": "at", "n": number}
    for own, is_connected in traffic.connected.items():
        assert (there.get(blueprint, user_id=own) is not None) == is_connected


def test_both_are_alike_when_all_is_copied(
    stores: tuple[TokenStore, TokenStore], blueprint: OAuth2ConsumerBlueprint
) -> None:
    """A copy beside traffic leaves no difference, and none is found before the next step."""
    first, second, *_ = steps(*stores)
    with Traffic(first(), blueprint) as traffic:
        traffic.deploy(second)
        backend = second()
        assert isinstance(backend, MovingBackend)
        copy_tokens(backend.old, backend.new)
    compared = compare_tokens(backend.old, backend.new)
    assert (compared.missing, compared.newer, compared.extra) == (0, 0, 0)
    assert traffic.failures == []


def test_whose_and_how_long_is_as_of_the_new_one(blueprint: OAuth2ConsumerBlueprint) -> None:
    """Users, scope and the time that records are kept are those of the new backend."""
    old = UserScopedBackend(MemoryStore(), scope="app")
    new = UserScopedBackend(MemoryStore(), user_id=7, ttl=60, cache=LocalCache())
    backend = MovingBackend(new, old)
    backend.set(blueprint, {"access_token": "at"})
    assert backend.scope == "user"
    for each in (old, new):
        found = each.store.load(TokenKey("demo", "7"))
        assert found is not None
        assert found.expires_at is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda one: MovingBackend(one, one.store),
        lambda one: MovingBackend(MovingBackend(one, one), one),
        lambda one: MovingBackend(one, one, leads="both"),  # type: ignore[arg-type] # that is the mistake
        lambda one: MovingBackend(one, one, fall_through=True),
    ],
)
def test_what_can_not_be_is_told(make: Callable[[Any], object]) -> None:
    """A mistake in an argument is an error where it is made."""
    with pytest.raises(ConfigurationError):
        make(UserScopedBackend(MemoryStore(), user_id=1))
