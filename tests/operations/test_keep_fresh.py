"""Which tokens are refreshed before they die, and what becomes of those that can't be."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from msgspec.structs import replace

from flask_dance_nosql import clock
from flask_dance_nosql.consumer.backend import MemoryBackend, TokenDocument, TokenKey
from flask_dance_nosql.consumer.backend.base import StoredToken
from flask_dance_nosql.consumer.backend.store.document import RefreshFailure
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.refresh.remembered import LONGEST_PAUSE, one_more
from flask_dance_nosql.consumer.refusal import Refusal
from flask_dance_nosql.consumer.signals import token_recovered
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError
from flask_dance_nosql.operations.due import Due, KeptFresh
from flask_dance_nosql.operations.keeping import keep_fresh
from flask_dance_nosql.operations.pace import Pace

from ..rotating import RotatingProvider
from .many import PROVIDER, app_of, blueprint_of, document_of

DAY = 86400.0
FAST = 1e6


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


class Clocks:
    """Both clocks, which stand until they are moved."""

    def __init__(self, travel: Any) -> None:
        self._travel, self.monotonic = travel, time.monotonic()

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._travel.shift(seconds)
        self.monotonic += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    """The clocks."""
    with time_machine.travel(clock.now(), tick=False) as travel:
        made = Clocks(travel)
        monkeypatch.setattr(time, "monotonic", lambda: made.monotonic)
        yield made


class Kept:
    """An app whose users' tokens are in a store, and what was done to keep them fresh."""

    def __init__(self, provider: RotatingProvider, store: Any = None) -> None:
        self.provider = provider
        self.store: Any = MemoryStore() if store is None else store
        self.blueprint = blueprint_of(provider.url, self.store)
        self.app = app_of(self.blueprint)
        self.recovered: list[tuple[Any, RefreshFailure]] = []
        token_recovered.connect(self._receive, sender=self.blueprint)

    def _receive(self, sender: Any, user_id: Any, failure: RefreshFailure) -> None:
        self.recovered.append((user_id, failure))

    def give(self, user_id: str = "ann", **changes: Any) -> None:
        """Store a token that was not used for long."""
        self.store.save(replace(document_of(self.provider, user_id), **changes))

    def run(self, **options: Any) -> KeptFresh:
        """Keep the tokens fresh."""
        with self.app.app_context():
            return keep_fresh(**{"rate": FAST, **options})[PROVIDER]

    def of(self, user_id: str = "ann") -> TokenDocument:
        """Return a user's document."""
        document = self.store.load(TokenKey(PROVIDER, user_id))
        assert isinstance(document, TokenDocument)
        return document


@pytest.fixture
def kept(rotating: RotatingProvider) -> Kept:
    """An app without tokens."""
    return Kept(rotating)


def told(counts: KeptFresh) -> dict[str, int]:
    """Return the counts that are not 0."""
    names = counts.__struct_fields__
    return {name: getattr(counts, name) for name in names if getattr(counts, name)}


NOW = 2_000_000_000.0
DUE = [
    # access token ends in, whole life, last written before, within, idle, whether it is due
    (7200, None, 0, None, 30 * DAY, False),
    (7200, None, 31 * DAY, None, 30 * DAY, True),
    (7200, None, 31 * DAY, None, None, False),
    (7200, None, 0, DAY, None, True),
    (-10, 3600, 0, DAY, None, True),
    (3000, 3600, 0, DAY, None, False),
    (1500, 3600, 0, DAY, None, True),
    (2 * DAY, None, 0, DAY, None, False),
    (None, None, 0, DAY, 30 * DAY, False),
    (None, None, 31 * DAY, DAY, 30 * DAY, True),
    # A store that does not keep when a record was written.
    (7200, None, NOW, None, 30 * DAY, False),
]


