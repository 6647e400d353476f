"""The throttle in the driver: order, timers, cancellation, errors, scopes."""

import random
import time
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Policy,
    RateLimitChanged,
    RetryPolicy,
    ThrottleDelayed,
    ThrottleHeld,
    ThrottlePolicy,
    ThrottleReleased,
    ThrottleTimeout,
    history_of,
)
from httpx_resilience._core.throttle import Throttle, Ticket
from httpx_resilience._runtime.anyio import notify
from httpx_resilience.testing import FakeScaiVault, Fault
from simulation.servers import LIMITERS, RateLimitedServer
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, coded, get
from support.virtual import backend, run

pytestmark = pytest.mark.anyio

PATIENT = Policy(throttle=ThrottlePolicy(max_wait=1e6), retry=RetryPolicy(max_retry_after=1e6))


class Server(httpx.AsyncBaseTransport):
    """A model server in the loop's virtual time; it notes who came when."""

    def __init__(
        self, limit: int, window: float, *, kind: str = "aligned", takes: float = 0.02
    ) -> None:
        self.model = RateLimitedServer(LIMITERS[kind](limit, window), limit, "ceil")
        self.takes = takes
        self.trace: list[tuple[float, str, int]] = []
        self.began_at: float | None = None

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.trace]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.began_at is None:
            self.began_at = anyio.current_time()
        now = anyio.current_time() - self.began_at
        status, headers = self.model.handle(now)
        self.trace.append((round(now, 6), request.url.path, status))
        await anyio.sleep(self.takes)
        return httpx.Response(status, headers=headers)


def overtaken(server: Server, arrived: list[int]) -> list[int]:
    """Return who was sent at a later instant than one that arrived after it.

    Within an instant Trio runs tasks in either order.
    """
    rank = {n: place for place, n in enumerate(arrived)}
    instants: dict[float, list[int]] = {}
    for at, path, _ in server.trace:
        instants.setdefault(at, []).append(rank[int(path.rpartition("/")[2])])
    latest, found = -1, list[int]()
    for ranks in instants.values():
        found += [place for place in ranks if place < latest]
        latest = max(latest, *ranks)
    return found


def throttles(transport: AsyncResilientTransport) -> list[Throttle]:
    return transport._calls.registry._throttles.values()


def timers(transport: AsyncResilientTransport) -> int:
    """How many of the waiting tickets keep a time of their own."""
    found = 0
    for throttle in throttles(transport):
        waiting: list[Ticket] = [*throttle._queue._new, *throttle._queue._retries]
        untils = [throttle.timer_deadline(ticket) for ticket in waiting]
        found += sum(until is not None and until < float("inf") for until in untils)
    return found


def nothing_is_left(transport: AsyncResilientTransport) -> bool:
    return all(
        not (t.statistics().queued or t.statistics().in_flight) for t in throttles(transport)
    )


async def send(transport: AsyncResilientTransport, n: int, **more: Any) -> httpx.Response:
    response = await transport.handle_async_request(
        get(f"https://vault.example/v1/secrets/{n}", **more)
    )
    await response.aclose()
    return response


# Ten thousand.


async def test_ten_thousand_queued_calls_go_in_order_by_one_timer() -> None:
    server = Server(2000, 60.0)
    transport = AsyncResilientTransport(server, policy=PATIENT)
    arrived: list[int] = []
    most = 0

    async def one(n: int) -> None:
        arrived.append(n)
        await send(transport, n)

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, timers(transport))
            await anyio.sleep(7.3)

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        async with anyio.create_task_group() as calls:
            for n in range(10_000):
                calls.start_soon(one, n)
        group.cancel_scope.cancel()
    assert len(server.trace) == 10_000
    assert not overtaken(server, arrived)
    assert {status for _, _, status in server.trace} == {200}
    assert most == 1
    assert server.trace[-1][0] < 5 * 60 + 1
    assert nothing_is_left(transport)


