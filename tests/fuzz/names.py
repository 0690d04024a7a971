"""The ids of users and the names of providers, which are made into keys of databases."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import bson
from hypothesis import strategies as st

from flask_dance_nosql.consumer.backend import TokenKey, UserScopedBackend

from ..backend.strategies import collision_prone
from .parts import odd, texts
from .seen import Seen, Surface
from .site import token_of
from .stores import empty_store

REFUSED = (TypeError, ValueError)
"""What an id raises that can't be one."""

_IDS = [
    *(b"42", object(), {"$ne": None}, {"$gt": ""}, ["42"], ("42",), frozenset(), 4.2, "u:1", "app"),
    *(UUID(int=42), bson.ObjectId("0" * 24), "0" * 24, str(UUID(int=42)), "*", "?", "[a-z]"),
]
ids = st.sampled_from(_IDS) | odd | texts | collision_prone | st.integers() | st.just("42")
providers = collision_prone | texts | st.sampled_from(["acme", "acme:u", "*", "\\*"])


@dataclass
class Names:
    """Two users of a store, each with a provider."""

    kind: str
    first: tuple[str, Any]
    second: tuple[str, Any]


def run(given: Names, seen: Seen) -> None:
    """Store a token under the first key, and look for it by the second one."""
    with empty_store(given.kind) as store:
        backend = UserScopedBackend(store, user_id="nobody in particular")
        (provider, first), (other, second) = given.first, given.second
        blueprints = [SimpleNamespace(name=name, config={}) for name in (provider, other)]
        token, of_bob = token_of("alice"), token_of("bob")
        keys = [_key_of(*each) for each in (given.first, given.second)]
        _set(backend, blueprints[1], of_bob, second, keys[1], seen)
        _set(backend, blueprints[0], token, first, keys[0], seen)
        if keys[0] is not None:
            if backend.get(blueprints[0], user_id=first) != token:
                seen.wrong.append("a token is not found under its own key")
            if keys[0] != keys[1]:
                seen.given.append(repr(backend.get(blueprints[0], user_id=first)))
        listed = _listed(backend, first, seen)
        people = [_key_of("acme", each) for each in (first, second)]
        if None in people or people[0] != people[1]:
            seen.given.append(repr([document.token for document in listed]))
        if keys[0] is not None and keys[1] is not None and keys[0] != keys[1]:
            backend.delete(blueprints[0], user_id=first)
            if backend.get(blueprints[1], user_id=second) != of_bob:
                seen.wrong.append("a token is gone with another one")


def _key_of(provider: str, user_id: Any) -> TokenKey | None:
    """Return the key, or ``None`` if it is none."""
    try:
        return None if user_id is None else TokenKey(provider, user_id)
    except REFUSED:
        return None


def _set(
    backend: Any, blueprint: Any, token: Any, user_id: Any, key: TokenKey | None, seen: Seen
) -> None:
    try:
        backend.set(blueprint, token, user_id=user_id)
    except REFUSED as error:
        if key is not None:
            seen.errors.append(error)
    else:
        if key is None:
            seen.wrong.append(f"{user_id!r} is taken for an id")


def _listed(backend: Any, user_id: Any, seen: Seen) -> list[Any]:
    """Return the documents of a user, by both ways to them."""
    found = []
    for ask in (backend.tokens_of, lambda user_id: backend.store.scan(user_id=user_id)):
        try:
            found += list(ask(user_id))
        except REFUSED:
            continue
    return [] if user_id is None else found


_one = st.tuples(providers, ids)
SURFACE = Surface(
    st.builds(Names, st.sampled_from(["mongo", "redis", "sql", "memory"]), _one, _one), run
)
