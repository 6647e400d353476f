"""The server's word on retries, and ours to whoever is above."""

import importlib
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    AsyncResilientTransport,
    Dialect,
    ErrorClass,
    Policy,
    RetryPolicy,
    error_of,
    history_of,
)
from httpx_resilience.instrumentation.history import CallHistory
from support.clients import STEADY, call, resilient
from support.parity import LIBRARIES, door_of
from support.scripted import OK, URL, Ear, Reply, Scripted, coded, get

pytestmark = pytest.mark.anyio

VETO, ASSENT = ("x-should-retry", "false"), ("X-Should-Retry", "true")
STRIPES = ("Stripe-Should-Retry", "false")
POLICY = Policy(retry=STEADY, throttle=None, park=None)
LOUD = POLICY.replace(stop_layers_above=True)


def told(source: object) -> CallHistory:
    history = history_of(source)
    assert history is not None
    return history


# Read.


@pytest.mark.parametrize("header", [VETO, STRIPES])
@pytest.mark.parametrize(
    "reply", [coded(503, "service_unavailable"), Reply(502), Reply(429), coded(500, "x")]
)
async def test_what_the_server_forbids_is_not_repeated(
    header: tuple[str, str], reply: Reply
) -> None:
    ear = Ear()
    vetoed = reply._replace(headers=(*reply.headers, header))
    transport, inner = resilient(vetoed, OK, policy=POLICY, on_event=ear)
    response = await call(transport)
    assert (response.status_code, inner.attempts) == (reply.status, 1)
    assert told(response).reason == "vetoed"
    line = ear.last()
    assert (line["event"], line["reason"]) == ("gave_up", "vetoed")
    assert line["advice"]


async def test_a_retry_that_is_vetoed_ends_the_call() -> None:
    transport, inner = resilient(Reply(503), Reply(503, headers=(VETO,)), policy=POLICY)
    assert told(await call(transport)).reason == "vetoed"
    assert inner.attempts == 2


async def test_what_the_user_ruled_is_repeated_nevertheless() -> None:
    for dialect in (
        GENERIC.extend(statuses={503: ErrorClass.TRANSIENT}),
        GENERIC.extend(codes={"busy": ErrorClass.TRANSIENT}),
    ):
        reply = coded(503, "busy", dict([VETO]))
        transport, inner = resilient(reply, OK, policy=POLICY, dialect=dialect)
        assert (await call(transport)).status_code == 200
        assert inner.attempts == 2


async def test_a_vetoed_429_closes_its_scope() -> None:
    refusal = Reply(429, headers=(VETO, ("Retry-After", "5")))
    transport = AsyncResilientTransport(Scripted(refusal, OK))
    assert told(await call(transport)).reason == "vetoed"
    (status,) = transport.rate_limits()
    assert (status.held_reason, round(status.held_for or 0)) == ("server_hint", 5)
    started = anyio.current_time()
    assert (await call(transport)).status_code == 200
    assert anyio.current_time() - started >= 5.0


async def test_a_vetoed_failure_counts_for_the_retry_budget() -> None:
    transport, _ = resilient(Reply(503, headers=(VETO,)), policy=POLICY)
    before = transport.origins()
    await call(transport)
    (status,) = transport.origins()
    assert not before
    assert status.budget == 3.0  # a first attempt that failed earns nothing


async def test_what_the_server_asks_to_repeat_is_repeated() -> None:
    transport, inner = resilient(Reply(409, headers=(ASSENT,)), OK, policy=POLICY)
    response = await call(transport)
    assert (response.status_code, inner.gaps) == (200, [0.5])
    assert told(response).attempts[0].error_class == "transient"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"method": "POST"}, "not_idempotent"),
        ({"extensions": {"resilience": None}}, "disabled"),
        ({"extensions": {"resilience": Policy(retry=RetryPolicy(retry_for=0))}}, "out_of_time"),
    ],
)
async def test_assent_overrides_neither_method_nor_time(more: dict[str, Any], reason: str) -> None:
    transport, inner = resilient(Reply(409, headers=(ASSENT,)), OK, policy=POLICY)
    response = await call(transport, **more)
    assert (told(response).reason, inner.attempts) == (reason, 1)


async def test_assent_does_not_override_a_code() -> None:
    transport, inner = resilient(coded(429, "quota_exceeded", dict([ASSENT])), OK, policy=POLICY)
    assert told(await call(transport)).reason == "permanent"
    assert inner.attempts == 1