async def test_half_of_ten_thousand_queued_calls_cancelled_at_random_leave_nothing_behind() -> None:
    seed = 1
    server = Server(2000, 60.0)
    transport = AsyncResilientTransport(server, policy=PATIENT)
    chance = random.Random(seed)
    arrived: list[int] = []
    done: list[int] = []
    scopes = [anyio.CancelScope() for _ in range(10_000)]

    async def one(n: int) -> None:
        with scopes[n]:
            arrived.append(n)
            await send(transport, n)
            done.append(n)

    async with anyio.create_task_group() as group:
        for n in range(10_000):
            group.start_soon(one, n)
        await anyio.sleep(0.5)
        for n in chance.sample(range(10_000), 5_000):
            scopes[n].cancel()
            if chance.random() < 0.001:
                await anyio.sleep(chance.uniform(0, 60))
    assert len(done) + sum(scope.cancelled_caught for scope in scopes) == 10_000, seed
    assert nothing_is_left(transport), seed
    assert not overtaken(server, arrived), seed
    later = await send(transport, 0)
    assert later.status_code == 200, seed
    assert {status for _, _, status in server.trace} == {200}, seed


# Cancellation.


async def exhausted(limit: int = 1, window: float = 10.0) -> tuple[AsyncResilientTransport, Server]:
    """Return a transport whose budget has just been spent, for nearly a window."""
    server = Server(limit, window)
    transport = AsyncResilientTransport(server, policy=PATIENT)
    for n in range(limit):
        await send(transport, n)
    return transport, server


@pytest.mark.parametrize("cancelled", ["before", "after"])
async def test_a_call_cancelled_at_the_instant_of_its_grant_wakes_its_successor(
    cancelled: str,
) -> None:
    transport, server = await exhausted(2)
    (throttle,) = throttles(transport)
    first, ended = anyio.CancelScope(), list[str]()

    async def one(scope: anyio.CancelScope, name: str) -> None:
        with scope:
            await send(transport, 7, extensions={"name": name})
            ended.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(one, first, "first")
        await anyio.sleep(0.1)
        group.start_soon(one, anyio.CancelScope(), "second")
        await anyio.sleep(0.1)
        head = throttle._queue.head()
        assert head is not None
        keeps = throttle.timer_deadline(head)
        assert keeps is not None
        await anyio.sleep(keeps - anyio.current_time() - 1e-4)
        if cancelled == "before":
            first.cancel()
        woken = throttle.tick(keeps + 1e-6)  # the grant is made, but its holder has not run yet
        for ticket in woken:
            notify(ticket.wake)
        first.cancel()
    assert ended == ["second"]
    assert nothing_is_left(transport)
    assert len(server.trace) in (3, 4)  # a call that was woken first may be sent before it notices


async def test_a_keeper_of_the_time_that_is_cancelled_hands_it_on() -> None:
    transport, server = await exhausted()
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        first = anyio.CancelScope()

        async def keeper() -> None:
            with first:
                await send(transport, 1)

        group.start_soon(keeper)
        await anyio.sleep(1)
        group.start_soon(send, transport, 2)
        await anyio.sleep(1)
        assert timers(transport) == 1
        first.cancel()
        await anyio.sleep(0.01)
        assert timers(transport) == 1
    assert server.paths[1:] == ["/v1/secrets/2"]
    assert anyio.current_time() - began < 12.0
    assert nothing_is_left(transport)


