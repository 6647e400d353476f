"""The client of the Model Context Protocol over our transport, against a stub of a server."""

import asyncio
from typing import Any

import httpx2
import pytest

from httpx_resilience import GENERIC, Dialect
from httpx_resilience.httpx2 import AsyncResilientTransport
from support.mcp_server import McpServer
from support.sdk_clients import REPEATABLE
from support.sdks import POLICY, installed


@pytest.fixture
def mcp() -> Any:
    return installed("mcp", "mcp")


@pytest.fixture
def connect(mcp: Any) -> Any:
    return installed("mcp.client.streamable_http", "mcp").streamable_http_client


def greeted(mcp: Any, connect: Any, server: McpServer, dialect: Dialect = GENERIC) -> str:
    """Call the tool; return what it answers, or its error."""

    async def progress(*_: object) -> None:
        server.read_first.set()

    async def greet() -> str:
        transport = AsyncResilientTransport(dialect=dialect, policy=POLICY)
        async with httpx2.AsyncClient(transport=transport) as http_client:
            streams = connect(server.url, http_client=http_client)
            async with mcp.Client(streams) as client:
                try:
                    result = await client.call_tool("greet", progress_callback=progress)
                except mcp.MCPError as error:  # outside of the blocks it comes in a group
                    return str(error)
                return str(result.content[0].text)

    return asyncio.run(greet())


def test_a_tool_that_is_refused_twice_is_called(mcp: Any, connect: Any) -> None:
    with McpServer(429, 429).serving() as server:
        assert greeted(mcp, connect, server) == "fine"
        assert server.calls == 3


def test_its_progress_comes_before_its_result(mcp: Any, connect: Any) -> None:
    with McpServer().serving() as server:
        assert greeted(mcp, connect, server) == "fine"
        assert server.waited


def test_a_stream_that_ends_early_is_resumed_though_that_is_refused(mcp: Any, connect: Any) -> None:
    with McpServer(503, 503, 503, drops=True).serving() as server:
        assert greeted(mcp, connect, server) == "fine"
        assert server.calls == 1
        assert server.resumed == 4  # one of its two reconnections


def test_a_tool_is_not_called_twice_if_it_was_perhaps_run(mcp: Any, connect: Any) -> None:
    with McpServer(503).serving() as server:
        assert greeted(mcp, connect, server) == "Server returned an error response"
        assert server.calls == 1


def test_a_tool_that_may_be_called_twice_is(mcp: Any, connect: Any) -> None:
    with McpServer(503).serving() as server:
        assert greeted(mcp, connect, server, REPEATABLE) == "fine"
        assert server.calls == 2
