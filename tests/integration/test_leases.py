"""Transports of all kinds share a limit by a real Redis or Valkey."""

from collections.abc import Iterator

import pytest

from httpx_resilience import Policy, RetryPolicy
from support.leased_clients import Api, names, play
from support.parity import LIBRARIES
from support.store_clients import ClientKind, kind_parameters
from support.stores import Server, any_engine, engines, serving, serving_cluster

pytestmark = pytest.mark.skipif(
    all(engine.path is None for engine in engines()),
    reason="neither valkey-server nor redis-server is installed (extra `store-tests`)",
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(any_engine()) as server:
        yield server


@pytest.fixture(params=kind_parameters())
def kind(request: pytest.FixtureRequest) -> ClientKind:
    found: ClientKind = request.param
    return found


@pytest.fixture(params=kind_parameters()[0:4:3])  # coredis on asyncio, redis-py in threads
def either(request: pytest.FixtureRequest) -> ClientKind:
    found: ClientKind = request.param
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_two_processes_take_no_more_than_one_limit(
    server: Server, either: ClientKind, library: str
) -> None:
    _share_one_limit(server, either, library)


@pytest.mark.long
@pytest.mark.parametrize("library", LIBRARIES)
def test_so_do_those_with_other_clients(server: Server, kind: ClientKind, library: str) -> None:
    _share_one_limit(server, kind, library)


def _share_one_limit(server: Server, kind: ClientKind, library: str) -> None:
    api = Api(30)
    came_to, events, transports = play(library, kind, server, api, calls=4)
    assert 429 not in api.statuses
    assert 10 <= came_to.count("200") <= 30  # they are impatient
    assert set(came_to) == {"200", "ThrottleTimeout"}
    assert "store_lost" not in names(events)
    rows = [transport.rate_limits()[0] for transport in transports]
    assert {row.store for row in rows} == {"connected"}
    assert {row.processes for row in rows} <= {1, 2}


def test_what_is_stored_has_a_time_to_live_and_no_name(server: Server, either: ClientKind) -> None:
    play("httpx", either, server, Api(30), calls=2)
    keys = server.command("KEYS", "*")
    assert isinstance(keys, list)
    assert len(keys) == 2  # the scope and the index
    for key in keys:
        ttl = server.command("PTTL", key)
        assert isinstance(ttl, int)
        assert ttl > 0
    scope = next(key for key in keys if key.endswith(":lease"))
    everything = repr([*keys, server.command("HGETALL", scope)])
    for secret in ("vault", "s3cr3t", "Bearer", "secrets", "read", "GET"):
        assert secret not in everything


@pytest.mark.long
def test_a_store_that_is_killed_loses_no_call_and_is_found_again(
    server: Server, either: ClientKind
) -> None:
    """Its windows are so short that it is asked ten times a second."""
    due = [(0.3, server.kill), (0.6, server.start)]

    def between(elapsed: float) -> None:
        if due and elapsed >= due[0][0]:
            due.pop(0)[1]()

    api = Api(100_000, 1.0)
    came_to, events, _ = play(
        "httpx", either, server, api, seconds=1.9, between=between, policy=Policy()
    )
    assert set(came_to) == {"200"}
    assert names(events).count("store_lost") == 2
    assert names(events).count("store_back") == 2


@pytest.mark.long
def test_a_frozen_store_is_waited_for_once(server: Server, either: ClientKind) -> None:
    due, slowest = [server.freeze], 0.0
    last = 0.0

    def between(elapsed: float) -> None:
        nonlocal last, slowest
        if due and elapsed >= 0.2:
            due.pop()()
        slowest, last = max(slowest, elapsed - last), elapsed

    api = Api(100_000, 1.0)
    try:
        came_to, events, _ = play(
            "httpx", either, server, api, processes=1, seconds=1.0, between=between, policy=Policy()
        )
    finally:
        server.thaw()
    assert set(came_to) == {"200"}
    assert names(events).count("store_lost") == 1
    assert slowest < 0.6


def test_a_store_that_was_never_there_is_no_reason_to_fail(
    server: Server, either: ClientKind
) -> None:
    server.kill()
    came_to, events, _ = play("httpx", either, server, Api(60), peers=2)
    assert set(came_to) == {"200"}
    assert names(events).count("store_lost") == 2


def test_a_store_whose_keys_are_of_another_kind_harms_nothing(
    server: Server, either: ClientKind
) -> None:
    play("httpx", either, server, Api(30), calls=1)
    keys = server.command("KEYS", "*:lease")
    assert isinstance(keys, list)
    server.commands([("DEL", keys[0]), ("LPUSH", keys[0], "x")])
    came_to, events, _ = play("httpx", either, server, Api(30), calls=2)
    assert came_to == ["200"] * 16
    assert "store_lost" not in names(events)


def test_processes_have_one_floor_of_retries(server: Server, either: ClientKind) -> None:
    api = Api(10_000)
    api.down = True
    policy = Policy(retry=RetryPolicy(retry_for=5.0), park=None)
    play("httpx", either, server, api, processes=3, tasks=3, calls=1, policy=policy)
    floor = policy.budget.floor if policy.budget else 0
    assert len(api.statuses) == 9 + floor


@pytest.mark.long
def test_a_cluster_of_three_nodes_serves_as_well(kind: ClientKind) -> None:
    api = Api(30)
    with serving_cluster(any_engine()) as servers:
        with kind.quiet():
            came_to, events, transports = play(
                "httpx", kind, servers[0], api, calls=4, is_cluster=True
            )
            transports.clear()  # of what they hold, coredis leaves streams open
        keys = [server.command("KEYS", "*") for server in servers]
    assert 429 not in api.statuses
    assert came_to.count("200") >= 10
    assert "store_lost" not in names(events)
    assert sum(len(each) for each in keys if isinstance(each, list)) == 2  # scope and index