@pytest.mark.parametrize(("end", "life", "before", "within", "idle", "is_due"), DUE)
def test_what_is_due(
    end: float | None,
    life: float | None,
    before: float,
    within: float | None,
    idle: float | None,
    is_due: bool,
) -> None:
    """A token is due near its end, within the second half of its life, or long after its use."""
    token = {"access_token": "at", "refresh_token": "rt", "expires_in": life}
    if end is not None:
        token["expires_at"] = NOW + end
    with time_machine.travel(NOW, tick=False):
        then = clock.now() - timedelta(seconds=before)
        document = TokenDocument(
            provider=PROVIDER, user_id="u", token=token, created_at=then, updated_at=then
        )
        counts = KeptFresh()
        due = Due(within, idle, counts)
        due.look_at(StoredToken(token, document), document.key.text)
        assert told(counts) == ({"due": 1} if is_due else {"fresh": 1})
        assert len(due.in_order()) == is_due


def test_memory_of_what_is_due() -> None:
    """A token that is due takes at most 200 bytes until it is refreshed."""
    then = clock.now() - timedelta(days=40)
    due, count = Due(None, DAY, KeptFresh()), 10_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            token = {"access_token": f"at-{number}", "refresh_token": "rt" * 500}
            key = TokenKey(PROVIDER, f"user-with-a-long-id-{number}")
            document = TokenDocument(
                provider=PROVIDER,
                user_id=key.user_id,
                token=token,
                created_at=then,
                updated_at=then,
            )
            due.look_at(StoredToken(token, document), key.text)
        del document, token, key
        after, _ = tracemalloc.get_traced_memory()
        items = due.in_order()
    finally:
        tracemalloc.stop()
    assert len(items) == count
    assert (after - before) / count <= 200


def test_most_urgent_first(kept: Kept) -> None:
    """What was unused for longest is refreshed first."""
    for days, user_id in ((40, "b"), (90, "a"), (50, "c")):
        kept.store.save(document_of(kept.provider, user_id, days))
    # One a second or slower is done by two threads; the order is that in which they ask.
    kept.run(rate=0.5, wait=lambda _: None)
    asked = [each.body.decode() for each in kept.provider.calls("/token")]
    order = [next(u for u in "abc" if f"rt-{u}-0" in body) for body in asked]
    assert order == ["a", "c", "b"]


def test_dry_run_writes_nothing(kept: Kept) -> None:
    """A dry run counts, and asks nobody."""
    kept.give()
    before = kept.of()
    assert told(kept.run(dry_run=True)) == {"due": 1}
    assert kept.of() == before
    assert kept.provider.asked == []


def test_what_is_counted(kept: Kept) -> None:
    """Each token is counted by its state, and what can't be refreshed is left."""
    kept.give("ann")
    kept.give("bob", updated_at=clock.now())
    kept.give("cid", token={"access_token": "at"})
    kept.give("dan")
    kept.provider.grants["dan"].has_ended = True
    assert told(kept.run()) == {
        "due": 2,
        "refreshed": 1,
        "ended": 1,
        "fresh": 1,
        "without_refresh": 1,
    }
    assert kept.of("ann").token["refresh_token"] == "rt-ann-1"
    assert told(kept.run()) == {"fresh": 2, "without_refresh": 1, "needs_login": 1}


def test_failures_are_remembered(kept: Kept, clocks: Clocks) -> None:
    """A failed token waits ever longer, keeps its date, and recovers by whoever refreshes it."""
    kept.give()
    written = kept.of().updated_at
    kept.provider.failing = 500, {"error": "server_error"}
    for count in (1, 2, 3):
        assert told(kept.run()) == {"due": 1, "failed": 1}
        document = kept.of()
        failure = document.refresh_failure
        assert failure is not None
        assert (failure.count, failure.reason, failure.needs_login) == (
            count,
            "server_error",
            False,
        )
        assert document.updated_at == written
        pause = (failure.next_try - clock.now()).total_seconds()
        assert 30 * 2 ** (count - 1) <= pause <= 60 * 2 ** (count - 1)
        # Another process would know of it as well.
        again = Kept(kept.provider, kept.store)
        assert told(again.run()) == {"due": 1, "waiting": 1}
        clocks.move(pause + 11)
    assert len(kept.provider.calls("/token")) == 3
    kept.provider.failing = None
    with (
        kept.app.app_context(),
        kept.blueprint.user_session(user_id="ann") as session,
    ):
        assert session.get("api").status_code == 200
    assert kept.of().refresh_failure is None
    [(user_id, failure)] = kept.recovered
    assert (user_id, failure.count) == ("ann", 3)


