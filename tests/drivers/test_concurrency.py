"""The bound on requests in flight in the drivers: tasks and threads, and a body that stays open."""

import threading
import time
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Policy,
    ResilientTransport,
    RetryPolicy,
    ThrottlePolicy,
)

pytestmark = pytest.mark.anyio

POLICY = Policy(throttle=ThrottlePolicy(concurrency=3))


class Body(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x"


class Server(httpx.AsyncBaseTransport):
    """Answers after a tenth of a second, first with an error; notes how many it has at a time."""

    def __init__(self, failing: int = 0) -> None:
        self.now, self.most, self.failing = 0, 0, failing
        self.came: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        self.came[request.url.path] = round(anyio.current_time(), 6)
        try:
            await anyio.sleep(0.1)
        finally:
            self.now -= 1
        if self.failing:
            self.failing -= 1
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(200, stream=Body())


async def test_tasks_are_sent_in_order_and_no_more_at_a_time_than_the_limit() -> None:
    server = Server()
    transport = AsyncResilientTransport(server, policy=POLICY)
    async with httpx.AsyncClient(transport=transport, base_url="https://v.example") as client:
        async with anyio.create_task_group() as group:
            for n in range(30):
                group.start_soon(client.get, f"/{n:02d}")
                await anyio.sleep(0.001)
        assert server.most == 3
        times = [server.came[path] for path in sorted(server.came)]
        assert times == sorted(times)  # Trio runs those of one instant in any order
        (row,) = transport.rate_limits()
        assert (row.concurrency, row.in_flight, row.queued) == (3, 0, 0)


async def test_a_body_that_is_still_open_takes_no_place() -> None:
    transport = AsyncResilientTransport(Server(), policy=POLICY)
    async with httpx.AsyncClient(transport=transport, base_url="https://v.example") as client:
        with anyio.fail_after(5.0):
            open_ = [
                await client.send(client.build_request("GET", "/"), stream=True) for _ in range(9)
            ]
        assert len(open_) == 9
        for response in open_:
            await response.aclose()


async def test_retries_and_cancelled_calls_give_their_places_back() -> None:
    server = Server(failing=4)
    transport = AsyncResilientTransport(
        server, policy=POLICY.replace(retry=RetryPolicy(max_attempts=8))
    )
    async with httpx.AsyncClient(transport=transport, base_url="https://v.example") as client:
        async with anyio.create_task_group() as group:
            for n in range(12):
                group.start_soon(client.get, f"/{n:02d}")
            await anyio.sleep(0.25)
            (row,) = transport.rate_limits()
            assert row.queued
            group.cancel_scope.cancel()
        (row,) = transport.rate_limits()
        assert (row.in_flight, row.queued) == (0, 0)
        async with anyio.create_task_group() as group:
            for n in range(12):
                group.start_soon(client.get, f"/{n:02d}")
        (row,) = transport.rate_limits()
        assert (row.in_flight, row.queued, server.most) == (0, 0, 3)


async def test_origins_have_limits_of_their_own_and_categories_share_one() -> None:
    server = Server()
    transport = AsyncResilientTransport(server, policy=POLICY)
    async with httpx.AsyncClient(transport=transport) as client:
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(client.get, f"https://a.example/v1/secrets/{n}")
                group.start_soon(client.delete, f"https://a.example/v1/secrets/{n}")
        assert server.most == 3
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(client.get, f"https://a.example/v1/secrets/{n}")
                group.start_soon(client.get, f"https://b.example/v1/secrets/{n}")
        assert server.most == 6


@pytest.mark.parametrize("concurrency", [2, "auto"])
def test_threads_are_bound_likewise(concurrency: int) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return httpx.Response(200)

    policy = Policy(throttle=ThrottlePolicy(concurrency=concurrency))
    transport = ResilientTransport(httpx.MockTransport(answer), policy=policy)
    with httpx.Client(transport=transport, base_url="https://v.example") as client:
        left = iter(range(120))

        def work() -> None:
            for _ in left:
                assert client.get("/").status_code == 200

        threads = [threading.Thread(target=work) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (row,) = transport.rate_limits()
    assert (row.in_flight, row.queued) == (0, 0)
    assert most <= (2 if concurrency == 2 else 24)
    assert row.concurrency is not None
