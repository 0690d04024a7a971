"""An application of several processes moves to another database while it works."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from flask_dance_nosql.consumer.backend import TokenCipher, UserScopedBackend
from flask_dance_nosql.operations.copying import copy_tokens

from ..rotating import RotatingProvider
from .many import PROVIDER, document_of
from .mover import STEPS
from .places import address_of
from .test_at_work import open_empty

PROCESSES = 3
USERS = [f"shared{number}" for number in range(8)]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider whose access tokens have to be refreshed after a second."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as made:
        made.lifetime, made.keeps_old = 2, True
        yield made


@contextmanager
def running(given: dict[str, Any]) -> Iterator[list[subprocess.Popen[str]]]:
    """Run the processes, which are killed if the test fails."""
    found = []
    try:
        for number in range(PROCESSES):
            command = [sys.executable, "-m", "tests.operations.mover"]
            text = json.dumps({**given, "number": number})
            found.append(
                subprocess.Popen(
                    [*command, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
        yield found
    finally:
        for each in found:
            each.kill()
            each.communicate()


def ask(process: subprocess.Popen[str], line: str) -> str:
    """Give a process a line, and return the one that it answers with."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("kinds", [("redis", "postgresql"), ("postgresql", "mongo")])
def test_processes_move_one_after_the_other(
    kinds: tuple[str, str], provider: RotatingProvider, request: pytest.FixtureRequest
) -> None:
    """From the old database alone to the new one alone, as the documentation says.

    No read fails or gives what is outdated, no write is lost, nothing that was removed comes back,
    and each refresh token is spent once, whichever process comes first.
    """
    keys = [TokenCipher.generate_key() for _ in range(2)]
    places = [(kind, address_of(kind, request), f"move{n}") for n, kind in enumerate(kinds)]
    given = {
        "url": provider.url,
        "places": [[*place, key] for place, key in zip(places, keys, strict=True)],
        "users": USERS,
    }
    with ExitStack() as opened:
        old, new = (
            UserScopedBackend(open_empty(*place, opened), user_id=1, cipher=TokenCipher(key))
            for place, key in zip(places, keys, strict=True)
        )
        for user_id in USERS:
            old.store.save(document_of(provider, user_id))
        processes = opened.enter_context(running(given))
        for step in range(STEPS):
            for process in processes:
                assert ask(process, str(step)) == str(step)
            if step in (1, 2):
                assert copy_tokens(old, new).left == []
        results = [json.loads(ask(process, "")) for process in processes]
        assert [each["failures"] for each in results] == [[]] * PROCESSES
        assert provider.spent == 0
        assert provider.refreshes > len(USERS)
        there = {each.user_id: each.token for each in new.store.scan(PROVIDER)}
        for user_id in USERS:
            grant = provider.grants[user_id]
            assert there.pop(user_id)["refresh_token"] == grant.refresh_token
        found = {user_id: token["access_token"] for user_id, token in there.items()}
        own = {user_id: token for each in results for user_id, token in each["own"].items()}
        assert found == {user_id: token for user_id, token in own.items() if token is not None}
