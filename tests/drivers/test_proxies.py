"""A proxy's own refusal is not charged to the API."""

import anyio
import pytest

from httpx_resilience import (
    GENERIC,
    AsyncResilientTransport,
    Policy,
    RateLimitStatus,
    RetryPolicy,
    TrafficSummary,
    history_of,
)
from support.clients import STEADY, call
from support.scripted import Ear, Reply, Scripted

pytestmark = pytest.mark.anyio

OWN = ("Proxy-Status", "squid.example; error=http_request_denied")
HINT = ("Retry-After", "5")
ONCE = Policy(retry=RetryPolicy(max_attempts=1))
LEFT = Reply(
    200, headers=(("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "7"),
                  ("X-RateLimit-Reset", "60")),
)  # fmt: skip


async def state_after(reply: Reply, policy: Policy = ONCE) -> tuple[RateLimitStatus, float]:
    """Return what is known of a limit after a refusal, and for how long the next call waits."""
    transport = AsyncResilientTransport(Scripted(LEFT, reply, LEFT), policy=policy, dialect=GENERIC)
    await call(transport)
    assert (await call(transport)).status_code == reply.status
    (status,) = transport.rate_limits()
    started = anyio.current_time()
    await call(transport)
    return status, anyio.current_time() - started


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, headers=(OWN, HINT)),
        Reply(503, headers=(OWN, HINT)),
        Reply(503, headers=(("Proxy-Authenticate", "Basic"), HINT)),
        Reply(407, headers=(HINT,)),
        Reply(407, headers=(("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60"))),
        Reply(429, headers=(OWN,)),
    ],
)
async def test_what_a_proxy_refuses_neither_closes_the_scope_nor_teaches_it(reply: Reply) -> None:
    status, waited = await state_after(reply)
    assert (status.held_reason, status.remaining, status.in_flight) == (None, 7, 0)
    assert waited == 0.0


@pytest.mark.parametrize("status", [429, 503])
async def test_what_may_be_the_apis_own_closes_it(status: int) -> None:
    for headers in (HINT, ("Via", "1.1 squid.example")), (HINT, ("Server", "cloudflare")):
        known, waited = await state_after(Reply(status, headers=headers))
        assert known.held_reason == "server_hint"
        assert waited >= 5.0


async def test_the_call_itself_waits_as_long_as_the_proxy_asks() -> None:
    server = Scripted(Reply(429, headers=(OWN, HINT)), LEFT)
    transport = AsyncResilientTransport(server, policy=Policy(retry=STEADY), dialect=GENERIC)
    response = await call(transport)
    assert response.status_code == 200
    assert 5.0 <= server.gaps[0] <= 5.5


async def test_a_wait_for_a_proxy_is_no_wait_for_the_rate_limit() -> None:
    policy = Policy(retry=RetryPolicy(max_retry_after=3.0))
    server = Scripted(Reply(429, headers=(OWN, HINT)), LEFT)
    transport = AsyncResilientTransport(server, policy=policy, dialect=GENERIC)
    history = history_of(await call(transport))
    assert history is not None
    assert (history.reason, server.attempts) == ("retry_after_too_long", 1)


async def test_retries_against_a_proxys_limit_cost_what_they_cost_without_a_throttle() -> None:
    for throttled in (True, False):
        policy = Policy(retry=STEADY, park=None)
        server = Scripted(Reply(429, headers=(OWN,)))
        transport = AsyncResilientTransport(
            server, policy=policy if throttled else policy.replace(throttle=None), dialect=GENERIC
        )
        await call(transport)
        (origin,) = transport.origins()
        assert (server.attempts, origin.budget) == (4, 3.0 - 3 * 0.5)


async def test_the_advice_names_the_proxy() -> None:
    ear = Ear()
    server = Scripted(Reply(407))
    await call(AsyncResilientTransport(server, on_event=ear))
    line = ear.last()
    assert (line["event"], line["reason"], line["status"]) == ("gave_up", "permanent", 407)
    assert line["advice"] == "Look at the proxy on the way: it answered, and not the API."


async def test_the_summary_does_not_count_what_a_proxy_has_left() -> None:
    ear = Ear()
    spent = (("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "0"))
    server = Scripted(LEFT, Reply(407, headers=spent), LEFT)
    transport = AsyncResilientTransport(server, policy=ONCE, dialect=GENERIC, on_event=ear)
    for _ in range(4):
        await call(transport)
        await anyio.sleep(25)
    (summary,) = [event for event in ear.events if isinstance(event, TrafficSummary)]
    assert (summary.calls, summary.rate_remaining) == (3, 7)


async def test_a_proxy_that_answers_does_not_show_that_the_origin_is_there() -> None:
    server = Scripted(Reply(503), Reply(503), Reply(503), Reply(407))
    policy = Policy(retry=RetryPolicy(max_attempts=1))
    transport = AsyncResilientTransport(server, policy=policy, dialect=GENERIC)
    for _ in range(4):
        await call(transport)
        await anyio.sleep(1)
    (origin,) = transport.origins()
    assert origin.unavailable_for is not None
