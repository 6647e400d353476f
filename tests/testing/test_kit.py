"""The testing kit: instant waits, captured events, scripted transports, on both families."""

import threading
import time
from collections.abc import AsyncIterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest

import httpx_resilience
import httpx_resilience.httpx2
from httpx_resilience import (
    AsyncResilientTransport,
    Policy,
    RecoveryHook,
    ResilientTransport,
    RetryPolicy,
    RetryScheduled,
    ThrottlePolicy,
)
from httpx_resilience import testing as testing_httpx
from httpx_resilience._runtime import instant
from httpx_resilience.testing import (
    FakeScaiVault,
    ScriptedTransport,
    capture_events,
    instant_waits,
)
from httpx_resilience.testing import httpx2 as testing_httpx2

pytest_plugins = ["pytester"]

URL = "http://vault/v1/secrets"
FAMILIES = pytest.mark.parametrize(
    ("library", "ours", "testing"),
    [
        (httpx, httpx_resilience, testing_httpx),
        (httpx2, httpx_resilience.httpx2, testing_httpx2),
    ],
    ids=["httpx", "httpx2"],
)
LONG = RetryPolicy(retry_for=1000.0)


@FAMILIES
@pytest.mark.anyio
async def test_an_hour_passes_at_once_for_tasks(
    library: ModuleType, ours: ModuleType, testing: ModuleType
) -> None:
    asks = {"Retry-After": "100"}
    script = [library.Response(503, headers=asks), library.Response(503, headers=asks), 200]
    inner = testing.ScriptedTransport(script)
    policy = Policy(retry=LONG.replace(max_retry_after=200.0))
    transport = ours.AsyncResilientTransport(inner, policy=policy)
    began = time.monotonic()
    async with library.AsyncClient(transport=transport) as client:
        with testing.instant_waits() as waits:
            assert (await client.get(URL)).status_code == 200
    assert time.monotonic() - began < 5
    assert 200.0 <= waits.total < 250.0
    assert inner.left == 0


@FAMILIES
def test_an_hour_passes_at_once_for_threads(
    library: ModuleType, ours: ModuleType, testing: ModuleType
) -> None:
    inner = testing.ScriptedTransport([503, 503, 503, 200])
    began = time.monotonic()
    transport = ours.ResilientTransport(inner)
    with testing.instant_waits() as waits, library.Client(transport=transport) as client:
        assert client.get(URL).status_code == 200
    assert time.monotonic() - began < 5
    assert len(waits.seconds) >= 3  # one that is parked looks once a second
    assert waits.total > 0.75


@pytest.mark.anyio
async def test_waits_end_in_the_order_of_their_times() -> None:
    served: list[str] = []
    waits = {"/a": "30", "/b": "10", "/c": "20"}

    def answer(request: httpx.Request) -> Any:
        served.append(request.url.path)
        first = served.count(request.url.path) == 1
        after = {"Retry-After": waits[request.url.path]}
        return httpx.Response(503, headers=after) if first else 200

    policy = Policy(retry=RetryPolicy(), budget=None, throttle=None)
    transport = AsyncResilientTransport(ScriptedTransport([answer] * 6), policy=policy)
    async with httpx.AsyncClient(transport=transport, base_url="http://vault") as client:
        with instant_waits():
            async with anyio.create_task_group() as group:
                for path in waits:
                    group.start_soon(client.get, path)
    assert served[3:] == ["/b", "/c", "/a"]


@pytest.mark.anyio
async def test_a_rate_limit_of_a_vault_is_waited_out_with_its_own_clock() -> None:
    vault = FakeScaiVault(anonymous=True)
    transport = AsyncResilientTransport(vault.transport())
    statuses: list[int] = []
    async with httpx.AsyncClient(transport=transport) as client:

        async def call() -> None:
            statuses.append((await client.get(URL)).status_code)

        with instant_waits() as waits:
            async with anyio.create_task_group() as group:
                for _ in range(250):  # of 100 a minute
                    group.start_soon(call)
    assert statuses == [200] * 250
    assert [seen.code for seen in vault.log].count("rate_limited") <= 5
    assert waits.total > 60.0


