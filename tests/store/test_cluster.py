"""A cluster of three real nodes: one pipeline goes to all, and keys that move are followed."""

import re
import time
from collections.abc import Sequence

import pytest

from httpx_resilience._store.commands import Command
from httpx_resilience._store.errors import DEADLINE, StoreError
from httpx_resilience._store.exchange import slot_of
from support.store_clients import KINDS, ClientKind, Run, kind_parameters
from support.stores import Server, move_slot

KEYS = [f"hr1:{{t:{number}}}:a" for number in range(30)]
pytestmark = [pytest.mark.long, pytest.mark.parametrize("kind", kind_parameters(KINDS))]


def owner(cluster: Sequence[Server], key: str) -> Server:
    """Return the node that has a key."""
    ports = {
        str(port)
        for low, high, (_, port, *_), *_ in cluster[0].command("CLUSTER", "SLOTS")  # type: ignore[attr-defined] # a list of lists
        if low <= slot_of(key) <= high
    }
    return next(server for server in cluster if {str(server.port)} == ports)


def times_moved(server: Server) -> int:
    """Return how often a node said that another one has a key."""
    found = re.search(r"errorstat_MOVED:count=(\d+)", str(server.command("INFO", "errorstats")))
    return 0 if found is None else int(found[1])


def test_one_pipeline_goes_to_all_nodes(kind: ClientKind, cluster: list[Server]) -> None:
    async def program(run: Run) -> None:
        for _ in range(2):
            replies = await run([Command("echo", key, (key,)) for key in KEYS])
            assert replies == [[key] for key in KEYS]

    assert len({owner(cluster, key).port for key in KEYS}) == 3
    kind.run(program, kind.client(cluster[0].port, is_cluster=True))


def test_a_key_that_moved_is_found_within_the_same_pipeline(
    kind: ClientKind, cluster: list[Server]
) -> None:
    key = KEYS[0]
    source = owner(cluster, key)
    target = next(server for server in cluster if server is not source)

    async def program(run: Run) -> None:
        commands = [Command("echo", each, (each,)) for each in KEYS]
        await run(commands)
        move_slot(slot_of(key), target, cluster)
        for _ in range(2):
            assert await run(commands) == [[each] for each in KEYS]
        before = times_moved(source)
        assert await run(commands) == [[each] for each in KEYS]
        assert times_moved(source) == before > 0, "the client knows by now"

    try:
        kind.run(program, kind.client(cluster[0].port, is_cluster=True))
    finally:
        move_slot(slot_of(key), source, cluster)


def test_a_key_that_is_being_moved_is_asked_for_where_it_goes(
    kind: ClientKind, cluster: list[Server]
) -> None:
    key = KEYS[1]
    slot, source = slot_of(key), owner(cluster, key)
    target = next(server for server in cluster if server is not source)
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", str(source.command("CLUSTER", "MYID")))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", str(target.command("CLUSTER", "MYID")))

    async def program(run: Run) -> None:
        commands = [Command("echo", each, (each,)) for each in (KEYS[0], key, KEYS[2])]
        assert await run(commands) == [[KEYS[0]], [key], [KEYS[2]]]

    try:
        kind.run(program, kind.client(cluster[0].port, is_cluster=True))
    finally:
        for server in (target, source):
            server.command("CLUSTER", "SETSLOT", slot, "STABLE")


def test_a_frozen_node_takes_none_of_the_others_along(
    kind: ClientKind, cluster: list[Server]
) -> None:
    frozen = cluster[1]
    theirs = [owner(cluster, key) is frozen for key in KEYS]

    async def program(run: Run) -> None:
        commands = [Command("echo", each, (each,)) for each in KEYS]
        await run(commands)
        frozen.freeze()
        try:
            began = time.monotonic()
            replies = await run(commands)
            assert time.monotonic() - began < DEADLINE + 0.15
        finally:
            frozen.thaw()
        assert [isinstance(each, StoreError) for each in replies] == theirs
        assert await run(commands) == [[key] for key in KEYS]

    kind.run(program, kind.client(cluster[0].port, is_cluster=True))
