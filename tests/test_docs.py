"""The documentation is true: its Python runs, its tables are the code's, its links work."""

import ast
import contextlib
import inspect
import io
import itertools
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import httpx
import httpx2
import pytest
import structlog
from typer.main import get_command

from httpx_resilience.cli import _app
from httpx_resilience.testing import FakeScaiVault
from httpx_resilience.testing import httpx2 as testing_httpx2
from support import tables
from support.stores import Server, any_engine, serving
from support.virtual import backend

ROOT, README, DOCS = tables.ROOT, tables.README, tables.DOCS
INDEX = DOCS / "index.md"
TEXTS = {page: page.read_text(encoding="utf-8") for page in tables.pages()}

PYTHON = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
"""A block, and what it prints where that stands right below it."""

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")

RETIRED = re.compile(r"\b(told|let go|limping|anew|mend(ed|s)?)\b", re.IGNORECASE)
"""Words for which the field has its own: emitted, released, degraded, again, repaired."""

OF_SDKS = DOCS / "sdks.md"
"""Its examples need what is not installed here: ``tests/sdks`` runs them."""

OF_STORES = DOCS / "stores.md"
"""Its examples need clients that are an extra of their own."""

OF_PROCESSES = DOCS / "many-processes.md"
"""Likewise, and a server, which the environment names: it is a real one."""

