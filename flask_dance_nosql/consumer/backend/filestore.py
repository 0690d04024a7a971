"""Tokens in a folder, one file each."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ... import clock
from ...errors import CorruptToken
from .document import TokenDocument, TokenKey
from .file import replace_file
from .filelock import locked
from .store import TokenStore, translated

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TokenDocument).decode


class FileStore(TokenStore):
    """Keeps each token as one JSON file of a folder, for applications on one machine.

    The files' names are digests of the keys: legal on every system and never ambiguous. A file is
    replaced as a whole and is readable by its owner only. Writers of one key, in any process, wait
    for each other at a lock file.

    Args:
        folder: The folder's path; it is made when it is missing.
    """

    unavailable_errors = (OSError,)

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @property
    def place(self) -> str:
        """The folder."""
        return f"folder:{self.folder.resolve()}"

    def path(self, key: TokenKey) -> Path:
        """Return the path of a key's file."""
        return self.folder / f"{key.digest}.json"

    @translated
    def load(self, key: TokenKey) -> TokenDocument | None:
        """Return the document in a key's file."""
        document = self._read("load", key)
        return None if document is None or document.expired else document

    @translated
    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        """Replace a key's file."""
        key = document.key
        with self._locked(key):
            old = self._old(key)
            if if_version is not None and if_version != _version(old, if_version):
                raise self.conflict("save", key)
            saved = msgspec.structs.replace(
                document,
                version=clock.first_version() if old is None else old.version + 1,
                created_at=document.created_at if old is None else old.created_at,
            )
            replace_file(str(self.path(key)), _encode(saved))
        return saved

    @translated
    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        """Remove a key's file."""
        with self._locked(key):
            if if_version is not None:
                old = self._read("delete", key)
                if old is not None and old.version != if_version:
                    raise self.conflict("delete", key)
            self.path(key).unlink(missing_ok=True)

    @translated
    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        """Yield the documents of the folder, one file after the other."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return
        for path in (self.folder / name for name in names if name.endswith(".json")):
            document = self._scanned(path)
            if document is None or document.expired:
                continue
            if provider in (None, document.provider) and user_id in (None, document.user_id):
                yield document

    @translated
    def prepare(self) -> None:
        """Make the folder, for its owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @translated
    def ping(self) -> None:
        """Make sure that the folder can be used."""
        self.prepare()
        os.listdir(self.folder)

    @translated
    def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
        """Take the lock of a key if it is free."""
        path, now = self.folder / f"{key.digest}.lease", clock.timestamp()
        with self._locked(key):
            current, until = _lease(path)
            if current not in ("", holder) and until > now:
                return False
            replace_file(str(path), json.dumps([holder, now + seconds]).encode())
            return True

    @translated
    def release(self, key: TokenKey, holder: str) -> None:
        """Give up the lock of a key."""
        path = self.folder / f"{key.digest}.lease"
        with self._locked(key):
            if _lease(path)[0] == holder:
                path.unlink(missing_ok=True)

    def _locked(self, key: TokenKey) -> contextlib.AbstractContextManager[None]:
        self.prepare()
        # A lock file is never removed, since somebody may wait at it: hence only so many.
        return locked(self.folder / f"{key.digest[:2]}.lock")

    def _read(self, operation: str, key: TokenKey) -> TokenDocument | None:
        try:
            content = self.path(key).read_bytes()
        except FileNotFoundError:
            return None
        try:
            document = _decode(content)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.corrupt(operation, key, "it is not a token document") from error
        if (document.provider, document.user_id) != (key.provider, key.user_id):
            raise self.corrupt(operation, key, "its fields name another owner")
        return document

    def _old(self, key: TokenKey) -> TokenDocument | None:
        """Return what is in place, or ``None`` also for what is corrupt, which a save replaces."""
        with contextlib.suppress(CorruptToken):
            return self._read("save", key)
        return None

    def _scanned(self, path: Path) -> TokenDocument | None:
        unknown = TokenKey(path.name)
        try:
            document = _decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.corrupt("scan", unknown, "it is not a token document")
            return None
        if self.path(document.key) != path:
            self.corrupt("scan", unknown, "its fields name another owner")
            return None
        return document


def _version(document: TokenDocument | None, if_version: int) -> int:
    if document is None or (document.expired and if_version == 0):
        return 0
    return document.version


def _lease(path: Path) -> tuple[str, float]:
    try:
        holder, until = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return "", 0.0
    return str(holder), float(until)
