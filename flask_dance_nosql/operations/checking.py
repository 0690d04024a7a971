"""Checking and preparing the stores of an application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..consumer.app_backends import AppStore, app_stores
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.store.findings import PREPARE, Finding, ok, problem
from ..consumer.backend.store.shard import Shard
from ..errors import ConfigurationError
from .found import Told

QUICK = 1000
"""How many records of each store a quick check looks at."""

# What findings are named that a preparation may change.
_PREPARED = ("index", "other indexes", "table", "unique", "collation")


@dataclass(frozen=True)
class StoreReport:
    """What was found of one backend.

    Attributes:
        backend: The name of its class.
        blueprints: The names of the blueprints that have it.
        findings: What was found.

    .. versionadded:: 1.0
    """

    backend: str
    blueprints: list[str]
    findings: list[Finding]

    @property
    def has_problem(self) -> bool:
        """Whether one of the findings is a problem."""
        return any(each.status == "problem" for each in self.findings)


@dataclass(frozen=True)
class Preparation:
    """What was done to prepare one backend's store.

    Attributes:
        backend: The name of its class.
        blueprints: The names of the blueprints that have it.
        made: What was missing or wrong before, and is there now or, in a dry run, would be; none
            if all was there.
        left: What is still a problem: such as an index with other options, which stays.

    .. versionadded:: 1.0
    """

    backend: str
    blueprints: list[str]
    made: list[str]
    left: list[Finding]


def check_stores(
    stores: Iterable[AppStore] | None = None,
    *,
    sample: int | None = None,
    shard: Shard | None = None,
    told: Told | None = None,
) -> list[StoreReport]:
    """Check stores of the current app, as :meth:`UserScopedBackend.check` does.

    Where several backends keep their tokens in one place, each looks at those of its own
    blueprints, and at those of no blueprint.

    Args:
        stores: Which; ``None``, the default, for all.
        sample: Look at so many records of each only; ``None``, the default, at all.
        shard: Look at this part of the records of each only; ``None``, the default, at all.
        told: Called after each record; ``None``, the default, for nothing.

    .. versionadded:: 1.0
    """
    every = app_stores()
    reports = []
    for each in every if stores is None else stores:
        listings = _listings(each.backend)
        others = {
            name
            for other in every
            if not listings.isdisjoint(_listings(other.backend))
            for name in other.blueprints
        }
        found = each.backend.check(
            sample=sample,
            except_providers=others - each.blueprints.keys(),
            shard=shard,
            told=told,
        )
        found += _accounts(each)
        reports.append(StoreReport(type(each.backend).__name__, list(each.blueprints), found))
    return reports


def prepare_stores(
    stores: Iterable[AppStore] | None = None, *, dry_run: bool = False
) -> list[Preparation]:
    """Create what stores of the current app need in their databases: tables and indexes.

    It may be done again; what is there stays as it is.

    Args:
        stores: Which; ``None``, the default, for all.
        dry_run: Whether to create nothing, and to tell what would be made; default: no.

    Raises:
        BackendUnavailable: If a server did not answer.
        BackendError: If it refused.
        ConfigurationError: If tokens can't be kept there.

    .. versionadded:: 1.0
    """
    done = []
    for backend, blueprints in app_stores() if stores is None else stores:
        # A store that needs no preparation asks nothing of its server.
        backend.store.ping()
        before = _not_ok(backend)
        if dry_run:
            after = {n: each for n, each in before.items() if not each.advice.startswith(PREPARE)}
        else:
            backend.store.prepare()
            after = _not_ok(backend)
        made = [name for name in before if name not in after]
        left = [each for each in after.values() if each.status == "problem"]
        done.append(Preparation(type(backend).__name__, list(blueprints), made, left))
    return done


def _not_ok(backend: UserScopedBackend) -> dict[str, Finding]:
    found = (each for each in backend.store.checks() if each.name.startswith(_PREPARED))
    return {each.name: each for each in found if each.status != "ok"}


def _accounts(store: AppStore) -> Iterator[Finding]:
    """Yield whether a store can keep the accounts of its blueprints as these want it."""
    for name, blueprint in store.blueprints.items():
        if blueprint.several_accounts or blueprint.exclusive_accounts:
            try:
                if blueprint.several_accounts:
                    store.backend.store.require_accounts()
                if blueprint.exclusive_accounts:
                    store.backend.store.require_links()
            except ConfigurationError as error:
                advice = "Do that, or leave several_accounts= and exclusive_accounts= away."
                yield problem(f"accounts of {name}", str(error), advice)
            else:
                yield ok(f"accounts of {name}", "The store can keep them apart.")


def _listings(backend: UserScopedBackend) -> frozenset[str]:
    try:
        return backend.store.listings
    except Exception:  # noqa: BLE001 - what is wrong with it, its check tells
        return frozenset()
