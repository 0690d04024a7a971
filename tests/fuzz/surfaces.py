"""All that others decide: each has a module, and all are tried alike."""

from __future__ import annotations

from . import answers, caches, callbacks, cookies, names, records
from .seen import Surface

SURFACES: dict[str, Surface] = {
    "callbacks": callbacks.SURFACE,
    "answers": answers.SURFACE,
    "records": records.SURFACE,
    "caches": caches.SURFACE,
    "names": names.SURFACE,
    "cookies": cookies.SURFACE,
}
