"""An app with a blueprint, its browsers, and the backends for tests of the path of a token."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    BaseBackend,
    FileBackend,
    LocalCache,
    MemoryBackend,
    SessionBackend,
    TokenDocument,
    TokenKey,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.lease import Lease
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import BackendUnavailable

from ..rotating import RotatingProvider
from .conftest import make_app, make_refreshing

T = TypeVar("T")
Token = dict[str, Any]
KEY = TokenKey("acme", "1")


class ThreeMethods(BaseBackend):
    """A backend as users write it: one token for each blueprint, and no more than three methods."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, blueprint: Any) -> Any:
        return self.kept.get(blueprint.name)

    def set(self, blueprint: Any, token: Any) -> None:
        self.kept[blueprint.name] = dict(token)

    def delete(self, blueprint: Any) -> None:
        self.kept.pop(blueprint.name, None)


class Impatient(MemoryStore):
    """A store whose locks nobody waits for longer than a moment, and which knows who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = threading.Event()

    def lock(self, key: TokenKey, *, lease: float = 60.0, wait: float = 0.0) -> Lease | None:
        return super().lock(key, lease=lease, wait=min(wait, 0.05))

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        taken = super().acquire(key, holder, seconds)
        if not taken:
            self.refused.set()
        return taken


class Lagging(MemoryStore):
    """A store whose reads, but for the fresh ones, come from a replica that is behind."""

    def __init__(self) -> None:
        super().__init__()
        self.behind: dict[TokenKey, TokenDocument | None] = {}

    def stop_replication(self) -> None:
        """Let the replica stay as it is now."""
        self.behind = {key: super(Lagging, self).load(key) for key in list(self._documents)}

    def load(self, key: TokenKey) -> TokenDocument | None:
        return self.behind[key] if key in self.behind else super().load(key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        return super().load(key)


class RefusingStore(MemoryStore):
    """A store that refuses the operations which are in ``refuses``, with an error of its own."""

    def __init__(self, *refuses: str, error: type[Exception] = BackendUnavailable) -> None:
        super().__init__()
        self.refuses = set(refuses)
        self.error = error

    def _check_allowed(self, operation: str) -> None:
        if operation in self.refuses:
            raise self.error(operation, type(self).__name__)

    def load(self, key: TokenKey) -> TokenDocument | None:
        self._check_allowed("load")
        return super().load(key)

    def load_fresh(self, key: TokenKey) -> TokenDocument | None:
        self._check_allowed("load_fresh")
        return super().load(key)

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self._check_allowed("save")
        return super().save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self._check_allowed("delete")
        super().delete(key, if_version)

    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        self._check_allowed("acquire")
        return super().acquire(key, holder, seconds)

    def release(self, key: TokenKey, holder: str) -> None:
        self._check_allowed("release")
        super().release(key, holder)


def of_user(store: Any = None, **options: Any) -> UserScopedBackend:
    """Make a backend of user 1."""
    return UserScopedBackend(MemoryStore() if store is None else store, user_id=1, **options)


BACKENDS: dict[str, Callable[[Path], Any]] = {
    "session": lambda folder: SessionBackend(),
    "memory": lambda folder: MemoryBackend(),
    "file": lambda folder: FileBackend(folder / "token.json"),
    "three": lambda folder: ThreeMethods(),
    "user": lambda folder: of_user(),
    "cached": lambda folder: of_user(cache=LocalCache()),
    "app": lambda folder: UserScopedBackend(MemoryStore()),
    "browser": lambda folder: UserScopedBackend(MemoryStore(), scope="browser"),
}
"""How a backend of each kind is made, given a folder of the test's."""

COOKIES = ("session", "browser")
"""Those whose token, or the id of it, lies in the browser's cookie."""

PLAIN = ("memory", "file", "three")
"""Those with no more than three methods that every request shares."""

STORES = ("user", "cached", "app")
"""Those with a store that every request shares."""


class Task(threading.Thread):
    """Does something in a thread from now on, and keeps what comes of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._outcome: Any = None
        self.start()

    def run(self) -> None:
        """Do it."""
        try:
            self._outcome = self._work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self._outcome = error

    def waits(self) -> bool:
        """Whether it is still busy after a moment, as it is when it waits for somebody."""
        self.join(0.5)
        return self.is_alive()

    @property
    def result(self) -> Any:
        """What has come of it, an error included, once it is done."""
        self.join(60)
        assert not self.is_alive(), "it waits for ever"
        return self._outcome


class Pause:
    """A point at which somebody stops until they are told to go on.

    Attributes:
        reached: Is set when somebody has come to it.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._go = threading.Event()

    def __call__(self) -> None:
        """Stop here."""
        self.reached.set()
        assert self._go.wait(60), "nobody says go"

    def wait(self) -> None:
        """Wait until somebody has come."""
        assert self.reached.wait(60), "nobody came"

    def go(self) -> None:
        """Let everybody go on, and stop nobody any more."""
        self._go.set()