PROCESSORS = re.compile(r"\b(AMD|Intel|EPYC|Xeon|Ryzen|Apple M\d|Graviton)\b", re.IGNORECASE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", TEXTS, ids=name_of)


def prose_of(page: Path) -> str:
    """Return what was written by hand, without code."""
    made = re.sub(r"<!-- made: .*?<!-- end -->", "", TEXTS[page], flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", made))


# Tables and log lines.


@every_page
def test_the_tables_and_log_lines_are_what_the_code_makes_of_them(page: Path) -> None:
    # To bring them up to date: python tests/support/tables.py
    text = TEXTS[page]
    assert tables.settled(tables.rendered(text)) == tables.settled(text)


def test_everything_that_is_made_stands_on_a_page() -> None:
    shown = {name for text in TEXTS.values() for name in tables.names_in(text)}
    assert shown == set(tables.MADE)


@every_page
def test_every_mark_has_its_end(page: Path) -> None:
    text = TEXTS[page]
    assert text.count("<!-- made: ") == text.count("<!-- end -->") == len(tables.names_in(text))


# Examples.


@pytest.fixture
def settings_kept() -> Iterator[None]:
    """Undo what an example sets for the whole process."""
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpx_resilience")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def the_network_is_a_vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what clients of either library and kind send by default reach a vault in this process."""
    with contextlib.ExitStack() as left_open:
        kinds: dict[Any, Any] = {httpx: FakeScaiVault, httpx2: testing_httpx2.FakeScaiVault}
        for library, kind in kinds.items():
            vault = kind(anonymous=True)
            inner, now = vault.transport(), vault.sync_transport()
            left_open.callback(now.close)
            monkeypatch.setattr(library.AsyncHTTPTransport, "handle_async_request", sent_by(inner))
            monkeypatch.setattr(library.HTTPTransport, "handle_request", sent_now_by(now))
        yield


@pytest.fixture
def clients_of_stores() -> None:
    for client in ("redis", "coredis"):
        pytest.importorskip(client, reason=f"{client} is not installed (extra `redis`)")


@pytest.fixture
def named_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A real server, for examples that ask one, by the environment; they skip without."""
    with serving(any_engine()) as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.setenv("LIMITS_SECRET", "what the examples share")
        yield server


def sent_by(inner: Any) -> Any:
    async def answer(_: object, request: object) -> object:
        return await inner.handle_async_request(request)

    return answer


def sent_now_by(inner: Any) -> Any:
    def answer(_: object, request: object) -> object:
        return inner.handle_request(request)

    return answer


@pytest.mark.parametrize(
    "page", [page for page in TEXTS if page not in (OF_SDKS, OF_PROCESSES)], ids=name_of
)
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [backend("asyncio")])
@pytest.mark.usefixtures("settings_kept", "the_network_is_a_vault")
async def test_every_python_block_runs_and_prints_what_stands_below_it(
    page: Path, request: pytest.FixtureRequest
) -> None:
    if page == OF_STORES:
        request.getfixturevalue("clients_of_stores")
    await run_blocks(page)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.usefixtures("settings_kept", "the_network_is_a_vault", "clients_of_stores")
async def test_every_block_about_processes_runs_with_a_real_store(named_store: Server) -> None:
    await run_blocks(OF_PROCESSES, before_each=lambda: named_store.command("FLUSHALL"))


@every_page
def test_every_python_block_is_found_and_can_be_compiled(page: Path) -> None:
    for block, _ in PYTHON.findall(TEXTS[page]):
        compiled(block, page)
    assert PYTHON.sub("", TEXTS[page]).count("```python") == 0


async def run_blocks(page: Path, before_each: Callable[[], object] = lambda: None) -> None:
    names: dict[str, Any] = {}
    for block, expected in PYTHON.findall(TEXTS[page]):
        before_each()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            await run(compiled(block, page), names)
        assert printed.getvalue() == expected or not expected


def compiled(block: str, page: Path) -> CodeType:
    code: CodeType = compile(block, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run(code: CodeType, names: dict[str, Any]) -> None:
    result = eval(code, names)  # our own documentation
    if inspect.isawaitable(result):
        await result


def test_most_pages_have_examples() -> None:
    with_examples = [page for page, text in TEXTS.items() if PYTHON.search(text)]
    assert len(with_examples) >= 8


# Commands.


def test_the_commands_that_it_names_exist_and_all_are_named() -> None:
    text = TEXTS[DOCS / "command-line.md"]
    named = set(re.findall(r"^httpx-resilience (\w+)", text, re.MULTILINE))
    command = get_command(_app.app)
    assert named == set(getattr(command, "commands"))  # noqa: B009 - a Group, untyped here


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert 'pip install -e ".[dev]" && pytest' in TEXTS[README]
    assert '-e ".[dev]"' in script
    assert script.rstrip().endswith("pytest")


# Links.


def anchors_of(page: Path) -> list[str]:
    """Return the anchors of a page's headings, as GitHub and the generators of sites make them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", TEXTS[page]), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each relative link."""
    targets = LINK.findall(FENCED.sub("", TEXTS[page]))
    parted = [target.partition("#") for target in targets if "://" not in target]
    return [((page.parent / file).resolve() if file else page, to) for file, _, to in parted]


@every_page
def test_no_relative_link_is_broken(page: Path) -> None:
    for file, anchor in links_of(page):
        assert file.is_file(), file
        assert not anchor or anchor in anchors_of(file), f"{name_of(file)}#{anchor}"


@every_page
def test_the_headings_of_a_page_have_one_anchor_each(page: Path) -> None:
    anchors = anchors_of(page)
    assert len(set(anchors)) == len(anchors)
    # Else GitHub and others disagree: some fold neighbouring hyphens, some don't.
    assert not any("--" in anchor for anchor in anchors)
    assert len(re.findall(r"^# ", FENCED.sub("", TEXTS[page]), re.MULTILINE)) == 1


def test_every_page_is_reached_from_the_index() -> None:
    found, to_see = {INDEX}, [INDEX]
    while to_see:
        linked = {file for file, _ in links_of(to_see.pop()) if file.suffix == ".md"} - found
        found |= linked
        to_see += linked
    assert found == set(TEXTS) - {README}  # and none leaves docs, which is built by itself


def test_the_readme_links_to_the_index() -> None:
    assert INDEX in {file for file, _ in links_of(README)}


# Form and words.


def test_the_readme_is_two_screens_and_begins_with_what_to_install_and_to_write() -> None:
    lines = TEXTS[README].splitlines()
    assert len(lines) <= 120
    beginning = "\n".join(lines[:25])
    assert "pip install httpx-resilience" in beginning
    assert "AsyncResilientTransport()" in beginning
    assert "AsyncResilientTransport(dialect=GENERIC)" in beginning
    shown = "\n".join(lines[:45])
    assert "httpx.Client(transport=ResilientTransport())" in shown
    assert "httpx2.AsyncClient(transport=" in shown


@every_page
def test_lists_and_tables_stand_apart_so_that_every_markdown_sees_them(page: Path) -> None:
    lines = FENCED.sub("", TEXTS[page]).splitlines()
    for before, line in itertools.pairwise(lines):
        for begins in ("- ", "| "):
            if line.startswith(begins) and before.strip():
                assert before.startswith((begins, "  ")), line


@every_page
def test_the_prose_is_in_the_fields_words_and_names_no_processor(page: Path) -> None:
    assert not RETIRED.findall(prose_of(page))
    assert not PROCESSORS.findall(TEXTS[page])


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^## (.+)$", TEXTS[DOCS / "glossary.md"], re.MULTILINE)
    assert len(terms) > 20
    assert terms == sorted(terms, key=str.lower)


# The rest of the repository.


def test_the_top_level_holds_nothing_without_need() -> None:
    allowed = {
        *("pyproject.toml", "src", "tests", "benchmarks", "docs"),
        *("README.md", "CHANGELOG.md", "LICENSE", "build", "dist"),
    }
    assert {path.name for path in Path(ROOT).iterdir() if path.name[0] != "."} <= allowed


def test_the_source_distribution_holds_what_its_tests_read() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"src", "tests", "benchmarks", "docs", "README.md", "CHANGELOG.md"} <= set(included)
