"""The rights that a store's user has to have, and no more."""

import re
from pathlib import Path

import pytest

from httpx_resilience._store import redis
from httpx_resilience._store.commands import Command
from httpx_resilience._store.errors import StoreError
from httpx_resilience._store.redis import RIGHTS
from support.store_clients import ClientKind, Run
from support.stores import Server

PASSWORD = "a password of the user's"


def make_user(server: Server, rights: str) -> None:
    server.command("ACL", "DELUSER", "limits")
    server.command("ACL", "SETUSER", "limits", "on", *rights.split(), f">{PASSWORD}")


def test_the_documented_rights_are_enough(kind: ClientKind, each_server: Server) -> None:
    make_user(each_server, RIGHTS)
    each_server.command("SCRIPT", "FLUSH")
    each_server.command("ACL", "LOG", "RESET")

    async def program(run: Run) -> None:
        index = Command("index", "hr1:{team}:index", ("hr1:{team:1}:a",))
        for _ in range(2):  # by its text, by its hash
            assert await run([index]) == [[]]
        assert await run([Command("index", "hr1:{team}:index")]) == [["hr1:{team:1}:a"]]

    client = kind.client(each_server.port, username="limits", password=PASSWORD)
    kind.run(program, client)
    refused = each_server.command("ACL", "LOG")
    assert isinstance(refused, list)
    objects = {entry[entry.index("object") + 1] for entry in refused}
    assert objects <= {"client|setinfo"}, "by which clients tell their names, or do without"


def test_the_documented_rights_are_those_that_the_scripts_use() -> None:
    folder = Path(redis.__file__).parent / "scripts"
    called = {
        command.lower()
        for path in folder.glob("*.lua")
        for command in re.findall(r"redis\.p?call\('(\w+)'", path.read_text())
    }
    assert len(called) > 5
    assert set(RIGHTS.split()) == {f"+{each}" for each in called | {"eval", "evalsha"}} | {"~hr1:*"}


def test_what_is_not_permitted_is_refused_with_the_stores_word(
    kind: ClientKind, each_server: Server
) -> None:
    make_user(each_server, RIGHTS)

    async def program(run: Run) -> None:
        replies = await run(
            [Command("echo", "of:somebody:else", (1,)), Command("echo", "hr1:a", (1,))]
        )
        refused, well = replies
        assert isinstance(refused, StoreError)
        assert (refused.reason, well) == ("refused", ["1"])
        assert "somebody" not in str(refused)

    client = kind.client(each_server.port, username="limits", password=PASSWORD)
    kind.run(program, client)


def test_a_wrong_password_is_an_error_of_the_connection(
    kind: ClientKind, each_server: Server
) -> None:
    make_user(each_server, RIGHTS)

    async def program(run: Run) -> None:
        with pytest.raises(StoreError) as caught:
            await run([Command("echo", "hr1:a", (1,))])
        assert caught.value.reason in ("connection", "timeout")  # redis.asyncio tries again
        assert "wrong" not in str(caught.value)

    client = kind.client(each_server.port, username="limits", password="wrong password")
    kind.run(program, client)
