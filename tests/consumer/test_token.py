"""Tells accounts of a provider apart by what token responses say."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.backend.base import PlainSlot, StoredToken
from flask_dance_nosql.consumer.consumer_session import Reading
from flask_dance_nosql.consumer.refresh.rescue import Exchange, Refreshed
from flask_dance_nosql.consumer.token import same_account


def id_token(subject: object) -> str:
    """Make an ID token with a subject; its signature is not looked at."""
    payload = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, None),
        ({"user_id": "1"}, {}, None),
        ({"user_id": "1"}, {"sub": "1"}, None),
        ({"user_id": "1"}, {"user_id": "1"}, True),
        ({"user_id": "1"}, {"user_id": "2"}, False),
        ({"id_token": id_token("a")}, {"id_token": id_token("a")}, True),
        ({"id_token": id_token("a")}, {"id_token": id_token("b")}, False),
        (
            {"id_token": id_token("a"), "user_id": 1},
            {"id_token": id_token("a"), "user_id": 2},
            False,
        ),
        ({"id_token": "garbage"}, {"id_token": id_token("b")}, None),
        ({"id_token": 7}, {"id_token": None}, None),
    ],
)
def test_accounts(old: Any, new: Any, expected: bool | None, default: bool) -> None:
    """Two responses that name an account in the same way decide; otherwise the default does."""
    assert same_account(old, new, default=default) is (default if expected is None else expected)


@given(st.text(), st.text())
def test_any_id_token_is_survived(old: str, new: str) -> None:
    """Text that is no ID token names no account and raises nothing."""
    assert same_account({"id_token": old}, {"id_token": new}, default=True) is True


def test_stored_token_shows_no_secret() -> None:
    """What a slot gives shows no token when it is printed, nor does what a refresh remembers."""
    token = {"access_token": "at-secret", "refresh_token": "rt-secret"}
    exchange, stored = Exchange(token, rotates=True), StoredToken(token)
    slot = PlainSlot(MemoryBackend(token), OAuth2ConsumerBlueprint("acme", __name__))
    kept = Refreshed(slot, stored, "digest", exchange, None, print, partial(print, token))
    shown = repr([stored, exchange, slot, kept, Reading(slot, stored)])
    assert "secret" not in shown