async def test_a_hook_runs_whatever_the_server_says_of_retries() -> None:
    async def hook(failed: object, request: httpx.Request) -> httpx.Request:
        return request

    reply = coded(409, "version_conflict", dict([VETO]))
    transport, inner = resilient(reply, OK, policy=POLICY, recover={"version_conflict": hook})
    assert (await call(transport)).status_code == 200
    assert inner.attempts == 2


# Written.


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(503), "attempts_exhausted"),
        (coded(429, "quota_exceeded"), "permanent"),
        (Reply(404), "permanent"),
        (Reply(503, headers=(("Retry-After", "9999"),)), "retry_after_too_long"),
        (Reply(503, takes=200.0), "out_of_time"),
    ],
)
async def test_a_failed_response_tells_whoever_is_above_not_to_repeat_it(
    reply: Reply, reason: str
) -> None:
    transport, _ = resilient(reply, policy=LOUD)
    response = await call(transport)
    assert told(response).reason == reason
    assert response.headers["x-should-retry"] == "false"
    assert "stripe-should-retry" not in response.headers


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"method": "POST"}, "not_idempotent"),
        ({"extensions": {"resilience": None}}, "disabled"),
    ],
)
async def test_what_was_left_to_whoever_is_above_says_nothing(
    more: dict[str, Any], reason: str
) -> None:
    transport, _ = resilient(Reply(503), policy=LOUD)
    response = await call(transport, **more)
    assert told(response).reason == reason
    assert "x-should-retry" not in response.headers


async def test_a_body_that_could_be_sent_once_is_left_to_whoever_is_above() -> None:
    async def chunks() -> Any:
        yield b"{}"

    transport, _ = resilient(Reply(503), policy=LOUD)
    response = await call(
        transport, method="PUT", content=chunks(), headers={"Idempotency-Key": "7"}
    )
    assert told(response).reason == "body_not_replayable"
    assert "x-should-retry" not in response.headers


@pytest.mark.parametrize("header", [VETO, ASSENT, STRIPES, ("Stripe-Should-Retry", "true")])
async def test_the_servers_own_word_stays(header: tuple[str, str]) -> None:
    transport, _ = resilient(Reply(503, headers=(header,)), policy=LOUD)
    response = await call(transport)
    said = {name: v for name, v in response.headers.items() if name.endswith("should-retry")}
    assert said == {header[0].lower(): header[1]}


async def test_stripes_own_sdk_reads_a_header_of_its_own() -> None:
    transport, _ = resilient(Reply(503, headers=(("Stripe-Version", "2026-09-30"),)), policy=LOUD)
    response = await call(transport)
    assert response.headers["stripe-should-retry"] == response.headers["x-should-retry"] == "false"


async def test_a_success_says_nothing() -> None:
    transport, _ = resilient(Reply(503), OK, policy=LOUD)
    assert "x-should-retry" not in (await call(transport)).headers


@pytest.mark.parametrize("spoken", [True, False])
@pytest.mark.parametrize("own", [True, False, None])
async def test_the_dialect_is_asked_unless_the_policy_says(spoken: bool, own: bool | None) -> None:
    dialect = Dialect(name="x", stop_layers_above=spoken)
    policy = POLICY.replace(stop_layers_above=own)
    transport, _ = resilient(Reply(404), policy=policy, dialect=dialect)
    assert ("x-should-retry" in (await call(transport)).headers) == (spoken if own is None else own)


async def test_a_calls_own_policy_counts() -> None:
    transport, _ = resilient(Reply(404), policy=POLICY)
    response = await call(transport, extensions={"resilience": LOUD})
    assert "x-should-retry" in response.headers


async def test_what_the_response_says_of_its_error_stays() -> None:
    transport, _ = resilient(coded(429, "quota_exceeded"), policy=LOUD)
    response = await transport.handle_async_request(get())
    info = error_of(response)
    assert info is not None
    assert info.code == "quota_exceeded"
    await response.aclose()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_synchronous_transport_reads_and_writes_it_too(library: str) -> None:
    http: ModuleType = importlib.import_module(library)
    transport = door_of(library).ResilientTransport(
        http.MockTransport(lambda _: http.Response(503, headers=[VETO])), policy=LOUD
    )
    with http.Client(transport=transport) as client:
        assert told(client.get(URL)).reason == "vetoed"
    transport = door_of(library).ResilientTransport(
        http.MockTransport(lambda _: http.Response(404)), policy=LOUD
    )
    with http.Client(transport=transport) as client:
        assert client.get(URL).headers["x-should-retry"] == "false"
