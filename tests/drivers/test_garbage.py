"""A call leaves nothing for the collector: what it held is freed when its caller lets go of it."""

import gc
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Policy,
    ThrottlePolicy,
    raise_for_error,
)
from support.clients import STEADY
from support.scripted import OK, UNAVAILABLE, URL, Line, Reply, Scripted, checkpoint, coded

pytestmark = pytest.mark.anyio

CALLS = 10
CONFLICT = coded(409, "version_conflict")
LATE = Reply(200, takes=500.0)
LARGE = Reply(503, (b"x" * 9000,) * 20)
SPENT = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "50"}
UNPACED = Policy(retry=STEADY, throttle=None, budget=None)
SOON = UNPACED.replace(retry=STEADY.replace(deadline=0.7))
PATIENT = Policy(retry=STEADY, throttle=ThrottlePolicy(max_wait=1e6), budget=None)
IMPATIENT = Policy(retry=STEADY, throttle=ThrottlePolicy(max_wait=5.0), budget=None)


class Half(httpx.AsyncByteStream):
    """A body that breaks off; it keeps nothing of its error."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"half"
        raise httpx.ReadError("the line went dead")


async def is_invalid(request: httpx.Request) -> httpx.Response:
    raise httpx.UnsupportedProtocol("x", request=request)


async def fails(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


async def refuses(request: httpx.Request) -> httpx.Response:
    try:
        raise OSError("refused")
    except OSError as error:
        raise httpx.ConnectError(str(error), request=request) from error


async def breaks_off(request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, stream=Half())


async def mend(failed: object, request: httpx.Request) -> httpx.Request:
    return request


async def cannot_mend(failed: object, request: httpx.Request) -> httpx.Request:
    raise KeyError("no")


async def takes_long(failed: object, request: httpx.Request) -> httpx.Request:
    await anyio.sleep(500.0)
    return request


Story = tuple[Policy, dict[str, Any], tuple[Line, ...]]
STORIES: dict[str, Story] = {
    "success": (UNPACED, {}, (OK,)),
    "an exception at once": (UNPACED, {}, (is_invalid,)),
    "an exception after retries": (UNPACED, {}, (refuses,)),
    "an exception after other exceptions": (UNPACED, {}, (refuses, fails, refuses)),
    "a success after exceptions": (UNPACED, {}, (refuses, fails, OK)),
    "a response after retries": (UNPACED, {}, (UNAVAILABLE,)),
    "a response after exceptions": (UNPACED, {}, (fails, refuses, UNAVAILABLE)),
    "a large body given up": (UNPACED, {}, (LARGE, fails)),
    "a body that breaks off": (UNPACED, {}, (breaks_off,)),
    "a body that stands still": (UNPACED, {}, (Reply(404, (b"a", b"b"), pause=50.0),)),
    "a deadline in an attempt": (SOON, {}, (LATE,)),
    "a deadline in a retry": (SOON, {}, (refuses, LATE)),
    "a retry cut": (UNPACED.replace(retry=STEADY.replace(retry_for=2.0)), {}, (refuses, LATE)),
    "mended": (UNPACED, {"version_conflict": mend}, (CONFLICT, OK)),
    "mended in vain": (UNPACED, {"version_conflict": mend}, (CONFLICT,)),
    "a hook that raises": (UNPACED, {"version_conflict": cannot_mend}, (CONFLICT,)),
    "a hook that is cut": (SOON, {"version_conflict": takes_long}, (CONFLICT,)),
    "throttled": (IMPATIENT, {}, (coded(429, "rate_limited", SPENT),)),
}


CANCELLED: dict[str, Story] = {
    "in an attempt": (UNPACED, {}, (LATE,)),
    "while it pauses": (UNPACED, {}, (refuses,)),
    "in a look": (UNPACED, {}, (Reply(503, (b"x",) * 100, pause=0.3),)),
    "in a hook": (UNPACED, {"version_conflict": takes_long}, (CONFLICT,)),
    "in the queue": (PATIENT, {}, (Reply(200, headers=tuple(SPENT.items())),)),
}
STORIES |= CANCELLED


class Anew(httpx.AsyncBaseTransport):
    """Plays its script from the beginning whenever it is told to, and keeps nothing."""

    def __init__(self, *script: Line) -> None:
        self._script = script
        self.inner = Scripted(*script)

    def again(self) -> None:
        self.inner = Scripted(*self._script)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)


Act = Callable[[httpx.AsyncBaseTransport, httpx.Request], Awaitable[None]]


async def ended(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
    """Make a call, and read what comes."""
    try:
        response = await transport.handle_async_request(request)
        response.request = request
        await response.aread()
        await response.aclose()
        raise_for_error(response)
    except (httpx.HTTPError, KeyError):
        return


async def alive_after(
    calls: int, transport: httpx.AsyncBaseTransport, inner: Anew, act: Act
) -> list[str]:
    """Make calls one after the other; return what is left of their requests and bodies."""
    kept: list[weakref.ref[Any]] = []
    await act(transport, httpx.Request("PUT", URL, content=b"first"))  # what is done once is done
    gc.collect()
    gc.disable()
    try:
        for _ in range(calls):
            inner.again()
            request = httpx.Request("PUT", URL, content=b"secret", headers={"Idempotency-Key": "k"})
            kept += [weakref.ref(request), weakref.ref(request.stream)]
            await act(transport, request)
            del request
        inner.again()
        for _ in range(2):  # a task holds what it was last cancelled with until it goes on
            await checkpoint()
        return [repr(alive) for ref in kept if (alive := ref()) is not None]
    finally:
        gc.enable()


def played(story: str) -> tuple[AsyncResilientTransport, Anew]:
    policy, hooks, script = STORIES[story]
    inner = Anew(*script)
    return AsyncResilientTransport(inner, policy=policy, recover=hooks), inner


@pytest.mark.parametrize("story", STORIES)
async def test_a_call_that_ended_leaves_no_cycle_with_its_request_and_body(story: str) -> None:
    transport, inner = played(story)
    assert await alive_after(CALLS, transport, inner, ended) == []


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("story", CANCELLED)
async def test_a_call_that_was_cancelled_leaves_no_cycle_with_its_request_and_body(
    story: str, seconds: float
) -> None:
    caught: list[bool] = []

    async def cancelled(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        with anyio.move_on_after(seconds) as scope:
            await ended(transport, request)
        caught.append(scope.cancelled_caught)

    transport, inner = played(story)
    assert await alive_after(CALLS, transport, inner, cancelled) == []
    assert sum(caught) >= CALLS / 2


@pytest.mark.parametrize("story", ["while it pauses", "in the queue", "in an attempt"])
async def test_a_call_whose_transport_was_closed_leaves_no_cycle(story: str) -> None:
    async def closed(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ended, transport, request)
            await anyio.sleep(0.1)
            await transport.aclose()
        await transport.__aenter__()

    transport, inner = played(story)
    assert await alive_after(CALLS, transport, inner, closed) == []


async def test_none_of_200_calls_of_a_client_that_raise_is_left() -> None:
    async def through_a_client(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient(transport=transport).send(request)

    transport, inner = played("an exception after retries")
    assert await alive_after(200, inner, inner, through_a_client) == []
    assert await alive_after(200, transport, inner, through_a_client) == []


async def test_an_exception_still_shows_where_it_was_raised() -> None:
    for story, name in (
        ("an exception at once", "is_invalid"),
        ("a hook that raises", "cannot_mend"),
    ):
        transport, _ = played(story)
        with pytest.raises((httpx.UnsupportedProtocol, KeyError)) as caught:
            await transport.handle_async_request(httpx.Request("PUT", URL, content=b"x"))
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[1] == "handle_async_request"
        assert names[-1] == name


async def test_the_count_notices_a_cycle() -> None:
    async def knots(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        request.extensions["itself"] = request

    transport, inner = played("success")
    assert len(await alive_after(CALLS, transport, inner, knots)) == 2 * CALLS
