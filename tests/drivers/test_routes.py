"""Buckets that are learned from what servers announce: routes move to theirs, and so do calls."""

import random
from collections import Counter
from collections.abc import Callable

import anyio
import httpx
import pytest

from httpx_resilience import GENERIC, AsyncResilientTransport, ThrottleTimeout
from simulation.servers import FixedWindow, Limiter, SlidingLog, TokenBucket

pytestmark = pytest.mark.anyio

MINUTE = 60.0
HOST = "https://api.example"
Make = Callable[[int, float], Limiter]


class TwoBuckets(httpx.AsyncBaseTransport):
    """A server with a bucket for each first segment of a path; some requests fail otherwise."""

    def __init__(
        self, make: Make, limits: dict[str, int], *, failing: tuple[int, ...] = ()
    ) -> None:
        self._limits = limits
        self._limiters = {name: make(limit, MINUTE) for name, limit in limits.items()}
        self._failing = failing
        self._chance = random.Random(7)
        self.arrived: list[str] = []
        self.sent_at: dict[str, float] = {}
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent_at[request.url.path.strip("/")] = anyio.current_time()
        await anyio.sleep(self._chance.uniform(0.01, 0.03))
        name, number = request.url.path.strip("/").split("/")
        self.arrived.append(f"{name}/{number}")
        now = anyio.current_time()
        answer = self._limiters[name].take(now)
        reset = str(int(answer.reset - now) + 1)
        headers = {
            "RateLimit-Limit": str(self._limits[name]),
            "RateLimit-Remaining": str(answer.remaining),
            "RateLimit-Reset": reset,
        }
        await anyio.sleep(0.02)
        if not answer.accepted:
            self.refused += 1
            return httpx.Response(429, headers={**headers, "Retry-After": reset})
        status = 503 if len(self.arrived) in self._failing else 200
        return httpx.Response(status, headers=headers)


async def send_all(
    transport: AsyncResilientTransport, paths: list[str], begun: list[str] | None = None
) -> Counter[object]:
    endings = Counter[object]()

    async def send(path: str) -> None:
        if begun is not None:
            begun.append(path)
        try:
            request = httpx.Request("GET", f"{HOST}/{path}")
            endings[(await transport.handle_async_request(request)).status_code] += 1
        except ThrottleTimeout:
            endings[ThrottleTimeout] += 1

    async with anyio.create_task_group() as group:
        for path in paths:
            group.start_soon(send, path)
    return endings


def shuffled(counts: dict[str, int], seed: int) -> list[str]:
    paths = [f"{name}/{number}" for name, count in counts.items() for number in range(count)]
    random.Random(seed).shuffle(paths)
    return paths


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "make",
    [
        lambda limit, window: FixedWindow(limit, window, aligned=True),
        SlidingLog,
        lambda limit, window: TokenBucket(limit, window, full=True),
    ],
    ids=["fixed", "log", "bucket"],
)
async def test_400_calls_begun_at_once_on_two_buckets_meet_no_refusal_and_none_is_lost(
    make: Make, seed: int
) -> None:
    server = TwoBuckets(make, {"wide": 100, "narrow": 20})
    transport = AsyncResilientTransport(server, dialect=GENERIC)
    endings = await send_all(transport, shuffled({"wide": 300, "narrow": 100}, seed))
    assert endings == {200: 400}
    assert server.refused == 0
    assert not any(row.in_flight or row.queued for row in transport.rate_limits())


async def test_calls_that_wait_move_to_their_bucket_in_their_order() -> None:
    server = TwoBuckets(SlidingLog, {"wide": 100, "narrow": 5})
    transport = AsyncResilientTransport(server, dialect=GENERIC)
    begun: list[str] = []
    assert await send_all(transport, shuffled({"wide": 20, "narrow": 20}, 1), begun) == {200: 40}
    for name in ("wide", "narrow"):
        sent_at = [server.sent_at[path] for path in begun if path.startswith(name)]
        assert sent_at == sorted(sent_at)
    assert max(server.sent_at.values()) - min(server.sent_at.values()) > 2 * MINUTE


async def test_a_retry_goes_by_the_bucket_that_its_route_has_moved_to() -> None:
    server = TwoBuckets(SlidingLog, {"wide": 100, "narrow": 2}, failing=(2,))
    transport = AsyncResilientTransport(server, dialect=GENERIC)
    assert await send_all(transport, ["wide/0"]) == {200: 1}
    assert await send_all(transport, ["narrow/0", "narrow/1", "narrow/2"]) == {200: 3}
    assert server.refused == 0
    assert server.arrived.count(server.arrived[1]) == 2
    assert len(server.arrived) == 5


async def test_a_new_route_begins_alone_once_a_server_is_seen_to_announce_buckets() -> None:
    server = TwoBuckets(SlidingLog, {"wide": 100, "narrow": 2})
    transport = AsyncResilientTransport(server, dialect=GENERIC)
    await send_all(transport, ["wide/0"])
    async with anyio.create_task_group() as group:
        group.start_soon(send_all, transport, [f"narrow/{n}" for n in range(10)])
        await anyio.sleep(0.001)
        rows = [row for row in transport.rate_limits() if row.queued]
        assert [(row.scope, row.in_flight, row.queued) for row in rows] == [("GET:narrow", 1, 9)]
        group.cancel_scope.cancel()
    assert not any(row.in_flight or row.queued for row in transport.rate_limits())