@pytest.mark.long
def test_threads_wait_out_a_rate_limit_together() -> None:
    vault = FakeScaiVault(anonymous=True)
    statuses: list[int] = []
    with (
        instant_waits(),
        httpx.Client(transport=ResilientTransport(vault.sync_transport())) as client,
    ):

        def calls() -> None:
            statuses.extend(client.get(URL).status_code for _ in range(30))

        threads = [threading.Thread(target=calls) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 120


@pytest.mark.anyio
async def test_limits_of_time_go_by_the_clock_that_jumps() -> None:
    after = {"Retry-After": "50"}
    script = [httpx.Response(503, headers=after), httpx.Response(503, headers=after), 200]
    policy = Policy(retry=RetryPolicy(retry_for=80.0))
    transport = AsyncResilientTransport(ScriptedTransport(script), policy=policy)
    with instant_waits() as waits, capture_events() as events:
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get(URL)).status_code == 503
    (gave_up,) = events.of("gave_up")
    assert gave_up.as_fields()["reason"] == "out_of_time"
    assert len(waits.seconds) == 1


@pytest.mark.anyio
async def test_a_call_that_waits_can_be_cancelled_and_a_transport_closed() -> None:
    always = ScriptedTransport([httpx.Response(503, headers={"Retry-After": "90"})] * 3)
    transport = AsyncResilientTransport(always)
    request = httpx.Request("GET", URL)
    with anyio.move_on_after(5) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.handle_async_request, request)
            await anyio.lowlevel.checkpoint()
            with instant_waits():
                group.cancel_scope.cancel()
    assert not scope.cancelled_caught


def test_a_transport_from_before_the_block_goes_on_after_it() -> None:
    inner = ScriptedTransport([200, 503, 200, 200])
    with httpx.Client(transport=ResilientTransport(inner)) as client:
        assert client.get(URL).status_code == 200
        with instant_waits() as waits:
            assert client.get(URL).status_code == 200
        assert instant.current is None
        assert client.get(URL).status_code == 200
    assert len(waits.seconds) == 1


def test_blocks_may_overlap_and_end_in_any_order() -> None:
    first, second = instant_waits(), instant_waits()
    policy = Policy(retry=RetryPolicy(), throttle=ThrottlePolicy())

    def call() -> None:
        inner = ScriptedTransport([503, 200])
        with httpx.Client(transport=ResilientTransport(inner, policy=policy)) as client:
            assert client.get(URL).status_code == 200

    first.__enter__()
    call()
    second.__enter__()
    call()
    first.__exit__(None, None, None)
    call()
    second.__exit__(None, None, None)
    assert (len(first.seconds), len(second.seconds)) == (2, 2)
    with pytest.raises(RuntimeError, match="make another"), first:
        first.__enter__()


def test_functions_of_both_kinds_can_be_decorated() -> None:
    @instant_waits()
    def call(status: int) -> int:
        with httpx.Client(transport=ResilientTransport(ScriptedTransport([503, status]))) as client:
            return client.get(URL).status_code

    @instant_waits()
    async def call_async(status: int) -> int:
        transport = AsyncResilientTransport(ScriptedTransport([503, status]))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(URL)).status_code

    began = time.monotonic()
    assert call(201) == 201
    assert anyio.run(call_async, 202) == 202
    assert time.monotonic() - began < 1.0


