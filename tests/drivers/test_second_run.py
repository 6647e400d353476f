"""A transport that outlives its event loop: the next run finds nothing of the one before."""

from itertools import product

import anyio
import pytest

from httpx_resilience import AsyncResilientTransport, Policy, ThrottlePolicy
from httpx_resilience._core.throttle import WAITING, Ticket
from support.scripted import OK, Reply, Scripted, get
from support.virtual import run

LIMITED = Reply(
    200,
    headers=(
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "50"),
    ),
)
PATIENT = Policy(throttle=ThrottlePolicy(max_wait=1e6))
BACKENDS = ("asyncio", "trio")


class EndedError(Exception):
    """What ends a run from within."""


@pytest.mark.parametrize(("first", "second"), list(product(BACKENDS, repeat=2)))
@pytest.mark.parametrize("how", ["cancelled", "by an exception"])
def test_a_run_that_ended_with_calls_in_the_queue_leaves_nothing_to_the_next(
    first: str, second: str, how: str
) -> None:
    inner = Scripted(LIMITED)
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    tickets: list[Ticket] = []

    async def ended_early() -> None:
        await transport.handle_async_request(get())
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(transport.handle_async_request, get())
            await anyio.sleep(1.0)
            (throttle,) = transport._shared._throttles.values()
            tickets.extend(throttle._queue._new)
            assert [ticket.state for ticket in tickets] == [WAITING] * 20
            if how == "by an exception":
                raise EndedError
            group.cancel_scope.cancel()

    if how == "cancelled":
        run(first, ended_early)
    else:
        with pytest.raises(BaseExceptionGroup) as caught:
            run(first, ended_early)
        assert caught.group_contains(EndedError)
    assert inner.attempts == 1
    assert all(ticket.state != WAITING for ticket in tickets)

    inner._script = (OK,)

    async def fresh() -> float:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(transport.handle_async_request, get())
        (throttle,) = transport._shared._throttles.values()
        assert throttle.is_idle
        assert not transport._shared.ready
        assert all(row.limit is None for row in transport.rate_limits())  # nothing was told yet
        return anyio.current_time() - began

    assert run(second, fresh) < 1.0
    assert inner.attempts == 21


@pytest.mark.parametrize("names", list(product(BACKENDS, repeat=3)))
def test_a_transport_goes_from_run_to_run(names: tuple[str, ...]) -> None:
    inner = Scripted(LIMITED, OK)
    transport = AsyncResilientTransport(inner, policy=PATIENT)

    async def main() -> float:
        inner.requests.clear()
        began = anyio.current_time()
        await transport.handle_async_request(get())
        return anyio.current_time() - began

    for name in names:
        assert run(name, main) < 1.0


@pytest.mark.parametrize("name", BACKENDS)
def test_a_transport_that_is_closed_in_the_next_run_closes_what_it_wraps(name: str) -> None:
    inner = Scripted(OK)
    transport = AsyncResilientTransport(inner)

    async def use() -> None:
        await transport.handle_async_request(get())

    run("asyncio", use)
    run(name, transport.aclose)
    assert inner.is_closed


@pytest.mark.parametrize("names", list(product(BACKENDS, repeat=2)))
def test_event_loops_that_show_the_same_clock_are_told_apart(names: tuple[str, str]) -> None:
    """Real loops: all of asyncio's read ``time.monotonic``, all of Trio's one function."""
    transport = AsyncResilientTransport(Scripted(LIMITED, OK), policy=PATIENT)

    async def main() -> list[int | None]:
        with anyio.fail_after(5.0):
            await transport.handle_async_request(get())
        return [row.limit for row in transport.rate_limits()]

    told = [anyio.run(main, backend=name) for name in names]
    assert told == [[5], [None]]
