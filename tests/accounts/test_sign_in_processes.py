"""First sign-ins with one account, in several processes at once, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_dance_nosql.consumer.backend import TokenStore

from ..backend.places import store_at
from ..backend.test_processes import Place, place_of
from ..processes import Forked
from ..rotating import RotatingProvider
from .signer import BROWSERS, login, make_site, user_of_key

PLACES = ["mongo", "redis6", "cluster", "sqlite", "postgresql"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The kind of a store, and where it is."""
    return place_of(request, tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[TokenStore]:
    """The same store in this process, without what other tests have left."""
    with store_at(*place) as opened:
        opened.prepare()
        for each in list(opened.scan()):
            opened.delete(each.key)
        yield opened


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider with the account A."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as rotating:
        rotating.approve("A", code="of-A", sub="A")
        yield rotating


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A folder with a file for each user."""
    folder = tmp_path / "users"
    folder.mkdir()
    return folder


def begin(task: str, place: Place, users: Path, provider: RotatingProvider) -> Forked:
    """Begin a task in a process of its own."""
    return Forked("tests.accounts.signer", task, *place, str(users), provider.url)


def test_twenty_first_sign_ins_make_one_user(
    place: Place, store: TokenStore, users: Path, provider: RotatingProvider
) -> None:
    """2 processes x 10 browsers: one user is made and linked, and all are signed in as that one."""
    signers = [begin("sign", place, users, provider) for _ in range(2)]
    for signer in signers:
        assert signer.stdout.readline() == "ready\n"
    for signer in signers:
        signer.go()
    outcomes = [line for each in signers for line in each.communicate().splitlines()]
    [user] = [file.name for file in users.iterdir()]
    assert outcomes == [f"302 {user}"] * (2 * BROWSERS)
    [document] = store.scan()
    assert (document.user_id, document.provider_user_id) == (user, "A")
    assert store.linked("acme", "A") == document.key


def test_a_crash_before_the_link_is_mended(
    place: Place, store: TokenStore, users: Path, provider: RotatingProvider
) -> None:
    """A process that dies between making the user and linking: the next sign-in links that user."""
    with begin("die", place, users, provider) as dying:
        assert dying.wait() == 9
    [made] = [file.name for file in users.iterdir()]
    assert list(store.scan()) == []
    assert login(make_site(store, users, provider.url, user_of_key(users))) == (302, made)
    assert [file.name for file in users.iterdir()] == [made]
    [document] = store.scan()
    assert (document.user_id, document.provider_user_id) == (made, "A")
