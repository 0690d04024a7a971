"""What a test runs as a process of its own: ten browsers that sign in with one account at once.

Called as ``python -m tests.accounts.signer sign|die KIND ADDRESS FOLDER PROVIDER``. Users are files
in the folder. With ``die`` the process ends when it has made a user, before that is linked.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask

from flask_dance_nosql.accounts import AccountProfile, SignIn, current_user_id, sign_in
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import TokenStore, UserScopedBackend

from ..backend.writer import open_store

BROWSERS = 10
LEASE = 1.0


def make_site(
    store: TokenStore, folder: Path, provider: str, create_user: Callable[[AccountProfile], Any]
) -> Flask:
    """Make an app whose users are files in a folder."""
    blueprint = OAuth2ConsumerBlueprint(
        "acme",
        __name__,
        client_id="id",
        client_secret="secret",
        authorization_url=f"{provider}/authorize",
        token_url=f"{provider}/token",
        backend=UserScopedBackend(store, user_id=current_user_id),
    )

    def load_user(user_id: str) -> str | None:
        return user_id if (folder / user_id).exists() else None

    SignIn(blueprint, load_user=load_user, create_user=create_user)
    app = Flask(__name__)
    app.secret_key = "for tests"
    app.register_blueprint(blueprint, url_prefix="/login")
    return app


def login(app: Flask, ready: Callable[[], object] = lambda: None) -> tuple[int, str | None]:
    """Sign a browser in. Returns the status, and the id of the user who is signed in then."""
    client = app.test_client()
    begun = client.get("/login/acme").location
    state = parse_qs(urlsplit(begun).query)["state"][0]
    ready()
    status = client.get(f"/login/acme/authorized?state={state}&code=of-A").status_code
    with client.session_transaction() as session:
        return status, session.get("flask_dance_user_id")


def new_user(folder: Path) -> Callable[[AccountProfile], str]:
    """Return what makes another user each time."""

    def create_user(profile: AccountProfile) -> str:
        user_id = uuid.uuid4().hex
        (folder / user_id).write_text(profile.key)
        return user_id

    return create_user


def user_of_key(folder: Path) -> Callable[[AccountProfile], str]:
    """Return what makes one user for each account."""

    def create_user(profile: AccountProfile) -> str:
        (folder / profile.key).write_text(profile.key)
        return profile.key

    return create_user


def main(task: str, kind: str, address: str, folder: str, provider: str) -> None:
    """Sign in, and print what has come of each; or die."""
    place, store = Path(folder), open_store(kind, address)
    if task == "die":
        sign_in.LEASE_SECONDS = LEASE

        def create_and_die(profile: AccountProfile) -> None:
            user_of_key(place)(profile)
            os._exit(9)

        login(make_site(store, place, provider, create_and_die))
        return
    store.prepare()
    app = make_site(store, place, provider, new_user(place))
    barrier, found = threading.Barrier(BROWSERS + 1), []
    threads = [
        threading.Thread(target=lambda: found.append(login(app, barrier.wait)))
        for _ in range(BROWSERS)
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    barrier.wait()
    for thread in threads:
        thread.join()
    for status, user_id in found:
        print(status, user_id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
