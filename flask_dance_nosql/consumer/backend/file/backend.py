"""A backend that keeps one token in a file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import TYPE_CHECKING

from ....errors import BackendUnavailable, CorruptToken
from ..base import BaseBackend, BlueprintLike
from ..options import checked_cipher
from ..store.document import TokenKey
from ..store.values import Token, json_token

if TYPE_CHECKING:
    from ..cipher.envelope import TokenCipher


class FileBackend(BaseBackend):
    """Keeps one token in a file as JSON: for scripts, kiosks and applications of one user.

    The file is replaced as a whole, so that a reader or a crash never meets half a token, and only
    its owner may read it (mode 0600). Every visitor and every blueprint that use the same file have
    the same token.

    Args:
        filepath: The file's path; its folder must exist.
        cipher: Seals the token for its blueprint; ``None``, the default, for none. With a cipher,
            blueprints need a file each.
    """

    def __init__(
        self, filepath: str | os.PathLike[str], *, cipher: TokenCipher | None = None
    ) -> None:
        self.filepath = os.fspath(filepath)
        self.cipher = checked_cipher(cipher)

    def get(self, blueprint: BlueprintLike) -> Token | None:
        """Return the token, or ``None`` if there is no file.

        Raises:
            BackendUnavailable: If the file can't be read.
            CorruptToken: If it does not hold a token.
            TokenDecryptError: If the cipher can't open it.
        """
        try:
            with open(self.filepath, encoding="utf-8") as file:
                token = json_token(json.load(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable("get", error) from error
        except (TypeError, ValueError, RecursionError) as error:
            reason = f"{self.filepath!r} does not hold a JSON object"
            name = type(self).__name__
            raise CorruptToken("get", name, blueprint.name, None, reason) from error
        return token if self.cipher is None else self.cipher.open(TokenKey(blueprint.name), token)

    def set(self, blueprint: BlueprintLike, token: Token) -> None:
        """Replace the file by one that holds the token.

        Raises:
            TypeError: If the token is not a dict, or JSON has no type for something in it.
            ValueError: If JSON can't express it.
            BackendUnavailable: If the file can't be written; the old one is then still whole.
        """
        plain = json_token(token)
        sealed = plain if self.cipher is None else self.cipher.seal(TokenKey(blueprint.name), plain)
        text = json.dumps(sealed)
        try:
            replace_file(self.filepath, text.encode())
        except OSError as error:
            raise self._unavailable("set", error) from error

    def delete(self, blueprint: BlueprintLike) -> None:  # noqa: ARG002 - the contract's
        """Remove the file; it is no error if there is none.

        Raises:
            BackendUnavailable: If it can't be removed.
        """
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.filepath)
        except OSError as error:
            raise self._unavailable("delete", error) from error

    def _unavailable(self, operation: str, error: OSError) -> BackendUnavailable:
        reason = f"{self.filepath!r} can't be used: {error.strerror}"
        return BackendUnavailable(operation, type(self).__name__, reason)


def replace_file(path: str, content: bytes) -> None:
    """Put new content in place of a file, atomically and durably, readable by its owner only."""
    folder = os.path.dirname(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".token-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    # The new name is durable only once the folder is; some systems have no way to say so.
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
