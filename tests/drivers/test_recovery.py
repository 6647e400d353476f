"""Recovery hooks: what a blind resend cannot mend; and read, change, write on top of them."""

import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    ApiError,
    AsyncResilientTransport,
    Backoff,
    BudgetPolicy,
    CallEvent,
    CategoryRule,
    Dialect,
    ErrorClass,
    ErrorSpec,
    FailedAttempt,
    Policy,
    RecoveryHook,
    RequestRules,
    RetryPolicy,
    history_of,
    read_change_write,
)
from httpx_resilience.testing import FakeScaiVault
from support.clients import Counted
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, coded

pytestmark = pytest.mark.anyio

CONFLICT = coded(409, "version_conflict")
HALF_A_SECOND = RetryPolicy(
    backoff={ErrorClass.CONFLICT: Backoff(initial=0.5, maximum=0.5, jitter="none", max_attempts=3)}
)
UNPACED = Policy(retry=HALF_A_SECOND, throttle=None)


class Hook:
    """Notes what it is told; does what ``make`` does, by default another PUT."""

    def __init__(self, make: Callable[[FailedAttempt, httpx.Request], Any] | None = None) -> None:
        self.make = make or (lambda _, request: httpx.Request("PUT", request.url, content=b"again"))
        self.told: list[FailedAttempt] = []
        self.given: list[httpx.Request] = []

    async def __call__(self, failed: FailedAttempt, request: httpx.Request) -> Any:
        self.told.append(failed)
        self.given.append(request)
        return self.make(failed, request)


def hooked(
    hook: Any, *script: Line, code: str = "version_conflict", **options: Any
) -> tuple[AsyncResilientTransport, Scripted, Ear]:
    inner, ear = Scripted(*script), Ear()
    options = {"policy": UNPACED, "recover": {code: hook}, "on_event": ear, **options}
    return AsyncResilientTransport(inner, **options), inner, ear


async def put(transport: httpx.AsyncBaseTransport, **more: Any) -> httpx.Response:
    method = more.pop("method", "PUT")
    content = more.pop("content", b"first")
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, URL, content=content, **more)


def outcomes(ear: Ear) -> list[str]:
    return [event.outcome for event in ear.events if isinstance(event, RecoveryHook)]


def reason(source: httpx.Response | BaseException) -> str | None:
    history = history_of(source)
    assert history is not None
    return history.reason


# What a hook is for.


async def test_a_hook_mends_a_failure_of_its_code() -> None:
    hook = Hook()
    transport, inner, ear = hooked(hook, CONFLICT, OK)
    response = await put(transport)
    assert response.status_code == 200
    assert inner.bodies == [b"first", b"again"]
    assert inner.gaps == [0.5]  # after the backoff
    (told,) = hook.told
    assert (told.code, told.status, told.attempt) == ("version_conflict", 409, 1)
    assert told.error is not None
    assert told.error.message == "words for people"
    assert "words" not in repr(told)
    assert hook.given[0].url == URL
    assert ear.names[-1] == "recovered"


@pytest.mark.parametrize("other", [coded(404, "secret_not_found"), Reply(409, (b"<html>",)), OK])
async def test_a_hook_runs_for_no_other_code(other: Reply) -> None:
    hook = Hook()
    transport, inner, _ = hooked(hook, other)
    assert (await put(transport)).status_code == other.status
    assert (hook.told, inner.attempts) == ([], 1)


async def test_a_hook_may_mend_what_is_permanent_without_it() -> None:
    hook = Hook()
    transport, inner, _ = hooked(hook, coded(409, "secret_exists"), OK, code="secret_exists")
    assert (await put(transport, method="POST")).status_code == 200
    assert inner.attempts == 2


async def test_a_run_of_a_hook_is_told_and_kept_in_the_history() -> None:
    transport, _, ear = hooked(Hook(), CONFLICT, OK)
    response = await put(transport)
    (event,) = (e for e in ear.events if isinstance(e, RecoveryHook))
    assert (event.code, event.status, event.attempt, event.outcome) == (
        "version_conflict",
        409,
        1,
        "request",
    )
    assert event.elapsed == 0.5
    history = history_of(response)
    assert history is not None
    assert event in history.events
    assert [attempt.code for attempt in history.attempts] == ["version_conflict", None]


