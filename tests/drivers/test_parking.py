"""Parked calls over a transport: who parks, what ends it, and that nothing is left behind."""

import random
from collections.abc import Callable

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Level,
    Listener,
    ParkPolicy,
    Policy,
    RetryPolicy,
    history_of,
)
from support.clients import Counted
from support.scripted import OK, URL, Ear, Reply, coded, get

pytestmark = pytest.mark.anyio

BUSY = coded(503, "service_unavailable")
UNPACED = Policy(throttle=None)


@pytest.fixture(autouse=True)
def _the_same_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", random.Random(1).random)


class Outage(httpx.AsyncBaseTransport):
    """A server that is away from one time to another, and counts what it is sent."""

    def __init__(self, seconds: float, *, after: float = 0.0, answer: Reply = BUSY) -> None:
        self._seconds, self._after, self._answer = seconds, after, answer
        self._began: float | None = None
        self.sent: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = anyio.current_time()
        self._began = now if self._began is None else self._began
        self.sent.append(now - self._began)
        await anyio.sleep(0.02)
        away = self._after <= now - self._began < self._after + self._seconds
        reply = self._answer if away else OK
        return httpx.Response(
            reply.status, headers=list(reply.headers), content=b"".join(reply.chunks)
        )


def over(inner: Outage, policy: Policy = UNPACED, **more: object) -> AsyncResilientTransport:
    return AsyncResilientTransport(inner, policy=policy, budget=Counted(), **more)  # type: ignore[arg-type]  # listeners


async def job(
    transport: AsyncResilientTransport, calls: int, *, method: str = "GET", pause: float = 0.05
) -> list[httpx.Response]:
    """Make calls a little apart; return their responses, in the order of their ends."""
    ended: list[httpx.Response] = []

    async def one() -> None:
        request = httpx.Request(method, URL, content=b"x" if method == "POST" else None)
        ended.append(await transport.handle_async_request(request))

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(one)
            await anyio.sleep(pause)
    return ended


def reasons(ended: list[httpx.Response]) -> set[str]:
    return {each.extensions["resilience"].reason for each in ended}


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.0])
async def test_nobody_is_lost_in_a_short_outage(seconds: float) -> None:
    inner = Outage(seconds)
    transport = over(inner)
    ended = await job(transport, 60)
    assert reasons(ended) == {"success"}
    assert len(inner.sent) <= 2.3 * 60
    assert [row.parked for row in transport.origins()] == [0]


async def test_whose_patience_ends_in_an_outage_is_told_that_it_was_unavailable() -> None:
    ear = Ear()
    transport = over(Outage(1e9), on_event=ear.at_debug)
    ended = await job(transport, 20)
    assert reasons(ended) == {"unavailable"}
    gave_up = [event.as_fields() for event in ear.events if event.name == "gave_up"]
    assert all(6.0 <= line["elapsed"] <= 7.0 and line["parked"] > 5.0 for line in gave_up)
    assert "unavailable" in gave_up[0]["advice"]
    parked = {e.as_fields()["call_id"] for e in ear.events if e.name == "retry_parked"}
    assert len(parked) == 20
    assert [event.name for event in ear.events].count("origin_unavailable") == 1


async def test_a_call_of_less_patience_ends_sooner() -> None:
    transport = over(Outage(1e9))
    await job(transport, 3)
    hasty = UNPACED.replace(park=ParkPolicy(patience=0.5, ride_out=0.5))
    begin = anyio.current_time()
    response = await transport.handle_async_request(get(extensions={"resilience": hasty}))
    assert response.extensions["resilience"].reason == "unavailable"
    assert anyio.current_time() - begin < 0.7


async def test_the_deadline_ends_a_parked_call() -> None:
    transport = over(Outage(1e9), UNPACED.replace(retry=RetryPolicy(deadline=2.0)))
    begin = anyio.current_time()
    ended = await job(transport, 4, pause=0.0)
    assert reasons(ended) == {"out_of_time"}
    assert anyio.current_time() - begin <= 2.0


async def test_a_post_that_may_have_been_processed_does_not_park() -> None:
    page = Reply(503, (b"<html>",))
    ended = await job(over(Outage(2.0, answer=page)), 10, method="POST")
    assert reasons(ended) == {"not_idempotent", "success"} - {"success"}


async def test_without_parking_the_same_outage_loses_calls() -> None:
    ended = await job(over(Outage(2.0), UNPACED.replace(park=None)), 30)
    assert "budget_exhausted" in reasons(ended)


async def test_a_recovered_call_and_its_history_say_how_long_it_was_parked() -> None:
    ear = Ear()
    transport = over(Outage(3.0), on_event=ear.at_debug)
    ended = await job(transport, 10, pause=0.0)
    assert reasons(ended) == {"success"}
    recovered = [event.as_fields() for event in ear.events if event.name == "recovered"]
    assert {line["delay_source"] for line in recovered} == {"release", "probe"}
    assert all(line["parked"] > 2.0 for line in recovered)
    history = history_of(ended[-1])
    assert history is not None
    assert history.attempts[0].delay_source in ("release", "probe")
    assert sum(attempt.delay or 0.0 for attempt in history.attempts) > 2.0


