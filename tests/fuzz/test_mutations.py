"""The fuzz finds a fault of each kind, when the package has one."""

from __future__ import annotations

import hmac
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import pytest
from flask import request
from hypothesis import HealthCheck, Phase, find, settings

from flask_dance_nosql.consumer import dance, pending
from flask_dance_nosql.consumer.backend.cache import shared
from flask_dance_nosql.consumer.backend.store.document import TokenDocument
from flask_dance_nosql.consumer.oauth2 import OAuth2ConsumerBlueprint

from . import seen
from .invariants import INVARIANTS, complaints
from .seen import observe
from .surfaces import SURFACES

INPUTS = 2000
Patch = pytest.MonkeyPatch
released = threading.Event()


def compare_as_text(patch: Patch) -> None:
    """Compare states as texts, which must be ASCII."""
    patch.setattr(
        pending, "compare_digest", lambda a, b: hmac.compare_digest(a.decode(), b.decode())
    )


def talk(patch: Patch) -> None:
    """Let requests-oauthlib write what it sends and gets."""
    for module in ("dance", "token_calls", "oauth2_session"):
        name = f"flask_dance_nosql.consumer.{module}.quiet"
        patch.setattr(name, lambda *_secrets: nullcontext())
    patch.setattr("flask_dance_nosql.consumer.consumer_session.kept_out", ContextVar("unused"))


def log_the_code(patch: Patch) -> None:
    """Write a line of our own, with the code in it."""
    exchange = OAuth2ConsumerBlueprint._exchange

    def loud(self: Any, login: Any) -> Any:
        logging.getLogger("flask_dance_nosql.seeded").debug("%s", request.args["code"])
        return exchange(self, login)

    patch.setattr(OAuth2ConsumerBlueprint, "_exchange", loud)


def cache_for_everybody(patch: Patch) -> None:
    """Cache by provider alone, and take whatever is there for the user's own."""
    patch.setattr(shared, "_names", lambda name: ("of", "entry:token", "entry:turn"))
    patch.setattr(TokenDocument, "is_of", lambda self, key: True)


def go_where_told(patch: Patch) -> None:
    """Send the visitor where the callback says."""
    patch.setattr(
        OAuth2ConsumerBlueprint, "_next_url", lambda self: request.args.get("next") or "/"
    )


def wait_for_a_login(patch: Patch) -> None:
    """Wait without end for the login that a callback names to be begun."""
    take = pending.PendingLogins.take

    def patient(self: Any, handle: Any) -> Any:
        found = take(self, handle)
        while found is None and not released.wait(0.05):
            found = take(self, handle)
        return found

    patch.setattr(pending.PendingLogins, "take", patient)


def repeat_the_provider(patch: Patch) -> None:
    """Tell receivers the provider's description as it is."""
    patch.setattr(
        OAuth2ConsumerBlueprint,
        "_failed",
        lambda self, failure, page=None: (
            dance.oauth_error.send(
                self, error="seeded", error_description=request.args.get("error_description")
            )
            and "told"
        ),
    )


def forget_logins(patch: Patch) -> None:
    """Store nothing when a login ends."""
    patch.setattr(OAuth2ConsumerBlueprint, "_write_login", lambda self, slot, token: None)


MUTATIONS: list[tuple[Callable[[Patch], None], str, str]] = [
    (compare_as_text, "callbacks", "no error: .*(ASCII|decode|surrogates)"),
    (talk, "callbacks", "no secret: requests_oauthlib"),
    (log_the_code, "callbacks", "no secret: flask_dance_nosql.seeded"),
    (cache_for_everybody, "caches", "no foreign token: "),
    (go_where_told, "callbacks", "no way out: .*evil.example"),
    (wait_for_a_login, "callbacks", "(?s)no hang: .*patient"),
    (repeat_the_provider, "callbacks", "clean text: (a signal|signal)"),
    (forget_logins, "caches", "all well: after a login"),
]
"""A fault, where it is looked for, and what is said of the input that shows it."""


@pytest.fixture(autouse=True)
def no_thread_stays(patch_limit: None) -> Iterator[None]:
    """Let those go on who wait without end."""
    released.clear()
    yield
    released.set()
    for thread in threading.enumerate():
        if thread.name == seen.THREAD:
            thread.join(10)


@pytest.fixture
def patch_limit(monkeypatch: Patch) -> None:
    """Let an input count as one that hangs after a shorter time."""
    monkeypatch.setattr(seen, "LIMIT_SECONDS", 1.0)


@pytest.mark.parametrize(
    ("mutate", "name", "pattern"), MUTATIONS, ids=[each.__name__ for each, *_ in MUTATIONS]
)
def test_a_seeded_fault_is_found(
    mutate: Callable[[Patch], None], name: str, pattern: str, monkeypatch: Patch
) -> None:
    """With the fault, an input is found for which something does not hold; else find() fails."""
    mutate(monkeypatch)
    surface = SURFACES[name]
    find(
        surface.inputs,
        lambda given: any(re.match(pattern, each) for each in complaints(observe(surface, given))),
        settings=settings(
            max_examples=INPUTS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_each_invariant_has_a_seeded_fault() -> None:
    """No invariant is in the table without a fault that it finds."""
    kinds = {pattern.removeprefix("(?s)").split(":")[0] for _, _, pattern in MUTATIONS}
    assert kinds == set(INVARIANTS)
