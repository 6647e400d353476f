"""``transport.rate_limits()``: what is known, as a snapshot for a status page."""

import dataclasses

import anyio
import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, RateLimitStatus
from support.scripted import get

pytestmark = pytest.mark.anyio

LIMITS = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}


def limited(**changed: str) -> AsyncResilientTransport:
    headers = {**LIMITS, **changed}
    return AsyncResilientTransport(
        httpx.MockTransport(lambda _: httpx.Response(200, headers=headers))
    )


async def test_before_the_first_call_nothing_is_known() -> None:
    assert limited().rate_limits() == ()


async def test_a_row_tells_the_limit_what_is_left_and_until_when_calls_are_held() -> None:
    transport = limited()
    await transport.handle_async_request(get())
    (row,) = transport.rate_limits()
    assert (row.origin, row.scope) == ("https://vault.example", "read")
    assert (row.limit, row.remaining, row.unit) == (10, 0, "requests")
    assert row.reset_in == pytest.approx(30, abs=0.1)
    assert (row.in_flight, row.queued, row.held_reason) == (0, 0, "exhausted")
    assert row.held_for == pytest.approx(31, abs=0.1)  # a whole second may be one too few


async def test_those_that_wait_are_counted_and_the_snapshot_does_not_change() -> None:
    transport = limited()
    await transport.handle_async_request(get())
    before = transport.rate_limits()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(transport.handle_async_request, get())
        await anyio.sleep(1)
        assert [row.queued for row in transport.rate_limits()] == [3]
        group.cancel_scope.cancel()
    assert [row.queued for row in transport.rate_limits()] == [0]
    (row,) = before
    assert row.queued == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.queued = 0  # type: ignore[misc]  # that it cannot be set is what is tested


async def test_several_policies_of_a_scope_are_a_row_each() -> None:
    transport = limited(
        **{"RateLimit-Policy": '"burst";q=100;w=60', "RateLimit": '"burst";r=40;t=20'}
    )
    await transport.handle_async_request(get())
    rows = {row.bucket: row for row in transport.rate_limits()}
    assert rows["burst"].remaining == 40
    assert rows["burst"].window == 60
    assert rows[None].remaining == 0


async def test_a_status_holds_no_credential() -> None:
    transport = limited()
    await transport.handle_async_request(get(headers={"Authorization": "Bearer s3cr3t"}))
    (row,) = transport.rate_limits()
    assert isinstance(row, RateLimitStatus)
    assert row.scope.startswith("read#")
    assert "s3cr3t" not in repr(row)
