"""What a store says that it holds: scopes, who holds what, since when; whatever is in it."""

import math
import re
from pathlib import Path

import anyio.to_thread
import pytest

from httpx_resilience import StoreHolder, StoreLimit, StoreScope
from httpx_resilience._core.outcome import Command
from httpx_resilience._store import status
from httpx_resilience._store.errors import StoreError
from httpx_resilience._store.keys import Keys
from httpx_resilience._store.script import script as shipped
from support.lease_asks import Fleet, known
from support.store_clients import NAMESPACE, SECRET, ClientKind
from support.stores import Server

INDEX = f"hr1:{{{NAMESPACE}}}:index"
SCOPE = f"hr1:{{{NAMESPACE}:0123456789abcdef}}:lease"
HOSTILE = ["", "nan nan nan", "-1 " * 20, "inf " * 20, "1e400 " * 20, "9" * 400, "\x00", "{} [] ''"]


pytestmark = pytest.mark.usefixtures("only_shipped_scripts")


@pytest.fixture
def asked() -> Fleet:
    """Processes whose questions go to a real server."""
    return Fleet()


def lease(server: Server, fleet: Fleet, process: str, **said: object) -> None:
    """Have a process ask for a lease of the scope, which is listed."""
    words = fleet.words(process, **said)  # type: ignore[arg-type] # as Fleet.ask passes them on
    text = shipped("lease").text.decode()
    server.command("EVAL", text, 1, SCOPE, *(str(word) for word in words))
    server.command("ZADD", INDEX, str(server.command("TIME")[0]), SCOPE)  # type: ignore[index] # a list


def read(kind: ClientKind, server: Server, **options: str) -> tuple[StoreScope, ...]:
    """Return a store's status over a client of some kind."""
    client = kind.client(server.port)

    async def program(_: object) -> tuple[StoreScope, ...]:
        store = kind.store(client, **options)
        found: tuple[StoreScope, ...]
        if kind.is_async:
            found = await store.status()
        else:
            found = await anyio.to_thread.run_sync(store.status)
        return found

    scopes: tuple[StoreScope, ...] = kind.run(program, client)
    return scopes


def test_the_fields_are_those_that_the_lease_keeps() -> None:
    text = (Path(status.__file__).parent / "scripts/lease.lua").read_text()
    head = re.sub(r"\n--\s{10,}", " ", text.partition("\n--\n-- A response")[0])
    kept = {
        name: tuple(words.split("{")[0].split())
        for name, words in re.findall(r"--   (m|r:<row>|p:<process>) +(.+)", head)
    }
    assert kept == {"m": status.META, "r:<row>": status.ROW, "p:<process>": status.PROCESS}


def test_a_store_that_nobody_used_holds_nothing(kind: ClientKind, server: Server) -> None:
    assert read(kind, server) == ()
    assert server.command("KEYS", "*") == []


def test_a_scope_shows_its_limits_and_who_holds_what(
    kind: ClientKind, server: Server, asked: Fleet
) -> None:
    lease(server, asked, "aa", evidence=known(30), want=5, need=1)
    lease(server, asked, "bb", want=3, names=False)
    (scope,) = read(kind, server)
    assert scope.id == "0123456789abcdef"
    (limit,) = scope.limits
    assert (limit.id, limit.limit) == ("requests", 100)
    assert limit.remaining is not None
    assert limit.remaining + limit.leased == 30
    assert limit.reset_in is not None
    assert 5 < limit.reset_in <= 10
    holders = {each.process: each for each in scope.holders}
    assert set(holders) == {"aa", "bb"}
    assert holders["aa"].leased == (("requests", 5.0),)
    assert sum(units for each in holders.values() for _, units in each.leased) == limit.leased
    assert all(each.seen < 5 for each in holders.values())
    assert (scope.closed_for, scope.rate, scope.probing_by) == (None, None, None)


def test_who_probes_and_who_waits_is_shown(kind: ClientKind, server: Server, asked: Fleet) -> None:
    lease(server, asked, "aa", names=False)
    lease(server, asked, "bb", names=False)
    (scope,) = read(kind, server)
    assert scope.probing_by == "aa"
    waiting = {each.process: each.waiting_for for each in scope.holders}
    assert waiting["aa"] is None
    assert waiting["bb"] is not None


def test_a_closed_scope_says_for_how_long(kind: ClientKind, server: Server, asked: Fleet) -> None:
    lease(server, asked, "aa", closed=5000, names=False)
    (scope,) = read(kind, server)
    assert scope.closed_for is not None
    assert 1 < scope.closed_for <= 5


