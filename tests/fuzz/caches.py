"""What a cache that others can write to has for a user."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from .parts import as_json, changes, odd, raw_bytes, with_changes
from .seen import Seen, Surface
from .site import Said, current_user, secrets_of, site_for, token_of
from .stores import CIPHER

OLD, NEW = token_of("alice", expires_at=4e9), token_of("alice", 1)


class DictCache:
    """A cache of cachelib's methods, which may have anything in it, or answer nothing but errors.

    Attributes:
        values: What is in it.
        fails: The methods that fail.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.fails: set[str] = set()

    def get(self, name: str) -> Any:
        """Return a value, or ``None``."""
        self._check("get")
        return self.values.get(name)

    def get_many(self, *names: str) -> list[Any]:
        """Return several values."""
        self._check("get_many")
        return [self.values.get(name) for name in names]

    def set(self, name: str, value: Any, timeout: int | None = None) -> bool:
        """Set a value."""
        self._check("set")
        self.values[name] = value
        return True

    def add(self, name: str, value: Any, timeout: int | None = None) -> bool:
        """Set a value where there is none."""
        self._check("add")
        return self.values.setdefault(name, value) is value

    def delete_many(self, *names: str) -> bool:
        """Delete several values."""
        self._check("delete_many")
        return bool([self.values.pop(name, None) for name in names])

    def _check(self, method: str) -> None:
        if method in self.fails:
            raise OSError(f"{method} of {self.values}")


@dataclass
class Cached:
    """What is changed: values by the ends of their names, and fields of the document."""

    is_sealed: bool
    values: dict[str, Any]
    document: dict[str, Any]
    fails: set[str]


NAMES = ("provider", "user_id", "token", "version", "format", "expires_at", "created_at")
values = odd | raw_bytes | raw_bytes.map(lambda raw: raw.decode("latin1")) | st.just("of the other")
SURFACE_INPUTS = st.builds(
    Cached,
    st.booleans(),
    st.dictionaries(st.sampled_from(["token", "turn"]), values, max_size=2),
    changes(*NAMES, most=2),
    st.sets(st.sampled_from(["get", "get_many", "set", "add", "delete_many"]), max_size=1),
)


def run(given: Cached, seen: Seen) -> None:
    """Have two users' tokens cached, change what the cache has for one, read, and log in."""
    cache = DictCache()
    cipher = CIPHER if given.is_sealed else None
    backend = UserScopedBackend(MemoryStore(), user_id=current_user, cache=cache, cipher=cipher)
    seen.secrets |= secrets_of(NEW)
    site = site_for(seen, {"/token": Said(body=as_json(NEW))}, backend)
    for name, token in {"alice": OLD, "bob": token_of("bob")}.items():
        site.store(name, token)
        site.open("/page", user=name)
    is_forged = _change(cache, given)
    page = site.open("/page")
    if not is_forged and OLD["access_token"] not in page.text:
        seen.wrong.append(f"the page has {page.text[:300]!r}")
    cache.fails = given.fails
    site.finish(site.begin())
    page = site.open("/page")
    if NEW["access_token"] not in page.text:
        seen.wrong.append(f"after a login the page has {page.text[:300]!r}")


def _change(cache: DictCache, given: Cached) -> bool:
    """Change what is cached, and return whether that may be taken for the user's own document."""
    own = {name.rpartition(":")[2]: name for name in cache.values if "alice" in name}
    if given.document and "token" in own:
        entry = json.loads(cache.values[own["token"]])
        entry["document"] = with_changes(entry["document"], given.document)
        cache.values[own["token"]] = as_json(entry).decode()
    for kind in given.values.keys() & own.keys():
        value, others = given.values[kind], own[kind].replace("alice", "bob")
        cache.values[own[kind]] = cache.values[others] if value == "of the other" else value
    return bool(given.document)


SURFACE = Surface(SURFACE_INPUTS, run)
