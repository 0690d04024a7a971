"""How long an import takes, against Flask-Dance's, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from .rounds import Row

ROUNDS = 15
_SCRIPT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_rows() -> list[Row]:
    """Measure the imports in turns, with all that they import."""
    ours, theirs = "flask_dance_nosql.consumer", "flask_dance.consumer"
    whole = [(_seconds(ours), _seconds(theirs)) for _ in range(ROUNDS)]
    ratios = tuple(one / two for one, two in whole)
    microseconds = median(one for one, _ in whole) * 1e6
    return [Row(f"import {ours}", f"import {theirs}", ratios, microseconds)]


def _seconds(module: str) -> float:
    command = [sys.executable, "-c", _SCRIPT.format(module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)