def test_other_namespaces_are_not_shown(kind: ClientKind, server: Server, asked: Fleet) -> None:
    lease(server, asked, "aa", evidence=known(30))
    assert read(kind, server, namespace="other") == ()
    assert len(read(kind, server, secret="another secret of 16 bytes")) == 1  # it names nothing


def test_what_others_wrote_into_the_list_is_passed_over(kind: ClientKind, server: Server) -> None:
    now = str(server.command("TIME")[0])  # type: ignore[index] # a list
    gone = SCOPE.replace("0123", "ffff")
    for member in ("", "x" * 1000, "hr1:{other:0123456789abcdef}:lease", "of:somebody", gone):
        server.command("ZADD", INDEX, now, member)
    server.command("SET", "of:somebody", "else")
    assert read(kind, server) == ()


def parsed(reply: list[str]) -> StoreScope:
    """Return the only scope of a namespace, as the store replies."""
    steps = status.read(Keys(NAMESPACE, SECRET))
    next(steps)
    (command,) = steps.send([[SCOPE]])
    assert command == Command("status", SCOPE, ())
    with pytest.raises(StopIteration) as end:
        steps.send([reply])
    (scope,) = end.value.value
    assert isinstance(scope, StoreScope)
    return scope


def test_times_are_seconds_from_now() -> None:
    meta = "1 13500 0 0 2.5 0 0 11000 9000 bb"
    row = "f 100 60 0 0 12000 14000 0 0 0 0 10000 1 20 0 0"
    holds, waits = "7 9900 0 10500 10500 5 1 6000 xx 15 3", "8 9500 8000 10100 9000 5 1 0 xx 0 4"
    fields = {"m": meta, "r:xx": row, "p:aa": holds, "p:bb": waits}
    assert parsed(["10000", *(word for pair in fields.items() for word in pair)]) == StoreScope(
        id="0123456789abcdef",
        limits=(StoreLimit(id="xx", limit=100.0, remaining=25.0, leased=15.0, reset_in=4.0),),
        holders=(
            StoreHolder(process="aa", leased=(("xx", 15.0),), held_for=4.0, ends_in=0.5, seen=0.1),
            StoreHolder(process="bb", waiting_for=2.0, seen=0.5),
        ),
        closed_for=3.5,
        rate=2.5,
        probing_by="bb",
    )


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_no_error(value: str) -> None:
    fields = ["m", "r:one", "p:two", "p:a b", "r:" + "x" * 99, "z", ""]
    reply = [value or "0", *(word for field in fields for word in (field, value))]
    scope = parsed(reply)
    assert [each.id for each in scope.limits] == ["one"]
    assert [each.process for each in scope.holders] == ["two"]
    numbers = [number for each in scope.limits for number in vars(each).values()]
    numbers += [number for each in scope.holders for number in vars(each).values()]
    assert all(math.isfinite(each) and each >= 0 for each in numbers if isinstance(each, float))


def test_a_key_of_another_type_or_too_large_is_passed_over(
    kind: ClientKind, server: Server, asked: Fleet
) -> None:
    now = str(server.command("TIME")[0])  # type: ignore[index] # a list
    lease(server, asked, "aa", evidence=known(30))
    wrong, large = SCOPE.replace("0123", "aaaa"), SCOPE.replace("0123", "bbbb")
    server.command("SET", wrong, "rubbish")
    server.commands([("HSET", large, f"p:{number}", "1") for number in range(1100)])
    for key in (wrong, large):
        server.command("ZADD", INDEX, now, key)
    assert [each.id for each in read(kind, server)] == ["0123456789abcdef"]


def test_many_scopes_are_read_by_some_at_a_time(server: Server, kind: ClientKind) -> None:
    now = str(server.command("TIME")[0])  # type: ignore[index] # a list
    keys = [f"hr1:{{{NAMESPACE}:{number:016x}}}:lease" for number in range(250)]
    server.commands([("HSET", key, "m", "1 0 0 0 0 0 0 0 0 0") for key in keys])
    server.commands([("ZADD", INDEX, now, key) for key in keys])
    assert len(read(kind, server)) == 250


def test_a_store_that_is_away_is_an_error(kind: ClientKind, server: Server) -> None:
    server.kill()
    client = kind.client(server.port)

    async def program(_: object) -> None:
        store = kind.store(client)
        with pytest.raises(StoreError):
            await (store.status() if kind.is_async else anyio.to_thread.run_sync(store.status))

    kind.run(program, client)


def test_records_are_frozen_and_show_themselves() -> None:
    scope = StoreScope(id="00", limits=(StoreLimit(id="a"),), holders=(StoreHolder(process="b"),))
    assert scope == eval(repr(scope))
    with pytest.raises(AttributeError):
        scope.id = "01"  # type: ignore[misc] # it is frozen
