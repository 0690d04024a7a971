"""How Sphinx builds the documentation; ``make docs`` runs it."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import provider_pages

from flask_dance_nosql import __version__

project = "Flask-Dance-NoSQL"
author = "Flask-Dance-NoSQL contributors"
copyright = f"2026, {author}"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "growth_tables",
]
copybutton_prompt_text = "$ "
exclude_patterns = ["_build"]

provider_pages.write(Path(__file__).parent / "providers")

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_js_files = ["scroll.js"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Every name of this project has to lead somewhere. Those of other projects would need the network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!flask_dance_nosql).*"),
    # What shows in signatures alone.
    (r"py:.*", r"flask_dance_nosql\.(consumer\.settings\.Configurable|preset\.base\.B)"),
    # Parts of the classes that are documented.
    (
        r"py:class",
        r"flask_dance_nosql\.consumer\.(backend\.(scoped_slot\.StoreBackend|store\.(abilities\.Abilities|listed\.ListedStore|errors\.DriverErrors))|oidc\.backchannel\..*)",
    ),
]


def link_short_name(app, env, node, content):
    """Link a name that a docstring gives without its module, if just one object has it."""
    name = node.get("reftarget", "")
    python = env.get_domain("py")
    found = [
        full
        for full, entry in python.objects.items()
        if full.rpartition(".")[2] == name and not entry.aliased
    ]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    role, document = node["reftype"], node["refdoc"]
    return python.resolve_xref(env, document, app.builder, role, found[0], node, content)


def setup(app):
    """Add what is ours to Sphinx."""
    app.connect("missing-reference", link_short_name)
