"""Other versions of what stands around: httpx imports Trio wherever it is installed, of any age."""

import asyncio
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest
import trio

from httpx_resilience import (
    AsyncResilientTransport,
    DeadlineExceeded,
    FailedAttempt,
    Policy,
    RetryPolicy,
)
from support.clients import STEADY
from support.scripted import OK, UNAVAILABLE, Reply, Scripted, coded, get
from support.virtual import backend

SPENT = (("X-RateLimit-Limit", "1"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "7"))


async def mend(failed: FailedAttempt, request: httpx.Request) -> httpx.Request:
    await anyio.sleep(1.0)
    return request


async def a_call_of_every_kind() -> None:
    """Retry, recover, queue for the rate limit, and be cut: all that needs the event loop."""
    inner = Scripted(UNAVAILABLE, coded(409, "version_conflict"), Reply(200, headers=SPENT), OK)
    transport = AsyncResilientTransport(
        inner, policy=Policy(retry=STEADY), recover={"version_conflict": mend}
    )
    assert (await transport.handle_async_request(get())).status_code == 200
    assert inner.attempts == 3
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(transport.handle_async_request, get())
    assert inner.attempts == 6
    assert anyio.current_time() - began >= 6.0

    late = AsyncResilientTransport(Scripted(Reply(200, takes=500.0)))
    request = get(extensions={"resilience": Policy(retry=RetryPolicy(deadline=3.0))})
    began = anyio.current_time()
    with pytest.raises(DeadlineExceeded):
        await late.handle_async_request(request)
    assert anyio.current_time() - began == pytest.approx(3.0)


@pytest.mark.anyio
async def test_calls_need_nothing_of_trio_that_came_with_0_29(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(trio.lowlevel, "in_trio_run", raising=False)
    await a_call_of_every_kind()


class BrokenTrio(ModuleType):
    """A Trio that can be imported, and no more."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"trio.{name} was asked for")


@pytest.mark.anyio
class TestOnAsyncio:
    """Whatever Trio is installed beside it."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, Mapping[str, Any]]:
        return backend("asyncio")

    async def test_nothing_is_asked_of_a_trio_that_does_not_run(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "trio", BrokenTrio("trio"))
        await a_call_of_every_kind()

    async def test_a_sniffio_of_trios_that_came_before_0_23_will_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sniffio = ModuleType("sniffio")  # before 1.3 it keeps nothing by thread
        monkeypatch.setitem(sys.modules, "sniffio", sniffio)
        monkeypatch.setitem(sys.modules, "trio", BrokenTrio("trio"))
        transport = AsyncResilientTransport(Scripted(UNAVAILABLE, OK))
        assert (await transport.handle_async_request(get())).status_code == 200


async def read() -> int:
    """Make a call with a transport of its own."""
    transport = AsyncResilientTransport(Scripted(OK))
    return (await transport.handle_async_request(get())).status_code


def test_trio_as_a_guest_of_asyncio_is_told_apart_from_its_host() -> None:
    async def host() -> list[int]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            read, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result
        )
        first, guest, second = await read(), await ended, await read()
        return [first, guest.unwrap(), second]

    assert asyncio.run(host()) == [200, 200, 200]


def test_trio_may_run_within_a_task_of_asyncio() -> None:
    async def cell() -> list[int]:  # as a notebook's cells are run
        return [trio.run(read), await read()]

    assert asyncio.run(cell()) == [200, 200]
