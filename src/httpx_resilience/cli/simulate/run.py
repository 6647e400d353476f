"""Plays a scenario with a client: with a policy, without retries, with three plain ones."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles

import httpx

from ... import AsyncResilientTransport, Policy
from .loop import VirtualLoop
from .scenarios import Scenario, Server

NONE, PLAIN = "no retries", "three plain retries"
_RETRIED = (429, 500, 502, 503, 504)
_PLAIN_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it.

    Attributes:
        scenario, client: Whose figures these are.
        calls: How many there were.
        success: Share of them that succeeded, 0 to 1.
        attempts: Requests for each, on average.
        p50, p99: Seconds that the successful ones took; None if there are too few.
        recovered_after: Seconds from the end of the trouble until the last call that had arrived
            before was over; None if the trouble has no end.
    """

    scenario: str
    client: str
    calls: int
    success: float
    attempts: float
    p50: float | None
    p99: float | None
    recovered_after: float | None


class PlainRetries(httpx.AsyncBaseTransport):
    """What retry transports commonly do: three retries, exponential backoff, ``Retry-After``."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request up to four times."""
        for attempt in range(_PLAIN_RETRIES + 1):
            delay = 0.5 * 2**attempt * (0.5 + 0.5 * random.random())  # noqa: S311 - no secret
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.TransportError:
                if attempt == _PLAIN_RETRIES:
                    raise
            else:
                if response.status_code not in _RETRIED or attempt == _PLAIN_RETRIES:
                    return response
                delay = float(response.headers.get("Retry-After", delay))
            await asyncio.sleep(delay)
        raise AssertionError("the last attempt ends the loop")


def play(scenario: Scenario, name: str, policy: Policy | None, seed: int) -> Figures:
    """Play a scenario; ``policy`` is for the client that has one.

    Everything random follows from the seed.
    """

    def wrapped(server: Server) -> httpx.AsyncBaseTransport:
        if policy is not None:
            return AsyncResilientTransport(server, policy=policy, dialect=scenario.dialect)
        return PlainRetries(server) if name == PLAIN else server

    before = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(_play(scenario, name, wrapped, seed))
    finally:
        random.setstate(before)


async def _play(
    scenario: Scenario,
    name: str,
    wrapped: Callable[[Server], httpx.AsyncBaseTransport],
    seed: int,
) -> Figures:
    loop, server = asyncio.get_running_loop(), Server(scenario, seed)
    transport, begin = wrapped(server), loop.time()
    chance = random.Random(seed)  # noqa: S311 - no secret
    seen: list[tuple[float, float, bool]] = []

    async def call(arrives: float) -> None:
        await asyncio.sleep(max(0.0, begin + arrives - loop.time()))
        is_well = False
        try:
            request = httpx.Request("GET", "https://api.example/v1/orders")
            response = await transport.handle_async_request(request)
            is_well = response.status_code == 200
        except httpx.HTTPError:
            pass
        seen.append((arrives, loop.time() - begin, is_well))

    arrivals, at = [], 0.0
    while at < scenario.seconds:
        arrivals.append(at)
        at += chance.expovariate(scenario.rate)
    await asyncio.gather(*map(call, arrivals))
    took = sorted(end - arrived for arrived, end, is_well in seen if is_well)
    cuts = quantiles(took, n=100, method="inclusive") if len(took) > 1 else [None] * 99
    waiting = [end for arrived, end, _ in seen if arrived < (scenario.ends or 0.0)]
    after = None if scenario.ends is None else max(0.0, max(waiting, default=0.0) - scenario.ends)
    return Figures(
        scenario=scenario.name,
        client=name,
        calls=len(seen),
        success=len(took) / len(seen),
        attempts=server.requests / len(seen),
        p50=_rounded(cuts[49]),
        p99=_rounded(cuts[98]),
        recovered_after=_rounded(after),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
