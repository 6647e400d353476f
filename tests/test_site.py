"""The site: every page has its place in it, every public name stands in its reference."""

import re
import runpy

import pytest

from support import tables

CONFIGURATION = runpy.run_path(str(tables.DOCS / "conf.py"))
INDEX = (tables.DOCS / "index.md").read_text(encoding="utf-8")
REFERENCE = (tables.DOCS / "reference.md").read_text(encoding="utf-8")


def test_the_navigation_holds_every_page_once() -> None:
    groups = CONFIGURATION["navigation"](INDEX)
    placed = [page for pages in groups.values() for page in pages]
    assert sorted(placed) == sorted(
        page.stem for page in tables.DOCS.glob("*.md") if page.stem != "index"
    )
    assert "" not in groups
    assert len(groups) >= 3


def test_a_page_stands_where_it_is_named_first() -> None:
    index = "x\n## Pages\n\nOne:\n\n- [a](a.md), [b](b.md)\n\nTwo:\n\n- [c](c.md)\n- [a](a.md#x)\n"
    assert CONFIGURATION["navigation"](index) == {"One": ["a", "b"], "Two": ["c"]}


@pytest.mark.parametrize("module", tables.PUBLIC)
def test_the_reference_has_a_place_for_every_public_module(module: str) -> None:
    # Its table is made of the module's names and docstrings: tests/test_docs.py compares it.
    assert f"<!-- made: reference {module} -->" in REFERENCE
    assert "automodule:: " + module in CONFIGURATION["REFERENCE"].sub(
        CONFIGURATION["docstrings"], REFERENCE
    )


def test_every_module_that_the_pages_import_from_is_in_the_reference() -> None:
    texts = [page.read_text(encoding="utf-8") for page in tables.pages()]
    imported = {
        name
        for text in texts
        for name in re.findall(r"^\s*(?:from|import) (httpx_resilience[\w.]*)", text, re.MULTILINE)
    }
    assert imported <= set(tables.PUBLIC)
