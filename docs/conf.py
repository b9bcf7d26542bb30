"""The site: these pages, and the reference that the docstrings give. `make docs` builds it.

The pages stay plain files: what the site needs beside them is made here. Its navigation is
index.md: each of the headings there, with the pages that are linked below it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

import andon

if TYPE_CHECKING:
    from docutils.nodes import Element, Node, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "andon"
author = "The andon authors"
project_copyright = "The andon authors, Apache-2.0"
release = andon.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["examples", "_build"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["andon.css"]
html_favicon = "_static/andon.svg"
myst_heading_anchors = 3  # links to `#a-heading`, as every reader of Markdown makes them
# A fence names its language for the tests as well; "console" is the only one with output in it.
highlight_language = "none"

autoclass_content = "both"  # a constructor's parameters stand in its own docstring
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"  # and what comes back
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_display_short_literal_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_title = f"andon {release}"
html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"**": ["whole-navigation"]}
html_theme_options = {
    "logo": {
        "image_light": "_static/andon.svg",
        "image_dark": "_static/andon.svg",
        "text": html_title,
    },
    "navbar_center": [],  # everything is in the sidebar
    "navbar_end": ["theme-switcher"],
    # The table of backends needs the room.
    "secondary_sidebar_items": {"**": ["page-toc"], "reference/backends": []},
    "show_nav_level": 1,
    "navigation_depth": 2,
    "footer_end": [],
    "pygments_light_style": "github-light",
    "pygments_dark_style": "github-dark",
}

nitpicky = True  # see resolve()

#: The names under which things are documented begin with one of these.
PLACES = [
    "andon", "andon.backends", "andon.budget", "andon.context", "andon.events", "andon.hookspecs",
    "andon.options", "andon.routing", "andon.testing", "andon.tokens",
]  # fmt: skip
#: Classes whose members are not told again in those of andon.
FOREIGN = "object, str, int, tuple, Enum, Protocol, Generic, RuleBasedStateMachine"
DEFINED = re.compile(r"^\s*(?:async def|def|class|)\s*(\w+)\s*[(:=]", re.MULTILINE)
LINK = re.compile(r"\]\((?P<page>[\w./-]+)\.(?:md|rst)\)")


def navigation(index: str) -> str:
    """Return the trees of pages that the index's headings and links describe.

    :param index: the text of index.md.
    """
    trees = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        caption, _, text = section.partition("\n")
        named = dict.fromkeys(match["page"] for match in LINK.finditer(text))
        pages = "\n".join(named)  # each once, though a line may speak of it again
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "\n".join(trees)


def add_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Put the trees below the index; the plain file does without."""
    if name == "index":
        source[0] += "\n" + navigation(source[0])


class Public(SphinxDirective):
    """``.. public:: andon.budget`` documents each public name of andon that lives there."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Return what autodoc makes of the names."""
        [module] = self.arguments
        names = public_names(module)
        if not names:
            raise self.error(f"andon has no public names in {module}")
        return self.parse_text_to_nodes("\n".join(documented(module, name) for name in names))


def public_names(module: str) -> list[str]:
    """Return the names that users take from a module, most of them by way of ``andon``."""
    if module == "andon.testing":
        return sorted(import_module(module).__all__)
    names = [name for name, home in andon._HOME_OF.items() if module == f"andon.{home}"]
    return sorted(names, key=lambda name: name.startswith("Async"))  # told by their synchronous kin


def documented(module: str, name: str) -> str:
    """Return the directive that documents a public name."""
    value = getattr(import_module(module), name)
    place = module if module == "andon.testing" else "andon"
    if isinstance(value, FunctionType):
        return f".. autofunction:: {place}.{name}\n"
    if not isinstance(value, type):
        return f".. autodata:: {module}.{name}\n   :no-value:\n"
    if issubclass(value, BaseException):
        return f".. autoexception:: {place}.{name}\n   :members:\n   :show-inheritance:\n"
    also = ":undoc-members:" if issubclass(value, Enum) else f":inherited-members: {FOREIGN}"
    return f".. autoclass:: {place}.{name}\n   :members:\n   {also}\n"


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement
) -> Element | None:
    """Find a name where it is documented: `andon.chat.Usage` is `andon.Usage` to its readers.

    What is documented nowhere stays plain text. What a docstring refers to must be there at least:
    Sphinx warns of None.
    """
    if node.get("refdomain") != "py":
        return None
    python = env.domains.python_domain
    for target in spellings(node["reftarget"]):
        found = python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)
        if found is not None:
            return found
    said_by_a_docstring = "refwarn" in node  # the types of signatures come without
    there = node["reftarget"].rpartition(".")[2] in defined_names()
    return None if said_by_a_docstring and not there else content


def spellings(target: str) -> list[str]:
    """Return the names under which a thing, or the class that it belongs to, may be documented."""
    words = target.split(".")
    ends = [words[-2:], words[-1:], words[-2:-1]]
    return [".".join([place, *end]) for end in ends if end for place in PLACES]


@cache
def defined_names() -> frozenset[str]:
    """Return what is defined anywhere in the core."""
    files = Path(andon.__file__).parent.rglob("*.py")
    return frozenset(name for file in files for name in DEFINED.findall(file.read_text("utf-8")))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of all this."""
    app.add_directive("public", Public)
    app.connect("source-read", add_navigation)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
