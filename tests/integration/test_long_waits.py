"""Over loopback: waits for the rate limit that are longer than ``max_retry_after`` lose no call.

Windows of two seconds, and a ``max_retry_after`` of 0.2, stand for windows of two minutes
and the default of one; ``tests/simulation/test_default_policy.py`` has those in virtual time.
"""

import asyncio
import time
from collections import Counter

import httpx
import pytest

from httpx_resilience import GENERIC, AsyncResilientTransport, Policy, RetryPolicy
from simulation.servers import LIMITERS, RateLimitedServer
from support.servers import ASGIApp, Receive, Send, serving_asgi

pytestmark = pytest.mark.anyio

WINDOW = 2.0
SHORT_HINTS = Policy(retry=RetryPolicy(max_retry_after=0.2))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def limited(kind: str, limit: int) -> ASGIApp:
    server = RateLimitedServer(LIMITERS[kind](limit, WINDOW), limit, "delta")
    began = time.monotonic()

    async def app(scope: object, receive: Receive, send: Send) -> None:
        status, headers = server.handle(time.monotonic() - began)
        told = [(name.lower(), value) for name, value in headers if name != b"Date"]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


async def job(url: str, *, calls: int, tasks: int, endings: Counter[int]) -> None:
    """Send calls through a client of their own, over the default policy but for its hints."""
    transport = AsyncResilientTransport(policy=SHORT_HINTS, dialect=GENERIC)
    numbers = iter(range(calls))
    timeout = httpx.Timeout(10.0, pool=None)
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:

        async def some() -> None:
            for _ in numbers:
                endings[(await client.get(url)).status_code] += 1

        await asyncio.gather(*(some() for _ in range(tasks)))


async def test_a_drained_bucket_is_waited_for_beyond_max_retry_after() -> None:
    statuses, endings = Counter[int](), Counter[int]()
    with serving_asgi(limited("bucket_full", 10), statuses) as url:
        await job(url, calls=20, tasks=5, endings=endings)
    assert endings == {200: 20}
    assert statuses[429] <= 2, statuses


async def test_three_clients_of_one_limit_wait_for_what_their_refusals_ask_and_lose_none() -> None:
    statuses, endings = Counter[int](), Counter[int]()
    with serving_asgi(limited("anchored", 100), statuses) as url:
        await asyncio.gather(*(job(url, calls=50, tasks=8, endings=endings) for _ in range(3)))
    assert endings == {200: 150}
    assert statuses[429] <= 60, statuses
