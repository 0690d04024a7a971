"""The page of the command line names what there is, and its examples are understood."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from docutils import nodes

from flask_dance_nosql.cli import tokens
from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..fleet import Fleet, rotating, small_fleet
from ..test_docs import DOCS, document_of, shell_commands

__all__ = ["rotating", "small_fleet"]
PAGE = DOCS / "command-line.rst"


def section_of(name: str) -> nodes.section:
    """Return the section about a command."""
    for section in document_of(PAGE).findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is not None and title.astext().split()[0] == name:
            return section
    raise AssertionError(f"There is no section about {name!r} in {PAGE.name}.")


@pytest.mark.parametrize("name", sorted(tokens.commands))
def test_the_page_names_each_option(name: str) -> None:
    """And each option that a table names is one of the command; all have ``--verbose``."""
    known = {option for each in tokens.commands[name].params for option in each.opts}
    known.remove("--verbose")
    tables = section_of(name).findall(nodes.tbody)
    rows = [row for table in tables for row in table.findall(nodes.row)]
    literals = [each.astext() for row in rows for each in row[0].findall(nodes.literal)]
    named = {text.split()[0] for text in literals}
    assert named == {option for option in known if option.startswith("--")}


def test_examples_are_understood(
    small_fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command line of the page is one that the commands take."""
    monkeypatch.chdir(tmp_path)
    elsewhere = ModuleType("myapp.tokens")
    place = UserScopedBackend(MemoryStore(), cipher=small_fleet.cipher)
    monkeypatch.setattr(elsewhere, "new_backend", place, raising=False)
    monkeypatch.setitem(sys.modules, "myapp", ModuleType("myapp"))
    monkeypatch.setitem(sys.modules, "myapp.tokens", elsewhere)
    lines = [line.partition(" tokens ") for line in shell_commands(PAGE)]
    calls = [shlex.split(call) for program, _, call in lines if program.startswith("flask")]
    assert {call[0] for call in calls} >= {"list", "show", "stats", "revoke", "forget", "purge"}
    for call in calls:
        done = small_fleet.run(*(word.replace("github", "acme") for word in call))
        assert done.exit_code in (0, 1), (call, done.output)
