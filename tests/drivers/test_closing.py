"""Closing: whoever waits ends at once, nothing more is sent, all that was held is given back."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

import httpx_resilience
from httpx_resilience import (
    AsyncResilientTransport,
    FailedAttempt,
    GaveUp,
    Policy,
    ResilienceError,
    ThrottlePolicy,
    TransportClosed,
    history_of,
)
from support.clients import STEADY, Counted
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, Stream, coded, get

pytestmark = pytest.mark.anyio

UNPACED = Policy(retry=STEADY, throttle=None)
PATIENT = Policy(retry=STEADY, throttle=ThrottlePolicy(max_wait=1e6))
SPENT = (("X-RateLimit-Limit", "5"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "50"))
CONFLICT = coded(409, "version_conflict")

COSTS = {"an outage": 1.0, "refused": 0.25}
SHARES = {"probe": 0.75, "release": 0.0}
"""Tokens that a retry costs, and the share of them by how it came to be sent."""


class Ended:
    """What a call came to, and when."""

    response: httpx.Response | None = None
    error: Exception | None = None
    at = -1.0

    async def run(self, transport: httpx.AsyncBaseTransport, **more: Any) -> None:
        try:
            self.response = await transport.handle_async_request(get(**more))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error
        self.at = anyio.current_time()

    @property
    def reason(self) -> str | None:
        source = self.response or self.error
        assert source is not None
        history = history_of(source)
        assert history is not None
        return history.reason


def left(transport: AsyncResilientTransport) -> list[int]:
    """What a transport still holds of calls: none of it, once they have ended."""
    shared = transport._calls.registry
    rows = transport.rate_limits()
    counted = [sum(row.in_flight for row in rows), sum(row.queued for row in rows)]
    return [*counted, len(shared.waiting), len(shared.under_way)]


async def closed_after(
    seconds: float,
    transport: AsyncResilientTransport,
    calls: int = 1,
    how: Callable[[], Awaitable[None]] | None = None,
) -> tuple[list[Ended], float]:
    """Begin calls, close the transport while they wait; return what they came to, and when."""
    ended, closed_at = [Ended() for _ in range(calls)], 0.0
    async with anyio.create_task_group() as group:
        for each in ended:
            group.start_soon(each.run, transport)
        await anyio.sleep(seconds)
        await (how or transport.aclose)()
        closed_at = anyio.current_time()
    return ended, closed_at


async def test_a_call_in_backoff_ends_at_once_with_its_last_response() -> None:
    budget, inner = Counted(), Scripted(UNAVAILABLE)
    transport = AsyncResilientTransport(inner, policy=UNPACED, budget=budget)
    (one,), closed_at = await closed_after(1.0, transport)
    assert (one.at, one.error) == (closed_at, None)
    assert one.response is not None
    assert (one.response.status_code, one.reason) == (503, "closed")
    assert (await one.response.aread(), inner.attempts) == (UNAVAILABLE.chunks[0], 2)
    history = history_of(one.response)
    assert history is not None
    assert [(a.number, a.status) for a in history.attempts] == [(1, 503), (2, 503)]
    assert budget.balance(0.0) == 3.0 - 1.0  # of the retry that failed; the next one's came back
    assert not any(left(transport))


async def test_a_call_in_backoff_ends_at_once_with_its_last_exception_itself() -> None:
    error = httpx.ConnectError("refused")
    transport = AsyncResilientTransport(Scripted(error), policy=UNPACED)
    (one,), closed_at = await closed_after(0.1, transport)
    assert (one.error, one.reason, one.at) == (error, "closed", closed_at)
    assert error.__notes__[0].startswith("httpx-resilience: gave up after 1 attempt in 0 s: closed")


async def test_a_queued_call_ends_at_once_with_a_clear_error() -> None:
    inner = Scripted(Reply(200, headers=SPENT))
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    await transport.handle_async_request(get())
    ended, closed_at = await closed_after(1.0, transport, calls=100)
    for one in ended:
        assert isinstance(one.error, TransportClosed)
        assert isinstance(one.error, ResilienceError)
        assert isinstance(one.error, httpx.TransportError)
        assert str(one.error) == "the transport was closed while the call waited to be sent"
        assert one.error.request.url == URL
        assert (one.reason, one.at) == ("closed", closed_at)
        history = history_of(one.error)
        assert history is not None
        assert history.attempts == ()
    assert inner.attempts == 1
    assert not any(left(transport))


async def test_a_queued_retry_ends_with_its_last_response() -> None:
    inner = Scripted(coded(503, "service_unavailable", dict(SPENT)))
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    (one,), closed_at = await closed_after(10.0, transport)
    assert one.response is not None
    assert (one.response.status_code, one.reason, one.at) == (503, "closed", closed_at)
    assert inner.attempts == 1
    assert not any(left(transport))


async def test_what_a_hook_made_is_not_sent_any_more() -> None:
    async def slow(failed: FailedAttempt, request: httpx.Request) -> httpx.Request:
        await anyio.sleep(5.0)
        return request

    inner, budget = Scripted(CONFLICT, OK), Counted()
    transport = AsyncResilientTransport(
        inner, policy=UNPACED, budget=budget, recover={"version_conflict": slow}
    )
    (one,), _ = await closed_after(2.0, transport)
    assert one.response is not None
    assert (one.response.status_code, one.reason, inner.attempts) == (409, "closed", 1)
    assert budget.balance(0.0) == 3.0
    assert not any(left(transport))


async def test_what_a_hook_raises_comes_out_of_a_closed_transport_too() -> None:
    async def broken(failed: FailedAttempt, request: httpx.Request) -> httpx.Request:
        await anyio.sleep(5.0)
        raise KeyError("mine")

    hooks = {"version_conflict": broken}
    transport = AsyncResilientTransport(Scripted(CONFLICT), policy=UNPACED, recover=hooks)
    (one,), _ = await closed_after(2.0, transport)
    assert isinstance(one.error, KeyError)
    assert isinstance(one.error.__cause__, httpx.HTTPStatusError)
    assert one.reason == "permanent"


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [(OK, 200, "success"), (UNAVAILABLE, 503, "closed"), (CONFLICT, 409, "permanent")],
    ids=["success", "failure", "permanent"],
)
async def test_what_is_being_sent_comes_back_and_is_not_repeated(
    line: Reply, status: int, reason: str
) -> None:
    inner = Scripted(line._replace(takes=5.0), OK)
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    (one,), closed_at = await closed_after(1.0, transport)
    assert one.response is not None
    assert (one.response.status_code, one.reason) == (status, reason)
    assert one.at == pytest.approx(closed_at + 4.0)
    assert inner.attempts == 1
    assert not any(left(transport))


async def test_a_body_that_takes_its_time_to_close_keeps_no_call_from_ending() -> None:
    class Slow(Stream):
        async def aclose(self) -> None:
            await anyio.sleep(1.0)
            await super().aclose()

    given = Slow([b"x"])

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, stream=given)

    inner = Scripted(answer)
    transport = AsyncResilientTransport(inner, policy=UNPACED)
    (one,), closed_at = await closed_after(0.5, transport)
    assert (one.reason, inner.attempts) == ("closed", 1)
    assert one.at == pytest.approx(closed_at + 0.5)
    assert given.is_closed


async def test_the_end_is_told_like_any_other_end_of_a_failed_call() -> None:
    for line, escalated in ((UNAVAILABLE, None), (coded(500, "internal_error"), True)):
        ear = Ear()
        transport = AsyncResilientTransport(Scripted(line), policy=UNPACED, on_event=ear)
        (one,), _ = await closed_after(0.1, transport)
        assert ear.names == ["retry_scheduled", "gave_up"]
        scheduled, gave_up = ear.events
        assert isinstance(gave_up, GaveUp)
        assert (gave_up.reason, gave_up.escalated) == ("closed", escalated)
        same = scheduled.as_fields().keys() & gave_up.as_fields().keys() - {
            "reason",
            "delay",
            "budget",
        }
        assert {"call_id", "request_id", "status", "code", "attempt", "time_left"} <= same
        for name in same:
            assert scheduled.as_fields()[name] == gave_up.as_fields()[name], name
        assert one.response is not None
        history = history_of(one.response)
        assert history is not None
        assert history.events[-1] == gave_up


async def test_a_call_that_was_never_sent_is_told_of_by_its_exception_alone() -> None:
    ear = Ear()
    inner = Scripted(Reply(200, headers=SPENT))
    transport = AsyncResilientTransport(inner, policy=PATIENT, on_event=ear.at_debug)
    await transport.handle_async_request(get())
    await closed_after(1.0, transport, calls=3)
    assert "gave_up" not in ear.names


class TestOpening:
    """A transport is open from the first, and again once it is entered."""

    async def test_a_new_call_over_a_closed_transport_raises_a_clear_error(self) -> None:
        inner = Scripted(OK)
        transport = AsyncResilientTransport(inner)
        await transport.aclose()
        with pytest.raises(TransportClosed, match="the transport is closed") as caught:
            await transport.handle_async_request(get())
        assert caught.value.request.url == URL
        assert inner.attempts == 0
        assert not any(left(transport))

    async def test_a_transport_that_is_entered_again_is_open_again(self) -> None:
        inner = Scripted(OK)
        transport = AsyncResilientTransport(inner)
        for _ in range(3):
            async with httpx.AsyncClient(transport=transport) as client:
                assert (await client.get(URL)).status_code == 200
        async with transport:
            assert (await transport.handle_async_request(get())).status_code == 200
        with pytest.raises(TransportClosed):
            await transport.handle_async_request(get())

    async def test_what_was_learned_of_rate_limits_outlives_the_closing(self) -> None:
        transport = AsyncResilientTransport(Scripted(Reply(200, headers=SPENT)), policy=PATIENT)
        async with transport:
            await transport.handle_async_request(get())
        async with transport:
            assert [row.limit for row in transport.rate_limits()] == [5]

    async def test_a_call_ends_though_the_transport_was_opened_again_at_once(self) -> None:
        inner = Scripted(UNAVAILABLE)
        transport = AsyncResilientTransport(inner, policy=UNPACED)

        async def again() -> None:
            await transport.aclose()
            await transport.__aenter__()

        (one,), closed_at = await closed_after(0.1, transport, how=again)
        assert (one.reason, one.at, inner.attempts) == ("closed", closed_at, 1)

    async def test_leaving_the_last_client_that_shares_it_closes_it_and_no_other(self) -> None:
        inner = Scripted(UNAVAILABLE, OK)
        transport, ended = AsyncResilientTransport(inner, policy=UNPACED), Ended()
        async with httpx.AsyncClient(transport=transport), anyio.create_task_group() as group:
            group.start_soon(ended.run, transport)
            await anyio.sleep(0.1)
            async with httpx.AsyncClient(transport=transport):
                pass
            assert ended.at < 0
        assert ended.response is not None
        assert ended.response.status_code == 200
        with pytest.raises(TransportClosed):
            await transport.handle_async_request(get())

    async def test_leaving_a_client_ends_the_calls_that_outlive_it(self) -> None:
        inner = Scripted(UNAVAILABLE)
        transport, ended = AsyncResilientTransport(inner, policy=UNPACED), Ended()
        closed_at = 0.0
        async with anyio.create_task_group() as group:
            async with httpx.AsyncClient(transport=transport):
                group.start_soon(ended.run, transport)
                await anyio.sleep(0.1)
            closed_at = anyio.current_time()
        assert (ended.reason, ended.at, inner.attempts) == ("closed", closed_at, 1)

    async def test_closing_explicitly_closes_it_for_all(self) -> None:
        inner = Scripted(UNAVAILABLE)
        transport, ended = AsyncResilientTransport(inner, policy=UNPACED), Ended()
        async with httpx.AsyncClient(transport=transport), anyio.create_task_group() as group:
            client = httpx.AsyncClient(transport=transport)
            group.start_soon(ended.run, transport)
            await anyio.sleep(0.1)
            await client.aclose()
        assert (ended.reason, inner.attempts) == ("closed", 1)
        async with transport:
            assert (await transport.handle_async_request(get())).status_code == 503
        with pytest.raises(TransportClosed):
            await transport.handle_async_request(get())

    async def test_an_inner_transport_that_fails_to_close_leaves_nobody_waiting(self) -> None:
        class Broken(Scripted):
            async def aclose(self) -> None:
                raise OSError("x")

        transport = AsyncResilientTransport(Broken(UNAVAILABLE), policy=UNPACED)

        async def close() -> None:
            with pytest.raises(OSError, match="x"):
                await transport.aclose()

        (one,), closed_at = await closed_after(0.1, transport, how=close)
        assert (one.reason, one.at) == ("closed", closed_at)


SCRIPTS: dict[str, tuple[Line, ...]] = {
    "an outage": (UNAVAILABLE._replace(takes=0.1),),
    "refused": (httpx.ConnectError("x"),),
    "spent": (Reply(200, headers=SPENT, takes=0.1),),
    "limited": (coded(429, "rate_limited", {"Retry-After": "2"}, takes=0.1), OK),
    "mended": (CONFLICT._replace(takes=0.1), OK._replace(takes=0.1)),
}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("script", SCRIPTS)
async def test_nothing_is_sent_or_held_after_closing_at_any_time(script: str, seed: int) -> None:
    chance = random.Random(seed)

    async def mend(failed: FailedAttempt, request: httpx.Request) -> httpx.Request:
        await anyio.sleep(chance.uniform(0.0, 1.0))
        return request

    budget, ear, inner = Counted(200.0), Ear(), Scripted(*SCRIPTS[script])
    transport = AsyncResilientTransport(
        inner,
        policy=PATIENT,
        budget=budget,
        on_event=ear.at_debug,
        recover={"version_conflict": mend},
    )
    sent, closed_at = -1, 0.0
    ended = [Ended() for _ in range(40)]
    async with anyio.create_task_group() as group:
        for each in ended:
            group.start_soon(each.run, transport)
            await anyio.sleep(chance.choice([0.0, 0.0, 0.05]))
        await anyio.sleep(chance.uniform(0.0, 4.0))
        await transport.aclose()
        closed_at = anyio.current_time()
        sent = inner.attempts
    assert sent == inner.attempts, f"seed {seed}"
    assert not any(left(transport)), f"seed {seed}"
    assert all(each.at <= closed_at + 1.0 for each in ended), f"seed {seed}"
    fields: list[dict[str, Any]] = [
        {**event.as_fields(), "event": event.name} for event in ear.events
    ]
    shares = {
        (e["call_id"], e["attempt"] + 1): SHARES.get(e["delay_source"], 1.0)
        for e in fields
        if e["event"] == "retry_scheduled"
    }
    in_vain = [
        shares[e["call_id"], e["attempt"]]
        for e in fields
        if e["event"] == "attempt_finished" and e["attempt"] > 1
    ]
    lost = COSTS.get(script, 0.0) * sum(in_vain)
    assert budget.balance(0.0) == pytest.approx(200.0 - lost), f"seed {seed}"


def test_the_error_is_public() -> None:
    assert "TransportClosed" in httpx_resilience.__all__