async def test_each_retry_is_scheduled_once_where_the_origin_is_known_to_be_unavailable() -> None:
    ear = Ear(all=True)
    ended = await job(over(Outage(3.0), on_event=ear.at_debug), 10)
    assert reasons(ended) == {"success"}
    retried = [
        (event.as_fields()["call_id"], event.as_fields()["attempt"])
        for event in ear.events
        if event.name == "attempt_started" and event.as_fields()["attempt"] > 1
    ]
    scheduled = [
        (event.as_fields()["call_id"], event.as_fields()["attempt"] + 1)
        for event in ear.events
        if event.name == "retry_scheduled"
    ]
    assert set(retried) == set(scheduled)
    assert len(scheduled) - len(retried) <= 3  # those of the failures that showed the outage


async def test_a_status_page_shows_an_outage() -> None:
    transport = over(Outage(1e9))
    assert transport.origins() == ()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(transport.handle_async_request, get())
        await anyio.sleep(2.0)
        (row,) = transport.origins()
        assert (row.origin, row.available, row.health) == ("https://vault.example", False, 0.0)
        assert row.unavailable_for == pytest.approx(2.0, abs=0.1)
        assert row.parked >= 4
        assert row.budget is not None
        group.cancel_scope.cancel()
    assert transport.origins()[0].parked == 0


async def test_where_nothing_parks_nobody_judges_an_origin() -> None:
    transport = over(Outage(0.0), UNPACED.replace(park=None))
    await job(transport, 1)
    (row,) = transport.origins()
    assert (row.available, row.health, row.unavailable_for) == (None, None, None)


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_nothing_is_held_of_parked_calls_that_are_ended(end: str) -> None:
    inner, sent = Outage(1e9), -1
    transport = over(inner)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(transport.handle_async_request, get())
        await anyio.sleep(3.0)
        (before,) = transport.origins()
        assert before.parked >= 19
        sent = len(inner.sent)
        if end == "cancel":
            group.cancel_scope.cancel()
        else:
            await transport.aclose()
    assert len(inner.sent) == sent
    assert transport.origins()[0].parked == 0


async def test_a_parked_call_holds_no_connection() -> None:
    inner = Outage(3.0)
    limited = anyio.Semaphore(1)

    class Pool(httpx.AsyncBaseTransport):
        """Lends its only connection until a response is closed."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await limited.acquire()
            response = await inner.handle_async_request(request)

            class Lent(httpx.AsyncByteStream):
                async def __aiter__(self):  # type: ignore[no-untyped-def]  # of bytes
                    yield await response.aread()

                async def aclose(self) -> None:
                    limited.release()

            return httpx.Response(response.status_code, stream=Lent())

    transport = AsyncResilientTransport(Pool(), policy=UNPACED)
    client = httpx.AsyncClient(transport=transport)
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(client.get, URL)
    assert limited.value == 1


async def test_what_a_listener_does_not_survive_breaks_no_parked_call() -> None:
    def broken(event: object) -> None:
        raise RuntimeError("hunter2")

    transport = over(Outage(3.0), on_event=Listener(broken, level=Level.DEBUG))
    assert reasons(await job(transport, 10, pause=0.0)) == {"success"}


async def test_calls_of_one_policy_park_where_the_transports_does_not() -> None:
    transport = over(Outage(3.0), UNPACED.replace(park=None))
    ended: list[httpx.Response] = []

    async def one(send: Callable[[], httpx.Request]) -> None:
        ended.append(await transport.handle_async_request(send()))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one, lambda: get(extensions={"resilience": UNPACED}))
    assert reasons(ended) == {"success"}


async def test_a_wait_that_the_server_asked_for_takes_nothing_from_patience() -> None:
    later = coded(503, "service_unavailable", {"Retry-After": "8"})
    transport = over(Outage(12.0, answer=later))
    ended = await job(transport, 5, pause=0.0)
    assert reasons(ended) == {"success"}


async def test_a_wait_for_the_rate_limit_takes_nothing_from_patience() -> None:
    class Limits(Outage):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not self.sent:
                self.sent.append(anyio.current_time())
                return httpx.Response(429, headers={"Retry-After": "10"}, content=b"")
            return await super().handle_async_request(request)

    transport, ended = over(Limits(4.0)), list[httpx.Response]()

    async def limited() -> None:
        ended.append(await transport.handle_async_request(get()))

    async with anyio.create_task_group() as group:
        group.start_soon(limited)
        await anyio.sleep(10.0)
        ended += await job(transport, 4)
    assert len(ended) == 5
    assert reasons(ended) == {"success"}
