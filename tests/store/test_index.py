"""The list of scopes: written now and then, bounded, and read without a scan."""

import pytest

from httpx_resilience._store import index
from httpx_resilience._store.commands import Command
from support.store_clients import ClientKind, Run
from support.stores import Server

KEY = "hr1:{team}:index"


def scope(number: int) -> Command:
    return Command("lease", f"hr1:{{team:{number}}}:lease", (1,))


def test_a_scope_is_listed_every_ten_seconds() -> None:
    lists = index.Index(KEY)
    assert lists.due([scope(1), scope(2)], 0.0) == [
        Command("index", KEY, (scope(1).key, scope(2).key))
    ]
    assert lists.due([scope(1)], index.EVERY - 0.1) == []
    assert lists.due([scope(1), scope(3)], index.EVERY) == [
        Command("index", KEY, (scope(1).key, scope(3).key))
    ]


def test_only_scopes_are_listed() -> None:
    assert index.Index(KEY).due([Command("floor", "hr1:{team:1}:floor")], 0.0) == []


def test_a_flood_of_scopes_is_forgotten() -> None:
    lists = index.Index(KEY)
    for number in range(index.MOST + 1):
        lists.due([scope(number)], 0.0)
    assert len(lists._listed) <= index.MOST


def test_scopes_are_listed_beside_what_is_asked_and_only_their_replies_come_back(
    kind: ClientKind, server: Server
) -> None:
    async def program(run: Run) -> None:
        assert await run([scope(1), scope(2)]) == [[], []]
        assert await run([scope(3)]) == [[]]

    kind.run(program, kind.client(server.port))
    assert server.command("ZCARD", KEY) == 3
    assert 3_590_000 < int(str(server.command("PTTL", KEY))) <= 3_600_000


@pytest.fixture
def listed(kind: ClientKind, server: Server) -> list[str]:
    """What is read of an index that somebody has filled with rubbish."""
    now = int(str(server.command("TIME")[0]))  # type: ignore[index] # a list
    for score, member in ((now - 3601, "old"), (now - 60, "recent"), (now + 999, "future")):
        server.command("ZADD", KEY, score, member)

    async def program(run: Run) -> list[str]:
        (reply,) = await run([Command("index", KEY)])
        assert isinstance(reply, list)
        return reply

    found: list[str] = kind.run(program, kind.client(server.port))
    return found


def test_what_is_older_than_an_hour_or_newer_than_now_is_not_listed(listed: list[str]) -> None:
    assert listed == ["recent"]


def test_the_list_keeps_ten_thousand_scopes(kind: ClientKind, server: Server) -> None:
    now = str(server.command("TIME")[0])  # type: ignore[index] # a list
    commands = [["ZADD", KEY, now, f"scope{number:05}"] for number in range(10_050)]
    server.commands(commands)

    async def program(run: Run) -> None:
        assert await run([scope(1)]) == [[]]

    kind.run(program, kind.client(server.port))
    assert server.command("ZCARD", KEY) == 10_000


def test_a_key_of_another_type_is_replaced(kind: ClientKind, server: Server) -> None:
    server.command("SET", KEY, "rubbish")

    async def program(run: Run) -> None:
        assert await run([scope(1)]) == [[]]

    kind.run(program, kind.client(server.port))
    assert server.command("ZCARD", KEY) == 1
