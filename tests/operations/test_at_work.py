"""Resealing and copying beside live traffic, by processes that are killed and begin again.

``OPERATIONS_TOKENS`` says with how many tokens, 60 unless told else, and ``OPERATIONS_CHAIN`` from
where to where they are copied, such as ``redis postgresql redis``.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import (
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.errors import VersionConflict
from flask_dance_nosql.operations.comparing import compare_tokens
from flask_dance_nosql.operations.resealing import reseal
from flask_dance_nosql.testing import make_document

from ..processes import Forked
from .places import KINDS, address_of, key_of, put_quickly, store_at
from .worker import STEP

TOKENS = int(os.environ.get("OPERATIONS_TOKENS", "60"))
CHAIN = os.environ.get("OPERATIONS_CHAIN", "mongo redis postgresql mongo").split()
TIMEOUT = 100 + TOKENS // 20
PAGE = 1000
Place = tuple[str, str, str, list[Any]]

pytestmark = pytest.mark.timeout(TIMEOUT * 3)


class Worker:
    """A process that reseals or copies.

    Args:
        places: What to reseal, or the source and the target of a copy: the kind of a store, its
            address, its name, and the arguments of its cipher.
    """

    def __init__(self, *places: Place) -> None:
        self.lines: list[dict[str, Any]] = []
        self._process = Forked("tests.operations.worker", json.dumps({"places": places}))

    def read(self, count: int | None = None) -> dict[str, Any]:
        """Read lines until so many records are done, or the end, and return the last one."""
        for line in self._process.stdout:
            self.lines.append(json.loads(line))
            if count is not None and self.lines[-1]["records"] >= count:
                break
        return self.lines[-1]

    def kill(self) -> None:
        """Kill it, as a machine that is switched off does."""
        self._process.kill()
        self._process.communicate()

    def result(self) -> dict[str, Any]:
        """Wait for its end, and return what it has found."""
        found = self.read()
        self._process.communicate()
        assert self._process.returncode == 0
        return found


class Traffic:
    """Four threads that read tokens and two that write, each write from what was read.

    Args:
        backend: The backend.
        count: How many tokens there are, whose ``n`` is 0.
    """

    def __init__(self, backend: UserScopedBackend, count: int) -> None:
        self.written = dict.fromkeys(map(key_of, range(count)), 0)
        self.failures: list[str] = []
        self.reads = 0
        self._store = backend.store
        self._keys = list(self.written)
        self._ended = threading.Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Let it go on during the block."""
        self._ended.clear()
        threads = [threading.Thread(target=self._run, args=(self._read, n)) for n in range(4)]
        # Each writer has keys of its own: what it wrote last is what has to be there.
        threads += [threading.Thread(target=self._run, args=(self._write, n)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _run(self, work: Any, number: int) -> None:
        chosen = random.Random(number)
        keys = self._keys[number::2] if work == self._write else self._keys
        while not self._ended.wait(0.005):
            try:
                work(chosen.choice(keys))
            except Exception as error:  # noqa: BLE001 - any is a failure
                self.failures.append(repr(error))

    def _read(self, key: TokenKey) -> None:
        least = self.written[key]
        document = self._store.load(key)
        self.reads += 1
        if document is None or document.token["n"] < least:
            self.failures.append(f"{key} has {document}, and {least} was written")

    def _write(self, key: TokenKey) -> None:
        while True:
            document = self._store.load_fresh(key)
            assert document is not None
            assert document.token["n"] == self.written[key]
            number = document.token["n"] + 1
            token = {**document.token, "n": number}
            try:
                self._store.save_apart(
                    replace(document, token=token, updated_at=clock.now()), document.version
                )
            except VersionConflict:
                continue
            self.written[key] = number
            return


def fill(kind: str, backend: UserScopedBackend, bare: TokenStore) -> None:
    """Put tokens into an empty store, as the cipher of a backend seals them."""
    cipher: TokenCipher = backend.store.cipher  # type: ignore[attr-defined] # it is sealed
    for start in range(0, TOKENS, PAGE):
        documents = []
        for number in range(start, min(start + PAGE, TOKENS)):
            key = key_of(number)
            token = {"access_token": f"at-{number}", "refresh_token": "rt" * 20, "n": 0}
            sealed = make_document(key, cipher.seal(key, token))
            documents.append(replace(sealed, version=clock.first_version()))
        put_quickly(kind, bare, documents)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes the stores of a test."""
    with ExitStack() as stack:
        yield stack


def open_empty(kind: str, address: str, name: str, opened: ExitStack) -> TokenStore:
    """Open a store, and remove what is in it."""
    store: Any = opened.enter_context(store_at(kind, address, name))
    if kind == "mongo":
        store._at.primary.drop()
    elif kind == "redis":
        for each in store._client.get().scan_iter(f"{name}:*"):
            store._client.get().delete(each)
    found: TokenStore = store
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_resealing(kind: str, request: pytest.FixtureRequest, opened: ExitStack) -> None:
    """Beside readers and writers it is killed in the middle, begun again, and finishes.

    No read fails, no write is lost, and all is under the new key.
    """
    old, new = TokenCipher.generate_key(), TokenCipher.generate_key()
    address = address_of(kind, request)
    store = open_empty(kind, address, "reseal", opened)
    fill(kind, UserScopedBackend(store, user_id=1, cipher=TokenCipher(old)), store)
    rotating = UserScopedBackend(store, user_id=1, cipher=TokenCipher(new, [old]))
    traffic, place = Traffic(rotating, TOKENS), (kind, address, "reseal", [new, [old]])
    began = time.perf_counter()
    with traffic.going_on():
        worker = Worker(place)
        worker.read(TOKENS // 2)
        worker.kill()
        result = Worker(place).result()
    seconds = time.perf_counter() - began
    assert traffic.failures == []
    assert (result["records"], result["left"]) == (TOKENS, [])
    assert result["current"] >= TOKENS // 2 - STEP
    alone = UserScopedBackend(store, user_id=1, cipher=TokenCipher(new))
    assert {each.key: each.token["n"] for each in alone.store.scan()} == traffic.written
    [key_id] = TokenCipher(new).key_ids()
    assert {TokenCipher.key_id_of(each.token) for each in store.scan()} == {key_id}
    writes = sum(traffic.written.values())
    print(f"\n{kind}: {TOKENS} in {seconds:.1f} s beside {traffic.reads} reads, {writes} writes")


@pytest.mark.parametrize("kind", KINDS)
def test_resealing_is_half_as_quick_as_a_plain_walk(
    kind: str, request: pytest.FixtureRequest, opened: ExitStack
) -> None:
    """At least: it takes no more than twice as long as to read and write every token once."""
    keys = [TokenCipher.generate_key() for _ in range(2)]
    store = open_empty(kind, address_of(kind, request), "ratio", opened)
    fill(kind, UserScopedBackend(store, user_id=1, cipher=TokenCipher(keys[0])), store)
    ratios = []
    # One such round is enough: others work on the machine, too.
    for _ in range(5):
        began = time.perf_counter()
        for document in store.records():
            assert isinstance(document, TokenDocument)
            store.save(document)
        plain = time.perf_counter() - began
        keys.reverse()
        began = time.perf_counter()
        backend = UserScopedBackend(store, user_id=1, cipher=TokenCipher(keys[0], keys[1:]))
        assert reseal(backend).resealed == TOKENS
        ratios.append(plain / (time.perf_counter() - began))
        if ratios[-1] >= 0.5:
            break
    print(f"\n{kind}: {TOKENS} at so many times a plain walk: {sorted(ratios)}")
    assert ratios[-1] >= 0.5


def test_copying_around(request: pytest.FixtureRequest, opened: ExitStack) -> None:
    """From store to store, beside readers and writers of the source.

    Each copy is killed in the middle and begun again. After a last pass without writers, each token
    is the one that was written last. The memory that it takes does not grow with the tokens.
    """
    places: list[Place] = []
    backends: list[UserScopedBackend] = []
    for number, kind in enumerate(CHAIN):
        place = (kind, address_of(kind, request), f"copy{number}")
        store = open_empty(*place, opened)
        keys = [TokenCipher.generate_key()]
        places.append((*place, keys))
        backends.append(UserScopedBackend(store, user_id=1, cipher=TokenCipher(*keys)))
        if number == 0:
            fill(kind, backends[0], store)
    written = dict.fromkeys(map(key_of, range(TOKENS)), 0)
    for number in range(len(CHAIN) - 1):
        source, target = places[number : number + 2]
        traffic = Traffic(backends[number], TOKENS)
        traffic.written = written
        began = time.perf_counter()
        with traffic.going_on():
            worker = Worker(source, target)
            worker.read(TOKENS // 2)
            worker.kill()
            worker = Worker(source, target)
            assert worker.result()["left"] == []
        seconds = time.perf_counter() - began
        early = next(line["rss"] for line in worker.lines if line["records"] >= TOKENS // 10)
        grown = worker.lines[-1]["rss"] - early
        last = Worker(source, target).result()
        assert (last["left"], traffic.failures) == ([], [])
        there = backends[number + 1].store
        assert {each.key: each.token["n"] for each in there.scan()} == written
        compared = compare_tokens(backends[number], backends[number + 1])
        assert (compared.same, compared.is_complete) == (TOKENS, True)
        assert grown < 20_000, f"{grown} KiB more for {TOKENS} tokens"
        print(
            f"\n{source[0]} to {target[0]}: {TOKENS} in {seconds:.1f} s, {grown} KiB more, last "
            f"pass copied {last['copied']}; {sum(written.values())} writes until now"
        )
