"""A transport that outlives its event loop: the next run finds nothing of the one before."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import product

import anyio
import anyio.to_thread
import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, Policy, ThrottlePolicy
from httpx_resilience._core.throttle import WAITING, Ticket
from httpx_resilience._runtime.anyio import Runtime
from support.scripted import OK, UNAVAILABLE, Reply, Scripted, get
from support.virtual import VirtualLoop, run

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
            (throttle,) = transport._calls.registry._throttles.values()
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
        (throttle,) = transport._calls.registry._throttles.values()
        assert throttle.is_idle
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


class Held(httpx.AsyncBaseTransport):
    """Answers at once, but for one request, which waits in a thread until it is released."""

    def __init__(self) -> None:
        self.is_sent, self.released = threading.Event(), threading.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/held":
            self.is_sent.set()
            await anyio.to_thread.run_sync(self.released.wait, 30.0)
        return httpx.Response(200)


@contextmanager
def another_loop(
    name: str, transport: AsyncResilientTransport, inner: Held
) -> Iterator[list[httpx.Response]]:
    """Run a loop in another thread, with one call under way in it; it ends with the block."""
    came: list[httpx.Response] = []

    async def main() -> None:
        came.append(await transport.handle_async_request(get("https://vault.example/held")))

    thread = threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": name})
    thread.start()
    try:
        assert inner.is_sent.wait(30.0)
        yield came
    finally:
        inner.released.set()
        thread.join(30.0)
    assert not thread.is_alive()


@pytest.mark.parametrize("policy", [Policy(), Policy(throttle=None)], ids=["throttle", "none"])
@pytest.mark.parametrize("names", list(product(BACKENDS, repeat=2)))
def test_two_event_loops_at_once_raise_a_clear_error(
    names: tuple[str, str], policy: Policy
) -> None:
    inner = Held()
    transport = AsyncResilientTransport(inner, policy=policy)
    first, second = names

    async def use() -> int:
        return (await transport.handle_async_request(get())).status_code

    with another_loop(first, transport, inner) as came:
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                anyio.run(use, backend=second)
            assert str(caught.value) == (
                "the transport belongs to another event loop, which still runs and has 1 call "
                "under way: make a transport for each event loop"
            )
    assert [response.status_code for response in came] == [200]
    assert anyio.run(use, backend=second) == 200


@pytest.mark.parametrize("names", list(product(BACKENDS, repeat=2)))
def test_event_loops_by_turns_are_served_while_both_run(names: tuple[str, str]) -> None:
    transport, first, second = AsyncResilientTransport(Scripted(OK)), *names

    async def use() -> int:
        return (await transport.handle_async_request(get())).status_code

    async def main() -> list[int]:
        before = await use()
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(partial(anyio.run, use, backend=second)).result(30.0)
        return [before, other, await use()]

    assert anyio.run(main, backend=first) == [200, 200, 200]


def test_a_loop_that_stopped_with_a_call_under_way_bars_no_other() -> None:
    inner = Scripted(Reply(200, takes=1e6), OK)
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    stopped = asyncio.new_event_loop()
    task = stopped.create_task(transport.handle_async_request(get()))
    stopped.run_until_complete(asyncio.sleep(0))
    assert inner.attempts == 1

    async def use() -> int:
        return (await transport.handle_async_request(get())).status_code

    for name in BACKENDS:
        assert anyio.run(use, backend=name) == 200
        anyio.run(transport.aclose, backend=name)
        anyio.run(transport.__aenter__, backend=name)
    task.cancel()
    stopped.run_until_complete(asyncio.wait([task]))
    stopped.close()
    assert task.cancelled()


def test_a_transport_can_be_closed_in_another_loop_than_that_of_the_calls_that_wait() -> None:
    inner = Scripted(UNAVAILABLE, OK)
    transport = AsyncResilientTransport(inner, policy=PATIENT)
    first = VirtualLoop()
    task = first.create_task(transport.handle_async_request(get()))
    first.run_until_complete(asyncio.sleep(0.01))
    assert not task.done()
    run("trio", transport.aclose)
    response = first.run_until_complete(task)
    first.close()
    assert response.status_code == 503
    assert response.extensions["resilience"].reason == "closed"
    assert inner.attempts == 1


@pytest.mark.parametrize("name", BACKENDS)
def test_whether_a_loop_runs_can_be_asked_of_it_from_outside(name: str) -> None:
    async def main() -> Runtime:
        runtime = Runtime()
        assert runtime.is_running
        assert await anyio.to_thread.run_sync(lambda: runtime.is_running)
        return runtime

    assert not anyio.run(main, backend=name).is_running
