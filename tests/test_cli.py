"""The ``flask tokens`` commands, as a user types them."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flask_dance_nosql.cli import tokens

ROOT = Path(__file__).parent.parent


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which the package counts as installed, with the commands of ``setup.cfg``."""
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    commands = metadata["options.entry_points"]["flask.commands"]
    folder = tmp_path / "flask_dance_nosql-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: Flask-Dance-NoSQL\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[flask.commands]{commands}\n")
    return tmp_path


def test_generate_key_prints_a_key(installed: Path) -> None:
    """``flask tokens generate-key`` needs no app, and prints a new key and nothing else."""
    paths = os.pathsep.join([str(installed), str(ROOT)])
    printed = [
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "flask", "tokens", "generate-key"],
            env={**os.environ, "PYTHONPATH": paths, "FLASK_APP": "no.such.module"},
            cwd=installed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for _ in range(2)
    ]
    assert [done.stderr for done in printed] == ["", ""]
    keys = [done.stdout.removesuffix("\n") for done in printed]
    assert keys[0] != keys[1]
    assert [len(base64.b64decode(key, b"-_", validate=True)) for key in keys] == [32, 32]


def test_generate_key_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``cryptography``, the command says what to install, without a traceback."""
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("cipher.envelope", "cipher.keyring"):
        monkeypatch.delitem(sys.modules, f"flask_dance_nosql.consumer.backend.{name}", False)
    result = CliRunner().invoke(tokens, ["generate-key"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: TokenCipher needs the package 'cryptography'.")
    assert "Flask-Dance-NoSQL[encryption]" in result.output


VALUES = {"shard": "1/2", "limit": "5", "state": "working", "output": "no-such-folder/file"}
ONCE = [
    (name, option)
    for name, command in sorted(tokens.commands.items())
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag and not option.multiple
]


@pytest.mark.parametrize(
    ("name", "option"), ONCE, ids=[f"{name} {option.opts[0]}" for name, option in ONCE]
)
def test_no_option_is_given_twice(name: str, option: click.Option) -> None:
    """Which of two values counts is not guessed."""
    is_duration = option.type.name == "duration"
    value = "1d" if is_duration else VALUES.get(str(option.name), "acme")
    user = [each for each in tokens.commands[name].params if isinstance(each, click.Argument)]
    call = [name, *(["ann"] if user else []), option.opts[0], value, f"{option.opts[0]}={value}"]
    result = CliRunner().invoke(tokens, call)
    assert result.exit_code == 2
    assert f"{option.opts[0]} takes one value." in result.output