def test_pauses_grow_up_to_a_day() -> None:
    """The next try is within a day, however often it fails; a lasting refusal waits long."""
    failure = None
    for _ in range(50):
        failure = one_more(failure, Refusal("server_error"))
    assert failure is not None
    assert failure.count == 50
    pause = (failure.next_try - clock.now()).total_seconds()
    assert LONGEST_PAUSE / 2 - 2 <= pause <= LONGEST_PAUSE
    lasting = one_more(None, Refusal("invalid_scope", is_definite=True))
    assert lasting.needs_login
    assert (lasting.next_try - lasting.since).total_seconds() >= LONGEST_PAUSE / 2 - 2
    asked = one_more(None, Refusal("slow_down", retry_after=7200.0))
    assert (asked.next_try - asked.since).total_seconds() == 7200


def test_grant_that_has_ended_leaves_word(kept: Kept) -> None:
    """Who had the token has none, operators see why, and a new login recovers it."""
    kept.give(provider_user_id="account-7")
    kept.provider.grants["ann"].has_ended = True
    assert told(kept.run()) == {"due": 1, "ended": 1}
    document = kept.of()
    assert document.grant_ended
    assert document.provider_user_id == "account-7"
    backend: Any = kept.blueprint.backend
    assert backend.get(kept.blueprint, user_id="ann") is None
    assert backend.tokens_of("ann") == []
    with kept.app.test_request_context():
        slot = kept.blueprint.slot(user_id="ann")
        kept.blueprint._write_login(slot, kept.provider.grant("new"))
    assert kept.of().refresh_failure is None
    assert [(user, failure.needs_login) for user, failure in kept.recovered] == [("ann", True)]


def test_login_that_came_meanwhile_wins(kept: Kept) -> None:
    """A login during the refresh that finds the grant ended stays, and nothing is noted of it."""
    kept.give()
    kept.provider.grants["ann"].has_ended = True
    login = {**kept.provider.grant("new"), "expires_at": clock.timestamp() + 3600}

    def log_in() -> None:
        backend: Any = kept.blueprint.backend
        backend.set(kept.blueprint, login, user_id="ann")

    kept.provider.when_asked = log_in
    assert told(kept.run()) == {"due": 1, "skipped": 1}
    assert (kept.of().token, kept.of().refresh_failure) == (login, None)


def test_user_who_refreshes_just_now(kept: Kept) -> None:
    """A token that a user's request refreshes is left to it, at once."""
    kept.give()
    kept.provider.gate.clear()
    done = []

    def call() -> None:
        with kept.app.app_context(), kept.blueprint.user_session(user_id="ann") as session:
            done.append(session.get("api").status_code)

    user = threading.Thread(target=call)
    user.start()
    assert kept.provider.at_the_gate.wait(30)
    assert told(kept.run()) == {"due": 1, "skipped": 1}
    kept.provider.gate.set()
    user.join()
    assert done == [200]
    assert (kept.provider.refreshes, kept.provider.spent) == (1, 0)


class Busy(RotatingProvider):
    """A provider that asks to come back later: so often as it is told."""

    def __init__(self, times: int, after: str = "30") -> None:
        self.times, self.after = times, after
        super().__init__()

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """Answer a token request."""
        if self.times:
            self.times -= 1
            return 429, {"error": "too_many"}
        return super().exchange(form)

    def headers(self, status: int) -> dict[str, str]:
        """Return further headers of an answer."""
        return {"Retry-After": self.after} if status == 429 else {}