class Site:
    """An app with one blueprint and any number of browsers.

    ``/view`` is a page that needs a token.

    Args:
        blueprint: The blueprint.
        **config: Of the app.
    """

    def __init__(self, blueprint: OAuth2ConsumerBlueprint, **config: Any) -> None:
        self.blueprint = blueprint
        self.app: Flask = make_app(blueprint, TESTING=True, **config)
        self._work: dict[int, Callable[[], Any]] = {}
        self._outcomes: dict[int, tuple[bool, Any]] = {}
        self._numbers = itertools.count()
        self.app.add_url_rule("/do/<int:number>", "do", self._do)
        view = blueprint.session.authorization_required(lambda: "seen")
        self.app.add_url_rule("/view", "view", view)

    def browser(self) -> Browser:
        """Return a browser without cookies."""
        return Browser(self)

    def run(self, cookie: str | None, work: Callable[[], T]) -> tuple[T, str | None]:
        """Do something within a request. Returns what came of it, and the new cookie."""
        number = next(self._numbers)
        self._work[number] = work
        client = self.app.test_client(use_cookies=False)
        headers = {} if cookie is None else {"Cookie": f"session={cookie}"}
        answer = client.get(f"/do/{number}", headers=headers)
        is_good, outcome = self._outcomes.pop(number)
        if not is_good:
            outcome.cookie = new_cookie(answer, cookie)
            raise outcome
        return outcome, new_cookie(answer, cookie)

    def _do(self, number: int) -> str:
        # As with a page for errors, the session is saved whatever comes of it.
        try:
            self._outcomes[number] = True, self._work.pop(number)()
        except Exception as error:  # noqa: BLE001 - it is raised again outside
            self._outcomes[number] = False, error
        return "done"


class Browser:
    """A browser that keeps the session's cookie, and may be copied with it."""

    def __init__(self, site: Site, cookie: str | None = None) -> None:
        self.site = site
        self.cookie = cookie

    def copy(self) -> Browser:
        """Return another one with the cookie of now."""
        return Browser(self.site, self.cookie)

    def do(self, work: Callable[[], T]) -> T:
        """Do something within a request of this browser, and return or raise what comes of it."""
        try:
            result, self.cookie = self.site.run(self.cookie, work)
        except Exception as error:
            self.cookie = getattr(error, "cookie", self.cookie)
            raise
        return result

    def get(self, path: str) -> Any:
        """Ask for a page."""
        client = self.site.app.test_client(use_cookies=False)
        headers = {} if self.cookie is None else {"Cookie": f"session={self.cookie}"}
        answer = client.get(path, headers=headers)
        self.cookie = new_cookie(answer, self.cookie)
        return answer

    def begin(self) -> str:
        """Begin a login and return its state."""
        location = self.get(f"/login/{self.site.blueprint.name}").location
        return parse_qs(urlsplit(location).query)["state"][0]

    def finish(self, state: str, code: str = "CODE123") -> Any:
        """Come back from the provider."""
        name = self.site.blueprint.name
        return self.get(f"/login/{name}/authorized?state={state}&code={code}")

    def login(self, code: str = "CODE123") -> Any:
        """Log in and return the answer of the callback."""
        return self.finish(self.begin(), code)

    def connect(self, token: Token) -> None:
        """Store a token as it is, past everything that a login does."""
        blueprint = self.site.blueprint
        self.do(lambda: blueprint.backend.set(blueprint, token))

    def call(self, path: str = "api") -> int:
        """Call the API and return the status."""
        return int(self.do(lambda: self.site.blueprint.session.get(path).status_code))

    @property
    def stored(self) -> Any:
        """The token that the backend has for this browser."""
        blueprint = self.site.blueprint
        return self.do(lambda: blueprint.backend.get(blueprint))


def new_cookie(answer: Any, old: str | None) -> str | None:
    """Return the session's cookie after an answer."""
    for header in answer.headers.getlist("Set-Cookie"):
        name, _, rest = header.partition("=")
        if name == "session":
            return rest.partition(";")[0] or None
    return old


def make_site(
    provider: RotatingProvider, backend: Any, *, revokes: bool = True, **options: Any
) -> Site:
    """Make an app whose blueprint refreshes and, unless told else, knows where to revoke."""
    if revokes:
        options.setdefault("revocation_url", f"{provider.url}/revoke")
    return Site(make_refreshing(provider, backend, **options))


def sign_of(provider: RotatingProvider, index: int = -1, path: str = "/api") -> str | None:
    """Return the Authorization header of a call to the API, the last one unless told else."""
    return provider.calls(path)[index].headers.get("Authorization")


def soon(seconds: float = 3600.0) -> float:
    """Return the time in so many seconds, as a token states its end."""
    return time.time() + seconds


def warnings_of(caplog: pytest.LogCaptureFixture) -> str:
    """Return the text of the warnings and errors that were logged by the package."""
    return "\n".join(
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("flask_dance_nosql")
    )
