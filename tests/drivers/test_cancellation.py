"""Cancelled at every await: tokens, responses and tasks are back where they were."""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, AttemptFinished, Policy, RetryPolicy
from support.clients import STEADY, Counted
from support.scripted import OK, UNAVAILABLE, Ear, Line, Reply, Scripted, Stream, coded, get
from support.virtual import backend

pytestmark = pytest.mark.anyio

LARGE = Reply(503, (b"x" * 9000,) * 20)
HINTED = coded(429, "rate_limited", {"Retry-After": "1"})
SCRIPTS: dict[str, tuple[Line, ...]] = {
    "success": (OK,),
    "outage": (UNAVAILABLE, LARGE, UNAVAILABLE, OK),
    "gives up": (LARGE,),
    "refused": (httpx.ConnectError("x"), HINTED, httpx.ReadError("x"), OK),
    "permanent": (coded(404, "secret_not_found"),),
}
COSTS = {"outage": (1, 1, 1), "gives up": (1, 1, 0.75), "refused": (0.25, 0, 1)}
"""Tokens that the retries of each script cost; after three failures in a row one is a probe."""

POLICIES = {
    "default": Policy(),
    "deadline": Policy(retry=RetryPolicy(deadline=100.0)),
}


class Gate:
    """Counts the awaits that pass through it; at the n-th it cancels the call."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.passed = 0
        self.scope = anyio.CancelScope()

    async def __call__(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()


def spent(budget: Counted) -> float:
    return round(3.0 - budget.balance(0.0), 6)


def tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living


def vain(ear: Ear) -> int:
    """How many retries came back failed."""
    events = [e for e in ear.events if isinstance(e, AttemptFinished)]
    return sum(e.attempt > 1 and e.error_class is not None for e in events)


async def run_until(gate: Gate, script: str, policy: Policy) -> bool:
    """Make one call; return whether it came to its end. Checks what it left behind."""
    budget, ear, inner = Counted(), Ear(), Scripted(*SCRIPTS[script], gate=gate)
    transport = AsyncResilientTransport(inner, policy=policy, budget=budget, on_event=ear.at_debug)
    before, ended = tasks(), False
    with gate.scope:
        response = await transport.handle_async_request(get())
        ended = True
        await response.aclose()
    where = f"cancelled at await {gate.at}"
    assert tasks() == before, where
    assert all(stream.is_closed for stream in inner.streams), where
    assert spent(budget) == sum(COSTS.get(script, ())[: vain(ear)]), where
    return ended


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_call_can_be_cancelled_at_any_await_of_the_transport_and_its_bodies(
    script: str, policy: str
) -> None:
    at = 1
    while not await run_until(Gate(at), script, POLICIES[policy]):
        at += 1
        assert at < 500
    assert at >= 2


TIMED = (
    UNAVAILABLE._replace(takes=0.3, pause=0.2),
    LARGE._replace(takes=0.3, pause=0.02),
    OK._replace(takes=0.3),
)


@pytest.mark.parametrize("step", range(75))
async def test_a_call_can_be_cancelled_at_any_time(step: int) -> None:
    budget, ear, inner, now = Counted(), Ear(), Scripted(*TIMED), anyio.current_time()
    policy = Policy(retry=STEADY)
    transport = AsyncResilientTransport(inner, policy=policy, budget=budget, on_event=ear.at_debug)
    response: httpx.Response | None = None
    before = tasks()
    with anyio.CancelScope(deadline=now + 0.013 + step * 0.05):
        response = await transport.handle_async_request(get())
    assert tasks() == before
    assert spent(budget) == vain(ear)  # of a retry that failed in vain; no other token is gone
    still_open = [stream for stream in inner.streams if not stream.is_closed]
    assert still_open == (inner.streams[-1:] if response is not None else [])
    if response is not None:
        assert response.status_code == 200
        await response.aclose()
    assert (response is not None) == (step >= 55)  # 2.76 s


@pytest.mark.parametrize(("policy", "held"), [(Policy(), 0.0), (Policy(park=None), 1.0)])
async def test_a_call_cancelled_while_it_waits_leaves_no_token_behind(
    policy: Policy, held: float
) -> None:
    budget = Counted()
    transport = AsyncResilientTransport(Scripted(UNAVAILABLE), budget=budget, policy=policy)
    async with anyio.create_task_group() as group:
        group.start_soon(transport.handle_async_request, get())
        await anyio.sleep(0.1)
        assert spent(budget) == held
        group.cancel_scope.cancel()
    assert spent(budget) == 0.0


async def test_a_cancellation_while_a_body_is_looked_at_closes_it() -> None:
    inner = Scripted(Reply(503, (b"x",) * 100, pause=1.0))
    transport = AsyncResilientTransport(inner)
    with anyio.move_on_after(0.5):
        await transport.handle_async_request(get())
    assert inner.streams[0].is_closed


async def test_a_cancelled_call_does_not_wait_for_a_body_that_will_not_close() -> None:
    class Stuck(Stream):
        async def aclose(self) -> None:
            await anyio.sleep(1000)

    async def stuck(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, stream=Stuck([b"x", b"y"], pause=1.0))

    transport, started = AsyncResilientTransport(Scripted(stuck)), anyio.current_time()
    with anyio.move_on_after(0.5):
        await transport.handle_async_request(get())
    assert anyio.current_time() - started <= 0.5 + 2.0 + 0.01


async def test_a_body_that_takes_its_time_to_close_is_closed_in_spite_of_the_cancellation() -> None:
    class Slow(Stream):
        async def aclose(self) -> None:
            await anyio.sleep(0.5)
            await super().aclose()

    given = Slow([b"x", b"y"], pause=1.0)

    async def slow(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, stream=given)

    with anyio.move_on_after(0.5):
        await AsyncResilientTransport(Scripted(slow)).handle_async_request(get())
    assert given.is_closed


class Suspend:
    """An await that nobody ever answers."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def suspended(request: httpx.Request) -> httpx.Response:
    await Suspend()
    raise AssertionError("never reached")


class TestAsyncio:
    """Ways to be cancelled that only asyncio has."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, Mapping[str, Any]]:
        return backend("asyncio")

    async def test_a_task_cancelled_by_asyncio_itself_leaves_nothing_behind(self) -> None:
        for at in range(1, 30):
            budget, inner = Counted(), Scripted(*SCRIPTS["outage"])
            transport = AsyncResilientTransport(inner, budget=budget)
            task = asyncio.ensure_future(transport.handle_async_request(get()))
            for _ in range(at):
                await asyncio.sleep(0)
            assert not task.done()  # within so many steps it is still in its first wait
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert all(stream.is_closed for stream in inner.streams)
            assert spent(budget) == 0.0

    async def test_a_coroutine_that_is_closed_gives_its_token_back(self) -> None:
        budget = Counted()
        inner = Scripted(httpx.ConnectError("x"), suspended)
        transport = AsyncResilientTransport(inner, budget=budget)
        coroutine = transport.handle_async_request(get())
        while inner.attempts < 2:
            if (future := coroutine.send(None)) is not None:
                await asyncio.wait([future])
        assert spent(budget) == 0.25
        coroutine.close()
        assert spent(budget) == 0.0
