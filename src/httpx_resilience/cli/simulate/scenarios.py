"""Servers in trouble: what each answers, and when; all in virtual time."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import httpx

from ... import GENERIC, Dialect, dialects

LATENCY = 0.05
"""Seconds that an answer takes, give or take a fifth."""

READ_TIMEOUT = 5.0
"""Seconds after which the client gives a stalled answer up."""

Answer = Callable[[float, Random], tuple[int, dict[str, str]] | None]
"""Given seconds since the begin: status and headers; None if the answer never comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A server, and the calls that it gets.

    Attributes:
        name, about: What it is.
        rate: Calls a second that arrive.
        seconds: For how long they do.
        ends: When its trouble ends, in seconds since the begin; None if it has no end.
        server: Makes the server's answers.
        dialect: What it speaks.
    """

    name: str
    about: str
    rate: float = 10.0
    seconds: float = 60.0
    ends: float | None = None
    server: Callable[[], Answer]
    dialect: Dialect = GENERIC


def _failing(begin: float, end: float, share: float = 1.0) -> Answer:
    def answer(now: float, chance: Random) -> tuple[int, dict[str, str]]:
        return (503 if begin <= now < end and chance.random() < share else 200), {}

    return answer


def _stalling(begin: float, end: float) -> Answer:
    return lambda now, chance: None if begin <= now < end else (200, {})


def _window(limit: int, window: float) -> Answer:
    used: dict[int, int] = {}

    def answer(now: float, chance: Random) -> tuple[int, dict[str, str]]:
        number = int(now // window)
        taken = used[number] = used.get(number, 0) + 1
        reset = math.ceil((number + 1) * window - now)
        headers = {
            "X-RateLimit-Limit": f"{limit}",
            "X-RateLimit-Remaining": f"{max(0, limit - taken)}",
            "X-RateLimit-Reset": f"{reset}",
        }
        if taken <= limit:
            return 200, headers
        return 429, {**headers, "Retry-After": f"{reset}"}

    return answer


def _tokens(limit: int, rate: float) -> Answer:
    left, at = float(limit), 0.0

    def answer(now: float, chance: Random) -> tuple[int, dict[str, str]]:
        nonlocal left, at
        left, at = min(limit, left + rate * (now - at)), now
        cost = chance.randrange(300, 900)
        is_allowed = cost <= left
        left -= cost if is_allowed else 0
        headers = {
            "x-ratelimit-limit-tokens": f"{limit}",
            "x-ratelimit-remaining-tokens": f"{int(left)}",
            "x-ratelimit-reset-tokens": f"{(limit - left) / rate:.3f}s",
        }
        return (200 if is_allowed else 429), headers

    return answer


SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            name="outage",
            about="503 to everything for 10 s",
            ends=30.0,
            server=lambda: _failing(20.0, 30.0),
        ),
        Scenario(
            name="blip",
            about="503 to everything for 1 s",
            ends=21.0,
            server=lambda: _failing(20.0, 21.0),
        ),
        Scenario(
            name="brown-out",
            about="503 to three of ten for 30 s",
            ends=45.0,
            server=lambda: _failing(15.0, 45.0, 0.3),
        ),
        Scenario(
            name="stall",
            about="no answer for 10 s; the client's timeout is 5 s",
            ends=30.0,
            server=lambda: _stalling(20.0, 30.0),
        ),
        Scenario(
            name="rate-limit",
            about="100 calls in 10 s are allowed, 15 a second arrive for 20 s",
            rate=15.0,
            seconds=20.0,
            server=lambda: _window(100, 10.0),
        ),
        Scenario(
            name="token-budget",
            about="4,000 tokens a second are allowed, calls cost 600, 10 a second arrive for 30 s",
            seconds=30.0,
            server=lambda: _tokens(20_000, 4000.0),
            dialect=dialects.OPENAI,
        ),
    )
}


class Server(httpx.AsyncBaseTransport):
    """A server at the end of an inner transport.

    Attributes:
        requests: How many it got.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._answer = scenario.server()
        self._chance = Random(seed)  # noqa: S311 - no secret
        self._begin = asyncio.get_running_loop().time()
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a while; if it never does, as the client's timeout has it."""
        self.requests += 1
        loop = asyncio.get_running_loop()
        await asyncio.sleep(LATENCY * (0.4 + 0.2 * self._chance.random()))
        answer = self._answer(loop.time() - self._begin, self._chance)
        if answer is None:
            await asyncio.sleep(READ_TIMEOUT)
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        await asyncio.sleep(LATENCY / 2)
        status, headers = answer
        return httpx.Response(status, headers=headers)
