"""How the site is built of these pages: ``python -m sphinx -W --keep-going docs OUTPUT``.

The pages are plain Markdown, which reads on GitHub as well. Two things are added for the site: the
navigation, from the lists of links in ``index.md``, and the reference, from the docstrings.
"""

import importlib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
_METADATA = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _METADATA["name"]
version = release = _METADATA["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"  # brings all of its fonts and scripts: the site works without a network
html_title = f"{project} {version}"
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
add_module_names = False

LISTED = re.compile(r"\]\(([\w-]+)\.md\)")
REFERENCE = re.compile(r"<!-- made: reference ([\w.]+) -->.*?<!-- end -->", re.DOTALL)


def navigation(index: str) -> dict[str, list[str]]:
    """Return the pages that each list of the index names, by the line above the list.

    This is the one place where a new page is entered: a link in the section "Pages" of
    ``index.md``. A page stands where it is named first.
    """
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    caption = ""
    for line in index.partition("\n## Pages\n")[2].splitlines():
        if line.endswith(":") and not line.startswith(("-", " ")):
            caption = line.removesuffix(":")
        for page in LISTED.findall(line):
            if page not in seen:
                seen.add(page)
                groups.setdefault(caption, []).append(page)
    return groups


def docstrings(found: re.Match[str]) -> str:
    """Return a module's table, and what has Sphinx put its docstrings below it.

    What is the same at both doors, that of httpx and that of httpx2, is described once.
    """
    module = importlib.import_module(found[1])
    twin = importlib.import_module(found[1].removesuffix(".httpx2"))
    shared = [name for name in module.__all__ if getattr(module, name) is getattr(twin, name, None)]
    left_out = ", ".join(shared) if twin is not module else ""
    lines = [f".. automodule:: {found[1]}", f"   :exclude-members: {left_out}" if left_out else ""]
    return "\n".join([found[0], "", "```{eval-rst}", *lines, "```"])


def for_the_site(app: "Sphinx", name: str, source: list[str]) -> None:
    """Add the navigation to the index, and the docstrings to the reference."""
    if name == "index":
        for caption, pages in navigation(source[0]).items():
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
    source[0] = REFERENCE.sub(docstrings, source[0])


def setup(app: "Sphinx") -> None:
    """Have Sphinx call what changes the pages."""
    app.connect("source-read", for_the_site)
