"""The README is true: its Python runs, its tables are the code's, its commands exist."""

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import httpx
import pytest
from typer.main import get_command

from httpx_resilience.cli import _app
from httpx_resilience.testing import FakeScaiVault
from support import tables
from support.virtual import backend

README = tables.README.read_text(encoding="utf-8")
ROOT = tables.README.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def settled(text: str) -> str:
    """Return a README without what differs from run to run in its sample line."""
    text = re.sub(r"timestamp=\S+", "timestamp=T", text)
    text = re.sub(r"call_id=\S+", "call_id=ID", text)
    return re.sub(r"(elapsed|time_left)=\S+", r"\1=S", text)


def test_the_tables_and_the_sample_line_are_what_the_code_makes_of_them() -> None:
    # To mend it: python tests/support/tables.py
    assert settled(tables.rendered(README)) == settled(README)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [backend("asyncio")])
async def test_every_python_block_runs_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = FakeScaiVault(anonymous=True)

    async def answer(_: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await httpx.ASGITransport(vault).handle_async_request(request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer)
    names: dict[str, Any] = {"print": lambda *_: None}
    assert len(BLOCKS) >= 6
    for block in BLOCKS:
        code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await run(code, names)
    assert names["response"].status_code == 201
    assert names["history"].reason == "permanent"  # nobody put a secret into the first vault


async def run(code: CodeType, names: dict[str, Any]) -> None:
    result = eval(code, names)  # our own README
    if inspect.isawaitable(result):
        await result


def test_the_commands_that_it_names_exist() -> None:
    named = set(re.findall(r"^httpx-resilience (\w+)", README, re.MULTILINE))
    command = get_command(_app.app)
    assert named == set(getattr(command, "commands"))  # noqa: B009 - a Group, untyped here


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert 'pip install -e ".[dev]" && pytest' in README
    assert '-e ".[dev]"' in script
    assert script.rstrip().endswith("pytest")


def test_the_top_level_holds_nothing_without_need() -> None:
    allowed = {
        *("pyproject.toml", "src", "tests", "benchmarks"),
        *("README.md", "CHANGELOG.md", "LICENSE", "build", "dist"),
    }
    assert {path.name for path in Path(ROOT).iterdir() if path.name[0] != "."} <= allowed
