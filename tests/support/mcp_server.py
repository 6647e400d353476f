"""A stub of an MCP server over streamable HTTP, written by its specification of 2025-06-18."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.servers import serving_asgi

PATIENCE = 5.0

Json = dict[str, object]

_NOT_FOUND = -32601  # JSON-RPC 2.0, section 5.1


class McpServer:
    """Has one tool; what it answers comes as a stream: first its progress, then the result.

    Args:
        *refusals: Statuses of the first calls of the tool, and of resumed streams.
        drops: Whether the stream ends before the result, which is sent when it is resumed.

    Attributes:
        url: Where it is, while it is served.
        calls: How often the tool was called.
        resumed: How often a stream was asked for again.
        read_first: To be set once the progress was read; the result is not sent before.
        waited: Whether the result was sent because of that, and not for want of patience.
    """

    def __init__(self, *refusals: int, drops: bool = False) -> None:
        self._refusals = list(refusals)
        self._drops = drops
        self._call: Json = {}
        self.url = ""
        self.calls = self.resumed = 0
        self.read_first = threading.Event()
        self.waited: bool | None = None

    @contextmanager
    def serving(self) -> Iterator["McpServer"]:
        routes = [
            Route("/mcp", self._message, methods=["POST"]),
            Route("/mcp", self._resume, methods=["GET"]),
            Route("/mcp", self._end, methods=["DELETE"]),
        ]
        with serving_asgi(Starlette(routes=routes), Counter()) as url:
            self.url = f"{url}/mcp"
            yield self
            self.read_first.set()

    async def _message(self, request: Request) -> Response:
        message = await request.json()
        method = message["method"]
        if method == "initialize":
            return JSONResponse(_result(message, _initialized(message)), headers=_SESSION)
        if method == "tools/list":
            tool = {"name": "greet", "inputSchema": {"type": "object"}}
            return JSONResponse(_result(message, {"tools": [tool]}))
        if method == "tools/call":
            return self._called(message)
        if "id" not in message:
            return Response(status_code=202)
        error = {"code": _NOT_FOUND, "message": "Method not found"}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})

    def _called(self, message: Json) -> Response:
        self.calls += 1
        if self._refusals and not self._drops:
            return Response("busy", self._refusals.pop(0))
        self._call = message
        return _streamed(self._progress() if self._drops else self._pieces())

    async def _resume(self, request: Request) -> Response:
        if "last-event-id" not in request.headers:
            return Response(status_code=405)
        self.resumed += 1
        if self._refusals:
            return Response("busy", self._refusals.pop(0))
        return _streamed(self._rest())

    async def _end(self, request: Request) -> Response:
        return Response(status_code=200)

    async def _pieces(self) -> AsyncIterator[str]:
        async for piece in self._progress():
            yield piece
        self.waited = await asyncio.to_thread(self.read_first.wait, PATIENCE)
        async for piece in self._rest():
            yield piece

    async def _progress(self) -> AsyncIterator[str]:
        params = self._call["params"]
        assert isinstance(params, dict)
        token = params.get("_meta", {}).get("progressToken", "nobody's")
        told = {"progressToken": token, "progress": 1}
        yield _event(
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": told},
            "id: 1\nretry: 10\n",
        )

    async def _rest(self) -> AsyncIterator[str]:
        yield _event(_result(self._call, {"content": [{"type": "text", "text": "fine"}]}))


_SESSION = {"mcp-session-id": "1"}


def _initialized(message: Json) -> Json:
    params = message["params"]
    assert isinstance(params, dict)
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "stub", "version": "1"},
    }


def _result(message: Json, result: Json) -> Json:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _event(message: Json, fields: str = "") -> str:
    return f"event: message\n{fields}data: {json.dumps(message)}\n\n"


def _streamed(pieces: AsyncIterator[str]) -> Response:
    return StreamingResponse(pieces, media_type="text/event-stream")
