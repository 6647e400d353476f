"""A command that is cut, by its deadline or by its caller, leaves nothing for the next one."""

import asyncio
import importlib
import random
import time
from typing import Any

import anyio
import pytest

from httpx_resilience._store.commands import Command
from httpx_resilience._store.errors import DEADLINE, StoreError
from support.store_clients import KINDS, ClientKind, Run, kind_parameters
from support.store_proxy import slow_proxy
from support.stores import HOST, Server

ASYNC = kind_parameters([kind for kind in KINDS if kind.is_async])
THREADS = kind_parameters([kind for kind in KINDS if not kind.is_async])
KEY = "hr1:{t:1}:a"


def soon(rand: random.Random) -> float:
    """Return seconds from 10 µs to 10 ms: connecting takes some, a reply takes less."""
    return float(10 ** -rand.uniform(2, 5))


async def ask(run: Run, number: int, answered: list[int]) -> None:
    """Ask for a number twice in one pipeline, and note it if both came back."""
    replies = await run([Command("echo", KEY, (number,)), Command("echo", KEY, (-number,))])
    assert replies == [[str(number)], [str(-number)]]
    answered.append(number)


@pytest.mark.parametrize("kind", ASYNC)
def test_no_reply_is_swapped_by_a_thousand_random_cancellations(
    kind: ClientKind, server: Server
) -> None:
    rand = random.Random(16)
    answered: list[int] = []

    async def some(run: Run, numbers: range) -> None:
        for number in numbers:
            with anyio.move_on_after(soon(rand)):
                await ask(run, number, answered)

    async def program(run: Run) -> None:
        async with anyio.create_task_group() as group:
            for first in range(4):
                group.start_soon(some, run, range(1 + first, 1001, 4))
        await ask(run, 1001, answered)

    kind.run(program, kind.client(server.port))
    assert 100 < len(answered) < 900, "some were cancelled, and some were not"
    assert answered[-1] == 1001


@pytest.mark.parametrize("kind", [each for each in ASYNC if each.id != "coredis-trio"])
def test_no_reply_is_left_for_the_next_command_by_a_task_that_is_cancelled(
    kind: ClientKind, server: Server
) -> None:
    answered: list[int] = []

    async def program(run: Run) -> None:
        await ask(run, 0, answered)
        for number in range(1, 51):
            server.freeze()  # so that the reply comes after the cancellation
            task = asyncio.create_task(ask(run, -number, answered))
            for _ in range(number % 10):
                await asyncio.sleep(0)
            task.cancel()
            began = time.monotonic()
            await asyncio.wait([task])
            assert task.cancelled()
            assert time.monotonic() - began < DEADLINE / 2
            server.thaw()
            await ask(run, number, answered)

    kind.run(program, kind.client(server.port))
    assert answered == list(range(51))


@pytest.mark.parametrize("kind", ASYNC)
def test_a_cancelled_caller_takes_nobody_else_along(kind: ClientKind, server: Server) -> None:
    async def program(run: Run) -> None:
        server.freeze()
        answered: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(ask, run, 1, answered)
            with anyio.move_on_after(0.05):
                await ask(run, 2, answered)
            server.thaw()
        assert answered == [1]

    async def warmed(run: Run) -> None:
        await run([Command("echo", KEY, (1,))])
        await program(run)

    kind.run(warmed, kind.client(server.port))


@pytest.mark.parametrize("kind", ASYNC)
def test_a_caller_that_is_cancelled_while_the_client_connects_sees_just_that(
    kind: ClientKind, server: Server
) -> None:
    async def program(run: Run) -> None:
        server.freeze()
        with anyio.move_on_after(0.05) as scope:
            await run([Command("echo", KEY, (1,))])
        server.thaw()
        assert scope.cancelled_caught

    kind.run(program, kind.client(server.port))


def test_a_store_that_takes_half_a_second_costs_the_deadline(
    kind: ClientKind, server: Server
) -> None:
    async def program(run: Run) -> None:
        began = time.monotonic()
        with pytest.raises(StoreError):
            await run([Command("count", KEY, (1,))])
        assert time.monotonic() - began < DEADLINE + 0.15

    with slow_proxy(server.port, 0.5) as port:
        kind.run(program, kind.client(port))


@pytest.mark.long
@pytest.mark.parametrize("kind", THREADS)
def test_a_thread_waits_no_longer_than_the_deadline_once_it_is_connected(
    kind: ClientKind, server: Server
) -> None:
    """Every reply takes 0.2 s: two of them take too long."""

    async def program(run: Run) -> None:
        count = Command("count", KEY, (1,))
        with pytest.raises(StoreError):  # connecting took longer: nothing was sent
            await run([count])
        assert server.command("GET", KEY) is None
        began = time.monotonic()
        with pytest.raises(StoreError):  # the store did not know the script
            await run([count])
        assert time.monotonic() - began < DEADLINE + 0.1
        with pytest.raises(StoreError):  # connecting
            await run([count])
        assert await run([count]) == [["2", "1"]]

    with slow_proxy(server.port, 0.2) as port:
        kind.run(program, kind.client(port))


@pytest.mark.parametrize("kind", ASYNC)
def test_a_long_outage_uses_no_pool_up(kind: ClientKind, server: Server) -> None:
    client = _with_two_connections(kind, server.port)

    async def program(run: Run) -> None:
        await run([Command("echo", KEY, (1,))])
        server.freeze()
        for _ in range(5):
            with anyio.move_on_after(0.05):
                await run([Command("echo", KEY, (1,))])
        server.thaw()
        assert await run([Command("echo", KEY, ("back",))]) == [["back"]]
        with anyio.fail_after(2):  # and the user's own commands
            assert await client.echo("well") in (b"well", "well")

    kind.run(program, client)


def _with_two_connections(kind: ClientKind, port: int) -> Any:
    """Return a client that has two connections, and waits for them."""
    if kind.library == "coredis":
        return kind.client(port, max_connections=2)
    module = importlib.import_module(f"{kind.library}.asyncio")
    pool = module.BlockingConnectionPool(host=HOST, port=port, max_connections=2)
    return (module.Valkey if kind.library == "valkey" else module.Redis).from_pool(pool)
