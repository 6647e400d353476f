"""What a store answers, by each kind of client and on each kind of server."""

import time
from pathlib import Path

import anyio
import pytest

from httpx_resilience._store.commands import Command
from httpx_resilience._store.errors import DEADLINE, StoreError
from support.store_clients import KINDS, ClientKind, Run, kind_parameters
from support.stores import Server, free_port

SLACK = 0.15
"""Seconds that a busy machine may take longer."""


def error_of(reply: object) -> StoreError:
    assert isinstance(reply, StoreError)
    return reply


@pytest.mark.parametrize("decodes", [False, True])
def test_replies_are_strings_in_the_order_of_the_commands(
    kind: ClientKind, each_server: Server, decodes: bool
) -> None:
    async def program(run: Run) -> None:
        commands = [Command("echo", f"hr1:{{t:{n}}}:a", (n,)) for n in range(50)]
        assert await run(commands) == [[str(n)] for n in range(50)]
        replies = await run([Command("kinds", "hr1:{t:1}:a", ())])
        assert [each[:2] for each in replies if isinstance(each, list)] == [["text", "7"]]
        assert await run([]) == []

    kind.run(program, kind.client(each_server.port, decode_responses=decodes))


def test_a_script_that_the_store_does_not_know_is_sent_once_by_its_text(
    kind: ClientKind, each_server: Server
) -> None:
    async def program(run: Run) -> None:
        for name in ("echo", "count"):  # it knows the first of them by then
            each_server.command("CONFIG", "RESETSTAT")
            commands = [Command(each, f"hr1:{{t:{each}}}:a", (1,)) for each in ("echo", name)]
            assert not any(isinstance(reply, StoreError) for reply in await run(commands))
        stats = str(each_server.command("INFO", "commandstats"))
        assert "cmdstat_evalsha:calls=2," in stats
        assert "cmdstat_eval:calls=1," in stats

    each_server.command("SCRIPT", "FLUSH")
    each_server.command("FLUSHALL")
    kind.run(program, kind.client(each_server.port))


def test_a_command_that_fails_leaves_the_others_alone(
    kind: ClientKind, each_server: Server
) -> None:
    each_server.command("FLUSHALL")
    each_server.command("RPUSH", "hr1:{t:list}:a", "x")

    async def program(run: Run) -> None:
        echo = Command("echo", "hr1:{t:1}:a", ("well",))
        wrong = [Command(name, "hr1:{t:list}:a") for name in ("count", "number", "nested")]
        replies = await run([echo, *wrong, echo])
        assert (replies[0], replies[-1]) == (["well"], ["well"])
        assert [error_of(each).reason for each in replies[1:-1]] == ["refused", "reply", "reply"]

    kind.run(program, kind.client(each_server.port))


def test_the_store_is_away_if_nobody_listens_and_its_error_names_no_address(
    kind: ClientKind,
) -> None:
    port = free_port()

    async def program(run: Run) -> None:
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            await run([Command("echo", "hr1:{t:1}:a", (1,))])
        assert time.monotonic() - began < DEADLINE + SLACK
        assert caught.value.reason in ("connection", "timeout")
        assert str(port) not in str(caught.value)

    kind.run(program, kind.client(port))


def test_a_frozen_store_costs_the_deadline_and_is_back_when_it_thaws(
    kind: ClientKind, server: Server
) -> None:
    async def program(run: Run) -> None:
        count = Command("count", "hr1:{t:1}:a", (1,))
        assert await run([count]) == [["1", "1"]]
        server.freeze()
        for _ in range(2):  # on a connection, and while connecting
            began = time.monotonic()
            with pytest.raises(StoreError) as caught:
                await run([count])
            assert caught.value.reason == "timeout"
            assert DEADLINE - 0.02 < time.monotonic() - began < DEADLINE + SLACK
        server.thaw()
        for _ in range(3):
            replies = await run([Command("echo", "hr1:{t:1}:a", ("back",))])
            assert replies == [["back"]]

    kind.run(program, kind.client(server.port))
    # What the kernel had already been given may run late; what came after the first was not sent.
    assert int(str(server.command("GET", "hr1:{t:1}:a"))) <= 2


def test_a_store_that_was_killed_is_back_empty_when_it_is_restarted(
    kind: ClientKind, server: Server
) -> None:
    async def program(run: Run) -> None:
        count = Command("count", "hr1:{t:1}:a", (1,))
        assert await run([count, count]) == [["1", "1"], ["2", "1"]]
        server.kill()
        with pytest.raises(StoreError):
            await run([count])
        server.start()
        for expected in ("1", "2"):  # none of what failed is sent later
            assert await run([count]) == [[expected, "1"]]

    kind.run(program, kind.client(server.port))


def test_commands_of_several_tasks_or_threads_do_not_mix(
    kind: ClientKind, each_server: Server
) -> None:
    async def program(run: Run) -> None:
        async def one(number: int) -> None:
            for turn in range(5):
                words = f"{number}.{turn}"
                commands = [Command("echo", "hr1:{t:1}:a", (words, n)) for n in range(3)]
                assert await run(commands) == [[words]] * 3

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(one, number)

    kind.run(program, kind.client(each_server.port))


@pytest.mark.parametrize(
    "kind", kind_parameters([kind for kind in KINDS if kind.library == "coredis"])
)
def test_coredis_takes_one_connection_whoever_asks_first(kind: ClientKind, server: Server) -> None:
    async def program(run: Run) -> None:
        before = str(server.command("CLIENT", "LIST")).count(" addr=")

        async def ask() -> None:
            assert await run([Command("echo", "hr1:{t:1}:a", (1,))]) == [["1"]]

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
        assert str(server.command("CLIENT", "LIST")).count(" addr=") == before + 1

    kind.run(program, kind.client(server.port))


def test_the_scripts_are_files_of_the_package() -> None:
    folder = Path(__file__).parents[2] / "src/httpx_resilience/_store/scripts"
    assert "index.lua" in {path.name for path in folder.iterdir()}
