"""How long the way of an operation through the package is: calls, hops between files, modules."""

from __future__ import annotations

import gc
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import flask_dance_nosql

ROOT = str(Path(flask_dance_nosql.__file__).parent)


class Way(NamedTuple):
    """What was counted: calls of functions in a package, changes of the file, and files."""

    calls: int
    hops: int
    modules: int


def way_of(work: Callable[[], object], root: str = ROOT) -> Way:
    """Run something once and count its way through the files below a folder."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(root):
            files.append(frame.f_code.co_filename)

    # What the collector finds in between calls functions, too.
    gc.disable()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    hops = sum(one != other for one, other in itertools.pairwise(files))
    return Way(len(files), hops, len(set(files)))
