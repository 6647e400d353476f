"""A history does not grow without end, however many attempts a call may have."""

import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    ErrorClass,
    Policy,
    RetryPolicy,
    history_of,
)
from support.scripted import get

pytestmark = pytest.mark.anyio


async def test_a_history_keeps_the_beginning_and_the_end_of_a_very_long_call() -> None:
    quick = Backoff(initial=0.01, maximum=0.01)
    retry = RetryPolicy(max_attempts=2000, backoff={ErrorClass.TRANSIENT: quick})
    inner = httpx.MockTransport(lambda _: httpx.Response(503))
    policy = Policy(retry=retry, budget=None, throttle=None)
    transport = AsyncResilientTransport(inner, policy=policy)
    history = history_of(await transport.handle_async_request(get()))
    assert history is not None
    assert history.reason == "attempts_exhausted"
    numbers = [attempt.number for attempt in history.attempts]
    assert (numbers[0], numbers[-1]) == (1, 2000)
    assert len(history.events) == 1000
