"""Whatever comes in, the same things hold; how many inputs are tried says ``FUZZ_INPUTS``."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from .invariants import check
from .seen import observe
from .surfaces import SURFACES

INPUTS = int(os.environ.get("FUZZ_INPUTS") or 2000)
"""For all surfaces together. They are the same in every run, unless ``FUZZ_RANDOM`` is set."""


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("name", SURFACES)
def test_whatever_comes_in(name: str, record_property: Any) -> None:
    """No error, no secret shown, no foreign token, no way off the site, no hang."""
    surface, tried = SURFACES[name], 0

    @settings(
        max_examples=-(-INPUTS // len(SURFACES)),
        deadline=None,
        database=None,
        derandomize="FUZZ_RANDOM" not in os.environ,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(surface.inputs)
    def holds(given: Any) -> None:
        nonlocal tried
        tried += 1
        check(observe(surface, given))

    try:
        holds()
    finally:
        record_property("inputs", tried)