# Its limits.


async def test_a_hook_makes_three_attempts_in_all() -> None:
    hook = Hook()
    transport, inner, _ = hooked(hook, CONFLICT)
    response = await put(transport)
    assert (response.status_code, reason(response)) == (409, "attempts_exhausted")
    assert (inner.attempts, len(hook.told)) == (3, 2)
    assert [told.attempt for told in hook.told] == [1, 2]


async def test_the_attempts_of_a_hook_are_among_those_of_the_call() -> None:
    policy = UNPACED.replace(retry=HALF_A_SECOND.replace(max_attempts=2))
    transport, inner, _ = hooked(Hook(), CONFLICT, policy=policy)
    assert reason(await put(transport)) == "attempts_exhausted"
    assert inner.attempts == 2


async def test_a_run_of_a_hook_is_paid_for_and_paid_back_where_it_helps() -> None:
    paid: list[float] = []
    budget = Counted()

    def look(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        paid.append(budget.balance(0.0))
        return httpx.Request("PUT", request.url)

    transport, _, _ = hooked(Hook(look), CONFLICT, OK, budget=budget)
    await put(transport)
    assert paid == [2.0]
    assert budget.balance(0.0) == 3.0


async def test_a_hook_does_not_run_where_the_retry_budget_has_nothing_left() -> None:
    hook, policy = Hook(), UNPACED.replace(budget=BudgetPolicy(floor=0.5))
    transport, inner, _ = hooked(hook, CONFLICT, policy=policy)
    assert reason(await put(transport)) == "budget_exhausted"
    assert (hook.told, inner.attempts) == ([], 1)


async def test_a_hook_that_runs_beyond_the_time_of_its_call_is_cut() -> None:
    async def slow(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        await anyio.sleep(500)
        return request

    budget, policy = Counted(), UNPACED.replace(retry=HALF_A_SECOND.replace(retry_for=20.0))
    transport, inner, ear = hooked(slow, CONFLICT, policy=policy, budget=budget)
    began = anyio.current_time()
    response = await put(transport)
    assert anyio.current_time() - began == pytest.approx(20.0)
    assert response.json()["error"]["code"] == "version_conflict"
    assert (reason(response), outcomes(ear), inner.attempts) == ("out_of_time", ["cut"], 1)
    assert budget.balance(0.0) == 3.0


async def test_a_hook_does_not_run_on_what_may_be_ones_own_write() -> None:
    hook = Hook()
    transport, inner, _ = hooked(hook, coded(500, "internal_error"), CONFLICT)
    response = await put(transport)
    assert (response.status_code, reason(response)) == (409, "permanent")
    assert (hook.told, inner.attempts) == ([], 2)
    history = history_of(response)
    assert history is not None
    assert history.maybe_applied


async def test_a_hook_runs_after_a_failure_that_applied_nothing() -> None:
    transport, inner, _ = hooked(Hook(), coded(429, "rate_limited"), CONFLICT, OK)
    assert (await put(transport)).status_code == 200
    assert inner.attempts == 3


async def test_a_call_without_a_policy_runs_no_hook() -> None:
    hook = Hook()
    transport, _, _ = hooked(hook, CONFLICT)
    assert reason(await put(transport, extensions={"resilience": None})) == "disabled"
    assert hook.told == []


# What it may do.


async def test_what_a_hook_raises_comes_out_as_itself_with_the_failure_as_its_cause() -> None:
    error = KeyError("mine")

    def fail(_: FailedAttempt, __: httpx.Request) -> None:
        raise error

    budget = Counted()
    transport, inner, ear = hooked(Hook(fail), CONFLICT, budget=budget)
    with pytest.raises(KeyError) as caught:
        await put(transport)
    assert caught.value is error
    cause = caught.value.__cause__
    assert isinstance(cause, ApiError)
    assert (cause.code, cause.response.status_code) == ("version_conflict", 409)
    assert cause.request.url == URL
    history = history_of(caught.value)
    assert history is not None
    assert [attempt.code for attempt in history.attempts] == ["version_conflict"]
    (event,) = (e for e in ear.events if isinstance(e, RecoveryHook))
    assert (event.outcome, event.exception_type) == ("raised", "KeyError")
    assert "call_id" in error.__notes__[0]
    assert inner.streams[0].is_closed
    assert budget.balance(0.0) == 3.0


async def test_a_cause_that_a_hook_gave_its_exception_is_kept() -> None:
    own = ValueError("own")

    def fail(_: FailedAttempt, __: httpx.Request) -> None:
        raise KeyError("x") from own

    transport, _, _ = hooked(Hook(fail), CONFLICT)
    with pytest.raises(KeyError) as caught:
        await put(transport)
    assert caught.value.__cause__ is own


async def test_a_hook_that_returns_none_lets_the_response_through() -> None:
    budget = Counted()
    transport, inner, ear = hooked(Hook(lambda _, __: None), CONFLICT, budget=budget)
    response = await put(transport)
    assert response.json()["error"]["code"] == "version_conflict"
    assert (reason(response), outcomes(ear), inner.attempts) == ("permanent", ["stopped"], 1)
    assert budget.balance(0.0) == 3.0


async def chunks() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"shot"


@pytest.mark.parametrize("later", [UNAVAILABLE, httpx.ConnectError("x")])
async def test_a_one_shot_body_of_a_hook_is_sent_once(later: Line) -> None:
    hook = Hook(lambda _, request: httpx.Request("PUT", request.url, content=chunks()))
    transport, inner, _ = hooked(hook, CONFLICT, UNAVAILABLE)
    response = await put(transport)
    assert (response.status_code, reason(response)) == (503, "body_not_replayable")
    assert inner.bodies == [b"first", b"one shot"]


async def test_a_one_shot_body_of_a_hook_that_nobody_read_may_be_sent_again() -> None:
    hook = Hook(lambda _, request: httpx.Request("PUT", request.url, content=chunks()))
    transport, inner, _ = hooked(hook, CONFLICT, httpx.ConnectError("x"), OK)
    assert (await put(transport)).status_code == 200
    assert inner.bodies == [b"first", b"one shot"]


class Drained(httpx.AsyncByteStream):
    """A source that gives nothing to whom comes second, and does not complain."""

    def __init__(self) -> None:
        self._source = chunks()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._source:
            yield chunk


async def test_a_hook_cannot_have_a_body_sent_again_that_was_sent_already() -> None:
    hook, budget = Hook(lambda _, request: request), Counted()
    transport, inner, _ = hooked(hook, CONFLICT, OK, budget=budget)
    request = httpx.Request("PUT", URL, stream=Drained())
    response = await transport.handle_async_request(request)
    assert (response.status_code, reason(response)) == (409, "body_not_replayable")
    assert inner.bodies == [b"one shot"]
    assert budget.balance(0.0) == 3.0


async def test_a_hook_may_return_the_request_it_was_given() -> None:
    def amend(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        request.headers["If-Match"] = '"7"'
        return request

    transport, inner, _ = hooked(Hook(amend), CONFLICT, OK)
    own = httpx.Request("PUT", URL, content=b"first")
    assert (await transport.handle_async_request(own)).status_code == 200
    assert inner.requests[1].headers["If-Match"] == '"7"'
    assert inner.bodies == [b"first", b"first"]
    assert "If-Match" not in own.headers


@pytest.mark.parametrize("made", ["PUT", 7, httpx.Response(200)])
async def test_anything_else_that_a_hook_returns_is_refused_by_its_code(made: object) -> None:
    transport, inner, ear = hooked(Hook(lambda _, __: made), CONFLICT)
    with pytest.raises(TypeError, match=r"recover\['version_conflict'\].*httpx2?\.Request or None"):
        await put(transport)
    assert (inner.attempts, outcomes(ear)) == (1, ["raised"])


@pytest.mark.parametrize(
    "url",
    ["https://other.example/v1", "http://vault.example/v1", "https://vault.example:8443/v1"],
)
async def test_a_hook_cannot_send_to_another_origin(url: str) -> None:
    transport, inner, _ = hooked(Hook(lambda _, __: httpx.Request("PUT", url)), CONFLICT)
    with pytest.raises(ValueError, match=r"another origin, allowed is https://vault\.example\n"):
        await put(transport, headers={"Authorization": "Bearer x"})
    assert inner.attempts == 1


async def test_the_request_of_a_hook_inherits_the_credential_and_the_timeouts() -> None:
    transport, inner, _ = hooked(Hook(), CONFLICT, OK)
    await put(transport, headers={"Authorization": "Bearer x"}, timeout=7.0)
    assert inner.requests[1].headers["Authorization"] == "Bearer x"
    assert inner.requests[1].extensions["timeout"]["read"] == 7.0


async def test_the_request_of_a_hook_keeps_a_credential_of_its_own() -> None:
    def make(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        return httpx.Request("PUT", request.url, headers={"Authorization": "Bearer own"})

    transport, inner, _ = hooked(Hook(make), CONFLICT, OK)
    await put(transport, headers={"Authorization": "Bearer x"})
    assert inner.requests[1].headers["Authorization"] == "Bearer own"


async def test_the_request_of_a_hook_bears_the_id_of_its_call_and_a_key_of_its_own() -> None:
    keyed = Dialect(
        name="keyed",
        codes=SCAIVAULT.codes,
        requests=RequestRules(
            idempotency_header="Idempotency-Key", request_id_header="X-Request-ID"
        ),
    )
    hook = Hook(lambda _, request: httpx.Request("POST", request.url))
    transport, inner, _ = hooked(hook, UNAVAILABLE, CONFLICT, UNAVAILABLE, OK, dialect=keyed)
    await put(transport, method="POST")
    assert inner.attempts == 2  # a 503 may have been one's own write
    transport, inner, _ = hooked(hook, CONFLICT, UNAVAILABLE, OK, dialect=keyed)
    assert (await put(transport, method="POST")).status_code == 200
    keys = [sent.headers["Idempotency-Key"] for sent in inner.requests]
    assert keys[0] != keys[1] == keys[2]
    assert len({sent.headers["X-Request-ID"] for sent in inner.requests}) == 1


async def test_the_request_of_a_hook_is_repeated_by_its_own_method() -> None:
    hook = Hook(lambda _, request: httpx.Request("POST", request.url.join("/v1/other")))
    transport, inner, ear = hooked(hook, CONFLICT, httpx.ReadError("x"), OK)
    with pytest.raises(httpx.ReadError) as caught:
        await put(transport, method="GET")
    assert (inner.attempts, reason(caught.value)) == (2, "not_idempotent")
    last = ear.last()
    assert (last["method"], last["path"], last["maybe_applied"]) == ("POST", "/v1/other", True)
    assert len({event.call_id for event in ear.events if isinstance(event, CallEvent)}) == 1


async def test_the_request_of_a_hook_may_cost_more_than_the_first() -> None:
    rules = (CategoryRule(name="all", path="/v1/bulk", cost=7), CategoryRule(name="all"))
    dear = Dialect(name="x", codes=SCAIVAULT.codes, requests=RequestRules(categories=rules))
    hook = Hook(lambda _, request: httpx.Request("PUT", request.url.join("/v1/bulk")))
    seen: list[int | None] = []
    limits = (("X-RateLimit-Limit", "100"), ("X-RateLimit-Remaining", "50"))

    async def look(_: httpx.Request) -> httpx.Response:
        seen.append(transport.rate_limits()[0].remaining)
        return httpx.Response(200)

    transport, _, _ = hooked(
        hook, CONFLICT._replace(headers=limits), look, dialect=dear, policy=Policy()
    )
    await put(transport)
    assert seen == [43]


# While a hook runs.


class PoolOfOne(httpx.AsyncBaseTransport):
    """Has one connection, free again only once the response is read or closed."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.connection = anyio.Semaphore(1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.connection.acquire()
        response = await self.inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = Held(response.stream, self.connection)
        return response


class Held(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, connection: anyio.Semaphore) -> None:
        self.stream = stream
        self.connection: anyio.Semaphore | None = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.stream)

    async def aclose(self) -> None:
        if self.connection is not None:
            self.connection.release()
            self.connection = None
        await self.stream.aclose()


async def test_a_hook_may_call_the_same_client_with_a_pool_of_one() -> None:
    long = Reply(409, (*CONFLICT.chunks, b" " * 100_000, b" " * 100_000), CONFLICT.headers)
    inner = Scripted(CONFLICT, OK, OK)
    pool = PoolOfOne(inner)

    async def fetch_first(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        current = await client.get(request.url)
        return client.build_request("PUT", request.url, content=current.content)

    for first in (CONFLICT, long):
        pool.inner = inner = Scripted(first, OK, OK)
        transport = AsyncResilientTransport(
            pool, policy=UNPACED, recover={"version_conflict": fetch_first}
        )
        async with httpx.AsyncClient(transport=transport) as client:
            with anyio.fail_after(60):
                response = await client.put(URL, content=b"first")
        assert response.status_code == 200
        assert [sent.method for sent in inner.requests] == ["PUT", "GET", "PUT"]
        assert inner.bodies[2] == b'{"fine": true}'


async def test_a_hook_may_call_the_same_client_through_the_same_throttle() -> None:
    none_left = (("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", "9"))
    inner = Scripted(CONFLICT._replace(headers=none_left), OK._replace(headers=none_left))

    async def write_first(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        await client.put(request.url, content=b"from the hook")
        return client.build_request("PUT", request.url, content=b"again")

    transport = AsyncResilientTransport(inner, recover={"version_conflict": write_first})
    async with httpx.AsyncClient(transport=transport) as client:
        with anyio.fail_after(60):
            assert (await client.put(URL, content=b"first")).status_code == 200
    assert inner.bodies == [b"first", b"from the hook", b"again"]


async def test_what_a_hook_sends_is_not_recovered_again() -> None:
    runs = 0

    async def again(_: FailedAttempt, request: httpx.Request) -> httpx.Request | None:
        nonlocal runs
        runs += 1
        more = {"resilience.recover": {"version_conflict": again}}
        inside = await client.put(request.url, extensions=more)
        assert (inside.status_code, reason(inside)) == (409, "permanent")
        return None

    inner = Scripted(CONFLICT)
    transport = AsyncResilientTransport(inner, policy=UNPACED, recover={"version_conflict": again})
    async with httpx.AsyncClient(transport=transport) as client:
        await client.put(URL)
        assert (runs, inner.attempts) == (1, 2)
        await client.put(URL)  # afterwards hooks run again
        assert (runs, inner.attempts) == (2, 4)


async def test_a_background_task_that_a_hook_started_gets_hooks_again() -> None:
    inner = Scripted(CONFLICT, OK, CONFLICT, OK, CONFLICT, OK)
    go = anyio.Event()
    answers: list[tuple[int, str | None]] = []

    async def background() -> None:
        await go.wait()
        for _ in range(2):
            response = await client.put(URL, content=b"background")
            answers.append((response.status_code, reason(response)))

    async def start(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        if not runs:
            group.start_soon(background)
            await anyio.sleep(0.1)  # it begins while the hook runs
        runs.append(request)
        return request

    runs: list[httpx.Request] = []
    transport = AsyncResilientTransport(inner, policy=UNPACED, recover={"version_conflict": start})
    async with (
        httpx.AsyncClient(transport=transport) as client,
        anyio.create_task_group() as group,
    ):
        assert (await client.put(URL, content=b"first")).status_code == 200
        go.set()
    assert answers == [(200, "success")] * 2
    assert (len(runs), inner.attempts) == (3, 6)


async def test_what_tasks_of_a_hook_send_while_it_runs_is_not_recovered_again() -> None:
    reasons: list[str | None] = []

    async def send() -> None:
        reasons.append(reason(await client.put(URL)))

    async def spread(_: FailedAttempt, __: httpx.Request) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            group.start_soon(send)

    inner = Scripted(CONFLICT)
    transport = AsyncResilientTransport(inner, policy=UNPACED, recover={"version_conflict": spread})
    async with httpx.AsyncClient(transport=transport) as client:
        await client.put(URL)
    assert reasons == ["permanent"] * 2
    assert inner.attempts == 3


async def test_a_hook_inside_a_hook_leaves_the_outer_one_running() -> None:
    reasons: list[str | None] = []

    async def inner_hook(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        reasons.append(reason(await client.put(URL)))
        return request

    async def outer_hook(_: FailedAttempt, __: httpx.Request) -> None:
        more = {"resilience.recover": {"version_conflict": inner_hook}}
        reasons.append(reason(await client.put(URL, extensions=more)))
        reasons.append(reason(await client.put(URL)))

    inner = Scripted(CONFLICT, CONFLICT, CONFLICT, OK, CONFLICT)
    transport = AsyncResilientTransport(
        inner, policy=UNPACED, recover={"version_conflict": outer_hook}
    )
    async with httpx.AsyncClient(transport=transport) as client:
        await client.put(URL)
    assert reasons == ["permanent", "success", "permanent"]


async def test_a_call_that_is_cancelled_while_its_hook_runs_leaves_nothing_behind() -> None:
    cleaned_up: list[bool] = []

    async def slow(_: FailedAttempt, __: httpx.Request) -> None:
        try:
            await anyio.sleep(500)
        finally:
            cleaned_up.append(True)

    budget = Counted()
    policy = Policy(retry=HALF_A_SECOND)
    transport, inner, _ = hooked(slow, CONFLICT, budget=budget, policy=policy)
    with anyio.move_on_after(5.0) as scope:
        await put(transport)
    assert scope.cancelled_caught
    assert cleaned_up == [True]
    assert budget.balance(0.0) == 3.0
    assert all(stream.is_closed for stream in inner.streams)
    assert all(t.is_idle for t in transport._calls.registry._throttles.values())


async def test_a_hook_that_cancels_its_own_call_leaves_nothing_behind() -> None:
    scope, budget = anyio.CancelScope(), Counted()

    async def cancel(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
        return request

    transport, inner, _ = hooked(cancel, CONFLICT, budget=budget)
    with scope:
        await put(transport)
    assert scope.cancelled_caught
    assert inner.attempts == 1
    assert all(stream.is_closed for stream in inner.streams)
    assert budget.balance(0.0) == 3.0


# Where hooks come from.


async def test_a_call_may_bring_hooks_of_its_own() -> None:
    ours, own = Hook(), Hook(lambda _, __: None)
    transport, inner, _ = hooked(ours, CONFLICT, coded(409, "secret_exists"), OK)
    more = {"resilience.recover": {"secret_exists": own}}
    response = await put(transport, extensions=more)
    assert (len(ours.told), len(own.told)) == (1, 1)
    assert (response.status_code, inner.attempts) == (409, 2)
    transport, _, _ = hooked(ours, CONFLICT)
    await put(transport, extensions={"resilience.recover": {"version_conflict": own}})
    assert (len(ours.told), len(own.told)) == (1, 2)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"version_conflikt": Hook()}, ValueError, "did you mean 'version_conflict'"),
        ({"version_conflict": "hook"}, TypeError, "async callable"),
        ({409: Hook()}, TypeError, "an error code"),
        ([Hook()], TypeError, "mapping from error code to hook"),
    ],
)
async def test_a_mistake_in_hooks_raises_and_says_what_is_allowed(
    given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        AsyncResilientTransport(recover=given)
    transport, inner, _ = hooked(Hook(), OK)
    with pytest.raises(error, match=words):
        await put(transport, extensions={"resilience.recover": given})
    assert inner.attempts == 0


def no_hook(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
    return request


async def generator(_: FailedAttempt, request: httpx.Request) -> AsyncIterator[httpx.Request]:
    yield request


class PlainHook:
    def __call__(self, _: FailedAttempt, request: httpx.Request) -> httpx.Request:
        return request


@pytest.mark.parametrize(
    "hook",
    [no_hook, generator, PlainHook(), PlainHook().__call__, functools.partial(no_hook)],
    ids=["plain", "generator", "object", "method", "partial"],
)
async def test_a_hook_that_is_not_async_is_refused_when_its_owner_is_made(hook: Any) -> None:
    words = r"recover.*\['version_conflict'\]: got an? \w+ \w+, allowed is an async function$"
    with pytest.raises(TypeError, match=f"^{words}"):
        AsyncResilientTransport(recover={"version_conflict": hook})
    transport, inner, _ = hooked(Hook(), OK)
    with pytest.raises(TypeError, match=words):
        await put(transport, extensions={"resilience.recover": {"version_conflict": hook}})
    assert inner.attempts == 0


async def test_a_hook_may_be_whatever_returns_an_awaitable() -> None:
    hook = Hook()

    def declared(failed: FailedAttempt, request: httpx.Request) -> Awaitable[Any]:
        return hook(failed, request)

    for each in (hook, hook.__call__, declared, functools.partial(hook), lambda f, r: hook(f, r)):
        transport, _, _ = hooked(each, CONFLICT, OK)
        assert (await put(transport)).status_code == 200
    assert len(hook.told) == 5


async def test_a_lambda_that_returns_no_awaitable_is_refused_at_the_call() -> None:
    transport, inner, ear = hooked(lambda _, request: request, CONFLICT, OK)
    words = (
        r"^recover\['version_conflict'\]: it returned a Request at once, allowed is an awaitable"
    )
    with pytest.raises(TypeError, match=words) as caught:
        await put(transport)
    assert isinstance(caught.value.__cause__, ApiError)
    assert (inner.attempts, outcomes(ear)) == (1, ["raised"])


def test_a_hook_may_be_for_a_code_that_was_added_and_under_generic_for_any() -> None:
    added = SCAIVAULT.extend(codes={"replica_lagging": ErrorClass.PERMANENT})
    AsyncResilientTransport(dialect=added, recover={"replica_lagging": Hook()})
    AsyncResilientTransport(dialect=GENERIC, recover={"whatever": Hook()})
    with pytest.raises(ValueError, match="not in the catalogue"):
        AsyncResilientTransport(recover={"replica_lagging": Hook()})


async def test_under_generic_a_hook_runs_for_a_code_that_nobody_listed() -> None:
    hook = Hook()
    body = Reply(412, (json.dumps({"type": "https://x.example/stale-etag"}).encode(),))
    transport, inner, _ = hooked(hook, body, OK, code="stale-etag", dialect=GENERIC)
    assert (await put(transport)).status_code == 200
    assert [told.code for told in hook.told] == ["stale-etag"]
    assert inner.attempts == 2


async def test_where_case_does_not_matter_a_hook_is_found_in_any() -> None:
    spec = ErrorSpec(code="STALE", error_class=ErrorClass.CONFLICT)
    loose = Dialect.from_toml('name = "x"\nenvelope = {ignore_case = true}').extend(
        codes={"STALE": spec}
    )
    hook = Hook()
    transport, _, _ = hooked(hook, coded(409, "Stale"), OK, code="STALE", dialect=loose)
    assert (await put(transport)).status_code == 200
    assert [told.code for told in hook.told] == ["Stale"]


# Read, change, write.


class Slow(httpx.AsyncBaseTransport):
    """A server some way off, in virtual time."""

    def __init__(self, vault: FakeScaiVault) -> None:
        self.inner = httpx.ASGITransport(vault)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.02)
        response = await self.inner.handle_async_request(request)
        await anyio.sleep(0.02)
        return response


def vault_client(policy: Policy) -> tuple[httpx.AsyncClient, FakeScaiVault]:
    vault = FakeScaiVault(anonymous=True, clock=anyio.current_time)
    transport = AsyncResilientTransport(Slow(vault), policy=policy)
    return httpx.AsyncClient(transport=transport, base_url="http://vault"), vault


def adding(name: str) -> Callable[[Any], Any]:
    def change(current: Any) -> Any:
        return {"value": [*current["value"], name], "cas": current["version"]}

    return change


STUBBORN = RetryPolicy(
    max_attempts=40,
    backoff={ErrorClass.CONFLICT: Backoff(initial=0.1, maximum=5.0, jitter="full")},
)


async def test_of_ten_conflicting_writers_every_change_is_in_the_final_state_once() -> None:
    client, vault = vault_client(
        Policy(retry=STUBBORN, budget=BudgetPolicy(floor=10.0), throttle=None)
    )
    names = [f"writer {n}" for n in range(10)]
    statuses: list[int] = []

    async def write(name: str) -> None:
        response = await read_change_write(client, "/v1/secrets/list", adding(name))
        statuses.append(response.status_code)

    async with client:
        await client.put("/v1/secrets/list", json={"value": []})
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(write, name)
        final = (await client.get("/v1/secrets/list")).json()
    assert statuses == [200] * 10
    assert sorted(final["value"]) == names
    assert final["version"] == 11
    assert sum(seen.code == "version_conflict" for seen in vault.log) >= 9


async def test_a_writer_that_loses_three_times_gets_the_conflict_back() -> None:
    client, vault = vault_client(Policy(throttle=None))
    calls = 0

    async def outrun(current: Any) -> Any:
        nonlocal calls
        calls += 1
        await client.put("/v1/secrets/list", json={"value": [f"other {calls}"]})
        return adding("mine")(current)

    async with client:
        await client.put("/v1/secrets/list", json={"value": []})
        response = await read_change_write(client, "/v1/secrets/list", outrun)
        final = (await client.get("/v1/secrets/list")).json()
    assert response.json()["error"]["code"] == "version_conflict"
    assert reason(response) == "attempts_exhausted"
    assert (calls, final["value"]) == (3, ["other 3"])
    assert [seen.code for seen in vault.log if seen.method == "PUT"].count("version_conflict") == 3


async def test_a_change_may_be_async_and_headers_go_with_both_requests() -> None:
    inner = Scripted(Reply(200, (b'{"n": 1}',)), CONFLICT, Reply(200, (b'{"n": 5}',)), OK)

    async def change(current: Any) -> Any:
        await anyio.sleep(0.1)
        return {"n": current["n"] + 1}

    transport = AsyncResilientTransport(inner, policy=UNPACED)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await read_change_write(client, URL, change, headers={"X-Tenant": "t"})
    assert response.status_code == 200
    assert [json.loads(body) for body in inner.bodies if body] == [{"n": 2}, {"n": 6}]
    assert [sent.method for sent in inner.requests] == ["GET", "PUT", "GET", "PUT"]
    assert {sent.headers["X-Tenant"] for sent in inner.requests} == {"t"}


async def test_a_document_that_cannot_be_read_raises_before_anything_is_written() -> None:
    inner = Scripted(coded(404, "secret_not_found"))
    async with httpx.AsyncClient(transport=AsyncResilientTransport(inner)) as client:
        with pytest.raises(ApiError) as caught:
            await read_change_write(client, URL, adding("x"))
    assert caught.value.code == "secret_not_found"
    assert inner.attempts == 1


async def test_a_document_that_is_gone_after_a_conflict_raises_with_it_as_the_cause() -> None:
    inner = Scripted(Reply(200, (b'{"value": [], "version": 1}',)), CONFLICT, coded(410, "x"))
    transport = AsyncResilientTransport(inner, policy=UNPACED)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ApiError) as caught:
            await read_change_write(client, URL, adding("x"))
    assert caught.value.response.status_code == 410
    assert isinstance(caught.value.__cause__, ApiError)
    assert caught.value.__cause__.code == "version_conflict"


async def test_inside_a_hook_read_change_write_works_and_retries() -> None:
    written: list[httpx.Response] = []

    async def note(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        written.append(await read_change_write(client, "https://vault.example/log", adding("x")))
        return request

    document = Reply(200, (b'{"value": [], "version": 1}',))
    inner = Scripted(CONFLICT, document, CONFLICT, document, OK, OK)
    transport = AsyncResilientTransport(inner, policy=UNPACED, recover={"version_conflict": note})
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.put(URL, content=b"first")).status_code == 200
    assert [response.status_code for response in written] == [200]
    assert [sent.method for sent in inner.requests] == ["PUT", "GET", "PUT", "GET", "PUT", "PUT"]


async def test_read_change_write_over_another_transport_says_that_it_cannot_retry() -> None:
    document = Reply(200, (b'{"value": [], "version": 1}',))
    inner = Scripted(document, CONFLICT)
    async with httpx.AsyncClient(transport=inner) as client:
        with pytest.raises(RuntimeError, match="the conflict cannot be retried") as caught:
            await read_change_write(client, URL, adding("x"))
    assert isinstance(caught.value.__cause__, ApiError)
    assert caught.value.__cause__.code == "version_conflict"
    assert inner.attempts == 2


@pytest.mark.parametrize("last", [OK, coded(404, "secret_not_found"), Reply(409, (b"<html>",))])
async def test_read_change_write_over_another_transport_works_where_nothing_is_to_be_retried(
    last: Reply,
) -> None:
    inner = Scripted(Reply(200, (b'{"value": [], "version": 1}',)), last)
    async with httpx.AsyncClient(transport=inner) as client:
        response = await read_change_write(client, URL, adding("x"))
    assert response.status_code == last.status
