"""Time: what bounds retrying, what bounds the call, and what nothing of ours bounds."""

import anyio
import httpx
import pytest

from httpx_resilience import DeadlineExceeded, Policy, RetryPolicy, history_of
from support.clients import STEADY, call, resilient
from support.scripted import OK, UNAVAILABLE, URL, Ear, Reply, coded, get

pytestmark = pytest.mark.anyio

LATE = Reply(200, (b"late",), takes=500.0)
WITHIN_TEN = Policy(retry=STEADY.replace(deadline=10.0))


async def test_a_long_poll_that_takes_longer_than_retry_for_works() -> None:
    transport, inner = resilient(LATE)
    response = await call(transport, timeout=600)
    assert (response.text, inner.attempts) == ("late", 1)


async def test_a_deadline_cuts_a_first_attempt() -> None:
    transport, inner = resilient(LATE, policy=WITHIN_TEN)
    started = anyio.current_time()
    with pytest.raises(DeadlineExceeded) as caught:
        await call(transport)
    assert anyio.current_time() - started == pytest.approx(10.0)
    assert isinstance(caught.value, httpx.TimeoutException)
    assert caught.value.request.url == "https://vault.example/v1/secrets/app"
    history = history_of(caught.value)
    assert history is not None
    assert (history.reason, len(history.attempts)) == ("out_of_time", 1)
    assert inner.attempts == 1


async def test_a_deadline_cuts_a_retry() -> None:
    transport, inner = resilient(UNAVAILABLE, LATE, policy=WITHIN_TEN)
    started = anyio.current_time()
    with pytest.raises(DeadlineExceeded) as caught:
        await call(transport)
    assert anyio.current_time() - started == pytest.approx(10.0)
    history = history_of(caught.value)
    assert history is not None
    assert [attempt.status for attempt in history.attempts] == [503, None]
    assert inner.attempts == 2


async def test_a_deadline_ends_a_call_rather_than_begin_a_wait_past_it() -> None:
    ear = Ear()
    transport, _ = resilient(
        coded(429, "rate_limited", {"Retry-After": "11"}), policy=WITHIN_TEN, on_event=ear
    )
    started = anyio.current_time()
    response = await call(transport)
    assert anyio.current_time() == started
    assert response.status_code == 429
    assert (ear.last()["reason"], ear.last()["delay_source"]) == ("out_of_time", "retry_after")


async def test_the_success_body_is_outside_every_deadline() -> None:
    slow = Reply(200, (b"a",) * 10, pause=5.0)
    transport, _ = resilient(slow, policy=WITHIN_TEN)
    assert (await call(transport)).text == "a" * 10


async def test_the_body_of_a_retried_success_is_outside_retry_for() -> None:
    slow = Reply(200, (b"a",) * 100, pause=5.0)
    transport, _ = resilient(UNAVAILABLE, slow)
    assert (await call(transport)).text == "a" * 100


async def test_retry_for_cuts_a_retry_and_the_previous_response_is_returned() -> None:
    policy = Policy(retry=STEADY.replace(retry_for=20.0))
    transport, inner = resilient(UNAVAILABLE, LATE, policy=policy)
    started = anyio.current_time()
    response = await call(transport)
    assert anyio.current_time() - started == pytest.approx(20.0)
    assert (response.status_code, inner.attempts) == (503, 2)
    assert response.json()["error"]["code"] == "service_unavailable"
    history = response.extensions["resilience"]
    assert history.reason == "out_of_time"
    assert [attempt.number for attempt in history.attempts] == [1, 2]


async def test_retry_for_cuts_a_retry_and_the_previous_exception_is_raised() -> None:
    error = httpx.ConnectError("x")
    transport, _ = resilient(error, LATE)
    with pytest.raises(httpx.ConnectError) as caught:
        await call(transport)
    assert caught.value is error


async def test_retry_for_cuts_the_look_at_the_error_body_of_a_retry() -> None:
    policy = Policy(retry=STEADY.replace(retry_for=3.0))
    drip = Reply(503, (b"x",) * 50, takes=2.0, pause=0.9)
    transport, inner = resilient(UNAVAILABLE, drip, policy=policy)
    started = anyio.current_time()
    response = await transport.handle_async_request(get())
    assert anyio.current_time() - started == pytest.approx(3.0)
    assert inner.attempts == 2
    await response.aclose()


async def test_the_timeouts_in_the_request_are_never_changed() -> None:
    transport, inner = resilient(UNAVAILABLE, OK, policy=WITHIN_TEN)
    timeout = httpx.Timeout(7.0, pool=1.0).as_dict()
    request = get(URL, extensions={"timeout": timeout})
    await transport.handle_async_request(request)
    assert all(sent.extensions["timeout"] is timeout for sent in inner.requests)
    assert timeout == {"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 1.0}


async def test_a_timeout_of_the_users_own_around_a_call_is_not_taken_for_ours() -> None:
    transport, _ = resilient(LATE, policy=WITHIN_TEN)
    with pytest.raises(TimeoutError):
        with anyio.fail_after(3.0):
            await call(transport)


async def test_an_attempt_that_answers_at_the_last_moment_counts() -> None:
    transport, _ = resilient(Reply(200, takes=9.99), policy=WITHIN_TEN)
    assert (await call(transport)).status_code == 200


async def test_a_deadline_cuts_the_look_at_an_error_body_too() -> None:
    policy = Policy(retry=RetryPolicy(deadline=1.0))
    stands_still = Reply(404, (b"a", b"b"), pause=100.0)
    transport, inner = resilient(stands_still, policy=policy)
    started = anyio.current_time()
    response = await transport.handle_async_request(get())
    assert anyio.current_time() - started == pytest.approx(1.0)
    assert response.status_code == 404
    await response.aclose()
    assert inner.streams[0].is_closed
