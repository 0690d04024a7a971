"""A token in a file."""

from __future__ import annotations

from .backend import FileBackend

__all__ = ["FileBackend"]