def test_events_are_captured_of_transports_made_before_and_after() -> None:
    before = ResilientTransport(ScriptedTransport([503, 200, 404]))
    heard: list[str] = []
    with capture_events() as events, instant_waits():
        later = ResilientTransport(
            ScriptedTransport([503, 200]), on_event=lambda event: heard.append(event.name)
        )
        for transport in (before, later):
            with httpx.Client(transport=transport) as client:
                client.get(URL)
    assert len(events.of(RetryScheduled)) == 2
    assert events.names.count("call_finished") == 2  # of level debug
    assert heard == ["retry_scheduled", "recovered"]
    for transport in (before, ResilientTransport(ScriptedTransport([404]))):
        with httpx.Client(transport=transport) as client:
            assert client.get(URL).status_code == 404
    assert events.names.count("call_finished") == 2
    with pytest.raises(AssertionError, match="2 events are retry_scheduled"):
        events.only(RetryScheduled)
    with pytest.raises(AssertionError, match="0 events are recovery_hook; there are: call_started"):
        events.only(RecoveryHook)


@FAMILIES
def test_a_script_that_is_used_up_says_so_without_secrets(
    library: ModuleType, ours: ModuleType, testing: ModuleType
) -> None:
    inner = testing.ScriptedTransport([200])
    with library.Client(transport=ours.ResilientTransport(inner)) as client:
        assert client.get(URL).status_code == 200
        with pytest.raises(AssertionError) as caught:
            client.get(f"{URL}?token=s3cr3t", headers={"Authorization": "s3cr3t"})
    assert str(caught.value) == "the script has 1 lines, and this is request 2: GET /v1/secrets"
    assert "s3cr3t" not in repr(inner)
    assert len(inner.requests) == 2


@pytest.mark.parametrize("line", ["200", 99, 600, None, True, httpx2.Response(200)])
def test_a_line_that_is_none_is_refused(line: Any) -> None:
    with pytest.raises(TypeError, match=r"script\[1\]: got"):
        ScriptedTransport([200, line])


@pytest.mark.anyio
async def test_a_line_may_be_an_async_function_and_an_exception() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        return httpx.Response(200, content=await request.aread())

    transport = AsyncResilientTransport(ScriptedTransport([httpx.ConnectError("no"), slow]))
    with instant_waits():
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.post(URL, content=b"twice")).content == b"twice"


@pytest.mark.anyio
async def test_the_bodies_of_requests_can_be_read_afterwards() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    inner = ScriptedTransport([200])
    async with httpx.AsyncClient(transport=inner) as client:
        await client.post(URL, content=chunks())
    assert inner.requests[0].content == b"ab"


IS_INSTALLED = any(
    each.value == "httpx_resilience._pytest" for each in entry_points(group="pytest11")
)
PLUGGED_IN = () if IS_INSTALLED else ("-p", "httpx_resilience._pytest")
"""In a checkout whose metadata are older there is no entry point yet."""

PLUGIN = """
import httpx
from httpx_resilience import ResilientTransport, RetryScheduled
from httpx_resilience.testing import Fault

def test_it(resilience_events, fake_scaivault, fake_scaivault_httpx2, instant_waits):
    fake_scaivault.script(Fault.code("service_unavailable"))
    transport = ResilientTransport(fake_scaivault.sync_transport())
    with httpx.Client(transport=transport, base_url="http://vault") as client:
        assert client.get("/v1/secrets").status_code == 200
    assert resilience_events.only(RetryScheduled).code == "service_unavailable"
    assert len(instant_waits.seconds) == 1
    assert fake_scaivault_httpx2.library == "httpx2"
"""


@pytest.mark.long
def test_the_fixtures_are_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLUGIN)
    ran = pytester.runpytest_subprocess(*PLUGGED_IN, "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1)


@pytest.mark.long
def test_the_plugin_costs_pytest_nothing_at_its_start(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n"
        "def test_it():\n"
        "    assert 'httpx_resilience._pytest' in sys.modules\n"
        "    for name in ('httpx', 'httpx2', 'starlette', 'httpx_resilience.testing'):\n"
        "        assert name not in sys.modules, name\n"
    )
    ran = pytester.runpytest_subprocess(*PLUGGED_IN, "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1)
