"""The page on SDKs is true: its examples run, against stubs, and its table is what is tested."""

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from support.mcp_server import McpServer
from support.sdk_clients import SDKS
from support.sdk_server import SdkServer
from support.sdks import Sdk, installed

PAGE = Path(__file__).parents[2] / "docs" / "sdks.md"
SECTIONS = {
    section.partition("\n")[0]: section for section in PAGE.read_text("utf-8").split("\n## ")[1:]
}
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_EXAMPLES = [title for title, section in SECTIONS.items() if BLOCK.search(section)]
BY_PACKAGE: dict[str, Sdk] = {sdk.package: sdk for sdk in SDKS}


def test_each_sdk_has_its_section() -> None:
    assert {*BY_PACKAGE, "mcp"} == set(WITH_EXAMPLES)


@contextmanager
def stub_of(package: str) -> Iterator[Any]:
    """Serve what an SDK is made for; skip the test where the SDK is not installed."""
    if package == "mcp":
        installed("mcp", "mcp")
        with McpServer().serving() as server:
            server.read_first.set()
            yield server
        return
    sdk = BY_PACKAGE[package]
    sdk.load()
    with SdkServer(sdk.api).serving() as server:
        yield server
    sdk.undo()


def all_lead_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what clients of either library and kind send anywhere reach one server."""
    for library in (httpx, httpx2):
        for kind, method in (
            (library.AsyncHTTPTransport, "handle_async_request"),
            (library.HTTPTransport, "handle_request"),
        ):
            send = led_to(library.URL(url), getattr(kind, method))
            monkeypatch.setattr(kind, method, send)


def led_to(to: Any, send: Any) -> Any:
    def led(transport: Any, request: Any) -> Any:
        request.url = request.url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
        return send(transport, request)

    return led


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("package", WITH_EXAMPLES)
async def test_the_examples_of_an_sdk_run(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    with stub_of(package) as server:
        all_lead_to(server.url, monkeypatch)
        for block in BLOCK.findall(SECTIONS[package]):
            code = compile(block, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)  # our own documentation
            if inspect.isawaitable(result):
                await result
        assert getattr(server, "requests", 2) >= 2 or server.calls
    answers = [names[name] for name in ("answer", "found", "rows", "result") if name in names]
    assert len(answers) == 1
    if package in BY_PACKAGE:
        assert BY_PACKAGE[package].text(answers[0]) == "fine"
