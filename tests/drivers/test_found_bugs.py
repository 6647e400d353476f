"""What models, schedules and malice brought to light: each of these was a bug once."""

import math
import pickle
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    ApiError,
    AsyncResilientTransport,
    RateLimitChanged,
    ThrottleTimeout,
    TokenRefused,
    TransportClosed,
    raise_for_error,
)
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import GRANTED, LEFT, Ticket, TicketQueue
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.quota import Quota
from properties.parked import Parked
from support.gates import REFUSED, Scope
from support.scripted import Ear, Reply, Scripted, get

DAY = 86_400.0


def told(limit: int, remaining: int, reset_in: float | None, **more: Any) -> RateLimit:
    return RateLimit(limit, remaining, reset_in, None, 0.001, **more)


def test_a_ghost_that_is_counted_no_more_lets_the_next_call_go() -> None:
    """The last unit may have been taken by a request that was given up; after 30 s it was not."""
    scope = Parked()
    scope.answer(scope.ask(), Reading((told(5, 2, 3000.0),)))
    given_up = scope.ask()
    assert given_up.state == GRANTED
    waiting = scope.ask()
    scope.leave(given_up, sent=True)
    left_at = scope.now
    scope.sleep_until(left_at + ABANDONED + 1.0)
    assert waiting.state == GRANTED
    assert waiting.granted_at <= left_at + ABANDONED + 0.1


@pytest.mark.parametrize(
    "lie",
    [
        told(100, 0, 390 * DAY),
        told(100, 0, None, window=1e20),
        RateLimit(100, 0, 390 * DAY, 1.7e9 + 390 * DAY, 1.0),
    ],
    ids=["reset", "window", "epoch"],
)
def test_one_lie_about_what_is_left_holds_a_scope_for_a_day_at_the_most(lie: RateLimit) -> None:
    scope = Parked()
    scope.answer(scope.ask(), Reading((lie,), 1.7e9))
    began = scope.now
    waiting = scope.ask()
    scope.sleep_until(began + 1.1 * DAY)
    assert waiting.state == GRANTED


def test_an_idle_night_teaches_nothing_of_how_fast_units_come_back() -> None:
    """Rule 4: what is kept back is released by the latest end of the window, not hours later."""
    quota, clock = Quota(), ServerClock()
    quota.observe(told(100, 3, 60.0), 0.0, 0.0, clock, 0)
    morning = 12 * 3600.0
    quota.observe(told(100, 99, 60.0), morning, morning, clock, 0)
    quota.observe(told(100, 1, 50.0), morning + 10.0, morning + 10.0, clock, 0)
    end = quota.end.high
    assert end < morning + 62.0
    assert quota.admit(end + 5.0, 0, -math.inf).is_open


def test_a_long_answer_still_teaches_how_fast_units_come_back() -> None:
    """A bucket that tells when its next unit comes: a hung request outlasts what it tells."""
    quota, clock = Quota(), ServerClock()
    for now in (0.0, 18.0, 36.0):
        quota.observe(told(11, 0, 15.0), now, now, clock, 1)
    assert quota._unit_time() == pytest.approx(18.0 / 0.97)


LIMIT_ALONE = RateLimit(100, None)
"""What a server tells that names its limit, and never what is left of it."""


def test_a_server_that_tells_its_limit_alone_is_not_held_in_a_cold_start_for_ever() -> None:
    scope = Scope()
    waiting = scope.ask_for(200, 0.0)
    for step in range(1, 100):
        for ticket in [each for each in waiting if each.state == GRANTED]:
            scope.answer(ticket, 0.1 * step, LIMIT_ALONE)
            waiting.remove(ticket)
    assert not waiting


def test_a_server_that_tells_its_limit_alone_is_not_told_to_run_low() -> None:
    scope = Scope()
    for now in range(200):
        assert scope.send(float(now), LIMIT_ALONE)
    (event,) = scope.logged(RateLimitChanged)
    assert scope.events == [event]
    assert (event.rate_limit, event.rate_remaining) == (100, None)


def test_a_refusal_by_a_server_that_tells_its_limit_alone_paces() -> None:
    scope = Scope()
    for now in range(20):
        scope.send(float(now), LIMIT_ALONE)
    scope.send(20.0, LIMIT_ALONE, failure=REFUSED)
    assert scope.throttle.is_pacing


def test_ghosts_of_calls_that_nobody_holds_back_are_forgotten() -> None:
    scope = Parked()
    for _ in range(1000):
        scope.leave(scope.count(), sent=True)
        scope.sleep_until(scope.now + 10.0)
    assert scope.throttle.statistics().abandoned <= 4
    assert scope.throttle.statistics().units <= 4


def test_tickets_that_left_are_not_kept_behind_a_head_that_stays() -> None:
    queue = TicketQueue()
    queue.push(Ticket(0, math.inf, 0.0))
    for order in range(1, 10_000):
        ticket = Ticket(order, 5.0, 0.0)
        queue.push(ticket)
        queue.remove(ticket, LEFT)
    assert len(queue._new) + len(queue._retries) <= 100


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_snapshot_can_be_taken_outside_of_the_run(backend: str) -> None:
    limits = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "3"}
    transport = AsyncResilientTransport(Scripted(Reply(200, headers=tuple(limits.items()))))

    async def main() -> None:
        await transport.handle_async_request(get())

    anyio.run(main, backend=backend)
    assert transport.rate_limits()[0].remaining == 5


def test_a_path_that_redact_hides_is_in_no_scope_either() -> None:
    spent = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}
    ear = Ear()
    transport = AsyncResilientTransport(
        Scripted(Reply(200, headers=tuple(spent.items()))),
        redact=lambda _: "/***",
        on_event=ear,
    )

    async def main() -> None:
        await transport.handle_async_request(get("https://vault.example/v1/hunter2/x"))

    anyio.run(main)
    assert "hunter2" not in repr(ear.events)
    assert "hunter2" not in repr(transport.rate_limits())


REQUEST = httpx.Request(
    "GET", "https://vault.example/?token=hunter2", headers={"Authorization": "hunter2"}
)


def api_error() -> ApiError:
    error = {"code": "secret_not_found", "message": "hunter2", "details": {"a": "hunter2"}}
    response = httpx.Response(404, json={"error": error}, request=REQUEST)
    with pytest.raises(ApiError) as caught:
        raise_for_error(response)
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        api_error(),
        ThrottleTimeout("not in time", request=REQUEST, retry_at=7.0, scope="read"),
        TokenRefused("refused", request=REQUEST, code="token_revoked"),
        TransportClosed("closed", request=REQUEST),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_another_process_without_secrets(error: Exception) -> None:
    """As it is, ``concurrent.futures`` cannot unpickle it: the whole pool breaks."""
    data = pickle.dumps(error)
    assert b"hunter2" not in data
    copied = pickle.loads(data)
    assert str(copied) == str(error)
    for name in ("code", "retry_at", "scope"):
        assert getattr(copied, name, None) == getattr(error, name, None)
