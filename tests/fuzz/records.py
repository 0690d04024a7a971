"""What a database has under a user's key, whoever has put it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from .parts import as_json, changes, raw_bytes
from .seen import Seen, Surface
from .site import Said, secrets_of, site_for, token_of
from .stores import KINDS, Kept, kept_in

FIELDS = ("access_token", "refresh_token", "token_type", "expires_in", "expires_at", "scope")
OLD, NEW = token_of("alice", expires_at=4e9), token_of("alice", 1)
NOTHING = "[False, None, None]"
"""What the page says when there is no token."""


@dataclass
class Record:
    """Where it is, what becomes of it, and what is done then."""

    kind: str
    is_sealed: bool
    changed: dict[str, Any] | bytes | None
    then: str


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Make up a record: some fields changed, those of its token, all of it, or another user's."""
    kind = draw(st.sampled_from(list(KINDS)))
    is_sealed = draw(st.booleans()) and kind != "memory"
    of_token = changes(*FIELDS).map(lambda changed: {"token": {**OLD, **changed}})
    of_token = of_token.map(
        lambda record: {"token": {n: v for n, v in record["token"].items() if v is not ...}}
    )
    if kind in ("memory", "file"):
        of_token = of_record = changes(*FIELDS)
    else:
        of_record = changes(*KINDS[kind].names)
    whole = raw_bytes | st.just(b"list")
    changed = draw(of_token | of_record | of_record | whole | st.none())
    return Record(kind, is_sealed, changed, draw(st.sampled_from(["login", "logout", "revoke"])))


def run(given: Record, seen: Seen) -> None:
    """Read it, and then log in or out."""
    with kept_in(given.kind, given.is_sealed) as kept:
        _use(kept, given, seen)


def _use(kept: Kept, given: Record, seen: Seen) -> None:
    seen.secrets |= secrets_of(NEW) | secrets_of(OLD)
    site = site_for(seen, {"/token": Said(body=as_json(NEW)), "/revoke": Said()}, kept.backend)
    is_shared = kept.store is None
    if is_shared:
        kept.backend.set(site.blueprint, OLD)
    else:
        site.store("alice", OLD)
        site.store("bob", token_of("bob"))
    _damage(kept, given)
    site.open("/page")
    site.open("/guarded")
    if given.then == "login":
        answer = site.finish(site.begin())
        expected = NEW["access_token"]
    else:
        answer = site.open(f"/{given.then}")
        expected = NOTHING
    page = site.open("/page")
    if page.status_code != 200 or expected not in page.text:
        seen.wrong.append(
            f"after {given.then} ({answer.status_code}) the page has {page.text[:300]!r}"
        )
    if not is_shared and token_of("bob")["access_token"] not in site.open("/page", user="bob").text:
        seen.wrong.append("the other user's token is gone")


def _damage(kept: Kept, given: Record) -> None:
    if given.changed is None:
        kept.confuse(given.is_sealed)
    elif isinstance(given.changed, bytes):
        kept.replace(given.changed)
    else:
        kept.change(given.changed)


SURFACE = Surface(records(), run)
