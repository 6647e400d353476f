"""A stub over loopback that answers as one of the APIs in ``sdk_apis`` does."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.sdk_apis import PROXY, Api, Refusal
from support.servers import serving_asgi

PATIENCE = 5.0

METHODS = ["GET", "POST", "PUT", "DELETE"]


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
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=METHODS)])
        with serving_asgi(app, Counter()) as url:
            self.url = url
            yield self
            self.read_first.set()

    async def _answer(self, request: Request) -> Response:
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
