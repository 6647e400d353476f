"""A stub over loopback that answers as one of the APIs in ``sdk_apis`` does."""

import asyncio
import atexit
import functools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from support.sdk_apis import PROXY, Api, Refusal
from support.servers import Receive, Send, serving_asgi

PATIENCE = 5.0


class SdkServer:
    """Refuses the first requests, if it is asked to; answers all others well.

    Args:
        api: Whose words it uses.
        *refusals: Of the first requests: what that API calls them, or ``proxy`` for what a proxy
            says.

    Attributes:
        url: Where it is, while it is served.
        requests: How many requests came.
        read_first: To be set once the first piece of a streamed answer was read; the second is not
            sent before.
        waited: Whether the second piece was sent because of that, and not for want of patience.
    """

    def __init__(self, api: Api, *refusals: str) -> None:
        self._api = api
        known = {**api.refusals, "proxy": PROXY}
        self._refusals = [known[refusal] for refusal in refusals]
        self.url = ""
        self.requests = 0
        self.read_first = threading.Event()
        self.waited: bool | None = None

    @contextmanager
    def serving(self) -> Iterator["SdkServer"]:
        shared = _shared()
        self.url, shared.current = shared.url, self
        try:
            yield self
        finally:
            self.read_first.set()
            shared.current = None

    async def answer(self, request: Request) -> Response:
        self.requests += 1
        if self._refusals:
            return _refused(self._refusals.pop(0))
        body = await request.json() if await request.body() else {}
        if self._api.events and self._api.streams(request.url.path, body):
            return StreamingResponse(self._pieces(), media_type="text/event-stream")
        return JSONResponse(self._api.answer)

    async def _pieces(self) -> AsyncIterator[str]:
        first, *others = self._api.events
        yield first
        self.waited = await asyncio.to_thread(self.read_first.wait, PATIENCE)
        for other in others:
            yield other
        if self._api.done:
            yield self._api.done


def _refused(refusal: Refusal) -> Response:
    if isinstance(refusal.body, str):
        return Response(refusal.body, refusal.status, refusal.headers, "text/html")
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


class _Shared:
    """One server for all tests of a process, one after the other: stopping one takes 0.2 s."""

    def __init__(self) -> None:
        self.current: SdkServer | None = None
        stack = ExitStack()
        self.url = stack.enter_context(serving_asgi(self._app, Counter()))
        atexit.register(stack.close)

    async def _app(self, scope: Any, receive: Receive, send: Send) -> None:
        assert self.current is not None, "a request came after its test"
        response = await self.current.answer(Request(scope, receive))
        await response(scope, receive, send)


@functools.cache
def _shared() -> _Shared:
    return _Shared()
