"""One call that meets everything, cancelled at each of its awaits in turn.

It waits in the throttle's queue, finds its token expired and has it renewed, meets an outage with
a body that takes its time, pauses, meets a conflict, has it mended by a hook that asks the server
itself, and succeeds. Another call waits behind it and must get through whatever happens.
"""

from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    AttemptFinished,
    ErrorClass,
    Policy,
    RefreshToken,
    ThrottlePolicy,
)
from support.clients import STEADY, Counted
from support.scripted import Ear, Reply, Stream, coded

pytestmark = pytest.mark.anyio

VAULT = "https://vault.example"
LIMITED = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2"}
ROOM = {**LIMITED, "X-RateLimit-Remaining": "50"}


def headed(reply: Reply, headers: dict[str, str]) -> Reply:
    return reply._replace(headers=(*reply.headers, *headers.items()))


OK = headed(Reply(200, (b"{}", b"\n"), takes=0.01), ROOM)
SCRIPTS: dict[str, tuple[Reply, ...]] = {
    "/v1/secrets/first": (headed(Reply(200), LIMITED),),
    "/v1/secrets/ours": (
        headed(coded(401, "token_expired"), ROOM),
        headed(Reply(503, (b"x" * 9000,) * 3, pause=0.1, takes=0.01), ROOM),
        headed(coded(409, "version_conflict"), ROOM),
        OK,
    ),
    "/v1/secrets/hooked": (OK,),
    "/v1/secrets/behind": (OK,),
    "/v1/secrets/next": (OK,),
}
POLICY = Policy(retry=STEADY, throttle=ThrottlePolicy(max_wait=1e6))


class Server(httpx.AsyncBaseTransport):
    """Answers each path from a script of its own; the last line again for all that follow."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.streams: dict[str, list[Stream]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        lines = SCRIPTS[path]
        line = lines[min(self.came.count(path), len(lines) - 1)]
        self.came.append(path)
        await anyio.lowlevel.checkpoint()
        await anyio.sleep(line.takes)
        stream = Stream(line.chunks, pause=line.pause)
        self.streams.setdefault(path, []).append(stream)
        return httpx.Response(line.status, headers=list(line.headers), stream=stream)


class Watched:
    """Awaits a coroutine, and cancels it as it suspends itself for the n-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int) -> None:
        self._coroutine = coroutine
        self._at = at
        self.scope = anyio.CancelScope()
        self.suspended = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._coroutine.__await__()
        step: Callable[[], Any] = inner.__next__
        while True:
            try:
                asked = step()
            except StopIteration as done:
                return done.value
            self.suspended += 1
            if self.suspended == self._at:
                self.scope.cancel()
            try:
                given = yield asked
            except BaseException as error:  # noqa: BLE001 - handed on into the coroutine
                step = _thrower(inner, error)
            else:
                step = _sender(inner, given)


def _sender(inner: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)


