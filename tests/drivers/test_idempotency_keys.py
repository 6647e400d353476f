"""One idempotency key for all attempts of a call, and for no other call."""

import importlib
from types import ModuleType

import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    Policy,
    RequestRules,
    history_of,
)
from support.clients import STEADY, call, resilient
from support.parity import LIBRARIES, door_of
from support.scripted import OK, URL, Line, Reply, Scripted

pytestmark = pytest.mark.anyio

KEY = "Idempotency-Key"
PAY = Dialect(
    name="pay",
    codes={
        "lock_timeout": ErrorSpec(code="lock_timeout", error_class=ErrorClass.TRANSIENT),
        "stale": ErrorSpec(code="stale", error_class=ErrorClass.CONFLICT),
    },
    envelope=Envelope(code=(("error", "code"),)),
    requests=RequestRules(idempotency_header=KEY),
)
POLICY = Policy(retry=STEADY, throttle=None, park=None, budget=None)
LOCKED = Reply(429, (b'{"error": {"code": "lock_timeout"}}',))
STALE = Reply(409, (b'{"error": {"code": "stale"}}',))


def paying(*script: Line, **options: object) -> tuple[AsyncResilientTransport, Scripted]:
    return resilient(*script, **{"dialect": PAY, "policy": POLICY, **options})


def keys_of(server: Scripted) -> list[str | None]:
    return [request.headers.get(KEY) for request in server.requests]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_every_attempt_of_a_call_bears_the_same_key(method: str) -> None:
    transport, server = paying(LOCKED, Reply(503), httpx.ReadTimeout("x"), OK)
    response = await call(transport, method=method, json={"amount": 5})
    assert (response.status_code, server.attempts) == (200, 4)
    (key,) = set(keys_of(server))
    assert key is not None
    assert len(key) == 32


async def test_no_other_call_bears_it() -> None:
    transport, server = paying(OK)
    request = httpx.Request("POST", URL, json={})
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(3):
            await client.send(request)
    assert len(set(keys_of(server))) == 3
    assert KEY not in request.headers


async def test_a_key_of_the_users_stays() -> None:
    transport, server = paying(Reply(503), OK)
    await call(transport, method="POST", headers={KEY: "mine"})
    assert keys_of(server) == ["mine", "mine"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_repeatable_by_itself_bears_none(method: str) -> None:
    transport, server = paying(Reply(503), OK)
    await call(transport, method=method)
    assert keys_of(server) == [None, None]


async def test_a_hook_that_returns_what_it_was_given_keeps_the_key() -> None:
    async def again(failed: object, request: httpx.Request) -> httpx.Request:
        request.headers["X-Fresh"] = "1"
        return request

    transport, server = paying(STALE, Reply(503), OK, recover={"stale": again})
    await call(transport, method="POST", json={})
    assert server.attempts == 3
    assert len(set(keys_of(server))) == 1


async def test_a_request_that_a_hook_made_is_another_operation_with_a_key_of_its_own() -> None:
    async def made(failed: object, request: httpx.Request) -> httpx.Request:
        return httpx.Request("POST", request.url, json={"amount": 6})

    transport, server = paying(STALE, Reply(503), OK, recover={"stale": made})
    response = await call(transport, method="POST", json={"amount": 5})
    first, second, third = keys_of(server)
    assert response.status_code == 200
    assert None not in (first, second)
    assert first != second == third


async def test_a_redirect_bears_a_key_of_its_own() -> None:
    moved = Reply(307, headers=(("Location", "/elsewhere"),))
    transport, server = paying(moved, OK)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        await client.post(URL, json={})
    assert len(set(keys_of(server))) == 2


async def test_a_transport_further_in_sends_the_key_of_the_outer_one() -> None:
    inner, server = paying(Reply(503), OK)
    await call(AsyncResilientTransport(inner, dialect=PAY, policy=POLICY), method="POST")
    first, second = keys_of(server)
    assert first is not None
    assert first == second


async def test_a_post_that_may_be_repeated_without_a_key_bears_none() -> None:
    llm = Dialect(name="llm", requests=RequestRules(post_is_repeatable=True))
    for method, attempts in (("POST", 3), ("PATCH", 1)):
        transport, server = paying(Reply(503), httpx.ReadError("x"), OK, dialect=llm)
        response = await call(transport, method=method, json={})
        assert (server.attempts, keys_of(server)) == (attempts, [None] * attempts)
        history = history_of(response)
        assert history is not None
        assert history.reason == ("success" if attempts > 1 else "not_idempotent")


@pytest.mark.parametrize("library", LIBRARIES)
def test_synchronous_transports_do_the_same(library: str) -> None:
    http: ModuleType = importlib.import_module(library)
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers[KEY])
        response: httpx.Response = http.Response(429 if len(keys) == 1 else 200)
        if len(keys) == 1:
            response.headers["Retry-After"] = "0.01"
        return response

    transport = door_of(library).ResilientTransport(http.MockTransport(answer), dialect=PAY)
    with http.Client(transport=transport) as client:
        client.post(URL, json={})
        client.post(URL, json={})
    first, second, third = keys
    assert first == second != third
