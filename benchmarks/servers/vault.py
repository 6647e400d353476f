"""A server in this process: what a transport is wrapped around, at next to no cost."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import httpx

from ..harness.virtual import ServerTime

URL = "https://vault.example/v1/secrets/app/db"
BODY = b'{"path":"app/db","version":7,"data":{"password":"hunter2"}}'
CREDENTIAL = {"Authorization": "Bearer scv_0123456789abcdef0123456789abcdef"}
BUSY = (
    b'{"error":{"code":"service_unavailable","message":"Try again later.",'
    b'"request_id":"req_0123456789"}}'
)
LIMIT = 1_000_000
"""So large that nobody is ever held back."""
WAIT = 10.0
"""Virtual seconds until a queue that was shut opens."""

Headers = list[tuple[bytes, bytes]]


def headers(now: float, remaining: int, body: bytes = BODY) -> Headers:
    """Return what ScaiVault's responses carry; ``now`` in Unix seconds."""
    return [
        (b"Date", formatdate(now, usegmt=True).encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"X-RateLimit-Limit", str(LIMIT).encode()),
        (b"X-RateLimit-Remaining", str(remaining).encode()),
        (b"X-RateLimit-Reset", str(math.ceil(now) + 60).encode()),
    ]


class Stock:
    """Rate-limit headers that go down from response to response.

    They are made beforehand, by ``stock``: per request nothing but a response is built, as in every
    transport. ``clock`` is the server's, in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.served = 0
        self._remaining = LIMIT
        self._headers: Iterator[Headers] = iter(())

    def stock(self, count: int, *, later: float = 0.0) -> None:
        """Make the headers of the next ``count`` responses, sent in so many seconds.

        If there are more, they come again.
        """
        fresh, now = [], self.clock() + later
        for _ in range(count):
            self._remaining -= 1
            if self._remaining < LIMIT // 2:
                self._remaining = LIMIT
            fresh.append(headers(now, self._remaining))
        self._headers = itertools.cycle(fresh)


class InProcessVault(Stock, httpx.AsyncBaseTransport):
    """Answers 200, with headers out of its stock."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.served += 1
        return httpx.Response(200, headers=next(self._headers), stream=httpx.ByteStream(BODY))


class Stumbling(Stock):
    """A stock for a server that answers 503 ``service_unavailable`` and then 200, in turns."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._is_up = True
        self._busy: Headers = []

    def stock(self, count: int, *, later: float = 0.0) -> None:
        """Make the headers of the next ``count`` successes."""
        super().stock(count, later=later)
        self._busy = headers(self.clock() + later, self._remaining, BUSY)


class StumblingVault(Stumbling, InProcessVault):
    """Answers 503 ``service_unavailable`` and then 200, in turns."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self._is_up = not self._is_up
        if self._is_up:
            return await super().handle_async_request(request)
        return httpx.Response(503, headers=self._busy, stream=httpx.ByteStream(BUSY))


class CountingVault(InProcessVault):
    """Has nothing left for a while, from its first answer on; notes who came when."""

    def __init__(self) -> None:
        super().__init__(ServerTime())
        self.order: list[int] = []
        self._is_first = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        index = request.extensions.get("index")
        if index is not None:
            self.order.append(index)
        if index is not None or not self._is_first:
            return await super().handle_async_request(request)
        self._is_first = False
        return httpx.Response(200, headers=self._exhausted(), stream=httpx.ByteStream(b""))

    def _exhausted(self) -> Headers:
        now = self.clock()
        reset = str(round(now + WAIT)).encode()
        return [
            *(pair for pair in headers(now, 0) if pair[0] != b"X-RateLimit-Reset"),
            (b"X-RateLimit-Reset", reset),
        ]
