"""No driver is imported before it is needed, and a missing one is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

DRIVERS = ["pymongo", "bson", "redis", "flask_login", "sqlalchemy", "cryptography"]
EXTRAS = [
    ("MongoBackend", "pymongo", "mongodb"),
    ("RedisBackend", "redis", "redis"),
    ("InvalidatedCache", "redis", "redis"),
    ("TokenCipher", "cryptography", "encryption"),
]
MODULES = {
    "MongoBackend": "mongo",
    "RedisBackend": "redis",
    "InvalidatedCache": "redis",
    "TokenCipher": "cipher.envelope",
}


def run(program: str) -> str:
    """Run a program in a new interpreter, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_loads_no_driver() -> None:
    """Blueprints and all backends that need no driver can be imported and used without any."""
    program = f"""
import sys
import flask_dance_nosql, flask_dance_nosql.errors, flask_dance_nosql.consumer
from flask_dance_nosql.consumer.backend import (
    BaseBackend, FileBackend, MemoryBackend, NullBackend, SessionBackend, TokenKey, TokenStore,
    UserScopedBackend,
)
bp = flask_dance_nosql.consumer.OAuth2ConsumerBlueprint("demo", __name__, backend=MemoryBackend())
bp.token = {{"access_token": "at"}}
assert bp.session.authorized
TokenKey("demo", 42)
print([name for name in {DRIVERS} if name in sys.modules])
"""
    assert run(program) == "[]"


@pytest.mark.parametrize(("name", "driver", "extra"), EXTRAS)
def test_no_name_loads_the_driver_of_another(name: str, driver: str, extra: str) -> None:
    """Naming a backend or the cipher loads what it needs, and no other database's driver."""
    others = {"pymongo", "redis", "sqlalchemy"} - {driver}
    program = f"""
import sys
from flask_dance_nosql.consumer.backend import {name}
print({driver!r} in sys.modules, {others!r} & set(sys.modules))
"""
    assert run(program) == "True set()"


@pytest.mark.parametrize(("name", "driver", "extra"), EXTRAS)
@pytest.mark.parametrize("way", ["package", "module", "attribute"])
def test_a_missing_driver_is_told(name: str, driver: str, extra: str, way: str) -> None:
    """However a backend is reached, the error names it, the package and the extra to install."""
    statement = {
        "package": f"from flask_dance_nosql.consumer.backend import {name}",
        "module": f"from flask_dance_nosql.consumer.backend.{MODULES[name]} import {name}",
        "attribute": f"import flask_dance_nosql.consumer.backend as b; b.{name}",
    }[way]
    program = f"""
import sys
sys.modules[{driver!r}] = None
from flask_dance_nosql.errors import ConfigurationError, MissingDependency
for _ in range(2):
    try:
        {statement}
    except ImportError as error:
        assert isinstance(error, MissingDependency) and isinstance(error, ConfigurationError)
        assert isinstance(error.__cause__, ImportError)
        print(error.feature, error.package, error.extra, "[{extra}]" in str(error))
"""
    assert run(program).splitlines() == [f"{name} {driver} {extra} True"] * 2


@pytest.mark.parametrize(
    ("module", "driver"),
    [
        *((f"mongo.{name}", "pymongo") for name in ("store", "source", "backend")),
        *((f"redis.{name}", "redis") for name in ("store", "client", "backend", "invalidated")),
        *((f"sqla.{name}", "sqlalchemy") for name in ("store", "models", "backend")),
    ],
)
def test_a_missing_driver_is_told_by_inner_modules(module: str, driver: str) -> None:
    """So it is when the module is imported without its folder's public names."""
    program = f"""
import sys
sys.modules[{driver!r}] = None
from flask_dance_nosql.errors import MissingDependency
try:
    import flask_dance_nosql.consumer.backend.{module}
except MissingDependency as error:
    print(error.package.lower())
"""
    assert run(program) == driver


def test_redis_backend_needs_no_cachetools() -> None:
    """What the cache of the same folder needs, the backend does without."""
    program = """
import sys
sys.modules["cachetools"] = None
from flask_dance_nosql.consumer.backend import RedisBackend
from flask_dance_nosql.consumer.backend.redis import RedisStore
print(RedisBackend.__name__, RedisStore.__name__)
"""
    assert run(program) == "RedisBackend RedisStore"


def test_object_ids_of_users_need_no_driver_of_ours() -> None:
    """Where ``bson`` is not loaded, no id can be an ObjectId, and none is looked for."""
    program = """
import sys
sys.modules["bson"] = None
from flask_dance_nosql.consumer.backend import TokenKey
class ObjectId:
    pass
try:
    TokenKey("demo", ObjectId())
except TypeError as error:
    print(error)
"""
    assert run(program) == "A user_id is a str, int, UUID or ObjectId, not ObjectId"
