"""CONTRIBUTING.rst says which tests hold each promise, and each of these tests is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from docutils import nodes

from .test_docs import ROOT, document_of

PAGE = ROOT / "CONTRIBUTING.rst"
HEADING = "What holds each promise"


@cache
def named_tests() -> dict[int, list[str]]:
    """Return the tests that the page names, by the number of the promise."""
    [section] = [
        section
        for section in document_of(PAGE).findall(nodes.section)
        if section.next_node(nodes.title).astext() == HEADING
    ]
    [body] = section.findall(nodes.tbody)
    named = {}
    for row in body.findall(nodes.row):
        number, _, tests = row.children
        literals = [literal.astext() for literal in tests.findall(nodes.literal)]
        named[int(number.astext())] = [text for text in literals if "::" in text]
    return named


@cache
def existing_tests(path: Path) -> frozenset[str]:
    """Return the tests of a module; those of a class as ``TestClass::test_name``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            found |= {f"{node.name}::{method.name}" for method in methods}
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def test_every_promise_is_held() -> None:
    """Promises 1 to 26 are on the page, in their order, and each has a test at least."""
    assert list(named_tests()) == list(range(1, 27))
    assert [number for number, tests in named_tests().items() if not tests] == []


@pytest.mark.parametrize("number", range(1, 27))
def test_named_tests_exist(number: int) -> None:
    """Each test that the page names for a promise is in the file that it names."""
    for test in named_tests()[number]:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), path
        assert name in existing_tests(ROOT / path), test