def _thrower(inner: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


class World:
    """A server, a transport, a client with a token, and what was told and spent."""

    def __init__(self) -> None:
        self.server, self.ear, self.budget = Server(), Ear(), Counted()
        self.fetched = 0
        self.transport = AsyncResilientTransport(
            self.server,
            policy=POLICY,
            budget=self.budget,
            on_event=self.ear.at_debug,
            recover={"version_conflict": self.hook},
        )
        self.auth = RefreshToken(self.fetch, origins=[VAULT], clock=anyio.current_time)
        self.client = httpx.AsyncClient(
            transport=self.transport, auth=self.auth, base_url=VAULT, timeout=None
        )
        self.ended: list[str] = []

    async def fetch(self) -> str:
        self.fetched += 1
        await anyio.lowlevel.checkpoint()
        await anyio.sleep(0.2)
        return f"token-{self.fetched}"

    async def hook(self, failed: object, request: httpx.Request) -> httpx.Request:
        await anyio.lowlevel.checkpoint()
        await anyio.sleep(0.05)
        await self.client.get("/v1/secrets/hooked")
        return request

    async def get(self, name: str) -> None:
        response = await self.client.get(f"/v1/secrets/{name}")
        assert response.status_code == 200
        self.ended.append(name)

    @property
    def spent_in_vain(self) -> float:
        """Costs of the retries that came back failed: one token each; a conflict is no vain one."""
        told = [e for e in self.ear.events if isinstance(e, AttemptFinished) and e.attempt > 1]
        vain = (ErrorClass.TRANSIENT.value, ErrorClass.CONNECTION.value)
        return sum(event.error_class in vain for event in told)

    def check(self, where: str) -> None:
        """Raise if anything is left of calls that are over."""
        state = self.transport._calls.registry
        (throttle,) = state._throttles.values()
        counted = throttle.statistics()
        assert (counted.in_flight, counted.queued) == (0, 0), where
        assert throttle._timer_ticket is None, where
        assert counted.units == counted.abandoned <= 2, where
        streams = [stream for listed in self.server.streams.values() for stream in listed]
        assert all(stream.is_closed for stream in streams), where
        assert self.budget.balance(0.0) == 3.0 - self.spent_in_vain, where
        assert not self.auth._lock.locked(), where


def tasks() -> int:
    return len(anyio.get_running_tasks())


async def live(at: int) -> tuple[World, Watched]:
    """Cancel one call at its n-th await; return once the one behind it is through."""
    world = World()
    await world.get("first")
    watched = Watched(world.get("ours"), at)
    before = tasks()

    async def cancelled() -> None:
        with watched.scope:
            await watched

    with anyio.fail_after(60.0):
        async with anyio.create_task_group() as group:
            group.start_soon(cancelled)
            await anyio.sleep(1.0)
            group.start_soon(world.get, "behind")
    where = f"cancelled at await {at}"
    assert tasks() == before, where
    assert "behind" in world.ended, where
    world.check(where)
    began = anyio.current_time()
    await world.get("next")
    assert anyio.current_time() - began < 35.0, where
    world.check(where)
    await world.client.aclose()
    return world, watched


async def test_the_scenario_meets_all_that_a_call_can_wait_for() -> None:
    world, watched = await live(0)
    assert world.ended == ["first", "behind", "ours", "next"]
    assert world.fetched == 2
    names = world.ear.names
    for name in ("throttle_delayed", "retry_scheduled", "recovery_hook", "recovered"):
        assert name in names
    assert world.server.came.count("/v1/secrets/ours") == 4
    assert world.server.came.count("/v1/secrets/hooked") == 1
    assert watched.suspended >= 30


async def test_a_call_that_meets_everything_can_be_cancelled_at_any_await() -> None:
    _, uncut = await live(0)
    for at in range(1, uncut.suspended + 1):
        world, watched = await live(at)
        assert watched.suspended >= at
        assert "ours" not in world.ended or at == uncut.suspended, f"await {at}"


async def test_a_head_that_is_cancelled_at_any_await_of_its_wait_hands_the_time_on() -> None:
    """Three wait; the first two leave one after the other, at every await that they have."""
    for first in range(1, 4):
        for second in range(1, 4):
            world = World()
            await world.get("first")
            began = anyio.current_time()
            leaving = [Watched(world.get("ours"), first), Watched(world.get("hooked"), second)]
            async with anyio.create_task_group() as group:
                for watched in leaving:
                    group.start_soon(_within, watched)
                await anyio.sleep(0.5)
                group.start_soon(world.get, "behind")
            assert world.ended == ["first", "behind"], (first, second)
            took = anyio.current_time() - began
            vain = len(world.server.came) - 2  # a scout given up after its send counts for 5 s
            assert took < 4.0 + 5.0 * vain, (first, second, took)
            world.check(f"cancelled at awaits {first} and {second}")
            await world.client.aclose()


async def _within(watched: Watched) -> None:
    with watched.scope:
        await watched
