"""Five kinds of rate limiter, as servers have them, and what a clairvoyant client would need."""

import asyncio
import math
import random
from collections.abc import Callable
from email.utils import formatdate

import httpx

from simulation.servers import LIMITERS, Limiter

from ..harness.virtual import ServerTime

KINDS: dict[str, Callable[[int, float], Limiter]] = {
    "aligned": LIMITERS["aligned"],
    "anchored": LIMITERS["anchored"],
    "sliding log": LIMITERS["log"],
    "sliding counter": LIMITERS["counter"],
    "token bucket": LIMITERS["bucket_full"],
}
"""How each kind is made, from its limit and the seconds of its window."""

_TOO_MANY = b'{"error":{"code":"rate_limited","message":"Slow down.","request_id":"req_1"}}'
_EPSILON = 1e-9


def least_time(limiter: Limiter, start: float, requests: int) -> float:
    """Return the seconds in which a limiter can admit so many requests, at the least."""
    now = start
    for _ in range(requests):
        now = limiter.earliest(now)
        while not limiter.take(now).accepted:  # a rounding error too early
            now += _EPSILON
    return now - start


class LimitingVault(httpx.AsyncBaseTransport):
    """A server that limits, some milliseconds away; resets in whole seconds or with fractions."""

    def __init__(
        self, limiter: Limiter, limit: int, rand: random.Random, *, has_fractions: bool
    ) -> None:
        self._limiter, self._limit, self._rand = limiter, limit, rand
        self._has_fractions = has_fractions
        self.requests = self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, in time."""
        await asyncio.sleep(self._rand.uniform(0.001, 0.005))
        at = asyncio.get_running_loop().time()  # the limiter's own: no rounding of Unix times
        answer = self._limiter.take(at)
        now, ends = ServerTime.EPOCH + at, ServerTime.EPOCH + answer.reset
        self.requests += 1
        self.refused += not answer.accepted
        headers = {
            "Date": formatdate(math.floor(now), usegmt=True),
            "Content-Type": "application/json",
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(answer.remaining),
            "X-RateLimit-Reset": f"{ends:.3f}" if self._has_fractions else str(math.ceil(ends)),
        }
        if not answer.accepted:
            headers["Retry-After"] = str(max(1, math.ceil(answer.reset - at)))
        await asyncio.sleep(self._rand.uniform(0.001, 0.005))
        body = b"{}" if answer.accepted else _TOO_MANY
        status = 200 if answer.accepted else 429
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))
