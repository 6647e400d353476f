"""Clients and transports for tests, with little ceremony."""

from typing import Any

import httpx

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    BudgetPolicy,
    ErrorClass,
    Policy,
    RetryBudget,
    RetryPolicy,
)
from support.scripted import Line, Scripted

ONCE = Policy(retry=RetryPolicy(max_attempts=1))
UNPACED = Policy(throttle=None)
"""Nobody is held back, so that waits are those of the retries alone."""


STEADY = RetryPolicy(
    backoff={
        ErrorClass.TRANSIENT: Backoff(initial=0.5, maximum=2.0, jitter="none"),
        ErrorClass.CONNECTION: Backoff(initial=0.5, maximum=2.0, jitter="none"),
        ErrorClass.INTERNAL: Backoff(initial=0.5, jitter="none", max_attempts=2),
        ErrorClass.RATE_LIMITED: Backoff(initial=0.5, maximum=2.0, jitter="none", cost=0.5),
    }
)
"""Waits of 0.5, 1, 2, 2 ... seconds exactly."""


class Counted(RetryBudget):
    """A budget whose tokens can be looked at, and whose clock is nobody's."""

    def __init__(self, floor: float = 3.0) -> None:
        super().__init__(BudgetPolicy(floor=floor, heal_after=1e9))


def resilient(*script: Line, **options: Any) -> tuple[AsyncResilientTransport, Scripted]:
    """Return a transport without throttle, and the scripted one that it wraps."""
    inner = Scripted(*script)
    options.setdefault("policy", UNPACED)
    return AsyncResilientTransport(inner, **options), inner


async def call(transport: httpx.AsyncBaseTransport, **more: Any) -> httpx.Response:
    """Send one request through a client, and read the response."""
    method, url = more.pop("method", "GET"), more.pop("url", "https://vault.example/v1/secrets/app")
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, url, **more)