class Gate:
    """Cancels at its n-th await."""

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, 0
        self.scope = anyio.CancelScope()

    async def __call__(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()


LIMITED = (("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "3"))


@pytest.mark.parametrize(
    "script",
    [
        (Reply(200, headers=LIMITED),),
        (UNAVAILABLE._replace(headers=LIMITED), httpx.ReadError("x"), OK),
        (coded(429, "rate_limited", {"Retry-After": "2"}), OK),
    ],
    ids=["limited", "failing", "closed"],
)
async def test_a_call_cancelled_at_any_await_leaves_the_gate_as_free_as_it_was(
    script: tuple[Line, ...],
) -> None:
    at, ended = 0, False
    while not ended:
        at += 1
        gate = Gate(at)
        inner = Scripted(*script, gate=gate)
        transport = AsyncResilientTransport(inner, policy=PATIENT)
        with gate.scope:
            response = await transport.handle_async_request(get())
            ended = True
            await response.aclose()
        assert nothing_is_left(transport), f"cancelled at await {at}"
        (throttle,) = throttles(transport)
        assert throttle.statistics().abandoned <= 2  # what was given up after its send
        inner._script = (OK,)
        with anyio.fail_after(40):
            assert (await transport.handle_async_request(get())).status_code == 200
    assert at >= 2


async def test_a_waiting_call_can_be_cancelled_at_any_time() -> None:
    for step in range(60):
        transport, _ = await exhausted(1, 2.0)
        with anyio.move_on_after(step * 0.07):
            await send(transport, 1)
        assert nothing_is_left(transport), f"cancelled after {step * 0.07:.2f} s"
        with anyio.fail_after(40):
            await send(transport, 2)


async def test_a_request_given_up_after_its_send_still_counts_until_half_a_minute_is_over() -> None:
    server = Server(3, 100.0, kind="anchored", takes=50.0)
    transport = AsyncResilientTransport(server, policy=PATIENT)
    server.takes = 0.01
    await send(transport, 0)
    server.takes = 50.0
    with anyio.move_on_after(1):
        await send(transport, 1)
    (throttle,) = throttles(transport)
    assert throttle.statistics().abandoned == 1
    server.takes = 0.01
    await send(transport, 2)  # its answer says itself what is left
    assert [status for _, _, status in server.trace] == [200] * 3


# What a call that may not go comes to.


async def test_a_first_attempt_that_would_wait_too_long_raises_a_timeout_of_httpx() -> None:
    server, ear = Server(1, 1000.0), Ear()
    policy = Policy(throttle=ThrottlePolicy(max_wait=5.0))
    transport = AsyncResilientTransport(server, policy=policy, on_event=ear.at_debug)
    await send(transport, 0)
    began, wall = anyio.current_time(), time.time()
    request = get()
    with pytest.raises(ThrottleTimeout) as caught:
        await transport.handle_async_request(request)
    error = caught.value
    assert anyio.current_time() == began  # certain, and so at once
    assert isinstance(error, httpx.TimeoutException)
    assert str(error.request.url) == URL
    assert error.scope == "read"
    assert error.retry_at is not None
    assert wall + 990 < error.retry_at < wall + 1010
    history = history_of(error)
    assert history is not None
    assert (history.reason, history.attempts) == ("throttle_timeout", ())
    assert len(server.trace) == 1
    assert ear.last()["reason"] == "throttle_timeout"
    assert nothing_is_left(transport)


async def test_a_call_whose_wait_may_end_sooner_waits_until_its_time_is_up() -> None:
    server = Server(1, 1000.0, takes=60.0)
    policy = Policy(throttle=ThrottlePolicy(max_wait=5.0))
    transport = AsyncResilientTransport(server, policy=policy)
    async with anyio.create_task_group() as group:
        for n in range(4):  # slow start: one, and after 1, 2 and 4 seconds more
            group.start_soon(send, transport, n)
        await anyio.sleep(4.5)
        (throttle,) = throttles(transport)
        throttle._slow_start._allowed, throttle._slow_start._at = 4, 1e9
        began = anyio.current_time()
        with pytest.raises(ThrottleTimeout):
            await send(transport, 9)
        assert anyio.current_time() - began == pytest.approx(5.0)
        group.cancel_scope.cancel()
    assert nothing_is_left(transport)


async def test_a_retry_that_the_budget_will_not_allow_returns_its_response() -> None:
    spent = (
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "300"),
    )
    ear = Ear()
    inner = Scripted(UNAVAILABLE._replace(headers=spent + UNAVAILABLE.headers), OK)
    policy = Policy(throttle=ThrottlePolicy(max_wait=200.0))
    transport = AsyncResilientTransport(inner, policy=policy, on_event=ear.at_debug)
    response = await transport.handle_async_request(get())
    assert response.status_code == 503
    assert (await response.aread()) != b""
    history = history_of(response)
    assert history is not None
    assert (history.reason, len(history.attempts)) == ("throttle_timeout", 1)
    assert inner.attempts == 1
    assert ear.last()["event"] == "gave_up"
    assert nothing_is_left(transport)


async def test_a_scope_closed_for_longer_than_max_wait_refuses_calls_at_once() -> None:
    inner = Scripted(coded(429, "rate_limited", {"Retry-After": "700"}), OK)
    transport = AsyncResilientTransport(inner)
    assert (await transport.handle_async_request(get())).status_code == 429
    began, wall = anyio.current_time(), time.time()
    with pytest.raises(ThrottleTimeout) as caught:
        await transport.handle_async_request(get())
    assert anyio.current_time() == began
    assert caught.value.retry_at == pytest.approx(wall + 700, abs=1.0)
    assert inner.attempts == 1


async def test_a_scope_closed_by_a_server_in_trouble_is_not_waited_for_beyond_max_retry_after() -> (
    None
):
    inner = Scripted(coded(503, "service_unavailable", {"Retry-After": "300"}), OK)
    transport = AsyncResilientTransport(inner)
    assert (await transport.handle_async_request(get())).status_code == 503
    began = anyio.current_time()
    with pytest.raises(ThrottleTimeout):
        await transport.handle_async_request(get())
    assert anyio.current_time() == began
    assert inner.attempts == 1


async def test_a_scope_closed_for_a_while_lets_calls_wait_and_then_go() -> None:
    inner = Scripted(coded(429, "rate_limited", {"Retry-After": "20"}), OK)
    transport = AsyncResilientTransport(inner)
    began = anyio.current_time()
    ends: list[float] = []

    async def one() -> None:
        assert (await send(transport, 0)).status_code == 200
        ends.append(anyio.current_time() - began)

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await anyio.sleep(0.1)
        group.start_soon(one)
    assert 20.0 <= min(ends) <= max(ends) <= 21.5
    assert inner.sent_at[1] - inner.sent_at[0] >= 20.0


async def test_a_retry_after_on_a_success_and_one_on_a_quota_hold_nobody_back() -> None:
    for line in (
        Reply(200, headers=(("Retry-After", "50"),)),
        coded(429, "quota_exceeded", {"Retry-After": "50"}),
    ):
        transport = AsyncResilientTransport(Scripted(line, OK))
        began = anyio.current_time()
        for n in range(3):
            await send(transport, n)
        assert anyio.current_time() == began


async def test_calls_to_a_host_that_refuses_connections_fail_with_their_own_error() -> None:
    errors: list[BaseException] = []

    async def one() -> None:
        try:
            await transport.handle_async_request(get())
        except httpx.ConnectError as error:
            errors.append(error)

    inner = Scripted(httpx.ConnectError("refused"))
    transport = AsyncResilientTransport(inner)
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(one)
    assert len(errors) == 1000
    assert anyio.current_time() - began < 10.0
    assert nothing_is_left(transport)


async def test_a_call_without_a_policy_is_counted_and_never_held() -> None:
    transport, server = await exhausted(1, 100.0)
    began = anyio.current_time()
    response = await send(transport, 5, extensions={"resilience": None})
    assert response.status_code == 429
    assert anyio.current_time() - began == pytest.approx(server.takes)


# Events.


async def test_a_hold_is_told_as_it_begins_and_as_it_goes_on_and_each_delay_for_itself() -> None:
    server, ear = Server(2, 10.0), Ear()
    transport = AsyncResilientTransport(server, policy=PATIENT, on_event=ear.at_debug)
    async with anyio.create_task_group() as group:
        for n in range(6):
            group.start_soon(send, transport, n)
    held = [event for event in ear.events if isinstance(event, ThrottleHeld)]
    released = [event for event in ear.events if isinstance(event, ThrottleReleased)]
    changed = [event for event in ear.events if isinstance(event, RateLimitChanged)]
    delayed = [event for event in ear.events if isinstance(event, ThrottleDelayed)]
    assert [(event.reason, event.scope) for event in held] == [
        ("cold_start", "read"),
        ("exhausted", "read"),
    ]
    assert [event.reason for event in released] == ["exhausted"]
    assert [(event.rate_limit, event.previous) for event in changed] == [(2, None)]
    assert len(delayed) == 5
    assert all(event.delay > 0 and event.attempt == 1 for event in delayed)


# Scopes.


async def scopes_of(
    *requests: Mapping[str, Any], **options: Any
) -> tuple[AsyncResilientTransport, list[str]]:
    transport = AsyncResilientTransport(Scripted(OK), **options)
    for request in requests:
        await transport.handle_async_request(get(**request))
    return transport, [throttle.scope for throttle in throttles(transport)]


async def test_two_credentials_never_share_a_scope() -> None:
    ways = [{"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}, {"X-Api-Key": "a"}, {}]
    transport, names = await scopes_of(*({"headers": way} for way in ways))
    assert len(names) == len(set(names)) == 4
    assert len({id(throttle) for throttle in throttles(transport)}) == 4
    assert not any("Bearer" in name for name in names)


async def test_a_credential_has_one_scope_for_each_origin_and_category() -> None:
    headers = {"Authorization": "Bearer a"}
    _, names = await scopes_of({"headers": headers}, {"headers": headers})
    assert len(names) == 1
    _, names = await scopes_of(
        {"headers": headers},
        {"headers": headers, "url": "https://other.example/v1/secrets/a"},
        {"headers": headers, "method": "PUT"},
    )
    assert len(names) == 3


async def test_identity_joins_the_tokens_of_one_who_rotates_them() -> None:
    def identity(request: httpx.Request) -> str:
        return request.headers["Authorization"].partition("-")[0]

    old, new = {"Authorization": "Bearer alice-1"}, {"Authorization": "Bearer alice-2"}
    other = {"Authorization": "Bearer bob-1"}
    _, names = await scopes_of({"headers": old}, {"headers": new}, identity=identity)
    assert len(names) == 1
    assert "alice" not in names[0]
    _, names = await scopes_of({"headers": old}, {"headers": other}, identity=identity)
    assert len(names) == 2


async def test_reads_do_not_wait_for_the_bucket_of_writes() -> None:
    spent = (
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "90"),
    )
    transport = AsyncResilientTransport(Scripted(Reply(200, headers=spent), OK), policy=PATIENT)
    began = anyio.current_time()
    await transport.handle_async_request(get(method="PUT"))
    await transport.handle_async_request(get())
    assert anyio.current_time() == began
    await transport.handle_async_request(get(method="PUT"))
    assert anyio.current_time() > began + 89


# The same on both event loops, and from one run to the next.


class TestBothLoops:
    """Each runs loops of its own."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, Mapping[str, Any]]:
        return backend("asyncio")

    @pytest.mark.parametrize("seed", [1, 2, 3])
    @pytest.mark.parametrize("kind", ["aligned", "anchored", "log", "counter", "bucket_full"])
    def test_asyncio_and_trio_give_the_same_trace(self, kind: str, seed: int) -> None:
        async def main() -> list[tuple[float, str, int]]:
            server = Server(20, 8.0, kind=kind)
            transport = AsyncResilientTransport(server, policy=PATIENT)
            chance = random.Random(seed)

            async def one(n: int, after: float) -> None:
                await anyio.sleep(after)
                await send(transport, n)

            async with anyio.create_task_group() as group:
                for n in range(120):
                    group.start_soon(one, n, chance.uniform(0, 10))
            return sorted(  # within an instant Trio runs tasks in any order
                (round(at, 3), path, status) for at, path, status in server.trace
            )

        ours, theirs = run("asyncio", main), run("trio", main)
        assert len(ours) == 120
        assert ours == theirs, seed

    def test_a_transport_that_is_used_under_two_runs_starts_afresh(self) -> None:
        server = Server(1, 100.0)
        transport = AsyncResilientTransport(server, policy=PATIENT)

        async def main() -> float:
            server.model = RateLimitedServer(LIMITERS["aligned"](1, 100.0), 1)
            server.began_at = None
            began = anyio.current_time()
            await send(transport, 1)
            return anyio.current_time() - began

        for name in ("asyncio", "asyncio", "trio", "trio", "asyncio"):
            assert run(name, main) < 1.0
            assert nothing_is_left(transport)


# A vault in process.


def vault() -> tuple[FakeScaiVault, AsyncResilientTransport, dict[str, str]]:
    fake = FakeScaiVault(
        clock=anyio.current_time, wall=lambda: 1_700_000_000 + anyio.current_time()
    )
    headers = {"Authorization": f"Bearer {fake.issue_token('alice')}"}
    return fake, AsyncResilientTransport(httpx.ASGITransport(fake)), headers


async def test_two_thousand_reads_and_150_writes_meet_no_429_and_reads_wait_for_no_write() -> None:
    fake, transport, headers = vault()
    jobs = ["GET"] * 2000 + ["PUT"] * 150
    random.Random(7).shuffle(jobs)
    ended: dict[str, float] = {}
    statuses: dict[int, int] = {}
    began = anyio.current_time()
    async with httpx.AsyncClient(
        transport=transport, headers=headers, base_url="http://vault", timeout=None
    ) as client:
        await client.put("/v1/secrets/app", json={"value": 0})

        async def call(n: int, method: str) -> None:
            if method == "GET":
                response = await client.get("/v1/secrets/app")
            else:
                response = await client.put(f"/v1/secrets/w{n}", json={"value": n})
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            ended[method] = anyio.current_time() - began

        lanes: dict[str, list[int]] = {"GET": [], "PUT": []}
        for n, method in enumerate(jobs):
            lanes[method].append(n)

        async def worker(todo: list[int], method: str) -> None:
            while todo:
                await call(todo.pop(), method)

        async with anyio.create_task_group() as group:
            for n in range(100):
                method = "PUT" if n % 5 == 0 else "GET"
                group.start_soon(worker, lanes[method], method)
    assert set(statuses) == {200, 201}
    assert not any(seen.status == 429 for seen in fake.log)
    assert ended["GET"] == pytest.approx(60.0, rel=0.03)  # 1,000 at once, 1,000 more in a minute
    assert ended["PUT"] == pytest.approx(30.6, rel=0.05)  # 100 at once, 51 more at 100 a minute


async def test_a_quota_of_one_operation_holds_nobody_else_back() -> None:
    fake, transport, headers = vault()
    fake.script(
        path="/v1/secrets/full", faults=[Fault.code("quota_exceeded", retry_after=120, times=1)]
    )
    async with httpx.AsyncClient(
        transport=transport, headers=headers, base_url="http://vault"
    ) as client:
        began = anyio.current_time()
        full = await client.put("/v1/secrets/full", json={"value": 1})
        other = await client.put("/v1/secrets/other", json={"value": 1})
    assert (full.status_code, other.status_code) == (429, 201)
    assert anyio.current_time() - began < 1.0


# A policy of one call's own.


async def test_a_call_may_set_how_long_it_waits_and_behind_how_many() -> None:
    inner = Scripted(coded(429, "rate_limited", {"Retry-After": "20"}), OK)
    transport = AsyncResilientTransport(inner)
    short = Policy(throttle=ThrottlePolicy(max_wait=5.0))
    request = get(extensions={"resilience": short})
    assert (await transport.handle_async_request(request)).status_code == 429
    with pytest.raises(ThrottleTimeout):
        await transport.handle_async_request(get(extensions={"resilience": short}))
    alone = Policy(throttle=ThrottlePolicy(max_queue=1))
    async with anyio.create_task_group() as group:
        group.start_soon(send, transport, 1)
        await anyio.sleep(0.1)
        with pytest.raises(ThrottleTimeout):
            await transport.handle_async_request(get(extensions={"resilience": alone}))
    assert nothing_is_left(transport)


@pytest.mark.parametrize("field", ["reserve", "low_below", "window"])
async def test_what_belongs_to_the_scope_is_refused_in_the_policy_of_one_call(field: str) -> None:
    transport = AsyncResilientTransport(Scripted(OK))
    values = {"reserve": 5, "low_below": 0.3, "window": 2.0}
    own = Policy(throttle=ThrottlePolicy().replace(**{field: values[field]}))
    with pytest.raises(ValueError, match=rf"ThrottlePolicy\.{field}: got {values[field]}"):
        await transport.handle_async_request(get(extensions={"resilience": own}))
    same = AsyncResilientTransport(Scripted(OK), policy=own)
    for fine in (own, Policy()):
        response = await same.handle_async_request(get(extensions={"resilience": fine}))
        assert response.status_code == 200
