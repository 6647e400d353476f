"""Calls that wait for the throttle: what they hold, how they are woken, what they tell after."""

import gc
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, ThrottleDelayed, history_of
from httpx_resilience._runtime.anyio import Runtime, notify, wait
from support.scripted import URL, Reply, Scripted, get

pytestmark = pytest.mark.anyio

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def answer(remaining: int) -> Reply:
    """A success, and what it says is left for the next ten seconds."""
    return Reply(
        200,
        headers=(
            ("Date", DATE),
            ("X-RateLimit-Limit", "100"),
            ("X-RateLimit-Remaining", str(remaining)),
            ("X-RateLimit-Reset", "10"),
        ),
    )


async def exhausted() -> tuple[AsyncResilientTransport, Scripted]:
    """A transport whose scope has nothing left for ten seconds, and plenty after."""
    inner = Scripted(answer(0), answer(90))
    transport = AsyncResilientTransport(inner)
    await transport.handle_async_request(get())
    return transport, inner


def requests_alive() -> int:
    gc.collect()
    return sum(type(each) is httpx.Request for each in gc.get_objects())


async def test_a_call_that_waits_holds_no_copy_of_its_request() -> None:
    transport, inner = await exhausted()
    requests = [get() for _ in range(20)]
    before = requests_alive()
    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(transport.handle_async_request, request)
        await anyio.sleep(1.0)
        assert requests_alive() == before
    assert inner.attempts == 21
    assert all("X-Request-ID" not in request.headers for request in requests)
    assert len({request.headers["X-Request-ID"] for request in inner.requests}) == 21


async def test_a_call_that_waited_has_its_attempt_in_its_history() -> None:
    transport, _ = await exhausted()
    history = history_of(await transport.handle_async_request(get()))
    assert history is not None
    assert [type(event) for event in history.events] == [ThrottleDelayed]
    assert [(attempt.number, attempt.status) for attempt in history.attempts] == [(1, 200)]
    assert history.reason == "success"


async def test_a_body_that_cannot_be_sent_is_refused_before_any_wait() -> None:
    class Synchronous(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    transport, inner = await exhausted()
    began = anyio.current_time()
    with pytest.raises(TypeError, match=r"request\.stream"):
        await transport.handle_async_request(httpx.Request("POST", URL, stream=Synchronous()))
    assert anyio.current_time() == began
    assert inner.attempts == 1
    assert sum(row.queued + row.in_flight for row in transport.rate_limits()) == 0


async def test_whoever_waits_is_woken_once_however_often_it_is_tried() -> None:
    place, ended = Runtime().waiter(), list[str]()

    async def one() -> None:
        await wait(place)
        ended.append("woken")

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await anyio.sleep(1.0)
        assert ended == []
        notify(place)
        notify(place)
    assert ended == ["woken"]


async def test_waking_one_that_gave_up_does_nothing() -> None:
    place = Runtime().waiter()
    with anyio.move_on_after(1.0) as scope:
        await wait(place)
    notify(place)
    await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
