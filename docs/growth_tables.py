"""The directive ``growth``: a table of the page on growth, made of what was measured."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks.scale.arithmetic import tables

MEASURED = Path(__file__).parent / "growth.json"


class Growth(SphinxDirective):
    """A table of :func:`benchmarks.scale.arithmetic.tables`: ``.. growth:: name``."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Return the table."""
        rows = io.StringIO()
        csv.writer(rows).writerows(tables(json.loads(MEASURED.read_text()))[self.arguments[0]])
        head = [".. csv-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
        text = "\n".join([*head, *(f"   {row}" for row in rows.getvalue().splitlines())])
        self.env.note_dependency(str(MEASURED))
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive to Sphinx."""
    app.add_directive("growth", Growth)
    return {"parallel_read_safe": True}
