"""What a test runs as a process of its own: an application that moves to another database.

Called as ``python -m tests.operations.mover GIVEN``, which is JSON. It answers a line with the
number of a step by the same line, when it has worked in that step for a while, and an empty line by
what it has seen, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from contextlib import ExitStack
from typing import Any

from flask import Flask

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    MovingBackend,
    TokenCipher,
    TokenStore,
    UserScopedBackend,
)

from .many import app_of, blueprint_of
from .places import store_at

STEPS = 4
CALLS = 10
"""How often it does something in a step before it says so."""


def backend_of(step: int, old: UserScopedBackend, new: UserScopedBackend) -> UserScopedBackend:
    """Return the backend of a step of a move."""
    moving = {1: lambda: MovingBackend(new, old), 2: lambda: MovingBackend(new, old, leads="new")}
    return moving[step]() if step in moving else (old, new)[step > 0]


class Mover:
    """The application.

    Args:
        given: ``number`` of the process; ``url`` of the provider; ``places`` of the old and the new
            store, each with its key; ``users`` whose tokens are refreshed by whoever comes first.
    """

    def __init__(self, given: dict[str, Any], stores: list[TokenStore]) -> None:
        self.given = given
        self.failures: list[str] = []
        self.calls = 0
        # Whom nobody else writes, and what they have.
        self.own: dict[str, str | None] = {f"own{given['number']}x{n}": None for n in range(4)}
        self._seen = dict.fromkeys(given["users"], 0)
        self._stores = stores
        self._chosen = random.Random(given["number"])
        self._user_id = ""
        self._is_over = False
        self.enter(0)

    def enter(self, step: int) -> None:
        """Go on as a process of another step does, with an app of its own."""
        old, new = (
            UserScopedBackend(store, user_id=lambda: self._user_id, cipher=TokenCipher(place[3]))
            for store, place in zip(self._stores, self.given["places"], strict=True)
        )
        blueprint = blueprint_of(self.given["url"], old.store, backend=backend_of(step, old, new))
        # What it has seen in another step may have been in one of the two stores only.
        self._seen = dict.fromkeys(self._seen, 0)
        self._at: tuple[Flask, OAuth2ConsumerBlueprint] = (app_of(blueprint), blueprint)

    def run(self) -> None:
        """Work until the end."""
        while not self._is_over and not self.failures:
            app, blueprint = self._at
            try:
                with app.test_request_context():
                    self._call_or_write(blueprint)
            except Exception as error:  # noqa: BLE001 - any is a failure
                self.failures.append(repr(error))
            self.calls += 1

    def _call_or_write(self, blueprint: OAuth2ConsumerBlueprint) -> None:
        if self._chosen.random() < 0.5:
            self._user_id = self._chosen.choice(list(self._seen))
            self._call(blueprint)
        else:
            self._user_id = self._chosen.choice(list(self.own))
            self._write(blueprint)

    def _call(self, blueprint: OAuth2ConsumerBlueprint) -> None:
        status = blueprint.session.get("api").status_code
        token = blueprint.backend.get(blueprint)
        number = -1 if token is None else int(token["refresh_token"].split("-")[-1])
        if status != 200 or number < self._seen[self._user_id]:
            self.failures.append(f"{self._user_id}: {status}, {number} of {self._seen}")
        self._seen[self._user_id] = number

    def _write(self, blueprint: OAuth2ConsumerBlueprint) -> None:
        token = blueprint.backend.get(blueprint)
        found = None if token is None else token["access_token"]
        if found != self.own[self._user_id]:
            self.failures.append(f"{self._user_id} has {found} of {self.own}")
        if self._chosen.random() < 0.3:
            blueprint.backend.delete(blueprint)
            self.own[self._user_id] = None
        else:
            written = f"at-{self.calls}"
            blueprint.backend.set(blueprint, {"access_token": written})
            self.own[self._user_id] = written

    def answer(self) -> None:
        """Do what a parent asks for."""
        for line in iter(sys.stdin.readline, "\n"):
            self.enter(int(line))
            wanted = self.calls + CALLS
            while self.calls < wanted and not self.failures:
                pause.wait(0.01)
            print(line, end="", flush=True)
        self._is_over = True


pause = threading.Event()


def main(given: dict[str, Any]) -> None:
    """Work beside a parent's questions."""
    with ExitStack() as stack:
        stores = [stack.enter_context(store_at(*place[:3])) for place in given["places"]]
        mover = Mover(given, stores)
        working = threading.Thread(target=mover.run)
        working.start()
        mover.answer()
        working.join()
    print(json.dumps({"failures": mover.failures, "own": mover.own, "calls": mover.calls}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