@pytest.mark.parametrize(
    ("times", "after", "done"), [(1, "30", True), (9, "1", False), (1, "9999", False)]
)
def test_provider_that_asks_to_wait(
    monkeypatch: pytest.MonkeyPatch, clocks: Clocks, times: int, after: str, done: bool
) -> None:
    """It is waited for, not for ever, and says nothing of the token."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    waits: list[float] = []
    with Busy(times, after) as provider:
        kept = Kept(provider)
        kept.give()

        def wait(seconds: float) -> None:
            waits.append(seconds)
            clocks.move(seconds)

        counts = kept.run(wait=wait)
        assert counts.refreshed == done
        assert kept.of().refresh_failure is None
        assert sum(waits) == pytest.approx(30.0 if done else sum(waits))
        assert (counts.failed, counts.left) == ((0, 0) if done else (1, 0))


def test_outage_of_one_provider_holds_up_no_other(rotating: RotatingProvider) -> None:
    """A provider that fails each time is left after ten tries; the others' tokens are refreshed."""
    store = MemoryStore()
    with RotatingProvider() as broken:
        broken.failing = 503, "down"
        one = blueprint_of(broken.url, store, name="broken")
        two = blueprint_of(rotating.url, store)
        for number in range(60):
            store.save(replace(document_of(broken, f"u{number}"), provider="broken"))
            store.save(document_of(rotating, f"u{number}"))
        with app_of(one, two).app_context():
            counts = keep_fresh(rate=FAST)
    assert told(counts[PROVIDER]) == {"due": 60, "refreshed": 60}
    assert counts["broken"].failed + counts["broken"].left == 60
    assert 10 <= counts["broken"].failed <= 26
    assert counts["broken"].has_failed


class Refusing(MemoryStore):
    """A store that can refuse what refreshes save."""

    refuses = False

    def save_apart(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Save a document, or refuse it."""
        if self.refuses:
            raise BackendUnavailable("save", "Refusing")
        return super().save_apart(document, if_version)


def test_store_that_takes_nothing(rotating: RotatingProvider) -> None:
    """When the store refuses a new token no more are spent, and it is stored when it can be."""
    kept = Kept(rotating, Refusing())
    for number in range(40):
        kept.give(f"u{number}")
    kept.store.refuses = True
    rescue = kept.blueprint.flights.rescue
    waits = iter(range(10_000))
    counts = kept.run(rate=0.5, wait=lambda _: next(waits), patience=5.0)
    assert (counts.unsaved, counts.has_failed) == (rescue.waiting, True)
    # At most one of each thread that had begun.
    assert rotating.refreshes <= 2
    assert counts.left >= 38
    kept.store.refuses = False
    idle = threading.Event()
    rescue._wake.set()
    while rescue.waiting:
        rescue._wake.set()
        idle.wait(0.01)
    assert {
        u: kept.of(u).token["refresh_token"]
        for u in rotating.grants
        if rotating.grants[u].generation
    } == {u: grant.refresh_token for u, grant in rotating.grants.items() if grant.generation}


def test_stop(kept: Kept) -> None:
    """What has begun is ended, and the rest is left."""
    for number in range(20):
        kept.give(f"u{number}")
    stop = threading.Event()
    kept.provider.when_asked = stop.set
    counts = kept.run(stop=stop, rate=0.5)
    assert 1 <= counts.refreshed <= 2
    assert counts.refreshed + counts.left == 20
    assert kept.provider.refreshes == counts.refreshed


def test_backend_with_one_token(rotating: RotatingProvider, clocks: Clocks) -> None:
    """The token of a backend without keys is kept fresh, too, without a memory of failures."""
    backend = MemoryBackend(rotating.grant())
    with app_of(blueprint_of(rotating.url, MemoryStore(), backend=backend)).app_context():
        assert told(keep_fresh()[PROVIDER]) == {"fresh": 1}
        rotating.failing = 500, {"error": "server_error"}
        assert told(keep_fresh(within=timedelta(days=1))[PROVIDER]) == {"due": 1, "failed": 1}
        rotating.failing = None
    clocks.move(20.0)
    with app_of(blueprint_of(rotating.url, MemoryStore(), backend=backend)).app_context():
        assert told(keep_fresh(within=timedelta(days=1))[PROVIDER]) == {"due": 1, "refreshed": 1}


def test_nothing_to_keep(kept: Kept) -> None:
    """An app without a provider of that name is told so."""
    with kept.app.app_context(), pytest.raises(ConfigurationError, match="'other'"):
        keep_fresh(provider="other")


def test_pace() -> None:
    """Turns come at the rate, and those who wait when all are held wait as long."""
    now = [0.0]
    turns = []

    def wait(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(4.0, wait, lambda: now[0])
    for _ in range(5):
        assert pace.take(lambda: False)
        turns.append(now[0])
    assert turns == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert pace.hold(10.0)
    assert not pace.hold(5.0)
    assert pace.take(lambda: False)
    assert now[0] == 11.0
    assert not pace.take(lambda: True)
