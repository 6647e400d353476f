"""What exists twice is the same twice: the drivers, and what is made of httpx and of httpx2."""

import ast
import difflib
import re
from pathlib import Path

import pytest

import httpx_resilience

ROOT = Path(httpx_resilience.__file__).parent
MOST = 5

SAME = {
    "AsyncTransport": "SyncTransport",
    "AsyncCalls": "ThreadCalls",
    "handle_async_request": "handle_request",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "anyio": "threads",
}
"""Names that the kinds have for the same thing."""


def driver(name: str) -> list[str]:
    """A driver's code, line by line: without docstrings, comments and imports."""
    tree = ast.parse((ROOT / name).read_text())
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                node.body = node.body[1:] if ast.get_docstring(node) else node.body
    body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)][1:]
    kept = [
        node
        for definition in body
        for node in (definition.body if isinstance(definition, ast.ClassDef) else [definition])
        if not _refuses_the_other_kind(node)
    ]
    text = "\n".join(ast.unparse(node) for node in (body[0], *kept) if node is not body[0])
    text = re.sub(r"\b(async|await) ", "", text)
    for theirs, ours in SAME.items():
        text = text.replace(theirs, ours)
    return text.splitlines()


def _refuses_the_other_kind(node: ast.AST) -> bool:
    return "wrong_client" in ast.unparse(node)


def test_the_drivers_differ_in_five_lines_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = driver("_sync.py"), driver("_async.py")
    assert len(ours) > 60
    unlike = [
        line
        for line in difflib.unified_diff(theirs, ours, lineterm="", n=0)
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    print(*unlike, sep="\n")  # noqa: T201 - this is what the test is there to show
    removed = sum(line.startswith("-") for line in unlike)
    added = sum(line.startswith("+") for line in unlike)
    assert max(removed, added) <= MOST, capsys.readouterr().out


@pytest.mark.parametrize(
    ("one", "other"),
    [("_httpx.py", "httpx2.py"), ("_http/with_httpx.py", "_http/with_httpx2.py")],
)
def test_what_is_made_of_one_library_is_made_of_the_other(one: str, other: str) -> None:
    expected = re.sub(r"httpx(?!_resilience)", "httpx2", (ROOT / one).read_text())
    expected = expected.replace(
        "from httpx_resilience import AsyncResilientTransport",
        "from httpx_resilience.httpx2 import AsyncResilientTransport",
    )
    assert (ROOT / other).read_text() == expected
